/*
 * What a build tells of its steps when all is done: for caches that others read.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"

#include <stdlib.h>

static void mark_result(const struct solver *s,
                        const struct build_plan *plan,
                        bool *is_in_result)
{
    for (const struct build_node *n = plan->result; n; n = n->base)
        is_in_result[n->index] = true;
    for (size_t i = 0; i < s->count; i++)
        if (is_in_result[i] && s->nodes[i].twin)
            is_in_result[s->nodes[i].twin->node->index] = true;
}

/* The one layer that this build used, or would have: others can be made of it. */
static void set_layer(struct build_solved *out,
                      const struct build_record_layer *layer,
                      const struct descriptor *blob)
{
    out->record.count = 0;
    build_record_add(&out->record, layer);
    descriptor_copy(&out->blob, blob);
}

static void report(const struct solve_node *n, struct build_solved *out)
{
    *out = (struct build_solved){
        .node = n->node, .operation = n->operation, .record = n->record};
    if (digest_is_set(&n->definition))
        out->record.definition = n->definition;
    out->is_foreign = n->is_foreign;
    out->record.count = 0;
    if (n->count > 0) {
        const struct cas_layer *top = n->layers[n->count - 1];
        const struct build_record_layer layer = {.diff_id = *cas_layer_diff_id(top),
                                                 .created = n->created[n->count - 1],
                                                 .epoch = n->solver->variant.epoch};

        set_layer(out, &layer, cas_layer_blob(top));
    } else if (n->hit) {
        set_layer(out, &n->hit->layer, &n->hit->blob);
    }
}

void solve_report(struct solver *s,
                  const struct build_plan *plan,
                  struct build_solution *out)
{
    CLEANUP(base_freep) bool *is_in_result = base_alloc_array(s->count + 1, sizeof(bool));

    mark_result(s, plan, is_in_result);
    out->solved = base_alloc_array(s->count + 1, sizeof *out->solved);
    for (size_t i = 0; i < s->count; i++) {
        const struct solve_node *n = &s->nodes[i];

        if (n->twin || n->node->op == BUILD_OP_SOURCE || !digest_is_set(&n->record.outcome))
            continue;
        report(n, &out->solved[out->solved_count]);
        out->solved[out->solved_count++].is_in_result = is_in_result[i];
    }
}
