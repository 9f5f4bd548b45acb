#include "cas/layer_pipe.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "cas/codec_write.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Blocks under way, two MiB each: for everyone who takes part one in work and one that
 * waits to be written, and two that the lanes are at. At most 28 MiB a layer. (With two in
 * the pool and the caller: 8. More were no faster: bench_layer_write.) */
#define SLOTS_MAX       ((size_t)14)
#define SLOTS_FOR(crew) (2 * (crew) + 2)

/* A block under way; its place is block % slot_count. */
struct slot {
    char *tar;
    char *compressed; /* NULL where there is no compression */
    size_t compressed_size;
    uint32_t crc;
    bool filled;
    bool claimed; /* by someone who compresses it */
    bool ready;   /* to be written */
};

/* Things that are done in the order of blocks, by one at a time. */
struct lane {
    size_t next; /* all blocks before it are done */
    bool busy;
};

struct pipe {
    /* Constant, and borrowed by those who take part while `ended` is false. */
    const struct layer_plan *plan;
    struct layer_fill *fill;
    struct cas_blob_writer *blob;
    const struct layer_feed *feed; /* NULL: nothing is unpacked */
    const struct cas_layer_options *options;
    size_t slot_count;
    size_t slot_size;

    /* Each touched by the holder of its lane only. */
    struct hasher *tar_hasher; /* NULL: nobody asks */
    struct codec_sum sum;
    uint64_t *points;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved; /* something was done, or all is over */
    struct slot slots[SLOTS_MAX];
    size_t next_fill;
    bool is_filling; /* somebody is, where blocks are filled in order */
    struct lane tar_lane;
    struct lane span_lane;
    struct lane feed_lane;
    struct lane write_lane;
    size_t running; /* things being done */
    bool failed;
    struct error failure;
    bool ended;        /* late jobs look no further */
    size_t references; /* the caller, and jobs in the pool */
};

enum task_kind {
    TASK_WRITE,
    TASK_TAR,
    TASK_SPAN,
    TASK_FEED,
    TASK_COMPRESS,
    TASK_FILL,
    TASK_WAIT,
    TASK_END,
};

struct task {
    enum task_kind kind;
    size_t block;
};

/* What one who takes part owns. */
struct worker {
    struct layer_fill_worker fill;
    struct codec_encoder *encoder; /* NULL until needed */
};

static struct slot *slot_of(struct pipe *p, size_t block)
{
    return &p->slots[block % p->slot_count];
}

/* --- Claiming --- */

static size_t oldest_locked(const struct pipe *p)
{
    const size_t nexts[] = {p->tar_lane.next, p->span_lane.next, p->feed_lane.next};
    size_t oldest = p->write_lane.next;

    for (size_t i = 0; i < ARRAY_COUNT(nexts); i++)
        oldest = nexts[i] < oldest ? nexts[i] : oldest;
    return oldest;
}

static bool lane_open_locked(struct pipe *p, const struct lane *lane, bool ready)
{
    return !lane->busy && lane->next < p->next_fill &&
           (ready ? slot_of(p, lane->next)->ready : slot_of(p, lane->next)->filled);
}

static bool compress_open_locked(struct pipe *p, size_t *block)
{
    for (size_t b = p->write_lane.next; b < p->next_fill; b++) {
        const struct slot *s = slot_of(p, b);
        if (s->filled && !s->claimed) {
            *block = b;
            return true;
        }
    }
    return false;
}

static bool is_cancelled(const struct pipe *p)
{
    return p->options->cancel && __atomic_load_n(p->options->cancel, __ATOMIC_RELAXED);
}

/* What is nearest to the end comes first: it makes room. */
static struct task claim_locked(struct pipe *p)
{
    struct task t = {.kind = TASK_WAIT};
    const size_t oldest = oldest_locked(p);

    if (p->failed || p->ended || oldest == p->plan->block_count) {
        t.kind = TASK_END;
    } else if (lane_open_locked(p, &p->write_lane, true)) {
        t = (struct task){TASK_WRITE, p->write_lane.next};
        p->write_lane.busy = true;
    } else if (lane_open_locked(p, &p->tar_lane, false)) {
        t = (struct task){TASK_TAR, p->tar_lane.next};
        p->tar_lane.busy = true;
    } else if (lane_open_locked(p, &p->span_lane, false)) {
        t = (struct task){TASK_SPAN, p->span_lane.next};
        p->span_lane.busy = true;
    } else if (lane_open_locked(p, &p->feed_lane, false)) {
        t = (struct task){TASK_FEED, p->feed_lane.next};
        p->feed_lane.busy = true;
    } else if (compress_open_locked(p, &t.block)) {
        t.kind = TASK_COMPRESS;
        slot_of(p, t.block)->claimed = true;
    } else if (p->next_fill < p->plan->block_count &&
               p->next_fill - oldest < p->slot_count && !p->is_filling) {
        t = (struct task){TASK_FILL, p->next_fill++};
        p->is_filling = p->options->in_order;
        struct slot *s = slot_of(p, t.block);
        s->filled = s->claimed = s->ready = false;
    }
    return t;
}

