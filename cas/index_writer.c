#include "base/alloc.h"
#include "base/limits.h"
#include "cas/arena.h"
#include "cas/index.h"
#include "cas/index_priv.h"

#include <stdlib.h>
#include <string.h>

/* Collects entries in any order, with copies of their texts in an arena. */

struct added {
    struct cas_entry entry;
    uint64_t offset;
    struct view bytes;
    size_t order; /* of arrival: the last of equal paths counts */
};

struct cas_index_writer {
    struct cas_arena arena;
    struct added *added;
    size_t count;
    size_t capacity;
    struct cas_index_restarts restarts;
    uint64_t *points;
};

struct cas_index_writer *cas_index_writer_new(void)
{
    return base_alloc(sizeof(struct cas_index_writer));
}

void cas_index_writer_abort(struct cas_index_writer *w)
{
    if (!w)
        return;
    cas_arena_release(&w->arena);
    free(w->added);
    free(w->points);
    free(w);
}

static void cas_index_writer_abortp(struct cas_index_writer **w)
{
    cas_index_writer_abort(*w);
    *w = NULL;
}

static int check_entry(const struct cas_entry *e, struct error *err)
{
    if (e->path.size > LIMIT_PATH_SIZE)
        return error_set(err, ERROR_LIMIT, "a path of %zu bytes", e->path.size);
    if (e->target.size > LIMIT_TAR_EXTENSION)
        return error_set(err, ERROR_LIMIT, "a link to %zu bytes", e->target.size);
    if (e->xattr_count > LIMIT_TAR_EXTENSION)
        return error_set(err, ERROR_LIMIT, "%zu extended attributes", e->xattr_count);
    for (size_t i = 0; i < e->xattr_count; i++) {
        if (e->xattrs[i].name.size > LIMIT_TAR_EXTENSION ||
            e->xattrs[i].value.size > LIMIT_TAR_EXTENSION)
            return error_set(err, ERROR_LIMIT,
                             "an extended attribute of more than %zu bytes",
                             LIMIT_TAR_EXTENSION);
    }
    return 0;
}

int cas_index_writer_add(struct cas_index_writer *w,
                         const struct cas_entry *e,
                         uint64_t offset,
                         struct view bytes,
                         struct error *err)
{
    if (check_entry(e, err) < 0)
        return error_wrap(err, "%.*s", VIEW_ARG(view_sub(e->path, 0, LIMIT_PATH_SIZE)));
    if (w->count >= LIMIT_LAYER_ENTRIES)
        return error_set(err, ERROR_LIMIT, "more than %ju entries in a layer",
                         (uintmax_t)LIMIT_LAYER_ENTRIES);
    w->added = base_grow(w->added, w->count, &w->capacity, sizeof *w->added);

    struct added *a = &w->added[w->count];
    a->entry = cas_arena_entry(&w->arena, e);
    a->offset = offset;
    a->bytes = bytes.size ? cas_arena_view(&w->arena, bytes) : bytes;
    a->order = w->count++;
    return 0;
}

void cas_index_writer_restarts(struct cas_index_writer *w,
                               const struct digest *blob,
                               uint32_t block_size,
                               const uint64_t *points,
                               uint64_t count)
{
    w->restarts = (struct cas_index_restarts){*blob, block_size, count};
    free(w->points);
    w->points = base_alloc_array((size_t)count, sizeof *w->points);
    if (count)
        memcpy(w->points, points, (size_t)count * sizeof *w->points);
}

/* --- Committing --- */

static int compare_added(const void *a, const void *b)
{
    const struct added *x = a;
    const struct added *y = b;
    const int order = cas_entry_path_compare(x->entry.path, y->entry.path);

    if (order != 0)
        return order;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_sorted(const struct cas_index_writer *w)
{
    for (size_t i = 1; i < w->count; i++) {
        if (cas_entry_path_compare(w->added[i - 1].entry.path, w->added[i].entry.path) >= 0)
            return false;
    }
    return true;
}

/* Sorted, and of equal paths the last. */
static void settle(struct cas_index_writer *w)
{
    size_t kept = 0;

    if (w->count == 0 || is_sorted(w))
        return;
    qsort(w->added, w->count, sizeof *w->added, compare_added);
    for (size_t i = 0; i < w->count; i++) {
        if (kept > 0 && view_eq(w->added[kept - 1].entry.path, w->added[i].entry.path))
            kept--;
        w->added[kept++] = w->added[i];
    }
    w->count = kept;
}

int cas_index_writer_commit(struct cas_index_writer *consumed,
                            struct cas_store *s,
                            const struct digest *diff_id,
                            uint64_t tar_size,
                            struct error *err)
{
    CLEANUP(cas_index_writer_abortp) struct cas_index_writer *w = consumed;

    settle(w);
    CLEANUP(base_freep)
    struct cas_entry *entries = base_alloc_array(w->count, sizeof *entries);
    CLEANUP(base_freep) uint64_t *offsets = base_alloc_array(w->count, sizeof *offsets);
    CLEANUP(base_freep) struct view *inlines = base_alloc_array(w->count, sizeof *inlines);
    for (size_t i = 0; i < w->count; i++) {
        entries[i] = w->added[i].entry;
        offsets[i] = w->added[i].offset;
        inlines[i] = w->added[i].bytes;
    }
    return index_publish(s,
                         &(struct index_source){
                             .entries = entries,
                             .count = w->count,
                             .offsets = offsets,
                             .inlines = inlines,
                             .diff_id = diff_id,
                             .tar_size = tar_size,
                             .restarts = w->restarts,
                             .points = w->points,
                         },
                         err);
}
