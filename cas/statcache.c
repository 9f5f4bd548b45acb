#include "cas/statcache.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/entry.h"
#include "cas/ingest.h"
#include "cas/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/*
 * The file, in the byte order of the machine (a cache never travels):
 *
 *     header | entries, by path in the order of cas/entry.h | paths, without separators
 *
 * Each entry has a check over itself and its path, so that opening costs nothing and damage
 * is found where it would do harm.
 */
struct header {
    uint64_t magic; /* also tells the byte order, and the layout of what follows */
    uint64_t count;
    uint64_t paths_size;
    uint64_t check;
};

struct record {
    uint64_t check;
    uint64_t dev;
    uint64_t ino;
    uint64_t size;
    int64_t mtime_s;
    int64_t ctime_s;
    uint32_t mtime_ns;
    uint32_t ctime_ns;
    uint32_t path_offset;
    uint16_t path_size;
    uint16_t age; /* saves since it was last asked for */
    uint8_t sha256[32];
};

_Static_assert(sizeof(struct record) == 96, "no padding: the check covers all bytes");

#define MAGIC 0x0001657461747363ULL /* "cstate", version 1 */
/* Builds of other targets of the same context may come back to what this one did not need.
 */
#define AGE_MAX    64u
#define COUNT_MAX  ((uint64_t)LIMIT_LAYER_ENTRIES)
#define WRITE_SIZE ((size_t)256 << 10)

/* What was put, until it is saved: the record's path is on its own. */
struct fresh {
    struct record record;
    char *path;
};

struct cas_statcache {
    struct cas_store *store; /* borrowed */
    char *path;              /* "stat/ID" */
    struct timespec opened;

    /* The mapped file; immutable. */
    const char *map;
    size_t map_size;
    const struct record *records;
    size_t count;
    const char *paths;

    /* Hints and marks that several finders may set at once. */
    atomic_size_t next;
    unsigned char *seen; /* one a record; accessed atomically */

    pthread_mutex_t lock; /* guards what follows */
    struct fresh *fresh;
    size_t fresh_count;
    size_t fresh_capacity;
    char **scanned;
    size_t scanned_count;
    size_t scanned_capacity;
};

/* --- Checks --- */

/* Against damage, not against malice: who can write the store can write any digest. */
static uint64_t mix(uint64_t state, const void *data, size_t size)
{
    const char *p = data;
    uint64_t word;

    for (; size >= sizeof word; size -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        state = (state ^ word) * 0x9E3779B97F4A7C15ULL;
        state ^= state >> 29;
    }
    word = size;
    memcpy((char *)&word + 1, p, size);
    state = (state ^ word) * 0x9E3779B97F4A7C15ULL;
    return state ^ state >> 32;
}

static uint64_t header_check(const struct header *h)
{
    return mix(MAGIC, h, offsetof(struct header, check));
}

/* Without the place of the path and the age, which change from save to save. */
static uint64_t record_check(const struct record *r, const char *path)
{
    const size_t begin = offsetof(struct record, dev);
    uint64_t state =
        mix(MAGIC, (const char *)r + begin, offsetof(struct record, path_offset) - begin);

    state = mix(state, r->sha256, sizeof r->sha256);
    return mix(state, path, r->path_size);
}

/* --- Opening --- */

static bool use_map(struct cas_statcache *c)
{
    struct header h;
    const size_t left = c->map_size - sizeof h;

    memcpy(&h, c->map, sizeof h);
    if (h.magic != MAGIC || h.check != header_check(&h) || h.count > COUNT_MAX)
        return false;
    if (h.count * sizeof(struct record) > left ||
        left - h.count * sizeof(struct record) != h.paths_size)
        return false;
    c->count = (size_t)h.count;
    c->records = (const void *)(c->map + sizeof h);
    c->paths = c->map + sizeof h + c->count * sizeof(struct record);
    return true;
}