static void complete_locked(struct pipe *p, struct task t)
{
    struct slot *s = slot_of(p, t.block);

    switch (t.kind) {
    case TASK_WRITE:
        p->write_lane = (struct lane){t.block + 1, false};
        break;
    case TASK_TAR:
        p->tar_lane = (struct lane){t.block + 1, false};
        break;
    case TASK_SPAN:
        p->span_lane = (struct lane){t.block + 1, false};
        break;
    case TASK_FEED:
        p->feed_lane = (struct lane){t.block + 1, false};
        break;
    case TASK_COMPRESS:
        s->ready = true;
        break;
    case TASK_FILL:
        s->filled = true;
        p->is_filling = false;
        break;
    case TASK_WAIT:
    case TASK_END:
        break;
    }
}

/* --- Doing --- */

static int do_fill(struct pipe *p, struct worker *w, size_t block, struct error *err)
{
    struct slot *s = slot_of(p, block);

    if (!s->tar)
        s->tar = base_alloc(p->slot_size);
    return layer_fill_block(p->fill, &w->fill, block, s->tar, err);
}

static int do_compress(struct pipe *p, struct worker *w, size_t block, struct error *err)
{
    const struct cas_layer_options *o = p->options;
    struct slot *s = slot_of(p, block);

    if (o->compression == CAS_COMPRESSION_NONE)
        return 0;
    if (!w->encoder)
        w->encoder = codec_encoder_new(o->compression, o->level, err);
    if (!w->encoder)
        return -1;
    if (!s->compressed)
        s->compressed = base_alloc(CODEC_BLOCK_ROOM(p->slot_size));
    const struct view tar = {s->tar, layer_plan_block_size(p->plan, block)};
    s->compressed_size = codec_encode(w->encoder, tar, s->compressed, &s->crc);
    return 0;
}

static void do_tar(struct pipe *p, size_t block)
{
    if (p->tar_hasher)
        hasher_update(p->tar_hasher, slot_of(p, block)->tar,
                      layer_plan_block_size(p->plan, block));
}

static int write_block(struct pipe *p, size_t block, struct error *err)
{
    const enum cas_compression compression = p->options->compression;
    const size_t tar_size = layer_plan_block_size(p->plan, block);
    const struct slot *s = slot_of(p, block);
    const bool plain = compression == CAS_COMPRESSION_NONE;
    char edge[CODEC_EDGE_MAX];

    const size_t head = block == 0 ? codec_head(compression, edge) : 0;
    if (head && cas_blob_writer_write(p->blob, edge, head, err) < 0)
        return -1;
    p->points[block] = cas_blob_writer_size(p->blob);
    if (cas_blob_writer_write(p->blob, plain ? s->tar : s->compressed,
                              plain ? tar_size : s->compressed_size, err) < 0)
        return -1;
    codec_sum_add(&p->sum, s->crc, tar_size);
    if (block + 1 < p->plan->block_count)
        return 0;
    const size_t tail = codec_tail(compression, &p->sum, edge);
    return tail ? cas_blob_writer_write(p->blob, edge, tail, err) : 0;
}

static int do_write(struct pipe *p, size_t block, struct error *err)
{
    const struct cas_layer_tap *tap = p->options->tap;

    if (write_block(p, block, err) < 0)
        return -1;
    if (tap)
        tap->grown(tap->context, p->blob);
    return 0;
}

static int run_task(struct pipe *p, struct worker *w, struct task t, struct error *err)
{
    switch (t.kind) {
    case TASK_WRITE:
        return do_write(p, t.block, err);
    case TASK_TAR:
        do_tar(p, t.block);
        return 0;
    case TASK_SPAN:
        layer_fill_spans(p->fill, t.block, slot_of(p, t.block)->tar);
        return 0;
    case TASK_FEED:
        return layer_feed_block(p->feed, t.block, slot_of(p, t.block)->tar, err);
    case TASK_COMPRESS:
        return do_compress(p, w, t.block, err);
    case TASK_FILL:
        return do_fill(p, w, t.block, err);
    case TASK_WAIT:
    case TASK_END:
        break;
    }
    return 0;
}

/* --- Taking part --- */

