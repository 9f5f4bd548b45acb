#include "registry/copy_priv.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Up to this size it stays in memory: six at once are some megabytes. */
#define MEMORY_MAX (UINT64_C(1) << 20)

enum spool_state {
    SPOOL_IDLE,    /* nobody asked yet -> RUNNING, FAILED */
    SPOOL_RUNNING, /* a thread reads -> WHOLE, FAILED */
    SPOOL_WHOLE,   /* all is there, and verified */
    SPOOL_FAILED,
};

struct copy_spool {
    const struct copy_source *from;
    const struct descriptor *desc;
    const struct registry_progress *progress;
    int fd; /* set before the thread begins, which alone writes */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    enum spool_state state;
    uint64_t size; /* bytes that came */
    bool stop;
    struct error error; /* of FAILED */
};

struct copy_spool *copy_spool_new(const struct copy_source *from,
                                  const struct descriptor *d,
                                  const struct registry_progress *progress)
{
    struct copy_spool *s = base_alloc(sizeof *s);

    s->from = from;
    s->desc = d;
    s->progress = progress;
    s->fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    return s;
}

/* ---- The reading thread ---- */

static int on_restart(void *context, struct error *err)
{
    struct copy_spool *s = context;

    (void)err;
    pthread_mutex_lock(&s->lock);
    s->size = 0;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* Where the next byte belongs; ERROR_CANCELLED if nobody wants it. */
static int next_place(struct copy_spool *s, uint64_t *offset, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    *offset = s->size;
    const bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop ? error_set(err, ERROR_CANCELLED, "nobody wants the rest") : 0;
}

static void take(struct copy_spool *s, uint64_t size)
{
    pthread_mutex_lock(&s->lock);
    s->size = size;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

static int on_write(void *context, const void *data, size_t size, struct error *err)
{
    struct copy_spool *s = context;
    uint64_t offset;

    if (next_place(s, &offset, err) < 0)
        return -1;
    if (fs_write_all_at(s->fd, data, size, offset, err) < 0)
        return error_wrap(err, "a temporary file");
    take(s, offset + size);
    return 0;
}

/* Parts that come at once. */
static int on_reserve(void *context, uint64_t size, struct error *err)
{
    const struct copy_spool *s = context;

    (void)size;
    (void)err;
    return s->fd;
}

static int on_took(void *context, const void *data, size_t size, struct error *err)
{
    struct copy_spool *s = context;
    uint64_t offset;

    (void)data;
    if (next_place(s, &offset, err) < 0)
        return -1;
    take(s, offset + size);
    return 0;
}

static void *read_all(void *context)
{
    struct copy_spool *s = context;
    const struct registry_blob_sink sink = {
        .restart = on_restart,
        .write = on_write,
        .context = s,
        .reserve = on_reserve,
        .took = on_took,
    };
    struct error failure = ERROR_INIT;
    const int rc = s->from->blob(s->from->self, s->desc, &sink, s->progress, &failure);

    pthread_mutex_lock(&s->lock);
    s->state = rc == 0 ? SPOOL_WHOLE : SPOOL_FAILED;
    s->error = error_take(&failure);
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- Those who send ---- */

static int make_file(uint64_t size, struct error *err)
{
    const char *dir = getenv("TMPDIR");
    int fd;

    if (size <= MEMORY_MAX) {
        fd = memfd_create("blob", MFD_CLOEXEC);
        return fd >= 0 ? fd : error_sys(err, "create a file in memory");
    }
    if (!dir || !*dir)
        dir = "/var/tmp";
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : error_sys(err, "create a temporary file in %s", dir);
}

static int begin_locked(struct copy_spool *s, struct error *err)
{
    s->fd = make_file(s->desc->size, err);
    if (s->fd < 0)
        return -1;
    errno = pthread_create(&s->thread, NULL, read_all, s);
    if (errno != 0)
        return error_sys(err, "start a thread");
    s->has_thread = true;
    return 0;
}

/* How many bytes may be given out. The last one waits for the verdict. */
static uint64_t ready_locked(const struct copy_spool *s)
{
    if (s->state == SPOOL_WHOLE)
        return s->desc->size;
    return s->size < s->desc->size ? s->size : s->size - (s->size > 0);
}

ptrdiff_t copy_spool_read(void *context, uint64_t offset, void *out, size_t size)
{
    struct copy_spool *s = context;
    ssize_t n;

    pthread_mutex_lock(&s->lock);
    if (s->state == SPOOL_IDLE)
        s->state = begin_locked(s, &s->error) < 0 ? SPOOL_FAILED : SPOOL_RUNNING;
    while (s->state == SPOOL_RUNNING && ready_locked(s) <= offset)
        pthread_cond_wait(&s->moved, &s->lock);
    const uint64_t ready = s->state == SPOOL_FAILED ? 0 : ready_locked(s);
    pthread_mutex_unlock(&s->lock);
    if (ready <= offset)
        return -1;
    if (size > ready - offset)
        size = (size_t)(ready - offset);
    do
        n = pread(s->fd, out, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

int copy_spool_free(struct copy_spool *s, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    s->stop = true;
    const bool failed = s->state == SPOOL_FAILED;
    pthread_mutex_unlock(&s->lock);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    if (failed)
        rc = error_move(err, &s->error);
    error_clear(&s->error);
    fd_closep(&s->fd);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return rc;
}
