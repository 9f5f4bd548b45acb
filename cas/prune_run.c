/* Removing what was chosen. */
#include "cas/prune.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/disk_size.h"
#include "cas/gc_priv.h"
#include "cas/ingest.h"
#include "cas/lease.h"
#include "cas/ref.h"
#include "cas/store_priv.h"
#include "cas/usage_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char sql_forget[] = "DELETE FROM cache WHERE key = ? AND time <= ?";

/* Rows that are deleted in one transaction: others wait for it. */
#define ROWS_AT_ONCE 100000u

/* A row of the cache that goes, and the item of the stock that it is part of. */
struct row {
    struct digest key;
    size_t item;
};

struct removing {
    struct cas_store *store;
    const struct cas_usage *usage;
    const struct cas_prune_options *options;
    struct timespec limit;
    struct cas_prune_result *result;
    struct cas_disk_links *links;
    cas_prune_fn *told;
    void *context;
    struct row *rows; /* gathered */
    size_t row_count;
    size_t row_capacity;
    size_t *records; /* the items that they are of */
    size_t record_count;
    size_t record_capacity;
    bool *is_removed; /* of each item of the stock */
};

static void removing_release(struct removing *r)
{
    free(r->rows);
    free(r->records);
    free(r->is_removed);
    cas_disk_links_free(r->links);
}

static void tell(struct removing *r, size_t item, bool removed)
{
    r->result->kept += !removed;
    if (removed && r->told)
        r->told(r->context, &r->usage->items[item]);
}

/* --- Records --- */

static int compare_rows(const void *a, const void *b)
{
    return digest_compare(&((const struct row *)a)->key, &((const struct row *)b)->key);
}

static int delete_rows(struct removing *r, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(r->store->meta);

    if (cas_meta_begin(m, CAS_META_NORMAL, err) < 0)
        return -1;
    for (size_t i = 0; i < r->row_count; i++) {
        struct cas_stmt *q = cas_meta_stmt(m, sql_forget, err);
        if (!q)
            return -1;
        cas_stmt_bind_digest(q, 1, &r->rows[i].key);
        cas_stmt_bind_int(q, 2, r->usage->items[r->rows[i].item].used);
        if (cas_stmt_run(q, err) < 0)
            return -1;
        r->is_removed[r->rows[i].item] |= cas_meta_changes(m) > 0;
    }
    return cas_meta_commit(m, err);
}

/* Deletes what has gathered, in the order of the table: scattered deletions of 300,000 rows
 * took 50 s, these take 3. */
static int end_records(struct removing *r, struct error *err)
{
    if (r->row_count == 0)
        return 0;
    qsort(r->rows, r->row_count, sizeof *r->rows, compare_rows);
    if (delete_rows(r, err) < 0)
        return -1;
    for (size_t i = 0; i < r->record_count; i++)
        tell(r, r->records[i], r->is_removed[r->records[i]]);
    r->row_count = r->record_count = 0;
    return 0;
}

/* A record that was put again meanwhile is not the one that was chosen. */
static int remove_record(struct removing *r, size_t item, struct error *err)
{
    const struct cas_usage_item *record = &r->usage->items[item];

    /* Somebody began to use it since it was chosen, or to count. */
    if (record->used >= usage_ns(r->limit)) {
        tell(r, item, false);
        return 0;
    }
    for (size_t i = 0; i < record->key_count; i++) {
        r->rows = base_grow(r->rows, r->row_count, &r->row_capacity, sizeof *r->rows);
        r->rows[r->row_count++] = (struct row){record->keys[i], item};
    }
    r->records =
        base_grow(r->records, r->record_count, &r->record_capacity, sizeof *r->records);
    r->records[r->record_count++] = item;
    return r->row_count < ROWS_AT_ONCE ? 0 : end_records(r, err);
}

/* --- Images --- */

