/*
 * Keys of nodes: what they are made of, before and after their inputs are done.
 *
 * A definition says what is done, not what came of it: where a step was run anew with
 * another outcome, those that follow have their old definitions and records that were made
 * of the old outcome. So a record under a definition also tells of what it was made
 * ("inputs"), and counts for that only. Content keys need no such thing.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"

#include <stdlib.h>

struct input_keys {
    struct solver *solver;
    solve_key_fn *key_of;
    struct digest *keys;
    size_t count;
    bool is_known;
    bool is_linked; /* the layer is the same whatever it lies on: the base is not asked */
    int status;
    struct error *err;
};

static void count_input(void *context, struct build_node *input)
{
    size_t *count = context;

    (void)input;
    (*count)++;
}

/* What layer `i` of the result changes, without its times. That of a cached layer is known
 * without looking at it. */
static int layer_content(const struct solve_node *n,
                         size_t i,
                         struct digest *out,
                         struct error *err)
{
    *out = n->contents[i];
    return digest_is_set(out) ? 0 : cas_layer_content_key(n->layers[i], out, err);
}

int solve_outcome(const struct solve_node *n, struct digest *out, struct error *err)
{
    return layer_content(n, n->count - 1, out, err);
}

/* The content of a stack: what each layer changes, in order. */
static int stack_content(const struct solve_node *n, struct digest *out, struct error *err)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    int status = 0;

    for (size_t i = 0; status == 0 && i < n->count; i++) {
        struct digest key;

        status = layer_content(n, i, &key, err);
        if (status == 0)
            hasher_update(h, key.bytes, sizeof key.bytes);
    }
    hasher_final(h, out);
    hasher_free(h);
    return status;
}

int solve_definition_of(const struct solve_node *n, struct digest *out, struct error *err)
{
    (void)err;
    *out = n->definition;
    return 0;
}

/* For the recorder alone. */
int solve_recorded_definition_of(const struct solve_node *n,
                                 struct digest *out,
                                 struct error *err)
{
    (void)err;
    *out = digest_is_set(&n->recorded) ? n->recorded : n->definition;
    return 0;
}

/* Of what a stack consists: base images' layers by diffID, those of steps by outcome, so
 * that their variants are one. */
void solve_chain_init(struct digest *chain)
{
    *chain = (struct digest){.alg = DIGEST_SHA256};
}

void solve_chain_add(struct digest *chain, const struct digest *layer)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);

    hasher_update(h, chain->bytes, sizeof chain->bytes);
    hasher_update(h, layer->bytes, sizeof layer->bytes);
    hasher_final(h, chain);
    hasher_free(h);
}

/* Before anything ran: known of base images and of what is cached. */
int solve_planned_chain(const struct solve_node *n, struct digest *out, struct error *err)
{
    (void)err;
    *out = n->chain;
    return 0;
}

int solve_stack_chain(const struct solve_node *n, struct digest *out, struct error *err)
{
    solve_chain_init(out);
    for (size_t i = 0; i < n->count; i++) {
        struct digest layer;

        if (n->created[i] < 0)
            layer = *cas_layer_diff_id(n->layers[i]);
        else if (layer_content(n, i, &layer, err) < 0)
            return -1;
        solve_chain_add(out, &layer);
    }
    return 0;
}

static void add_input(void *context, struct build_node *input)
{
    struct input_keys *in = context;
    struct digest key = {0};

    if (in->is_linked && in->count == 0) {
        in->keys[in->count++] = key;
        return;
    }
    if (in->status == 0)
        in->status = in->key_of(solve_of(in->solver, input), &key, in->err);
    in->is_known = in->is_known && digest_is_set(&key);
    in->keys[in->count++] = key;
}

/* The keys of all inputs, the base's first; in->is_known false: one of them has none yet.
 */
static int collect_inputs(struct solve_node *n,
                          solve_key_fn *key_of,
                          struct input_keys *in,
                          struct error *err)
{
    size_t count = 1;

    build_node_inputs(n->node, count_input, &count);
    *in =
        (struct input_keys){.solver = n->solver,
                            .key_of = key_of,
                            .keys = base_alloc_array(count, sizeof *in->keys),
                            .is_known = true,
                            .is_linked = n->node->op == BUILD_OP_COPY && n->node->copy.link,
                            .err = err};
    if (!n->node->base)
        in->count = 1;
    build_node_inputs(n->node, add_input, in);
    return in->status;
}

static const struct digest *selection_of(const struct solve_node *n)
{
    return digest_is_set(&n->selection) ? &n->selection : NULL;
}

static bool is_local_copy(const struct solve_node *n)
{
    return n->node->op == BUILD_OP_COPY && step_copy_is_local(n->node);
}

int solve_make_definition(struct solve_node *n,
                          solve_key_fn *key_of,
                          struct digest *out,
                          struct error *err)
{
    struct input_keys in;
    const int status = collect_inputs(n, key_of, &in, err);

    /* Of what a COPY takes from a stage nobody knows before the stage is there. */
    if (status == 0 && in.is_known)
        *out = build_key_definition(&n->operation, in.keys, in.count,
                                    is_local_copy(n) ? selection_of(n) : NULL);
    free(in.keys);
    return status;
}

/* *out stays unset if some input's layers are not known. */
int solve_make_inputs(struct solve_node *n,
                      solve_key_fn *chain_of,
                      struct digest *out,
                      struct error *err)
{
    struct input_keys in;
    const int status = collect_inputs(n, chain_of, &in, err);

    if (status == 0 && in.is_known)
        *out = build_key_inputs(in.keys, in.count);
    free(in.keys);
    return status;
}

/* A COPY from a stage is known by what it takes, whatever else the stage holds. */
static int set_selection(struct solve_node *n, struct error *err)
{
    if (n->node->op != BUILD_OP_COPY || digest_is_set(&n->selection))
        return 0;
    return step_copy_selection(n, &n->selection, err);
}

int solve_content_key(struct solve_node *n, struct digest *out, struct error *err)
{
    struct input_keys in;
    int status;

    if (set_selection(n, err) < 0)
        return -1;
    /* What is selected stands for the sources: only the base counts besides. */
    status = collect_inputs(n, stack_content, &in, err);
    if (status == 0)
        *out =
            build_key_content(&n->operation, in.keys,
                              n->node->op == BUILD_OP_COPY ? 1 : in.count, selection_of(n));
    free(in.keys);
    return status;
}
