#include "cas/budget.h"

#include "base/fs.h"
#include "cas/prune.h"
#include "cas/store_priv.h"
#include "cas/usage.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>

/* Less than this is not worth a look; it is found at the next measuring. */
#define UNNOTICED ((uint64_t)256 << 10)
/* Removing goes on with the next command after so many seconds. */
#define SECONDS_MAX 10

static const char sql_get[] = "SELECT value FROM counter WHERE name = ?";
static const char sql_set[] = "INSERT OR REPLACE INTO counter(name, value) VALUES(?, ?)";
static const char sql_add[] = "INSERT INTO counter(name, value) VALUES(?, ?)"
                              " ON CONFLICT(name) DO UPDATE SET value = value + "
                              "excluded.value RETURNING value";

/* The names of what is kept in meta.db. */
#define COUNTER_SIZE    "size"         /* when it was last measured */
#define COUNTER_FREE    "size.free"    /* of the file system, then */
#define COUNTER_WRITTEN "size.written" /* since then */
#define COUNTER_NEXT    "size.next"    /* measured again when it seems larger */

int cas_budget_disk(struct cas_store *s, uint64_t *size, uint64_t *free, struct error *err)
{
    struct statvfs fs;

    if (fstatvfs(s->fd, &fs) < 0)
        return error_sys(err, "statvfs %s", s->path);
    *size = (uint64_t)fs.f_blocks * fs.f_frsize;
    *free = (uint64_t)fs.f_bfree * fs.f_frsize;
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* --- What was measured last --- */

struct measured {
    bool known;
    uint64_t size;
    uint64_t free;
    uint64_t written;
    uint64_t next;
};

static int get(
    struct cas_meta *m, const char *name, bool *found, uint64_t *out, struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_get, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, name);
    if (cas_stmt_step(q, found, err) < 0)
        return -1;
    *out = *found ? (uint64_t)cas_stmt_int(q, 0) : 0;
    return 0;
}

static int set(struct cas_meta *m, const char *name, uint64_t value, struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_set, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, name);
    cas_stmt_bind_int(q, 2, (int64_t)value);
    return cas_stmt_run(q, err);
}

static int add(struct cas_meta *m, uint64_t written, uint64_t *sum, struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_add, err);
    bool row = false;

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, COUNTER_WRITTEN);
    cas_stmt_bind_int(q, 2, (int64_t)written);
    if (cas_stmt_step(q, &row, err) < 0)
        return -1;
    *sum = row ? (uint64_t)cas_stmt_int(q, 0) : written;
    return 0;
}

/* Tells what this process wrote, and hears what all did. */
static int load(struct cas_store *s,
                uint64_t written,
                struct measured *out,
                struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    bool found;

    *out = (struct measured){0};
    if (cas_meta_begin(m, CAS_META_NORMAL, err) < 0 ||
        add(m, written, &out->written, err) < 0 ||
        get(m, COUNTER_SIZE, &out->known, &out->size, err) < 0 ||
        get(m, COUNTER_FREE, &found, &out->free, err) < 0 ||
        get(m, COUNTER_NEXT, &found, &out->next, err) < 0)
        return -1;
    return cas_meta_commit(m, err);
}

static int save(struct cas_store *s, const struct measured *measured, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    if (cas_meta_begin(m, CAS_META_NORMAL, err) < 0 ||
        set(m, COUNTER_SIZE, measured->size, err) < 0 ||
        set(m, COUNTER_FREE, measured->free, err) < 0 ||
        set(m, COUNTER_WRITTEN, 0, err) < 0 ||
        set(m, COUNTER_NEXT, measured->next, err) < 0)
        return -1;
    return cas_meta_commit(m, err);
}

/* --- Making room --- */

static bool is_late(void *context)
{
    const time_t *deadline = context;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > *deadline;
}

/* Measures; what is more than `most` is brought down to `keep`. */
static int make_room(struct cas_store *s,
                     uint64_t most,
                     uint64_t keep,
                     uint64_t *size,
                     uint64_t *freed,
                     struct error *err)
{
    CLEANUP(cas_usage_release) struct cas_usage usage = {0};
    CLEANUP(cas_prune_plan_release) struct cas_prune_plan plan = {0};
    struct cas_prune_result result;
    struct timespec now;
    time_t deadline;

    clock_gettime(CLOCK_MONOTONIC, &now);
    deadline = now.tv_sec + SECONDS_MAX;
    const struct cas_prune_options options = {
        .kinds = CAS_PRUNE_CACHES,
        .with_shared = true,
        .counted = CAS_PRUNE_KIND(CAS_USAGE_KINDS) - 1,
        .keep = keep,
        .spare_own = true,
        .stop = is_late,
        .stop_context = &deadline,
    };

    *freed = 0;
    if (cas_usage_read(s, &usage, err) < 0)
        return -1;
    *size = usage.size;
    if (usage.size <= most)
        return 0;
    cas_prune_choose(&usage, &options, &plan);
    if (cas_prune_run(s, &usage, &plan, &options, NULL, NULL, &result, err) < 0)
        return -1;
    *size = result.remaining;
    *freed = result.size;
    return 0;
}

/* --- The budget --- */

static bool seems_small(const struct measured *m, uint64_t budget, uint64_t free)
{
    const uint64_t grown = larger(m->written, minus(m->free, free));

    return m->known && m->size + grown <= larger(budget, m->next);
}

/* One at a time; who comes second leaves it to the first. */
static int try_lock(struct cas_store *s, int *fd, struct error *err)
{
    *fd = cas_lease_lock(s->fd, ".budget", LOCK_EX | LOCK_NB, err);
    if (*fd >= 0 || err->sys != EWOULDBLOCK)
        return *fd < 0 ? -1 : 0;
    error_clear(err);
    return 0;
}

