#include "cas/note.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/ingest.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cas_note_read(
    struct cas_store *s, const char *path, struct buf *out, bool *found, struct error *err)
{
    CLEANUP(fd_closep) int fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, "open %s in the store", path);
    return fs_read_all(fd, out, err);
}

static int publish(struct cas_store *s,
                   const char *path,
                   struct view data,
                   struct error *err)
{
    struct cas_ingest *g = cas_ingest_new(s, err);

    if (g == NULL)
        return -1;
    if (cas_ingest_write(g, data.data, data.size, err) < 0) {
        cas_ingest_abort(g);
        return -1;
    }
    return cas_ingest_publish_unsynced(g, path, err);
}

/* The directories are there but for the first time: that is found out by failing. */
int cas_note_write(struct cas_store *s,
                   const char *path,
                   struct view data,
                   struct error *err)
{
    CLEANUP(base_freep) char *dir = NULL;

    if (publish(s, path, data, err) == 0)
        return 0;
    if (err->code != ERROR_NOT_FOUND)
        return -1;
    error_clear(err);
    dir = view_dup(path_dir(view_of(path)));
    if (fs_mkdir_all_at(s->fd, dir, 0700, err) < 0)
        return -1;
    return publish(s, path, data, err);
}

/* --- Pruning --- */

struct note {
    char *name;
    struct timespec time;
};

struct notes {
    struct note *items;
    size_t count;
    size_t capacity;
};

static void notes_release(struct notes *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i].name);
    free(n->items);
    *n = (struct notes){0};
}

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static int list(struct cas_store *s, const char *path, struct notes *out, struct error *err)
{
    const int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    struct stat st;

    if (!dir)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", path);
    while ((e = readdir(dir))) {
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = (struct note){base_strdup(e->d_name), st.st_mtim};
    }
    return 0;
}

static int compare_age(const void *a, const void *b)
{
    const struct note *x = a;
    const struct note *y = b;

    if (x->time.tv_sec != y->time.tv_sec)
        return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
    return (x->time.tv_nsec > y->time.tv_nsec) - (x->time.tv_nsec < y->time.tv_nsec);
}

int cas_note_prune(struct cas_store *s, const char *dir, size_t keep, struct error *err)
{
    CLEANUP(notes_release) struct notes found = {0};

    if (list(s, dir, &found, err) < 0)
        return -1;
    if (found.count <= keep)
        return 0;
    qsort(found.items, found.count, sizeof *found.items, compare_age);
    for (size_t i = 0; i < found.count - keep; i++) {
        CLEANUP(base_freep) char *path = base_format("%s/%s", dir, found.items[i].name);

        if (unlinkat(s->fd, path, 0) < 0 && errno != ENOENT)
            return error_sys(err, "remove %s from the store", path);
    }
    return 0;
}