static int remove_image(struct removing *r,
                        const struct cas_usage_item *item,
                        bool *removed,
                        struct error *err)
{
    for (size_t i = 0; i < item->name_count; i++) {
        CLEANUP(error_clear) struct error gone = ERROR_INIT;
        CLEANUP(cas_ref_release) struct cas_ref ref = {0};
        bool found;

        /* A name that points elsewhere by now is none of this image's. */
        if (cas_ref_find(r->store, item->names[i], &found, &ref, err) < 0)
            return -1;
        if (!found || !digest_eq(&ref.target.digest, &item->id))
            continue;
        if (cas_ref_delete(r->store, item->names[i], "prune", &gone) < 0) {
            if (gone.code == ERROR_NOT_FOUND)
                continue;
            return error_move(err, &gone);
        }
        *removed = true;
    }
    return 0;
}

/* --- Trees --- */

/* Takes a tree apart that nobody can find any more. What cannot be removed here (files of
 * subordinate ids) stays in ingest/ for a process that can. */
static void destroy(struct removing *r, const char *away)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    uint64_t size = 0;

    if (cas_disk_tree_size(r->store->fd, away, r->links, &size, NULL, &ignored) == 0 &&
        fs_remove_tree_at(r->store->fd, away, &ignored) == 0)
        r->result->size += size;
}

