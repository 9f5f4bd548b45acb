/*
 * What every step needs of its node and of the solver.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"

#include <time.h>

bool solve_is_interrupted(const struct solver *s)
{
    return s->request->cancel && __atomic_load_n(s->request->cancel, __ATOMIC_RELAXED);
}

bool solve_is_cancelled(const struct solver *s)
{
    return __atomic_load_n(&s->stop, __ATOMIC_RELAXED) || solve_is_interrupted(s);
}

struct solve_node *solve_of(struct solver *s, const struct build_node *n)
{
    struct solve_node *own = &s->nodes[n->index];

    return own->twin ? own->twin : own;
}

int64_t solve_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void solve_event(struct solve_node *n, enum event_type type, const char *text)
{
    const struct event e = {.type = type,
                            .step = n->step,
                            .name = n->node->title,
                            .text = text,
                            .pos = n->node->pos};

    event_send(&n->solver->env->sink, e);
}

static bool is_in_result(const struct solve_node *n)
{
    const struct build_plans *plans = n->solver->plans;

    for (size_t i = 0; i < plans->count; i++)
        for (const struct build_node *r = plans->items[i].result; r; r = r->base)
            if (solve_of(n->solver, r) == n)
                return true;
    return false;
}

struct cas_layer_options solve_layer_options(const struct solve_node *n)
{
    const struct solver *s = n->solver;
    const struct build_layer_watch *w = s->env->watch;

    return (struct cas_layer_options){
        .unpack = n->needs_files,
        .compression = s->request->compression,
        .level = s->request->compression_level,
        .epoch = s->variant.epoch,
        .pool = s->cpus,
        .cancel = s->request->cancel,
        .tap = w && is_in_result(n) ? w->tap(w->context, n->node->index) : NULL};
}

void solve_tell_watch(const struct solve_node *n)
{
    const struct build_layer_watch *w = n->solver->env->watch;
    const bool is_base = n->node->op == BUILD_OP_SOURCE;
    size_t i = 0;

    if (!w || !is_in_result(n))
        return;
    if (n->node->base)
        i = solve_of(n->solver, n->node->base)->count;
    for (; i < n->count; i++)
        w->layer(w->context, n->node->index, n->layers[i], is_base, !is_base && !n->is_hit);
}

void solve_set_result(struct solve_node *n, struct cas_layer *layer, int64_t created)
{
    const struct solve_node *base =
        n->node->base ? solve_of(n->solver, n->node->base) : NULL;
    const size_t below = base ? base->count : 0;

    n->layers = base_alloc_array(below + 1, sizeof(struct cas_layer *));
    n->created = base_alloc_array(below + 1, sizeof *n->created);
    n->contents = base_alloc_array(below + 1, sizeof *n->contents);
    for (size_t i = 0; i < below; i++) {
        n->layers[i] = cas_layer_ref(base->layers[i]);
        n->created[i] = base->created[i];
        n->contents[i] = base->contents[i];
    }
    n->count = below;
    if (!layer)
        return;
    n->layers[n->count] = layer;
    n->created[n->count++] = created;
}
