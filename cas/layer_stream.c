#include "cas/layer_stream.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"
#include "cas/codec.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* A block is handed over under a lock: large enough for that to cost nothing, small enough
 * to stay in the second-level cache between the two threads. */
enum { BLOCK_SIZE = 256 << 10, BLOCKS = 4 };
/* Below this a thread costs more than it gains. */
enum { SMALL_BLOB = 64 << 10 };

struct block {
    char *data;
    size_t size; /* 0: the end */
};

struct layer_stream {
    int fd;
    struct codec_reader *codec;
    struct hasher *hasher;
    uint64_t size;
    struct digest digest;

    struct block blocks[BLOCKS];

    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved;
    uint64_t filled;  /* blocks filled so far; the next one is blocks[filled % BLOCKS] */
    uint64_t drained; /* blocks given back */
    bool holding;     /* the consumer still uses blocks[drained % BLOCKS] */
    bool stop;
    bool failed;
    struct error failure;
};

/* Fills a block to the brim, unless the end comes first. */
static int fill(struct layer_stream *x, struct block *b, struct error *err)
{
    b->size = 0;
    while (b->size < BLOCK_SIZE) {
        size_t got = 0;

        if (codec_reader_read(x->codec, b->data + b->size, BLOCK_SIZE - b->size, &got,
                              err) < 0)
            return -1;
        if (got == 0)
            break;
        b->size += got;
    }
    x->size += b->size;
    if (b->size > 0)
        hasher_update(x->hasher, b->data, b->size);
    else
        hasher_final(x->hasher, &x->digest);
    return 0;
}

/* --- The thread that runs ahead --- */

/* The block to fill next, or NULL when nobody wants any more. */
static struct block *wait_for_room(struct layer_stream *x)
{
    pthread_mutex_lock(&x->lock);
    while (!x->stop && x->filled - x->drained == BLOCKS)
        pthread_cond_wait(&x->moved, &x->lock);

    struct block *b = x->stop ? NULL : &x->blocks[x->filled % BLOCKS];

    pthread_mutex_unlock(&x->lock);
    return b;
}

static void hand_over(struct layer_stream *x, struct error *failure)
{
    pthread_mutex_lock(&x->lock);
    if (failure->code != ERROR_NONE) {
        x->failed = true;
        x->failure = error_take(failure);
    } else {
        x->filled++;
    }
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
}

static void *run_ahead(void *arg)
{
    struct layer_stream *x = arg;
    struct error failure = ERROR_INIT;

    for (;;) {
        struct block *b = wait_for_room(x);

        if (!b)
            return NULL;

        const int result = fill(x, b, &failure);
        const bool last = result < 0 || b->size == 0;

        hand_over(x, &failure);
        if (last)
            return NULL;
    }
}

/* --- For the consumer --- */

static int next_threaded(struct layer_stream *x, struct view *out, struct error *err)
{
    int result = 0;

    pthread_mutex_lock(&x->lock);
    if (x->holding) {
        x->drained++;
        x->holding = false;
        pthread_cond_broadcast(&x->moved);
    }
    while (x->filled == x->drained && !x->failed)
        pthread_cond_wait(&x->moved, &x->lock);
    if (x->filled == x->drained) {
        result = error_move(err, &x->failure);
    } else {
        const struct block *b = &x->blocks[x->drained % BLOCKS];

        *out = (struct view){b->data, b->size};
        x->holding = b->size > 0; /* the end stays, however often one asks */
    }
    pthread_mutex_unlock(&x->lock);
    return result;
}

int layer_stream_next(struct layer_stream *x, struct view *out, struct error *err)
{
    struct block *b = &x->blocks[0];

    if (x->threaded)
        return next_threaded(x, out, err);
    if (!digest_is_set(&x->digest) && fill(x, b, err) < 0)
        return -1;
    *out = (struct view){b->data, b->size};
    return 0;
}

void layer_stream_digest(struct layer_stream *x, struct digest *out, uint64_t *size)
{
    assert(digest_is_set(&x->digest));
    *out = x->digest;
    *size = x->size;
}

static struct layer_stream *open_stream(const struct descriptor *blob,
                                        enum digest_alg alg,
                                        int fd,
                                        struct codec_reader *codec)
{
    struct layer_stream *x = base_alloc(sizeof *x);

    x->fd = fd;
    x->codec = codec;
    x->hasher = hasher_new(alg);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->moved, NULL);

    const bool large = blob->size > SMALL_BLOB;

    for (size_t i = 0; i < (large ? BLOCKS : 1); i++)
        x->blocks[i].data = base_alloc(BLOCK_SIZE);
    /* Without a thread it works as well. */
    x->threaded = large && pthread_create(&x->thread, NULL, run_ahead, x) == 0;
    return x;
}

struct layer_stream *layer_stream_open(struct cas_store *s,
                                       const struct descriptor *blob,
                                       enum digest_alg alg,
                                       struct error *err)
{
    const int fd = cas_blob_open(s, &blob->digest, err);

    return fd < 0 ? NULL : open_stream(blob, alg, fd, codec_reader_new_fd(fd));
}

struct layer_stream *layer_stream_open_arriving(struct cas_arrival *arrival,
                                                const struct descriptor *blob,
                                                enum digest_alg alg)
{
    return open_stream(blob, alg, -1, codec_reader_new(cas_arrival_read, arrival));
}

void layer_stream_close(struct layer_stream *x)
{
    if (!x)
        return;
    if (x->threaded) {
        pthread_mutex_lock(&x->lock);
        x->stop = true;
        pthread_cond_broadcast(&x->moved);
        pthread_mutex_unlock(&x->lock);
        pthread_join(x->thread, NULL);
    }
    error_clear(&x->failure);
    codec_reader_free(x->codec);
    hasher_free(x->hasher);
    for (size_t i = 0; i < BLOCKS; i++)
        free(x->blocks[i].data);
    pthread_cond_destroy(&x->moved);
    pthread_mutex_destroy(&x->lock);
    fd_closep(&x->fd);
    free(x);
}

void layer_stream_closep(struct layer_stream **x)
{
    layer_stream_close(*x);
    *x = NULL;
}