/* Under the lock that decides: whoever finds it before it is gone stamps it. */
static int move_away(struct removing *r, const char *path, char **away, struct error *err)
{
    CLEANUP(fd_closep) int lock = cas_lease_lock(r->store->fd, ".sweep", LOCK_EX, err);
    struct stat st;

    *away = NULL;
    if (lock < 0)
        return -1;
    if (fstatat(r->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "stat %s", path);
    if (!cas_lease_before(cas_lease_stamp(&st), r->limit))
        return 0;
    *away = cas_ingest_name(r->store);
    if (renameat(r->store->fd, path, r->store->fd, *away) == 0)
        return 0;
    base_freep(away);
    return errno == ENOENT ? 0 : error_sys(err, "remove %s", path);
}

static int remove_tree(struct removing *r,
                       const char *path,
                       bool *removed,
                       struct error *err)
{
    CLEANUP(base_freep) char *away = NULL;

    if (move_away(r, path, &away, err) < 0)
        return -1;
    if (away)
        destroy(r, away);
    *removed = away != NULL;
    return 0;
}

/* Locks `path`, which need not exist; false: somebody else has it. */
static bool try_lock(struct removing *r, const char *path, int *fd)
{
    *fd = cas_disk_open(r->store->fd, path, 0);
    return *fd >= 0 ? flock(*fd, LOCK_EX | LOCK_NB) == 0 : errno == ENOENT;
}

/* Mounts are locked beside their directory for as long as a step uses them: longer than a
 * lease may be old. */
static int remove_mount(struct removing *r,
                        const char *path,
                        bool *removed,
                        struct error *err)
{
    CLEANUP(base_freep) char *beside = base_format("%s.lock", path);
    CLEANUP(fd_closep) int lock = -1;

    return try_lock(r, beside, &lock) ? remove_tree(r, path, removed, err) : 0;
}

/* A build that runs, or a shell in its state, holds the directory itself. */
static int remove_build(struct removing *r,
                        const char *path,
                        bool *removed,
                        struct error *err)
{
    CLEANUP(fd_closep) int lock = -1;

    return try_lock(r, path, &lock) ? remove_tree(r, path, removed, err) : 0;
}

/* In git/ID whoever changes something holds `lock`, and who uses a tree holds the tree. The
 * directory stays, with the lock in it: others may be waiting there. */
static int remove_source(struct removing *r,
                         const char *path,
                         bool *removed,
                         struct error *err)
{
    CLEANUP(base_freep) char *beside = base_format("%s/lock", path);
    CLEANUP(fd_closep) int lock = -1;
    const int fd = try_lock(r, beside, &lock)
                       ? openat(r->store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                       : -1;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int result = 0;

    while (dir && result == 0 && (e = readdir(dir))) {
        CLEANUP(base_freep) char *part = base_format("%s/%s", path, e->d_name);
        bool one = false;
        if (strcmp(e->d_name, "repo") == 0)
            result = remove_tree(r, part, &one, err);
        else if (strncmp(e->d_name, "tree.", 5) == 0)
            result = remove_build(r, part, &one, err);
        *removed = *removed || one;
    }
    if (dir)
        closedir(dir);
    return result;
}

static int remove_item(struct removing *r,
                       const struct cas_usage_item *item,
                       bool *removed,
                       struct error *err)
{
    switch (item->kind) {
    case CAS_USAGE_IMAGE:
        return remove_image(r, item, removed, err);
    case CAS_USAGE_LAYER:
    case CAS_USAGE_STAT:
        return remove_tree(r, item->names[0], removed, err);
    case CAS_USAGE_MOUNT:
        return remove_mount(r, item->names[0], removed, err);
    case CAS_USAGE_SOURCE:
        return remove_source(r, item->names[0], removed, err);
    case CAS_USAGE_BUILD:
        return remove_build(r, item->names[0], removed, err);
    case CAS_USAGE_CACHE:
    case CAS_USAGE_DANGLING:
    case CAS_USAGE_INDEX:
    case CAS_USAGE_INGEST:
    case CAS_USAGE_META:
    case CAS_USAGE_OTHER:
    case CAS_USAGE_KINDS:
        break;
    }
    return 0;
}

static int remove_one(struct removing *r, size_t i, struct error *err)
{
    const struct cas_usage_item *item = &r->usage->items[i];
    bool removed = false;

    if (item->kind == CAS_USAGE_CACHE)
        return remove_record(r, i, err);
    if (end_records(r, err) < 0 || remove_item(r, item, &removed, err) < 0)
        return -1;
    tell(r, i, removed);
    return 0;
}

static int remove_all(struct removing *r,
                      const struct cas_prune_plan *plan,
                      struct error *err)
{
    const struct cas_prune_options *o = r->options;

    for (size_t i = 0; i < plan->count && !(o->stop && o->stop(o->stop_context)); i++) {
        if (remove_one(r, plan->items[i], err) < 0)
            return -1;
    }
    return end_records(r, err);
}

static int prune(struct removing *r, const struct cas_prune_plan *plan, struct error *err)
{
    const enum cas_gc_flags own = r->options->spare_own ? CAS_GC_SPARE_OWN : CAS_GC_DEFAULT;
    struct cas_gc_result garbage = {0};

    if (gc_find_limit(r->store, own, &r->limit, err) < 0 || remove_all(r, plan, err) < 0)
        return -1;
    if ((r->options->kinds & CAS_PRUNE_WITH_GARBAGE) &&
        gc_collect(r->store, CAS_GC_KEEP_CACHE | own, r->options->before, &garbage, err) <
            0)
        return -1;
    r->result->size += garbage.bytes;
    r->result->blobs = garbage.blobs;
    cas_meta_shrink(r->store->meta);
    return 0;
}

int cas_prune_run(struct cas_store *s,
                  const struct cas_usage *usage,
                  const struct cas_prune_plan *plan,
                  const struct cas_prune_options *options,
                  cas_prune_fn *removed,
                  void *context,
                  struct cas_prune_result *out,
                  struct error *err)
{
    *out = (struct cas_prune_result){0};
    if (s->read_only)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the store %s is on a read-only file system", s->path);
    CLEANUP(removing_release)
    struct removing r = {
        .store = s,
        .usage = usage,
        .options = options,
        .result = out,
        .links = cas_disk_links_new(),
        .told = removed,
        .context = context,
        .is_removed = base_alloc_array(usage->count + 1, sizeof *r.is_removed),
    };
    if (prune(&r, plan, err) < 0)
        return error_wrap(err, "prune %s", s->path);
    out->remaining = usage->size > out->size ? usage->size - out->size : 0;
    return 0;
}
