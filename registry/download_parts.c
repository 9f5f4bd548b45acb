/*
 * Parts of one blob, several at once. They are put into the receiver's file where they
 * belong; one thread reads from there what has come without a gap, hashes it and hands it
 * on.
 *
 *              d->offset          in_file             next
 *     |  taken     |  without a gap  |  parts, gaps    |  nobody's yet   |
 *     0                              \--- at most PARTS_AHEAD parts ---/ size
 *
 * What a part's connection loses is asked for again from where it broke off. An answer that
 * is another than asked for ends all of it: one stream is then to judge.
 *
 * Spec: RFC 9110 sections 14, 8.8.3.
 */
#include "registry/download_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/range.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Connections for one blob, this many parts or more of which make it large. */
#define CONNECTIONS 4u
#define LARGE_PARTS 8u
/* Parts that may have been begun beyond the first with a gap: their bytes wait on disk. */
#define PARTS_AHEAD 8u
/* What is read from the file at once. */
#define TAKE_SIZE ((size_t)256 << 10)
/* How soon the one who takes sees a cancellation. */
#define LOOK_MS 100u
/* As in download.c: each resumption made progress, and still it has to end some time. */
#define RESUMPTIONS_MAX 64u

enum parts_state {
    PARTS_RUNNING,
    PARTS_ENDED,  /* with `outcome` */
    PARTS_FAILED, /* with `failure` */
};

struct parts {
    struct download *download;
    uint64_t start;                      /* of the first part */
    uint64_t part_size;                  /* of each but the last */
    int fd;                              /* the receiver's */
    atomic_bool stop;                    /* requests end */
    struct registry_retry_policy policy; /* which `stop` ends too */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t came;  /* bytes, for the one who takes */
    pthread_cond_t freed; /* room or a lane, for those who fetch */
    enum parts_state state;
    enum download_outcome outcome;
    struct error failure;
    uint64_t next;             /* the first byte that nobody fetches */
    uint64_t taken;            /* bytes handed on */
    uint64_t got[PARTS_AHEAD]; /* bytes of part N there are, at N modulo PARTS_AHEAD */
};

/* One of the threads that fetch, and the part that it is at. */
struct fetcher {
    struct parts *parts;
    pthread_t thread;
    bool is_first; /* it uses the blob's own lane */
    uint64_t at;   /* the next byte */
    uint64_t end;
    size_t slot;
    bool is_open;
    struct registry_http_response response;
    bool is_wrong;        /* the answer is not what was asked for */
    struct error failure; /* why the transfer was ended from this side */
};

bool download_is_large(const struct download *d)
{
    return d->sink->reserve && d->sink->took && registry_client_parallel(d->client) > 1 &&
           d->desc->size <= INT64_MAX &&
           d->desc->size / LARGE_PARTS >= registry_client_part_size(d->client);
}

/* ---- Ends ---- */

static void end_locked(struct parts *p, enum parts_state state)
{
    p->state = state;
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->came);
    pthread_cond_broadcast(&p->freed);
}

/* The first word counts. */
static void end(struct parts *p, enum download_outcome outcome)
{
    pthread_mutex_lock(&p->lock);
    if (p->state == PARTS_RUNNING) {
        p->outcome = outcome;
        end_locked(p, PARTS_ENDED);
    }
    pthread_mutex_unlock(&p->lock);
}

/* Moves the error out of `err`. */
static void fail(struct parts *p, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    if (p->state == PARTS_RUNNING) {
        p->failure = error_take(err);
        end_locked(p, PARTS_FAILED);
    }
    pthread_mutex_unlock(&p->lock);
    error_clear(err);
}

/* ---- Those who fetch ---- */

static uint64_t size_of(const struct parts *p)
{
    return p->download->desc->size;
}

/* Is there a part to begin, near enough to what is being taken? */
static bool has_room_locked(const struct parts *p)
{
    const uint64_t first = (p->taken - p->start) / p->part_size;

    return (p->next - p->start) / p->part_size < first + PARTS_AHEAD;
}

/* May this thread begin another part, as far as connections go? */
static bool take_lane(struct fetcher *f)
{
    return f->is_first || registry_client_lane_try(f->parts->download->client);
}

static void give_lane(struct fetcher *f)
{
    if (!f->is_first)
        registry_client_lane_end(f->parts->download->client);
}

static bool begin_part_locked(struct fetcher *f)
{
    struct parts *p = f->parts;
    const uint64_t left = size_of(p) - p->next;
    const uint64_t size = left < p->part_size ? left : p->part_size;
    struct error err = ERROR_INIT;

    if (p->download->sink->reserve(p->download->sink->context, size, &err) < 0) {
        p->failure = error_take(&err);
        end_locked(p, PARTS_FAILED);
        return false;
    }
    f->at = p->next;
    f->end = p->next += size;
    f->slot = (size_t)((f->at - p->start) / p->part_size % PARTS_AHEAD);
    p->got[f->slot] = 0;
    return true;
}

