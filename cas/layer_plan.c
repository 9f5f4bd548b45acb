#include "cas/layer_plan.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/tar_write.h"

#include <assert.h>
#include <stdlib.h>

static int lay_out(struct layer_plan *p, struct error *err)
{
    uint64_t at = 0;

    for (size_t i = 0; i < p->count; i++) {
        const struct cas_entry e = tar_entry_written(&p->entries[i], p->epoch);
        assert(i == 0 || cas_entry_path_compare(p->entries[i - 1].path, e.path) < 0);
        if (tar_entry_check(&e, err) < 0)
            return -1;
        if (e.size > LIMIT_LAYER_SIZE || at > LIMIT_LAYER_SIZE)
            return error_set(err, ERROR_LIMIT, "a layer of more than %ju bytes",
                             (uintmax_t)LIMIT_LAYER_SIZE);
        p->starts[i] = at;
        at += tar_headers_size(&e) + tar_padded_size(e.size);
    }
    p->starts[p->count] = at;
    p->tar_size = at + TAR_END_SIZE;
    return 0;
}

static void cut(struct layer_plan *p)
{
    size_t entry = 0;

    p->block_count = (size_t)((p->tar_size + p->block_size - 1) / p->block_size);
    p->firsts = base_alloc_array(p->block_count, sizeof *p->firsts);
    for (size_t b = 0; b < p->block_count; b++) {
        const uint64_t begin = (uint64_t)b * p->block_size;
        while (entry < p->count && p->starts[entry + 1] <= begin)
            entry++;
        p->firsts[b] = (uint32_t)entry;
    }
}

int layer_plan_init(struct layer_plan *p,
                    const struct cas_entry *entries,
                    size_t count,
                    int64_t epoch,
                    size_t block_size,
                    struct error *err)
{
    *p = (struct layer_plan){
        .entries = entries, .count = count, .epoch = epoch, .block_size = block_size};
    if (count > LIMIT_LAYER_ENTRIES)
        return error_set(err, ERROR_LIMIT, "a layer of %zu entries", count);
    p->starts = base_alloc_array(count + 1, sizeof *p->starts);
    if (lay_out(p, err) < 0) {
        layer_plan_release(p);
        return -1;
    }
    cut(p);
    return 0;
}

void layer_plan_release(struct layer_plan *p)
{
    free(p->starts);
    free(p->firsts);
    *p = (struct layer_plan){0};
}

size_t layer_plan_block_size(const struct layer_plan *p, size_t b)
{
    const uint64_t rest = p->tar_size - (uint64_t)b * p->block_size;

    return rest < p->block_size ? (size_t)rest : p->block_size;
}

uint64_t layer_plan_content(const struct layer_plan *p, size_t i)
{
    const struct cas_entry *e = &p->entries[i];
    const uint64_t size = e->type == CAS_ENTRY_FILE ? e->size : 0;

    return p->starts[i + 1] - tar_padded_size(size);
}

bool layer_plan_is_span(const struct layer_plan *p, size_t i)
{
    const struct cas_entry *e = &p->entries[i];

    if (e->type != CAS_ENTRY_FILE || e->size == 0)
        return false;
    const uint64_t begin = layer_plan_content(p, i);
    return begin / p->block_size != (begin + e->size - 1) / p->block_size;
}

struct layer_overlap layer_plan_overlap(const struct layer_plan *p,
                                        size_t b,
                                        uint64_t begin,
                                        uint64_t end)
{
    const uint64_t block = (uint64_t)b * p->block_size;
    const uint64_t block_end = block + layer_plan_block_size(p, b);
    const uint64_t low = begin > block ? begin : block;
    const uint64_t high = end < block_end ? end : block_end;

    if (low >= high)
        return (struct layer_overlap){0};
    return (struct layer_overlap){low - begin, (size_t)(low - block), (size_t)(high - low)};
}
