/*
 * Garbage collection: mark, then sweep.
 *
 * Marking looks at refs and records as they are at one moment. What others make or find
 * after it, or have made or found under a lease that was alive then, is protected by its
 * stamp (cas/lease.h): only what is older than both is taken. So refs that appear meanwhile
 * lose nothing, as setting a ref finds, and thereby stamps, all it needs.
 */
#include "cas/store.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/disk_size.h"
#include "cas/gc_kept.h"
#include "cas/gc_mark.h"
#include "cas/gc_priv.h"
#include "cas/gc_repository.h"
#include "cas/ingest.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Those who find something wait for a sweep of at most so many things. */
#define BATCH 64u

static const char sql_forget_cache[] = "DELETE FROM cache WHERE time < ?";
static const char sql_layers[] = "SELECT diff_id, blob FROM layer";
static const char sql_forget_layer[] = "DELETE FROM layer WHERE diff_id = ? AND blob = ?";

struct sweep {
    struct cas_store *store;
    const struct gc_marks *marks;
    struct timespec limit; /* what is older may go */
    struct cas_gc_result *result;
    enum cas_gc_flags flags;
    int64_t before; /* ns since 1970; 0: any time */
    struct cas_disk_links *links;
    int lock_fd;
    unsigned batch; /* things looked at since the lock was taken */
};

/* --- The limit --- */

static struct timespec now_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now;
}

/* Stamps come from two clocks, the exact one and that of file systems, which lags by up to
 * a tick; when this returns, both give times after *start. */
static void pass_tick(struct timespec *start)
{
    const struct timespec pause = {.tv_nsec = 500000};

    *start = now_of(CLOCK_REALTIME);
    while (!cas_lease_before(*start, now_of(CLOCK_REALTIME_COARSE)))
        nanosleep(&pause, NULL);
}

static void lower(struct timespec *limit, struct timespec to)
{
    if (cas_lease_before(to, *limit))
        *limit = to;
}

int gc_find_limit(struct cas_store *s,
                  enum cas_gc_flags flags,
                  struct timespec *limit,
                  struct error *err)
{
    const struct timespec own = cas_lease_start(s->lease);
    struct timespec oldest, newest;
    bool any;

    pass_tick(limit);
    limit->tv_nsec++;
    if (cas_lease_others(s->fd, s->lease, &any, &oldest, &newest, err) < 0)
        return -1;
    if (any)
        lower(limit, oldest);
    const struct timespec now = now_of(CLOCK_REALTIME);
    /* The clock was set back since a lease began: what its holder made since then is
     * stamped earlier than the lease, and cannot be told from what is old. Nothing is
     * taken. */
    if ((any && cas_lease_before(now, newest)) || cas_lease_before(now, own))
        *limit = (struct timespec){0};
    if (flags & CAS_GC_SPARE_OWN)
        lower(limit, own);
    return 0;
}

/* --- The lock --- */

static void sweep_unlock(struct sweep *w)
{
    fd_closep(&w->lock_fd);
    w->batch = 0;
}

static int sweep_lock(struct sweep *w, struct error *err)
{
    if (w->batch++ >= BATCH)
        sweep_unlock(w);
    if (w->lock_fd < 0)
        w->lock_fd = cas_lease_lock(w->store->fd, ".sweep", LOCK_EX, err);
    return w->lock_fd < 0 ? -1 : 0;
}

/* --- Sweeping --- */

