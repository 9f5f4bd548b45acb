#include "builder/archive_spool.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct build_archive_spool {
    struct build_tree tree; /* only `open` is there */
    int store_fd;
    int fd; /* -1 until something is written */
    uint64_t size;
    pthread_mutex_t lock; /* guards the mapping */
    const char *map;
};

static int spool_open(void *self,
                      const struct build_tree_place *place,
                      struct cas_content *out,
                      struct error *err)
{
    struct build_archive_spool *s = self;
    const char *map;

    pthread_mutex_lock(&s->lock);
    if (!s->map) {
        void *mapped = mmap(NULL, (size_t)s->size, PROT_READ, MAP_SHARED, s->fd, 0);

        s->map = mapped == MAP_FAILED ? NULL : mapped;
    }
    map = s->map;
    pthread_mutex_unlock(&s->lock);
    if (!map)
        return error_sys(err, "map unpacked archive");
    *out = (struct cas_content){.fd = -1, .memory = {map + place->at, (size_t)place->size}};
    return 0;
}

struct build_archive_spool *build_archive_spool_new(int store_fd)
{
    struct build_archive_spool *s = base_alloc(sizeof *s);

    s->store_fd = store_fd;
    s->fd = -1;
    s->tree = (struct build_tree){.self = s, .open = spool_open};
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void build_archive_spool_free(struct build_archive_spool *s)
{
    union {
        const char *in;
        void *out;
    } map;

    if (!s)
        return;
    map.in = s->map;
    if (map.out)
        munmap(map.out, (size_t)s->size);
    fd_closep(&s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int open_file(struct build_archive_spool *s, struct error *err)
{
    if (s->fd >= 0)
        return 0;
    s->fd = openat(s->store_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return s->fd < 0 ? error_sys(err, "create a temporary file in the store") : 0;
}

uint64_t build_archive_spool_size(const struct build_archive_spool *s)
{
    return s->size;
}

int build_archive_spool_write(struct build_archive_spool *s,
                              uint64_t at,
                              struct view data,
                              struct error *err)
{
    if (open_file(s, err) < 0)
        return -1;
    at += s->size;
    while (data.size > 0) {
        const ssize_t n = pwrite(s->fd, data.data, data.size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, "write unpacked archive");
        at += (uint64_t)n;
        data = view_sub(data, (size_t)n, data.size);
    }
    return 0;
}

int build_archive_spool_end(struct build_archive_spool *s,
                            uint64_t size,
                            struct build_delta_content *out,
                            struct error *err)
{
    const uint64_t base = s->size;

    if (open_file(s, err) < 0)
        return -1;
    s->size = base + size;
    if (ftruncate(s->fd, (off_t)s->size) < 0)
        return error_sys(err, "write unpacked archive");
    *out =
        (struct build_delta_content){.tree = &s->tree, .place = {.at = base, .size = size}};
    return 0;
}
