/*
 * Sending a layer's blob while it is being written. What it will be called is known at the
 * end only, so nobody was asked whether he has it: should the sending be far behind by
 * then, that is made up for.
 */
#include "registry/push_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Smaller ones are sent when they are done: that costs less than it could save. */
#define STREAM_MIN (UINT64_C(4) << 20)
/* So much left at the end is worth the question whether it is needed. */
#define LAG_MAX (UINT64_C(8) << 20)

enum stream_state {
    STREAM_IDLE,    /* not large enough yet -> QUEUED, OVER */
    STREAM_QUEUED,  /* for a thread of the pool -> RUNNING, OVER */
    STREAM_RUNNING, /* -> OVER */
    STREAM_OVER,
};

struct registry_push_stream {
    struct registry_push_stream *next;
    struct registry_pusher *pusher;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    enum stream_state state;
    int fd;
    uint64_t size;          /* bytes that are there */
    uint64_t sent;          /* bytes that were taken */
    struct descriptor blob; /* what it became; media type NULL: not known yet */
    bool stop;
    bool ok; /* of a stream that is over: the registry has it */
};

/* ---- The sending thread ---- */

/* Waits until there is something at the offset, or there will be no more. */
static uint64_t wait_for_bytes(struct registry_push_stream *s, uint64_t offset)
{
    uint64_t there;

    pthread_mutex_lock(&s->lock);
    while (!s->stop && !s->blob.media_type && s->size <= offset)
        pthread_cond_wait(&s->moved, &s->lock);
    there = s->stop ? UINT64_MAX : s->size - offset;
    s->sent = offset;
    pthread_mutex_unlock(&s->lock);
    return there;
}

static ptrdiff_t read_blob(void *context, uint64_t offset, void *out, size_t size)
{
    struct registry_push_stream *s = context;
    const uint64_t there = wait_for_bytes(s, offset);
    ssize_t n;

    if (there == UINT64_MAX)
        return -1;
    do
        n = pread(s->fd, out, there < size ? (size_t)there : size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

static int finish(void *context, struct descriptor *out, struct error *err)
{
    struct registry_push_stream *s = context;

    pthread_mutex_lock(&s->lock);
    const bool ok = !s->stop && s->blob.media_type && s->blob.size == s->size;
    if (ok)
        descriptor_copy(out, &s->blob);
    pthread_mutex_unlock(&s->lock);
    return ok ? 0 : error_set(err, ERROR_CANCELLED, "what was sent is not what is needed");
}

static void over(struct registry_push_stream *s, bool ok)
{
    pthread_mutex_lock(&s->lock);
    s->state = STREAM_OVER;
    s->ok = ok;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

static void run(void *arg)
{
    /* The layer's own item sends it as a whole if this does not work. */
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct registry_push_stream *s = arg;
    const struct registry_http_body body = {
        .read_at = read_blob, .context = s, .size = UINT64_MAX};
    const struct registry_stream stream = {&body, finish, s};

    pthread_mutex_lock(&s->lock);
    const bool wanted = s->state == STREAM_QUEUED;
    if (wanted)
        s->state = STREAM_RUNNING;
    pthread_mutex_unlock(&s->lock);
    if (wanted)
        over(s, registry_blob_stream(s->pusher->client, &s->pusher->repository, &stream,
                                     &ignored) == 0);
}

/* ---- Those who write, and wait ---- */

struct registry_push_stream *registry_pusher_stream(struct registry_pusher *p)
{
    struct registry_push_stream *s = base_alloc(sizeof *s);

    s->pusher = p;
    s->fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    pthread_mutex_lock(&p->lock);
    s->next = p->streams;
    p->streams = s;
    pthread_mutex_unlock(&p->lock);
    return s;
}

/* The caller holds the lock. */
static bool begin(struct registry_push_stream *s, const struct cas_blob_writer *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it is sent later then */

    s->fd = cas_blob_writer_reader(blob, &ignored);
    s->state = s->fd < 0 ? STREAM_OVER : STREAM_QUEUED;
    return s->fd >= 0;
}

void registry_push_stream_grown(struct registry_push_stream *s,
                                const struct cas_blob_writer *blob)
{
    bool begins;

    pthread_mutex_lock(&s->lock);
    s->size = cas_blob_writer_size(blob);
    begins = s->state == STREAM_IDLE && s->size >= STREAM_MIN && begin(s, blob);
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    if (begins)
        pool_submit(push_pool(s->pusher), run, s);
}

static void stop_locked(struct registry_push_stream *s)
{
    s->stop = true;
    if (s->state != STREAM_RUNNING)
        s->state = STREAM_OVER;
    pthread_cond_broadcast(&s->moved);
}

/* Is so much missing, of something that is there already, that it is not worth going on? */
static bool is_needless(struct registry_push_stream *s, const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct registry_pusher *p = s->pusher;
    uint64_t size;
    bool found = false;

    pthread_mutex_lock(&s->lock);
    const bool lags = s->state == STREAM_RUNNING && blob->size > s->sent + LAG_MAX;
    pthread_mutex_unlock(&s->lock);
    return lags &&
           registry_blob_head(p->client, &p->repository, &blob->digest, &found, &size,
                              &ignored) == 0 &&
           found;
}

bool push_stream_end(struct registry_push_stream *s, const struct descriptor *blob)
{
    const bool needless = is_needless(s, blob);

    pthread_mutex_lock(&s->lock);
    /* One that no thread has begun yet would only be later than the whole. */
    if (needless || s->state != STREAM_RUNNING)
        stop_locked(s);
    else
        descriptor_copy(&s->blob, blob);
    pthread_cond_broadcast(&s->moved);
    while (s->state != STREAM_OVER)
        pthread_cond_wait(&s->moved, &s->lock);
    const bool ok = needless || s->ok;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

struct registry_push_stream *push_stream_next(const struct registry_push_stream *s)
{
    return s->next;
}

void push_stream_stop(struct registry_push_stream *s)
{
    pthread_mutex_lock(&s->lock);
    stop_locked(s);
    pthread_mutex_unlock(&s->lock);
}

void push_stream_free(struct registry_push_stream *s)
{
    fd_closep(&s->fd);
    descriptor_release(&s->blob);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