/* Whatever is wrong with the file, the cache is then empty. */
static void map_file(struct cas_statcache *c)
{
    CLEANUP(fd_closep)
    int fd = openat(c->store->fd, c->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size < sizeof(struct header) ||
        (uint64_t)st.st_size > SIZE_MAX)
        return;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return;
    c->map = map;
    c->map_size = (size_t)st.st_size;
    if (use_map(c))
        return;
    munmap(map, c->map_size);
    c->map = NULL;
}

struct cas_statcache *cas_statcache_open(struct cas_store *s,
                                         const char *identity,
                                         struct error *err)
{
    struct cas_statcache *c = base_alloc(sizeof *c);
    const struct digest id = digest_of(DIGEST_SHA256, view_of(identity));

    (void)err;
    c->store = s;
    c->path = base_format("stat/%s", digest_hex(&id).text);
    /* The clock that file systems take their times from. */
    clock_gettime(CLOCK_REALTIME_COARSE, &c->opened);
    pthread_mutex_init(&c->lock, NULL);
    map_file(c);
    c->seen = base_alloc_array(c->count + 1, sizeof *c->seen);
    return c;
}

void cas_statcache_close(struct cas_statcache *c)
{
    if (!c)
        return;
    if (c->map)
        munmap((void *)(uintptr_t)c->map, c->map_size);
    for (size_t i = 0; i < c->fresh_count; i++)
        free(c->fresh[i].path);
    for (size_t i = 0; i < c->scanned_count; i++)
        free(c->scanned[i]);
    free(c->fresh);
    free(c->scanned);
    free(c->seen);
    free(c->path);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void cas_statcache_closep(struct cas_statcache **c)
{
    cas_statcache_close(*c);
    *c = NULL;
}

/* --- Finding --- */

/* An offset beyond the paths is damage: then it has none, and matches nothing but "". */
static struct view record_path(const struct cas_statcache *c, size_t i)
{
    const struct record *r = &c->records[i];
    const size_t size = c->map_size - (size_t)(c->paths - c->map);

    if (r->path_offset > size || r->path_size > size - r->path_offset)
        return (struct view){"", 0};
    return (struct view){c->paths + r->path_offset, r->path_size};
}

/*
 * The first record in [low, high) whose path is not before `path`. Trees are walked in the
 * order of the records, so the one after the last hit is tried first; then the distance is
 * doubled until the place is between two bounds, and halved from there.
 */
static size_t lower_bound(const struct cas_statcache *c, struct view path, size_t hint)
{
    size_t low = 0;
    size_t high = c->count;
    size_t step = 1;

    if (hint < c->count && cas_entry_path_compare(record_path(c, hint), path) < 0) {
        for (low = hint + 1; step < c->count - low; step *= 2) {
            if (cas_entry_path_compare(record_path(c, low + step), path) >= 0) {
                high = low + step;
                break;
            }
            low += step;
        }
    } else {
        for (high = hint < c->count ? hint : c->count; step < high; step *= 2) {
            if (cas_entry_path_compare(record_path(c, high - step), path) < 0) {
                low = high - step;
                break;
            }
            high -= step;
        }
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (cas_entry_path_compare(record_path(c, middle), path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool find_record(struct cas_statcache *c, struct view path, size_t *i)
{
    const size_t hint = atomic_load_explicit(&c->next, memory_order_relaxed);

    *i = hint;
    if (hint >= c->count || !view_eq(record_path(c, hint), path))
        *i = lower_bound(c, path, hint);
    if (*i >= c->count || !view_eq(record_path(c, *i), path))
        return false;
    atomic_store_explicit(&c->next, *i + 1, memory_order_relaxed);
    return true;
}

static bool same_file(const struct record *r, const struct stat *st)
{
    return r->dev == st->st_dev && r->ino == st->st_ino &&
           r->size == (uint64_t)st->st_size && r->mtime_s == st->st_mtim.tv_sec &&
           r->mtime_ns == st->st_mtim.tv_nsec && r->ctime_s == st->st_ctim.tv_sec &&
           r->ctime_ns == st->st_ctim.tv_nsec;
}

bool cas_statcache_find(struct cas_statcache *c,
                        struct view path,
                        const struct stat *st,
                        struct digest *out)
{
    size_t i;

    if (!find_record(c, path, &i))
        return false;
    const struct record *r = &c->records[i];
    if (!same_file(r, st) || r->check != record_check(r, path.data))
        return false;
    __atomic_store_n(&c->seen[i], 1, __ATOMIC_RELAXED);
    *out = (struct digest){.alg = DIGEST_SHA256};
    memcpy(out->bytes, r->sha256, sizeof r->sha256);
    return true;
}

/* --- Putting --- */

/*
 * May the file have changed, or change yet, without its times telling? Its ctime is the
 * kernel's word for the last change; its mtime is looked at too for file systems that keep
 * no ctime, but one in the future was set by hand. Where the fraction is zero the file
 * system may count whole seconds only (FAT: two).
 */
static bool is_racy(const struct cas_statcache *c, const struct stat *st)
{
    struct timespec changed = st->st_ctim;
    struct timespec now;

    if (changed.tv_nsec == 0)
        changed.tv_sec += 2;
    if (!cas_lease_before(changed, c->opened))
        return true;
    clock_gettime(CLOCK_REALTIME, &now);
    return !cas_lease_before(st->st_mtim, c->opened) && !cas_lease_before(now, st->st_mtim);
}

void cas_statcache_put(struct cas_statcache *c,
                       struct view path,
                       const struct stat *st,
                       const struct digest *d)
{
    assert(d->alg == DIGEST_SHA256);
    if (path.size >= LIMIT_PATH_SIZE || is_racy(c, st))
        return;
    struct fresh f = {
        .path = view_dup(path),
        .record =
            {
                .dev = st->st_dev,
                .ino = st->st_ino,
                .size = (uint64_t)st->st_size,
                .mtime_s = st->st_mtim.tv_sec,
                .ctime_s = st->st_ctim.tv_sec,
                .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
                .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
                .path_size = (uint16_t)path.size,
            },
    };
    memcpy(f.record.sha256, d->bytes, sizeof f.record.sha256);
    f.record.check = record_check(&f.record, f.path);
    pthread_mutex_lock(&c->lock);
    c->fresh = base_grow(c->fresh, c->fresh_count, &c->fresh_capacity, sizeof *c->fresh);
    c->fresh[c->fresh_count++] = f;
    pthread_mutex_unlock(&c->lock);
}

void cas_statcache_scanned(struct cas_statcache *c, struct view dir)
{
    pthread_mutex_lock(&c->lock);
    c->scanned =
        base_grow(c->scanned, c->scanned_count, &c->scanned_capacity, sizeof *c->scanned);
    c->scanned[c->scanned_count++] = view_dup(dir);
    pthread_mutex_unlock(&c->lock);
}

/* --- Saving --- */

/* One record of the new file, from either source. */
struct merged {
    const struct record *record;
    struct view path;
    uint16_t age;
};

struct merge {
    struct merged *items;
    size_t count;
    size_t capacity;
    uint64_t paths_size;
};

static void merge_add(struct merge *m,
                      const struct record *r,
                      struct view path,
                      uint16_t age)
{
    /* Paths are addressed with 32 bits; what does not fit is not remembered. */
    if (m->paths_size + path.size > UINT32_MAX || m->count >= COUNT_MAX)
        return;
    m->items = base_grow(m->items, m->count, &m->capacity, sizeof *m->items);
    m->items[m->count++] = (struct merged){r, path, age};
    m->paths_size += path.size;
}

static struct view fresh_path(const struct fresh *f)
{
    return (struct view){f->path, f->record.path_size};
}

static int compare_fresh(const void *a, const void *b)
{
    return cas_entry_path_compare(fresh_path(a), fresh_path(b));
}

static bool was_scanned(const struct cas_statcache *c, struct view path)
{
    for (size_t i = 0; i < c->scanned_count; i++) {
        if (*c->scanned[i] == '\0' || path_has_prefix(path, view_of(c->scanned[i])))
            return true;
    }
    return false;
}

static void merge_old(struct merge *m, const struct cas_statcache *c, size_t i)
{
    const struct record *r = &c->records[i];
    const struct view path = record_path(c, i);

    if (__atomic_load_n(&c->seen[i], __ATOMIC_RELAXED))
        merge_add(m, r, path, 0);
    else if (r->age < AGE_MAX && r->check == record_check(r, path.data) &&
             !was_scanned(c, path))
        merge_add(m, r, path, (uint16_t)(r->age + 1));
}

/* Both sides are sorted; of equal paths the fresh one counts. */
static void merge_all(struct merge *m, struct cas_statcache *c)
{
    size_t old = 0;

    qsort(c->fresh, c->fresh_count, sizeof *c->fresh, compare_fresh);
    for (size_t i = 0; i < c->fresh_count; i++) {
        const struct fresh *f = &c->fresh[i];
        int order = -1;
        if (i + 1 < c->fresh_count && compare_fresh(f, f + 1) == 0)
            continue;
        while (old < c->count &&
               (order = cas_entry_path_compare(record_path(c, old), fresh_path(f))) < 0)
            merge_old(m, c, old++);
        merge_add(m, &f->record, fresh_path(f), 0);
        if (old < c->count && order == 0)
            old++;
    }
    while (old < c->count)
        merge_old(m, c, old++);
}

/* Gathers small writes. */
struct sink {
    struct cas_ingest *ingest;
    struct buf buffer;
};

static int sink_flush(struct sink *k, struct error *err)
{
    if (k->buffer.size > 0 &&
        cas_ingest_write(k->ingest, k->buffer.data, k->buffer.size, err) < 0)
        return -1;
    buf_clear(&k->buffer);
    return 0;
}

static int sink_write(struct sink *k, const void *data, size_t size, struct error *err)
{
    if (k->buffer.size + size > k->buffer.max && sink_flush(k, err) < 0)
        return -1;
    buf_append(&k->buffer, data, size);
    return 0;
}

static int write_records(struct sink *k, const struct merge *m, struct error *err)
{
    uint32_t offset = 0;

    for (size_t i = 0; i < m->count; i++) {
        struct record r = *m->items[i].record;
        r.path_offset = offset;
        r.age = m->items[i].age;
        offset += r.path_size;
        if (sink_write(k, &r, sizeof r, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (sink_write(k, m->items[i].path.data, m->items[i].path.size, err) < 0)
            return -1;
    }
    return sink_flush(k, err);
}

static int write_file(struct cas_statcache *c, const struct merge *m, struct error *err)
{
    CLEANUP(cas_ingest_abortp) struct cas_ingest *g = cas_ingest_new(c->store, err);
    struct header h = {.magic = MAGIC, .count = m->count, .paths_size = m->paths_size};

    if (!g)
        return -1;
    struct sink k = {.ingest = g, .buffer = BUF_INIT(WRITE_SIZE)};
    h.check = header_check(&h);
    int result = sink_write(&k, &h, sizeof h, err);
    if (result == 0)
        result = write_records(&k, m, err);
    buf_release(&k.buffer);
    if (result < 0)
        return -1;
    struct cas_ingest *whole = g;
    g = NULL;
    return cas_ingest_publish_unsynced(whole, c->path, err);
}

int cas_statcache_save(struct cas_statcache *c, struct error *err)
{
    struct merge m = {0};

    if (c->fresh_count == 0)
        return 0;
    merge_all(&m, c);
    const int result = write_file(c, &m, err);
    free(m.items);
    return result < 0 ? error_wrap(err, "save the stat cache") : 0;
}
