#include "cas/prune.h"

#include "base/alloc.h"
#include "cas/usage_priv.h"

#include <stdlib.h>
#include <string.h>

uint64_t cas_prune_keep(
    uint64_t size, uint64_t free, uint64_t reserved, uint64_t max_used, uint64_t min_free)
{
    uint64_t keep = max_used ? max_used : size;

    if (!reserved && !max_used && !min_free)
        return 0;
    if (!max_used && !min_free)
        return reserved;
    if (min_free > free) {
        const uint64_t excess = min_free - free;
        const uint64_t fits = size > excess ? size - excess : 0;
        keep = fits < keep ? fits : keep;
    }
    return keep > reserved ? keep : reserved;
}

void cas_prune_plan_release(struct cas_prune_plan *plan)
{
    free(plan->items);
    *plan = (struct cas_prune_plan){0};
}

/* --- What removing an item frees --- */

struct choosing {
    const struct cas_usage *usage;
    const struct cas_prune_options *options;
    struct cas_prune_plan *plan;
    size_t *needed;   /* by how many items, of each file */
    uint64_t counted; /* bytes of the counted kinds that are left */
};

static bool is_counted(const struct choosing *c, enum cas_usage_kind kind)
{
    return (c->options->counted & CAS_PRUNE_KIND(kind)) != 0;
}

static void free_bytes(struct choosing *c, enum cas_usage_kind kind, uint64_t size)
{
    c->plan->size += size;
    if (is_counted(c, kind))
        c->counted -= size < c->counted ? size : c->counted;
}

/* By another process, by this one where that counts, or by the wish to keep what is young.
 */
static bool is_too_young(const struct choosing *c, int64_t used)
{
    const struct cas_prune_options *o = c->options;

    return used >= c->usage->limit || (o->spare_own && used >= c->usage->own) ||
           (o->before != 0 && used >= o->before);
}

static bool is_held(const struct choosing *c, const struct cas_usage_file *f)
{
    return is_too_young(c, f->used);
}

/* What nothing names any more is garbage, and goes along. */
static void release_file(struct choosing *c, size_t i)
{
    const struct cas_usage_file *f = &c->usage->files[i];

    if (c->needed[i] == 0 || --c->needed[i] > 0 || is_held(c, f))
        return;
    if (f->class == CAS_USAGE_UNPACKED)
        free_bytes(c, CAS_USAGE_LAYER, f->size);
    else if (f->class == CAS_USAGE_INDEX_FILE)
        free_bytes(c, CAS_USAGE_INDEX, f->size);
    else
        free_bytes(c, f->images > 0 ? CAS_USAGE_IMAGE : CAS_USAGE_CACHE, f->size);
}

static void release_garbage(struct choosing *c)
{
    for (size_t i = 0; i < c->usage->file_count; i++) {
        const struct cas_usage_file *f = &c->usage->files[i];
        if (c->needed[i] > 0 || is_held(c, f))
            continue;
        free_bytes(c,
                   f->class == CAS_USAGE_UNPACKED     ? CAS_USAGE_LAYER
                   : f->class == CAS_USAGE_INDEX_FILE ? CAS_USAGE_INDEX
                                                      : CAS_USAGE_DANGLING,
                   f->size);
    }
}

/* An unpacked layer that goes although something names it: it is made again when needed.
 * Once only, should its last name go later. */
static void release_unpacked(struct choosing *c, const struct cas_usage_item *item)
{
    const struct cas_usage *u = c->usage;
    size_t i = usage_find_file(u, CAS_USAGE_UNPACKED, &item->id);

    while (i < u->file_count && u->files[i].class == CAS_USAGE_UNPACKED &&
           strcmp(u->files[i].path, item->names[0]) != 0)
        i++;
    if (i == u->file_count || c->needed[i] == 0)
        return; /* garbage, or gone already: counted */
    c->needed[i] = 0;
    free_bytes(c, CAS_USAGE_LAYER, item->size);
}

static void take(struct choosing *c, size_t i)
{
    const struct cas_usage_item *item = &c->usage->items[i];

    c->plan->items[c->plan->count++] = i;
    if (item->kind == CAS_USAGE_LAYER) {
        release_unpacked(c, item);
    } else if (item->kind == CAS_USAGE_IMAGE || item->kind == CAS_USAGE_CACHE) {
        for (size_t k = 0; k < item->file_count; k++)
            release_file(c, item->files[k]);
    } else {
        free_bytes(c, item->kind, item->size);
    }
}

/* --- Order --- */

static bool may_go(const struct choosing *c, const struct cas_usage_item *item)
{
    const struct cas_prune_options *o = c->options;

    if (!(o->kinds & CAS_PRUNE_KIND(item->kind)) || item->in_use ||
        (item->shared && !o->with_shared) || is_too_young(c, item->used))
        return false;
    return !o->wants || o->wants(o->context, item);
}

struct candidate {
    int64_t used;
    size_t item;
};

/* Of what was used at one time the later item goes first: what was made of another. */
static int compare_age(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;

    if (x->used != y->used)
        return x->used < y->used ? -1 : 1;
    return (x->item < y->item) - (x->item > y->item);
}

static void take_oldest(struct choosing *c)
{
    const struct cas_usage *u = c->usage;
    struct candidate *all = base_alloc_array(u->count + 1, sizeof *all);
    size_t count = 0;

    for (size_t i = 0; i < u->count; i++) {
        if (may_go(c, &u->items[i]))
            all[count++] = (struct candidate){u->items[i].used, i};
    }
    if (count > 1)
        qsort(all, count, sizeof *all, compare_age);
    for (size_t i = 0; i < count; i++) {
        if (c->options->keep != UINT64_MAX && c->counted <= c->options->keep)
            break;
        take(c, all[i].item);
    }
    free(all);
}

void cas_prune_choose(const struct cas_usage *usage,
                      const struct cas_prune_options *options,
                      struct cas_prune_plan *out)
{
    struct choosing c = {.usage = usage, .options = options, .plan = out};

    *out = (struct cas_prune_plan){
        .items = base_alloc_array(usage->count + 1, sizeof *out->items)};
    c.needed = base_alloc_array(usage->file_count + 1, sizeof *c.needed);
    for (size_t i = 0; i < CAS_USAGE_KINDS; i++)
        c.counted += is_counted(&c, (enum cas_usage_kind)i) ? usage->kinds[i].size : 0;
    for (size_t i = 0; i < usage->file_count; i++)
        c.needed[i] = usage->files[i].images + usage->files[i].records;
    if (options->kinds & CAS_PRUNE_WITH_GARBAGE)
        release_garbage(&c);
    take_oldest(&c);
    free(c.needed);
}
