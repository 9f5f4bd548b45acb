#include "cas/statcache.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/entry.h"
#include "cas/statcache_priv.h"
#include "cas/store_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- Opening --- */

static bool use_map(struct cas_statcache *c)
{
    struct statcache_header h;
    const size_t left = c->map_size - sizeof h;

    memcpy(&h, c->map, sizeof h);
    if (h.magic != STATCACHE_MAGIC || h.check != statcache_header_check(&h) ||
        h.count > STATCACHE_COUNT_MAX)
        return false;
    if (h.count * sizeof(struct statcache_record) > left ||
        left - h.count * sizeof(struct statcache_record) != h.paths_size)
        return false;
    c->count = (size_t)h.count;
    c->records = (const void *)(c->map + sizeof h);
    c->paths = c->map + sizeof h + c->count * sizeof(struct statcache_record);
    return true;
}

/* Whatever is wrong with the file, the cache is then empty. */
static void map_file(struct cas_statcache *c)
{
    CLEANUP(fd_closep)
    int fd = openat(c->store->fd, c->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 ||
        (uint64_t)st.st_size < sizeof(struct statcache_header) ||
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

    if (hint < c->count &&
        cas_entry_path_compare(statcache_record_path(c, hint), path) < 0) {
        for (low = hint + 1; step < c->count - low; step *= 2) {
            if (cas_entry_path_compare(statcache_record_path(c, low + step), path) >= 0) {
                high = low + step;
                break;
            }
            low += step;
        }
    } else {
        for (high = hint < c->count ? hint : c->count; step < high; step *= 2) {
            if (cas_entry_path_compare(statcache_record_path(c, high - step), path) < 0) {
                low = high - step;
                break;
            }
            high -= step;
        }
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (cas_entry_path_compare(statcache_record_path(c, middle), path) < 0)
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
    if (hint >= c->count || !view_eq(statcache_record_path(c, hint), path))
        *i = lower_bound(c, path, hint);
    if (*i >= c->count || !view_eq(statcache_record_path(c, *i), path))
        return false;
    atomic_store_explicit(&c->next, *i + 1, memory_order_relaxed);
    return true;
}

struct cas_file_stamp cas_file_stamp_of(const struct stat *st)
{
    return (struct cas_file_stamp){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_s = st->st_mtim.tv_sec,
        .ctime_s = st->st_ctim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
        .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
    };
}

static_assert(sizeof(struct cas_file_stamp) == 5 * 8 + 2 * 4, "holes would be compared");

bool cas_file_stamp_equal(const struct cas_file_stamp *a, const struct cas_file_stamp *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool cas_statcache_find(struct cas_statcache *c,
                        struct view path,
                        const struct cas_file_stamp *stamp,
                        struct digest *out)
{
    size_t i;

    if (!find_record(c, path, &i))
        return false;
    const struct statcache_record *r = &c->records[i];
    if (!cas_file_stamp_equal(&r->stamp, stamp) || !statcache_record_is_whole(r, path))
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
static bool is_racy(const struct cas_statcache *c, const struct cas_file_stamp *stamp)
{
    const struct timespec written = {stamp->mtime_s, stamp->mtime_ns};
    struct timespec changed = {stamp->ctime_s, stamp->ctime_ns};
    struct timespec now;

    if (changed.tv_nsec == 0)
        changed.tv_sec += 2;
    if (!cas_lease_before(changed, c->opened))
        return true;
    clock_gettime(CLOCK_REALTIME, &now);
    return !cas_lease_before(written, c->opened) && !cas_lease_before(now, written);
}

bool cas_statcache_is_settled(const struct cas_statcache *c,
                              const struct cas_file_stamp *stamp)
{
    return !is_racy(c, stamp);
}

void cas_statcache_put(struct cas_statcache *c,
                       struct view path,
                       const struct cas_file_stamp *stamp,
                       const struct digest *d)
{
    assert(d->alg == DIGEST_SHA256);
    if (path.size >= LIMIT_PATH_SIZE || is_racy(c, stamp))
        return;
    struct statcache_fresh f = {
        .path = view_dup(path),
        .record =
            {
                .stamp = *stamp,
                .path_size = (uint16_t)path.size,
            },
    };
    memcpy(f.record.sha256, d->bytes, sizeof f.record.sha256);
    f.record.check = statcache_record_check(&f.record, path);
    pthread_mutex_lock(&c->lock);
    c->fresh = base_grow(c->fresh, c->fresh_count, &c->fresh_capacity, sizeof *c->fresh);
    f.serial = c->fresh_count;
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
