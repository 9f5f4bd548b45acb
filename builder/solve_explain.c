/*
 * The dry run: nodes in order, each looked up as if the build ran, none of them run. What
 * depends on a node that would run is not known before it has: it counts as running too.
 */
#include "builder/solve_last.h"

#include "base/alloc.h"

#include <stdlib.h>

void build_explanation_release(struct build_explanation *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free(e->steps[i].title);
        free(e->steps[i].reason);
        free(e->steps[i].cause);
    }
    free(e->steps);
    *e = (struct build_explanation){0};
}

struct input_search {
    struct solver *solver;
    bool all_done;
};

static void look_at_input(void *context, struct build_node *input)
{
    struct input_search *search = context;

    search->all_done =
        search->all_done && solve_of(search->solver, input)->phase == SOLVE_DONE;
}

static bool inputs_are_done(struct solve_node *n)
{
    struct input_search search = {n->solver, true};

    build_node_inputs(n->node, look_at_input, &search);
    return search.all_done;
}

/* What cannot be looked up here and now (a base layer that is not in the store) may be
 * found when the build runs: to be told as running is what people expect of it. */
static int look_up(struct solve_node *n, struct error *err)
{
    CLEANUP(error_clear) struct error unknown = ERROR_INIT;

    if (n->node->op == BUILD_OP_SOURCE) {
        if (step_source(n, err) < 0)
            return -1;
        n->phase = SOLVE_DONE;
        return 0;
    }
    if (!n->is_hit && (!inputs_are_done(n) || solve_lookup(n, &unknown) < 0 || !n->is_hit))
        return error_is(&unknown, ERROR_CANCELLED) ? error_move(err, &unknown) : 0;
    if (solve_apply_hit(n, err) < 0)
        return -1;
    n->phase = SOLVE_DONE;
    return 0;
}

static void tell(struct solve_node *n, struct build_explanation *out)
{
    struct build_explained *e = &out->steps[out->count++];
    const bool is_image = n->node->op == BUILD_OP_SOURCE;

    e->title = base_strdup(n->node->title);
    e->line = n->node->pos.line;
    e->state = is_image    ? BUILD_EXPLAINED_IMAGE
               : n->is_hit ? BUILD_EXPLAINED_CACHED
                           : BUILD_EXPLAINED_RUNS;
    if (!n->is_hit)
        e->reason = solve_miss_reason(n);
    if (!n->is_hit && n->cause)
        e->cause = base_strdup(n->cause->node->title);
    out->cached += e->state == BUILD_EXPLAINED_CACHED;
    out->runs += e->state == BUILD_EXPLAINED_RUNS;
}

int solve_explain(struct solver *s, struct build_explanation *out, struct error *err)
{
    out->steps = base_alloc_array(s->count + 1, sizeof *out->steps);
    for (size_t i = 0; i < s->count; i++) {
        struct solve_node *n = &s->nodes[i];

        if (!n->is_needed)
            continue;
        if (look_up(n, err) < 0)
            return error_locate(err, n->node->pos);
        tell(n, out);
    }
    return 0;
}