typedef int sweep_fn(struct sweep *w,
                     const char *path,
                     const char *name,
                     const struct stat *st,
                     struct error *err);

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* What only the build cache needs is kept, and counted. */
static void count_cached(struct sweep *w, const char *path)
{
    struct stat st;

    if (fstatat(w->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        w->result->cached_bytes += cas_disk_size(&st, w->links);
}

/* Under the lock: if it is still there, and still old, it goes. */
static int sweep_one(struct sweep *w,
                     const char *path,
                     const char *name,
                     sweep_fn *remove,
                     struct error *err)
{
    struct stat st;

    if (sweep_lock(w, err) < 0)
        return -1;
    if (fstatat(w->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "stat %s", path);
    if (!cas_lease_before(cas_lease_stamp(&st), w->limit))
        return 0;
    return remove(w, path, name, &st, err);
}

/* Names that `keep` does not want kept are given to `remove`. */
static int sweep_dir(struct sweep *w,
                     const char *dir_path,
                     enum digest_alg alg,
                     bool (*keep)(struct sweep *w, enum digest_alg alg, const char *name),
                     sweep_fn *remove,
                     struct error *err)
{
    const int fd = openat(w->store->fd, dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int result = 0;

    if (!dir)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", dir_path);
    while (result == 0 && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || keep(w, alg, e->d_name))
            continue;
        CLEANUP(base_freep) char *path = base_format("%s/%s", dir_path, e->d_name);
        result = sweep_one(w, path, e->d_name, remove, err);
    }
    sweep_unlock(w);
    return result;
}

static bool parse_name(enum digest_alg alg, const char *hex, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *text = base_format("%s:%s", digest_alg_name(alg), hex);

    return digest_parse(view_of(text), out, &ignored) == 0;
}

/* What has no digest for a name is not of our making. */
static bool keep_blob(struct sweep *w, enum digest_alg alg, const char *name)
{
    struct digest d;

    if (!parse_name(alg, name, &d))
        return true;
    if (!digest_set_has(&w->marks->blobs, &d))
        return false;
    if (!digest_set_has(&w->marks->reached, &d))
        count_cached(w, cas_blob_path(&d).text);
    return true;
}

/* How an image was built is known as long as it is there. */
static bool keep_provenance(struct sweep *w, enum digest_alg alg, const char *name)
{
    struct digest d;

    return !parse_name(alg, name, &d) || digest_set_has(&w->marks->blobs, &d);
}

static bool keep_index(struct sweep *w, enum digest_alg alg, const char *name)
{
    struct digest d;

    return !parse_name(alg, name, &d) || digest_set_has(&w->marks->layers, &d);
}

/* The ID of an unpacked layer holds 64 hex digits of its diffID or chainID, with the form
 * before or behind; one that does not is not known to anybody any more. */
static bool keep_unpacked(struct sweep *w, enum digest_alg alg, const char *name)
{
    const size_t digits = 2 * digest_size(alg);
    struct digest d;

    for (; strlen(name) >= digits; name++) {
        CLEANUP(base_freep) char *hex = base_strndup(name, digits);
        if (parse_name(alg, hex, &d))
            return digest_set_has(&w->marks->layers, &d);
    }
    return false;
}

/* What is remembered of contexts and of their steps. */
static bool keep_stat(struct sweep *w, enum digest_alg alg, const char *name)
{
    (void)alg;
    (void)name;
    return (w->flags & CAS_GC_KEEP_CACHE) != 0;
}

static int remove_file(struct sweep *w,
                       const char *path,
                       const char *name,
                       const struct stat *st,
                       struct error *err)
{
    (void)name;
    if (unlinkat(w->store->fd, path, 0) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "remove %s", path);
    w->result->bytes += cas_disk_size(st, w->links);
    return 0;
}

static int remove_blob(struct sweep *w,
                       const char *path,
                       const char *name,
                       const struct stat *st,
                       struct error *err)
{
    if (remove_file(w, path, name, st, err) < 0)
        return -1;
    w->result->blobs++;
    return 0;
}

/* The tree vanishes in one step, under the lock; taking it apart needs none. Where it
 * cannot be taken apart (files of subordinate ids, outside of their user namespace) it
 * stays in ingest/ for a process that can, when this lease is gone. */
static int remove_unpacked(struct sweep *w,
                           const char *path,
                           const char *name,
                           const struct stat *st,
                           struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *away = cas_ingest_name(w->store);
    uint64_t size = 0;

    (void)name;
    (void)st;
    if (renameat(w->store->fd, path, w->store->fd, away) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "remove %s", path);
    sweep_unlock(w);
    w->result->layers++;
    if (cas_disk_tree_size(w->store->fd, away, w->links, &size, NULL, &ignored) == 0 &&
        fs_remove_tree_at(w->store->fd, away, &ignored) == 0)
        w->result->bytes += size;
    return 0;
}

static int sweep_files(struct sweep *w, struct error *err)
{
    static const enum digest_alg algs[] = {DIGEST_SHA256, DIGEST_SHA512};

    for (size_t i = 0; i < ARRAY_COUNT(algs); i++) {
        const char *name = digest_alg_name(algs[i]);
        CLEANUP(base_freep) char *blobs = base_format("blobs/%s", name);
        CLEANUP(base_freep) char *indexes = base_format("index/%s", name);
        if (sweep_dir(w, blobs, algs[i], keep_blob, remove_blob, err) < 0 ||
            sweep_dir(w, indexes, algs[i], keep_index, remove_file, err) < 0)
            return -1;
    }
    if (sweep_dir(w, "layers", DIGEST_SHA256, keep_unpacked, remove_unpacked, err) < 0)
        return -1;
    if (sweep_dir(w, "stat", DIGEST_SHA256, keep_stat, remove_file, err) < 0)
        return -1;
    if (sweep_dir(w, "steps", DIGEST_SHA256, keep_stat, remove_file, err) < 0)
        return -1;
    if (sweep_dir(w, "uploads", DIGEST_SHA256, keep_stat, remove_file, err) < 0)
        return -1;
    return sweep_dir(w, "provenance", DIGEST_SHA256, keep_provenance, remove_file, err);
}

/* --- Records --- */

/* A build that found such a record holds what it needs of it already. */
static int forget_cache(struct sweep *w, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(w->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_forget_cache, err);

    if (!q)
        return -1;
    cas_stmt_bind_int(q, 1, (int64_t)w->limit.tv_sec * 1000000000 + w->limit.tv_nsec);
    return cas_stmt_run(q, err);
}

struct layer_row {
    struct digest diff_id;
    struct digest blob;
};

struct layer_rows {
    struct layer_row *items;
    size_t count;
};

static void layer_rows_release(struct layer_rows *rows)
{
    free(rows->items);
    *rows = (struct layer_rows){0};
}

static bool is_gone(struct cas_store *s, const struct digest *blob)
{
    return faccessat(s->fd, cas_blob_path(blob).text, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
           errno == ENOENT;
}

static int list_gone(struct cas_store *s,
                     struct cas_meta *m,
                     struct layer_rows *gone,
                     struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_layers, err);
    size_t capacity = 0;

    while (q) {
        struct layer_row r;
        bool row;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        if (cas_stmt_digest(q, 0, &r.diff_id, err) < 0 ||
            cas_stmt_digest(q, 1, &r.blob, err) < 0)
            return -1;
        if (!is_gone(s, &r.blob))
            continue;
        gone->items = base_grow(gone->items, gone->count, &capacity, sizeof *gone->items);
        gone->items[gone->count++] = r;
    }
    return -1;
}

/* Within one transaction, so that a record put for a blob that has come back meanwhile is
 * not taken for the old one. */
static int forget_layers(struct cas_store *s, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    CLEANUP(layer_rows_release) struct layer_rows gone = {0};

    if (cas_meta_begin(m, CAS_META_NORMAL, err) < 0 || list_gone(s, m, &gone, err) < 0)
        return -1;
    for (size_t i = 0; i < gone.count; i++) {
        struct cas_stmt *q = cas_meta_stmt(m, sql_forget_layer, err);
        if (!q)
            return -1;
        cas_stmt_bind_digest(q, 1, &gone.items[i].diff_id);
        cas_stmt_bind_digest(q, 2, &gone.items[i].blob);
        if (cas_stmt_run(q, err) < 0)
            return -1;
    }
    return cas_meta_commit(m, err);
}

/* --- All of it --- */

static int collect(struct sweep *w, struct gc_marks *marks, struct error *err)
{
    if (cas_lease_clean(w->store->fd, err) < 0 ||
        gc_find_limit(w->store, w->flags, &w->limit, err) < 0)
        return -1;
    if (w->before != 0)
        lower(&w->limit, (struct timespec){.tv_sec = w->before / 1000000000,
                                           .tv_nsec = w->before % 1000000000});
    if (!(w->flags & CAS_GC_KEEP_CACHE) && forget_cache(w, err) < 0)
        return -1;
    if (gc_kept_sweep(w->store, !(w->flags & CAS_GC_KEEP_CACHE), w->limit, err) < 0 ||
        gc_mark(w->store, w->limit, marks, err) < 0 || sweep_files(w, err) < 0)
        return -1;
    return forget_layers(w->store, err) < 0 ? -1 : gc_repository_forget(w->store, err);
}

int cas_store_gc(struct cas_store *s,
                 enum cas_gc_flags flags,
                 struct cas_gc_result *out,
                 struct error *err)
{
    return gc_collect(s, flags, 0, out, err);
}

int gc_collect(struct cas_store *s,
               enum cas_gc_flags flags,
               int64_t before,
               struct cas_gc_result *out,
               struct error *err)
{
    *out = (struct cas_gc_result){0};
    if (s->read_only)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the store %s is on a read-only file system", s->path);
    CLEANUP(fd_closep) int only_one = cas_lease_lock(s->fd, ".gc", LOCK_EX, err);
    CLEANUP(cas_disk_links_freep) struct cas_disk_links *links = cas_disk_links_new();
    CLEANUP(gc_marks_release) struct gc_marks marks = {0};
    struct sweep w = {
        .store = s,
        .marks = &marks,
        .result = out,
        .flags = flags,
        .before = before,
        .links = links,
        .lock_fd = -1,
    };

    if (only_one < 0)
        return -1;
    const int result = collect(&w, &marks, err);
    sweep_unlock(&w);
    return result < 0 ? error_wrap(err, "collect garbage in %s", s->path) : 0;
}
