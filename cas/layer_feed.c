#include "cas/layer_feed.h"

#include "cas/tar_write.h"

/* The bytes of entry `i` that lie in block `b`. */
static int feed_content(
    const struct layer_feed *f, size_t i, size_t b, const char *data, struct error *err)
{
    const struct layer_plan *p = f->plan;
    const struct layer_overlap o = layer_plan_overlap(
        p, b, layer_plan_content(p, i), layer_plan_content(p, i) + p->entries[i].size);

    if (o.size == 0)
        return 0;
    return cas_unpacker_data(f->unpacker, o.from, (struct view){data + o.at, o.size}, err);
}

int layer_feed_block(const struct layer_feed *f,
                     size_t b,
                     const char *data,
                     struct error *err)
{
    const struct layer_plan *p = f->plan;
    const uint64_t block = (uint64_t)b * p->block_size;
    const size_t size = layer_plan_block_size(p, b);

    for (size_t i = p->firsts[b]; i < p->count && p->starts[i] < block + size; i++) {
        const struct cas_entry e = tar_entry_written(&p->entries[i], p->epoch);
        if (p->starts[i] >= block && cas_unpacker_entry(f->unpacker, &e, err) < 0)
            return -1;
        if (e.size > 0 && feed_content(f, i, b, data, err) < 0)
            return -1;
    }
    return 0;
}
