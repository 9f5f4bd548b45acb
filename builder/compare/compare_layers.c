#include "builder/compare/compare_priv.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <stdlib.h>

/* Longest common subsequence over diffIDs: images have at most LIMIT_LAYERS layers. */
struct table {
    const struct build_compare_image *before;
    const struct build_compare_image *after;
    size_t columns;
    uint16_t *lengths; /* of what is common from [i][j] on */
};

static bool is_same(const struct table *t, size_t i, size_t j)
{
    return digest_eq(cas_layer_diff_id(t->before->layers[i]),
                     cas_layer_diff_id(t->after->layers[j]));
}

static uint16_t length_at(const struct table *t, size_t i, size_t j)
{
    return t->lengths[i * t->columns + j];
}

static void fill(struct table *t)
{
    for (size_t i = t->before->image->layer_count; i-- > 0;) {
        for (size_t j = t->after->image->layer_count; j-- > 0;) {
            const uint16_t down = length_at(t, i + 1, j);
            const uint16_t right = length_at(t, i, j + 1);
            uint16_t best = down > right ? down : right;

            if (is_same(t, i, j))
                best = (uint16_t)(length_at(t, i + 1, j + 1) + 1);
            t->lengths[i * t->columns + j] = best;
        }
    }
}

/* The entry of history that made the layer `which`: those that made none are marked. */
static const char *created_by(const struct doc *config, size_t which)
{
    const struct doc *const history = doc_get(config, "history");

    for (size_t i = 0; i < doc_count(history); i++) {
        const struct doc *const step = doc_at(history, i);

        if (!doc_bool(doc_get(step, "empty_layer")) && which-- == 0)
            return doc_text(doc_get(step, "created_by"));
    }
    return NULL;
}

static void add(struct build_compare *c,
                enum build_change change,
                const struct build_compare_image *side,
                size_t which)
{
    const struct descriptor *const blob = &side->image->layers[which];

    c->layers[c->layer_count++] = (struct build_compare_layer){
        .change = change,
        .diff_id = *cas_layer_diff_id(side->layers[which]),
        .blob = blob->digest,
        .size = blob->size,
        .created_by = created_by(side->config, which),
    };
}

void compare_layers(struct build_compare *c,
                    const struct build_compare_image *before,
                    const struct build_compare_image *after)
{
    const size_t rows = before->image->layer_count;
    const size_t columns = after->image->layer_count;
    CLEANUP(base_freep)
    uint16_t *lengths = base_alloc_array((rows + 1) * (columns + 1), sizeof *lengths);
    struct table t = {before, after, columns + 1, lengths};
    size_t i = 0, j = 0;

    fill(&t);
    c->layers = base_alloc_array(rows + columns + 1, sizeof *c->layers);
    while (i < rows || j < columns) {
        if (i < rows && j < columns && is_same(&t, i, j)) {
            add(c, BUILD_CHANGE_NONE, after, j++);
            i++;
        } else if (j == columns ||
                   (i < rows && length_at(&t, i + 1, j) >= length_at(&t, i, j + 1))) {
            add(c, BUILD_CHANGE_REMOVED, before, i++);
        } else {
            add(c, BUILD_CHANGE_ADDED, after, j++);
        }
    }
}
