#include "cas/usage_priv.h"

#include "base/alloc.h"
#include "cas/gc_priv.h"
#include "cas/reach.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <stdlib.h>
#include <string.h>

const char *cas_usage_type(enum cas_usage_kind kind)
{
    static const char *const types[CAS_USAGE_KINDS] = {
        [CAS_USAGE_IMAGE] = "image",
        [CAS_USAGE_CACHE] = "regular",
        [CAS_USAGE_DANGLING] = "dangling",
        [CAS_USAGE_LAYER] = "internal",
        [CAS_USAGE_INDEX] = "index",
        [CAS_USAGE_MOUNT] = "exec.cachemount",
        [CAS_USAGE_SOURCE] = "source.git.checkout",
        [CAS_USAGE_BUILD] = "log",
        [CAS_USAGE_STAT] = "source.local",
        [CAS_USAGE_INGEST] = "ingest",
        [CAS_USAGE_META] = "metadata",
        [CAS_USAGE_OTHER] = "unknown",
    };

    return types[kind];
}

void cas_usage_release(struct cas_usage *u)
{
    for (size_t i = 0; i < u->count; i++) {
        struct cas_usage_item *item = &u->items[i];
        for (size_t k = 0; k < item->name_count; k++)
            free(item->names[k]);
        free(item->names);
        free(item->keys);
        free(item->files);
    }
    for (size_t i = 0; i < u->file_count; i++)
        free(u->files[i].path);
    free(u->items);
    free(u->files);
    *u = (struct cas_usage){0};
}

/* --- Items --- */

struct cas_usage_item *usage_add_item(struct usage_reader *r, enum cas_usage_kind kind)
{
    struct cas_usage *u = r->out;

    u->items = base_grow(u->items, u->count, &r->item_capacity, sizeof *u->items);
    u->items[u->count] = (struct cas_usage_item){.kind = kind};
    return &u->items[u->count++];
}

void usage_add_name(struct cas_usage_item *item, char *owned)
{
    item->names =
        base_realloc_array(item->names, item->name_count + 1, sizeof *item->names);
    item->names[item->name_count++] = owned;
}

/* --- Needs --- */

static void need(struct usage_needs *n, size_t file)
{
    n->files = base_grow(n->files, n->count, &n->capacity, sizeof *n->files);
    n->files[n->count++] = file;
}

void usage_needs_blob(struct usage_needs *n,
                      const struct cas_usage *u,
                      const struct digest *blob)
{
    const size_t file = usage_find_file(u, CAS_USAGE_BLOB, blob);

    if (file < u->file_count)
        need(n, file);
}

void usage_needs_layer(struct usage_needs *n,
                       const struct cas_usage *u,
                       const struct digest *id)
{
    const size_t index = usage_find_file(u, CAS_USAGE_INDEX_FILE, id);

    if (index < u->file_count)
        need(n, index);
    for (size_t i = usage_find_file(u, CAS_USAGE_UNPACKED, id);
         i < u->file_count && u->files[i].class == CAS_USAGE_UNPACKED &&
         digest_eq(&u->files[i].digest, id);
         i++)
        need(n, i);
}

static int compare_sizes(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a;
    const size_t y = *(const size_t *)b;

    return (x > y) - (x < y);
}

void usage_needs_give(struct usage_needs *n, struct cas_usage_item *item)
{
    size_t kept = 0;

    if (n->count > 1)
        qsort(n->files, n->count, sizeof *n->files, compare_sizes);
    for (size_t i = 0; i < n->count; i++) {
        if (i == 0 || n->files[i] != n->files[i - 1])
            n->files[kept++] = n->files[i];
    }
    item->files = n->files;
    item->file_count = kept;
    *n = (struct usage_needs){0};
}

/* --- Images --- */

struct image_walk {
    struct usage_reader *reader;
    struct usage_needs needs;
};

static void need_layer(void *context,
                       const struct digest *diff_id,
                       const struct digest *chain_id)
{
    struct image_walk *w = context;

    usage_needs_layer(&w->needs, w->reader->out, diff_id);
    if (!digest_eq(diff_id, chain_id))
        usage_needs_layer(&w->needs, w->reader->out, chain_id);
}

static int need_reached(void *context,
                        const struct descriptor *d,
                        bool *descend,
                        struct error *err)
{
    struct image_walk *w = context;
    const struct cas_usage *u = w->reader->out;

    (void)err;
    usage_needs_blob(&w->needs, u, &d->digest);
    *descend = *descend && usage_find_file(u, CAS_USAGE_BLOB, &d->digest) < u->file_count;
    cas_reach_layers(w->reader->store, d, need_layer, w);
    return 0;
}