static void fail_locked(struct pipe *p, struct error *err)
{
    if (!p->failed) {
        p->failed = true;
        p->failure = error_take(err);
    }
}

static void step_locked(struct pipe *p, struct worker *w, struct task t)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    int result;

    p->running++;
    pthread_mutex_unlock(&p->lock);
    if (is_cancelled(p))
        result = error_set(&err, ERROR_CANCELLED, "cancelled");
    else
        result = run_task(p, w, t, &err);
    pthread_mutex_lock(&p->lock);
    p->running--;
    if (result < 0)
        fail_locked(p, &err);
    else
        complete_locked(p, t);
    pthread_cond_broadcast(&p->moved);
}

static void take_part(struct pipe *p)
{
    struct worker w = {0};
    struct task t;

    layer_fill_worker_init(&w.fill);
    pthread_mutex_lock(&p->lock);
    while ((t = claim_locked(p)).kind != TASK_END) {
        if (t.kind == TASK_WAIT)
            pthread_cond_wait(&p->moved, &p->lock);
        else
            step_locked(p, &w, t);
    }
    pthread_mutex_unlock(&p->lock);
    layer_fill_worker_release(&w.fill);
    codec_encoder_free(w.encoder);
}

static void pipe_unref(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    const bool last = --p->references == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->moved);
    free(p);
}

/* A job in the pool. It may begin when all is over, and then finds `ended`. */
static void help(void *arg)
{
    struct pipe *p = arg;

    pthread_mutex_lock(&p->lock);
    const bool ended = p->ended;
    if (!ended)
        p->running++;
    pthread_mutex_unlock(&p->lock);
    if (!ended) {
        take_part(p);
        pthread_mutex_lock(&p->lock);
        p->running--;
        pthread_cond_broadcast(&p->moved);
        pthread_mutex_unlock(&p->lock);
    }
    pipe_unref(p);
}

static void call_helpers(struct pipe *p)
{
    struct pool *pool = p->options->pool;
    size_t count = pool ? pool_threads(pool) : 0;

    if (count > p->plan->block_count - 1)
        count = p->plan->block_count - 1;
    p->references += count; /* nobody else knows of it yet */
    for (size_t i = 0; i < count; i++)
        pool_submit(pool, help, p);
}

/* --- The whole --- */

static size_t slot_count(const struct layer_plan *plan,
                         const struct cas_layer_options *options)
{
    const size_t crew = 1 + (options->pool ? pool_threads(options->pool) : 0);
    const size_t most = SLOTS_FOR(crew) < SLOTS_MAX ? SLOTS_FOR(crew) : SLOTS_MAX;

    return plan->block_count < most ? plan->block_count : most;
}

static struct pipe *pipe_new(const struct layer_plan *plan,
                             struct layer_fill *fill,
                             struct cas_blob_writer *blob,
                             const struct layer_feed *feed,
                             const struct cas_layer_options *options)
{
    struct pipe *p = base_alloc(sizeof *p);

    p->plan = plan;
    p->fill = fill;
    p->blob = blob;
    p->feed = feed;
    if (!feed)
        p->feed_lane.next = plan->block_count;
    p->options = options;
    p->slot_count = slot_count(plan, options);
    p->slot_size = layer_plan_block_size(plan, 0);
    if (options->compression != CAS_COMPRESSION_NONE)
        p->tar_hasher = hasher_new(DIGEST_SHA256);
    p->points = base_alloc_array(plan->block_count, sizeof *p->points);
    p->references = 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->moved, NULL);
    return p;
}

/* Waits until nobody touches what was lent to the pipe, and takes it back. */
static void finish(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_broadcast(&p->moved);
    while (p->running > 0)
        pthread_cond_wait(&p->moved, &p->lock);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->slot_count; i++) {
        free(p->slots[i].tar);
        free(p->slots[i].compressed);
    }
}

int layer_pipe_run(const struct layer_plan *plan,
                   struct layer_fill *fill,
                   struct cas_blob_writer *blob,
                   const struct layer_feed *feed,
                   const struct cas_layer_options *options,
                   struct layer_pipe_result *out,
                   struct error *err)
{
    struct pipe *p = pipe_new(plan, fill, blob, feed, options);

    *out = (struct layer_pipe_result){.diff_id = {.alg = DIGEST_NONE}};
    call_helpers(p);
    take_part(p);
    finish(p);

    const bool failed = p->failed;
    if (failed) {
        error_move(err, &p->failure);
        free(p->points);
    } else {
        if (p->tar_hasher)
            hasher_final(p->tar_hasher, &out->diff_id);
        out->points = p->points;
    }
    hasher_free(p->tar_hasher);
    pipe_unref(p);
    return failed ? -1 : 0;
}
