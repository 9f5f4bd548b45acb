/*
 * What is known before anything runs: the nodes' keys, which of them are cached, and what
 * the target needs.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <stdlib.h>

enum { TRUSTING_ATTEMPTS = 4 };

/* --- What is needed --- */

static void need_input(void *context, struct build_node *input)
{
    solve_of(context, input)->is_needed = true;
}

/* What the target needs. What a cached node was copied from is not needed; its base is, for
 * the layers below. Inputs come before their users, so one pass backwards sees them all. */
void solve_mark_needed(struct solver *s)
{
    for (size_t i = 0; i < s->plans->count; i++)
        if (s->plans->items[i].result)
            solve_of(s, s->plans->items[i].result)->is_needed = true;
    for (size_t i = s->count; i-- > 0;) {
        struct solve_node *n = &s->nodes[i];

        if (!n->is_needed)
            continue;
        if (!n->is_hit)
            build_node_inputs(n->node, need_input, s);
        else if (n->node->base)
            need_input(s, n->node->base);
    }
}

/* --- Keys --- */

/* Nobody mounts or accepts more layers; and each node holds the list of all of its own. */
static int check_depth(struct solver *s, struct solve_node *n, struct error *err)
{
    const struct build_node *node = n->node;

    n->depth = node->op == BUILD_OP_SOURCE ? node->image->image.layer_count : 1;
    if (node->base)
        n->depth += solve_of(s, node->base)->depth;
    return n->depth <= LIMIT_LAYERS
               ? 0
               : error_set(err, ERROR_LIMIT, "more than %d layers: join some of the steps",
                           LIMIT_LAYERS);
}

static void follow(void *context, struct build_node *input)
{
    solve_of(context, input)->is_followed = true;
}

/* Twins are found before anything is looked up. */
static int identify(struct solver *s, struct error *err)
{
    struct solve_twins *twins = solve_twins_new(s->count);
    int status = 0;

    for (size_t i = 0; status == 0 && i < s->count; i++) {
        struct solve_node *n = &s->nodes[i];

        n->node = s->plans->graph.nodes[i];
        n->solver = s;
        status = check_depth(s, n, err);
        if (status < 0)
            error_locate(err, n->node->pos);
        solve_identify(n);
        build_node_inputs(n->node, follow, s);
        n->twin = solve_twins_add(twins, n);
    }
    solve_twins_free(twins);
    return status;
}

/* Keys that can be known before anything runs, and what the cache has of them. */
static int prepare(struct solver *s, struct error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        struct solve_node *n = &s->nodes[i];

        if (!n->twin && solve_prepare(n, err) < 0)
            return error_locate(err, n->node->pos);
    }
    return 0;
}

/* --- Other caches --- */

/* Asks for the layers that the build would have from other caches: are all there? What is
 * not needed is not asked for, unless it is to go into a cache again. */
static bool ask(struct solver *s)
{
    CLEANUP(base_freep)
    struct build_cache_layer **layers = base_alloc_array(s->count + 1, sizeof *layers);
    CLEANUP(base_freep)
    const struct descriptor **blobs = base_alloc_array(s->count + 1, sizeof *blobs);
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct solve_node *n = &s->nodes[i];

        if (!n->is_hit || !n->hit->from ||
            (!n->is_needed && s->request->cache_to_count == 0))
            continue;
        layers[count] = n->hit->from;
        blobs[count++] = &n->hit->blob;
    }
    return build_cache_ask(s->env->cache, layers, blobs, count);
}

/* Back to what it was before anything was looked up. */
static void forget(struct solver *s, const struct solve_node *before)
{
    for (size_t i = 0; i < s->count; i++) {
        solve_hit_free(s->nodes[i].hit);
        s->nodes[i] = before[i];
    }
}

/*
 * One round trip a layer, one after the other, would cost more than the steps: layers are
 * taken to be there while steps are looked up, and those that count are asked for together.
 * Where one is not there, all is looked up again, knowing that; at last one by one.
 */
static int prepare_trusting(struct solver *s, struct error *err)
{
    CLEANUP(base_freep)
    struct solve_node *before = base_alloc_array(s->count + 1, sizeof *before);

    for (size_t i = 0; i < s->count; i++)
        before[i] = s->nodes[i];
    for (unsigned attempt = 0; attempt < TRUSTING_ATTEMPTS; attempt++) {
        build_cache_trust(s->env->cache, true);
        const int status = prepare(s, err);
        build_cache_trust(s->env->cache, false);
        if (status < 0)
            return -1;
        solve_mark_needed(s);
        if (ask(s))
            return 0;
        forget(s, before);
    }
    return prepare(s, err);
}

int solve_begin(struct solver *s, struct error *err)
{
    if (identify(s, err) < 0)
        return -1;
    return build_cache_is_empty(s->env->cache) ? prepare(s, err) : prepare_trusting(s, err);
}