static void read_image(struct usage_reader *r, const struct cas_ref *ref)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    struct image_walk w = {.reader = r};
    struct cas_usage_item *item = usage_add_item(r, CAS_USAGE_IMAGE);

    item->id = ref->target.digest;
    item->created = item->used = ref->time * 1000000000;
    if (cas_reach_walk(r->store, &ref->target, CAS_REACH_PEEK, need_reached, &w, &damage) <
        0) {
        /* What follows the damage is not known; fsck tells. */
    }
    usage_needs_give(&w.needs, item);
}

/* Refs come by name; those of one image become one item. */
static int read_images(struct usage_reader *r, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    const size_t first = r->out->count;

    if (cas_ref_list(r->store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        struct cas_ref *ref = &refs.items[i];
        size_t at = first;
        while (at < r->out->count && !digest_eq(&r->out->items[at].id, &ref->target.digest))
            at++;
        if (at == r->out->count)
            read_image(r, ref);
        usage_add_name(&r->out->items[at], base_strdup(ref->name));
    }
    return 0;
}

/* --- Sums --- */

/* Every image and record is one more that needs its files. */
static void count_needs(struct cas_usage *u)
{
    for (size_t i = 0; i < u->count; i++) {
        const struct cas_usage_item *item = &u->items[i];
        for (size_t k = 0; k < item->file_count; k++) {
            struct cas_usage_file *f = &u->files[item->files[k]];
            if (item->kind == CAS_USAGE_IMAGE)
                f->images++;
            else
                f->records++;
        }
    }
}

static bool is_unique(const struct cas_usage_item *item, const struct cas_usage_file *f)
{
    return item->kind == CAS_USAGE_IMAGE ? f->images == 1 : f->images + f->records == 1;
}

/* Blobs and indexes are part of an item's size; an unpacked layer is an item itself. */
static void sum_item(const struct cas_usage *u, struct cas_usage_item *item)
{
    for (size_t k = 0; k < item->file_count; k++) {
        const struct cas_usage_file *f = &u->files[item->files[k]];
        if (f->class == CAS_USAGE_UNPACKED)
            continue;
        item->size += f->size;
        if (is_unique(item, f))
            item->unique += f->size;
        if (f->class != CAS_USAGE_BLOB)
            continue;
        if (f->used > item->used)
            item->used = f->used;
        item->shared = item->shared || (item->kind == CAS_USAGE_CACHE && f->images > 0);
    }
}

static enum cas_usage_kind kind_of(const struct cas_usage_file *f)
{
    if (f->class == CAS_USAGE_INDEX_FILE)
        return CAS_USAGE_INDEX;
    if (f->images > 0)
        return CAS_USAGE_IMAGE;
    return f->records > 0 ? CAS_USAGE_CACHE : CAS_USAGE_DANGLING;
}

static void sum_files(struct cas_usage *u)
{
    for (size_t i = 0; i < u->file_count; i++) {
        const struct cas_usage_file *f = &u->files[i];
        struct cas_usage_total *t = &u->kinds[kind_of(f)];
        if (f->class == CAS_USAGE_UNPACKED)
            continue;
        t->size += f->size;
        if (f->images == 0 && f->used < u->limit)
            t->reclaimable += f->size;
        if (f->class == CAS_USAGE_INDEX_FILE || f->images + f->records == 0)
            t->count++;
    }
}

static void sum(struct cas_usage *u)
{
    count_needs(u);
    for (size_t i = 0; i < u->count; i++) {
        struct cas_usage_item *item = &u->items[i];
        sum_item(u, item);
        item->in_use = item->used >= u->limit;
        u->kinds[item->kind].count++;
        if (item->kind != CAS_USAGE_IMAGE && item->kind != CAS_USAGE_CACHE && !item->in_use)
            u->kinds[item->kind].reclaimable += item->size;
    }
    sum_files(u);
    for (size_t i = 0; i < CAS_USAGE_KINDS; i++)
        u->size += u->kinds[i].size;
}

static int find_limit(struct cas_store *s, struct cas_usage *u, struct error *err)
{
    struct timespec t;

    u->limit = u->own = INT64_MAX;
    if (s->read_only)
        return 0;
    if (gc_find_limit(s, CAS_GC_DEFAULT, &t, err) < 0)
        return -1;
    u->limit = usage_ns(t);
    u->own = usage_ns(cas_lease_start(s->lease));
    return 0;
}

int cas_usage_read(struct cas_store *s, struct cas_usage *out, struct error *err)
{
    CLEANUP(cas_disk_links_freep) struct cas_disk_links *links = cas_disk_links_new();
    struct usage_reader r = {.store = s, .out = out, .links = links};

    *out = (struct cas_usage){0};
    if (find_limit(s, out, err) < 0 || usage_read_disk(&r, err) < 0 ||
        usage_read_records(&r, err) < 0 || read_images(&r, err) < 0) {
        cas_usage_release(out);
        return error_wrap(err, "take stock of %s", s->path);
    }
    sum(out);
    return 0;
}