/* Waits for a part; false: there is no more to do. With true a lane is held. */
static bool next_part(struct fetcher *f)
{
    struct parts *p = f->parts;
    bool begun = false;

    pthread_mutex_lock(&p->lock);
    while (p->state == PARTS_RUNNING && p->next < size_of(p) && !begun) {
        if (!has_room_locked(p) || !take_lane(f)) {
            pthread_cond_wait(&p->freed, &p->lock);
            continue;
        }
        begun = begin_part_locked(f);
        if (!begun)
            give_lane(f);
    }
    pthread_mutex_unlock(&p->lock);
    return begun;
}

/* Is the answer the part that was asked for, of the same thing as the first one? */
static bool fits(const struct fetcher *f)
{
    const struct download *d = f->parts->download;
    struct registry_range range;
    struct view value;

    if (f->response.status != 206 ||
        !registry_http_header(&f->response, "Content-Range", 0, &value) ||
        !registry_range_parse(value, &range) || range.first != f->at ||
        range.end != f->end || (range.has_total && range.total != d->desc->size))
        return false;
    return !d->etag || !registry_http_header(&f->response, "ETag", 0, &value) ||
           view_eq_text(value, d->etag);
}

static int on_part(void *context, const void *data, size_t size)
{
    struct fetcher *f = context;
    struct parts *p = f->parts;

    f->is_wrong = f->is_wrong || (!f->is_open && !fits(f)) || size > f->end - f->at;
    f->is_open = true;
    if (f->is_wrong || atomic_load(&p->stop) ||
        fs_write_all_at(p->fd, data, size, f->at, &f->failure) < 0)
        return -1;
    f->at += size;
    pthread_mutex_lock(&p->lock);
    p->got[f->slot] += size;
    /* The one who takes waits for the first part that has a gap. */
    if ((p->taken - p->start) / p->part_size % PARTS_AHEAD == f->slot)
        pthread_cond_signal(&p->came);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

static int ask(struct fetcher *f, struct error *err)
{
    const struct download *d = f->parts->download;
    CLEANUP(base_freep) char *path = download_path(d);
    CLEANUP(base_freep)
    char *range = base_format("Range: bytes=%" PRIu64 "-%" PRIu64, f->at, f->end - 1);
    const char *const headers[] = {range};
    const struct registry_call call = {
        .repository = d->repository,
        .method = REGISTRY_HTTP_GET,
        .path = path,
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .size_expected = f->end - f->at,
        .sink = {.write = on_part, .context = f},
        .stop = &f->parts->stop,
    };

    f->is_open = false;
    if (registry_call_once(d->client, &call, &f->response, err) < 0)
        return f->failure.code != ERROR_NONE ? error_move(err, &f->failure) : -1;
    if (f->response.status != 206 && f->response.status != 200)
        return registry_call_failed(&call, &f->response, err);
    if (f->at == f->end)
        return 0;
    f->is_wrong = true;
    return error_set(err, ERROR_CORRUPT, "a part ends before its end");
}

/* A part that cannot be had as a part: which way is left? */
static void give_up(struct fetcher *f, struct error *err)
{
    const bool is_refused = f->response.status >= 400 && !error_is(err, ERROR_CANCELLED);

    if (is_refused && error_is(err, ERROR_NETWORK))
        end(f->parts, DOWNLOAD_GO_ON); /* 429, 503: too many at once, perhaps */
    else if (is_refused || f->is_wrong)
        end(f->parts, DOWNLOAD_ANEW);
    else
        fail(f->parts, err);
    error_clear(err);
}

/* 0, or -1 after having told why. */
static int fetch_part(struct fetcher *f)
{
    struct registry_retry retry = {.policy = &f->parts->policy};
    struct error err = ERROR_INIT;

    for (unsigned tries = 0;; tries++) {
        const uint64_t before = f->at;
        struct view after = {"", 0};

        if (ask(f, &err) == 0)
            return 0;
        if (f->at > before)
            retry.made = 0;
        (void)registry_http_header(&f->response, "Retry-After", 0, &after);
        if (f->is_wrong || !registry_retry_is_error(&err) || tries >= RESUMPTIONS_MAX ||
            !registry_retry_wait(&retry, &err, after))
            break;
        error_clear(&err);
    }
    give_up(f, &err);
    return -1;
}

static void *fetch(void *context)
{
    struct fetcher *f = context;
    struct parts *p = f->parts;
    int rc = 0;

    while (rc == 0 && next_part(f)) {
        rc = fetch_part(f);
        give_lane(f);
        /* A lane is free, and the part may have been the one that was waited for. */
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->freed);
        pthread_cond_signal(&p->came);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* ---- The one who takes ---- */

/* Bytes of the part that `taken` is in that are there and were not taken. */
static uint64_t ready_locked(const struct parts *p)
{
    const uint64_t in = (p->taken - p->start) % p->part_size;
    const size_t slot = (size_t)((p->taken - p->start) / p->part_size % PARTS_AHEAD);

    return p->taken < p->next ? p->got[slot] - in : 0;
}

static void wait_locked(struct parts *p)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)LOOK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&p->came, &p->lock, &until);
}