static int keep(struct cas_store *s,
                uint64_t budget,
                struct cas_budget_result *out,
                struct error *err)
{
    CLEANUP(fd_closep) int lock = -1;
    struct measured m = {.known = true};
    uint64_t disk;

    if (try_lock(s, &lock, err) < 0)
        return -1;
    if (lock < 0)
        return 0;
    if (make_room(s, budget, budget - budget / 10, &m.size, &out->freed, err) < 0 ||
        cas_budget_disk(s, &disk, &m.free, err) < 0)
        return -1;
    out->measured = true;
    out->size = m.size;
    /* What is in the way of the budget cannot be removed: it is no use to look each time.
     */
    m.next = m.size > budget ? m.size + budget / 20 : 0;
    return save(s, &m, err);
}

int cas_budget_keep(struct cas_store *s,
                    uint64_t budget,
                    struct cas_budget_result *out,
                    struct error *err)
{
    const uint64_t written = atomic_load(&s->written);
    struct measured m;
    uint64_t disk;
    uint64_t free;

    *out = (struct cas_budget_result){0};
    if (s->read_only || budget == 0 || (written < UNNOTICED && !atomic_load(&s->grew)))
        return 0;
    if (cas_budget_disk(s, &disk, &free, err) < 0 || load(s, written, &m, err) < 0)
        return error_wrap(err, "storage budget");
    atomic_fetch_sub(&s->written, written);
    atomic_store(&s->grew, false);
    if (seems_small(&m, budget, free))
        return 0;
    return keep(s, budget, out, err) < 0 ? error_wrap(err, "storage budget") : 0;
}

/* --- The limit --- */

/* Blobs may be written until what was measured and they reach the limit. */
static int start_afresh(struct cas_limit *l, struct error *err)
{
    uint64_t disk;

    l->written = atomic_load(&l->store->written);
    if (cas_budget_disk(l->store, &disk, &l->free, err) < 0)
        return -1;
    atomic_store(&l->store->allowed, l->written + larger(minus(l->limit, l->size), 1));
    l->next = larger(l->limit - l->limit / 20, l->size + l->limit / 100);
    if (l->next > l->limit)
        l->next = l->limit;
    return 0;
}

/* What is more than `most` is brought down to `keep`. */
static int measure_limit(struct cas_limit *l,
                         uint64_t most,
                         uint64_t keep,
                         struct error *err)
{
    uint64_t freed;

    if (make_room(l->store, most, keep, &l->size, &freed, err) < 0)
        return error_wrap(err, "storage limit");
    return start_afresh(l, err);
}

static uint64_t roomy(const struct cas_limit *l)
{
    return l->limit - l->limit / 10;
}

void cas_limit_arm(struct cas_limit *l, struct cas_store *s, uint64_t limit)
{
    *l = (struct cas_limit){.store = s, .limit = limit};
    pthread_mutex_init(&l->lock, NULL);
    s->limit = l;
    atomic_store(&s->allowed, 1);
}

int cas_limit_begin(struct cas_limit *l,
                    struct cas_store *s,
                    uint64_t limit,
                    struct error *err)
{
    cas_limit_arm(l, s, limit);
    if (measure_limit(l, roomy(l), roomy(l), err) < 0) {
        cas_limit_end(l);
        return -1;
    }
    if (l->size < limit)
        return 0;
    cas_limit_end(l);
    return error_set(err, ERROR_LIMIT,
                     "the store %s has %ju bytes, its limit (--storage-limit) is %ju, and "
                     "nothing in it can be made again: remove images with 'cooper rmi', or "
                     "raise the limit",
                     s->path, (uintmax_t)l->size, (uintmax_t)limit);
}

static int check_locked(struct cas_limit *l, bool *over, struct error *err)
{
    const uint64_t written = minus(atomic_load(&l->store->written), l->written);
    uint64_t disk;
    uint64_t free;

    *over = false;
    if (cas_budget_disk(l->store, &disk, &free, err) < 0)
        return -1;
    if (l->size + larger(written, minus(l->free, free)) < l->next)
        return 0;
    if (measure_limit(l, roomy(l), roomy(l), err) < 0)
        return -1;
    *over = l->size >= l->limit;
    return 0;
}

int cas_limit_check(struct cas_limit *l, bool *over, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    const int result = check_locked(l, over, err);
    pthread_mutex_unlock(&l->lock);
    return result;
}

static bool fits(struct cas_store *s, uint64_t size)
{
    return atomic_load(&s->written) + size <= atomic_load(&s->allowed);
}

/* A quarter is cleared, if it can be: this many more writers need not ask. */
int cas_limit_admit(struct cas_store *s, uint64_t size, struct error *err)
{
    struct cas_limit *l = s->limit;

    pthread_mutex_lock(&l->lock);
    const uint64_t keep = l->limit - l->limit / 4;
    const int result = fits(s, size) ? 0 : measure_limit(l, keep, keep, err);
    const bool enough = fits(s, size);
    pthread_mutex_unlock(&l->lock);
    if (result < 0 || enough)
        return result;
    return error_set(err, ERROR_LIMIT,
                     "the store %s would grow past its limit (--storage-limit): 'cooper "
                     "df' tells what is in it, 'cooper prune' removes what can be made "
                     "again",
                     s->path);
}

void cas_limit_end(struct cas_limit *l)
{
    if (!l->store)
        return;
    atomic_store(&l->store->allowed, 0);
    l->store->limit = NULL;
    l->store = NULL;
    pthread_mutex_destroy(&l->lock);
}