static bool is_cancelled(const struct parts *p)
{
    const atomic_bool *flag = registry_client_retry(p->download->client)->cancelled;

    return flag && atomic_load(flag);
}

/* How many bytes may be taken, once there are any; 0: it is over. */
static uint64_t wait_for_bytes(struct parts *p)
{
    struct error cancelled = ERROR_INIT;
    uint64_t ready = 0;

    pthread_mutex_lock(&p->lock);
    while (p->taken < size_of(p) && (ready = ready_locked(p)) == 0 &&
           p->state == PARTS_RUNNING && !is_cancelled(p))
        wait_locked(p);
    pthread_mutex_unlock(&p->lock);
    if (ready == 0 && is_cancelled(p)) {
        (void)error_set(&cancelled, ERROR_CANCELLED, "cancelled");
        fail(p, &cancelled);
    }
    return ready;
}

static int take(struct parts *p, char *piece, size_t size, struct error *err)
{
    struct download *d = p->download;
    ssize_t n;

    do
        n = pread(p->fd, piece, size, (off_t)p->taken);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_sys(err, "read what came");
    if (n == 0)
        return error_set(err, ERROR_FAILED, "somebody cut off the file that it came into");
    if (d->hasher)
        hasher_update(d->hasher, piece, (size_t)n);
    if (d->sink->took(d->sink->context, piece, (size_t)n, err) < 0)
        return -1;
    d->offset += (uint64_t)n;
    registry_meter_set(&d->meter, d->offset);
    pthread_mutex_lock(&p->lock);
    p->taken = d->offset;
    if ((p->taken - p->start) % p->part_size == 0)
        pthread_cond_broadcast(&p->freed);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

/* What has come without a gap is taken to its last byte, also where it ends before the
 * blob does. */
static void take_all(struct parts *p)
{
    CLEANUP(base_freep) char *piece = base_alloc(TAKE_SIZE);
    struct error err = ERROR_INIT;
    uint64_t ready;

    while ((ready = wait_for_bytes(p)) > 0) {
        if (take(p, piece, ready < TAKE_SIZE ? (size_t)ready : TAKE_SIZE, &err) < 0) {
            fail(p, &err);
            return;
        }
    }
}

/* ---- All of it ---- */

static void fetcher_init(struct fetcher *f, struct parts *p)
{
    static const struct registry_http_response empty =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);

    f->parts = p;
    f->response = empty;
}

static void fetcher_release(struct fetcher *f)
{
    registry_http_response_release(&f->response);
    error_clear(&f->failure);
}

static void run(struct parts *p)
{
    struct fetcher fetchers[CONNECTIONS] = {{0}};
    size_t count = 0;

    for (size_t i = 0; i < CONNECTIONS; i++)
        fetcher_init(&fetchers[i], p);
    fetchers[0].is_first = true;
    while (count < CONNECTIONS &&
           pthread_create(&fetchers[count].thread, NULL, fetch, &fetchers[count]) == 0)
        count++;
    if (count == 0)
        end(p, DOWNLOAD_GO_ON);
    take_all(p);
    /* Who still fetches was told to stop, or is at the very end. */
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(fetchers[i].thread, NULL);
    for (size_t i = 0; i < CONNECTIONS; i++)
        fetcher_release(&fetchers[i]);
}

static int result(struct parts *p, enum download_outcome *outcome, struct error *err)
{
    if (p->state == PARTS_FAILED)
        return error_move(err, &p->failure);
    *outcome = p->taken == size_of(p) ? DOWNLOAD_WHOLE : p->outcome;
    return 0;
}

int download_parts(struct download *d, enum download_outcome *outcome, struct error *err)
{
    struct parts p = {
        .download = d,
        .start = d->offset,
        .part_size = registry_client_part_size(d->client),
        .fd = d->sink->reserve(d->sink->context, 0, err),
        .policy = *registry_client_retry(d->client),
        .next = d->offset,
        .taken = d->offset,
    };
    pthread_condattr_t monotonic;

    if (p.fd < 0)
        return -1;
    p.policy.cancelled = &p.stop;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.came, &monotonic);
    pthread_cond_init(&p.freed, NULL);
    pthread_condattr_destroy(&monotonic);
    run(&p);
    const int rc = result(&p, outcome, err);
    error_clear(&p.failure);
    pthread_cond_destroy(&p.came);
    pthread_cond_destroy(&p.freed);
    pthread_mutex_destroy(&p.lock);
    return rc;
}
