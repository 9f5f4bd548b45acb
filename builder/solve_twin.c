/*
 * Nodes that say the same of the same: stages that begin alike are common, and what they
 * have in common is done once. The later node is the earlier one's twin; solve_of gives the
 * earlier, so that nobody ever needs the later.
 *
 * This is about one build, and about what is said: nothing has been read yet.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"

#include <stdlib.h>

struct twin_hash {
    struct solver *solver;
    struct hasher *hasher;
};

static void add_number(struct hasher *h, uint64_t v)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    hasher_update(h, bytes, sizeof bytes);
}

static void add_node(void *context, struct build_node *input)
{
    const struct twin_hash *t = context;

    add_number(t->hasher, (uint64_t)(solve_of(t->solver, input) - t->solver->nodes));
}

/* The operation, and what it is applied to: nodes by number, what is opened once (contexts,
 * remote files) by where it is. */
static struct digest print_of(struct solver *s, const struct solve_node *n)
{
    struct twin_hash t = {s, hasher_new(DIGEST_SHA256)};
    struct digest out;

    hasher_update(t.hasher, n->operation.bytes, sizeof n->operation.bytes);
    add_number(t.hasher, n->node->base != NULL);
    add_number(t.hasher, n->node->no_cache);
    build_node_inputs(n->node, add_node, &t);
    if (n->node->op == BUILD_OP_SOURCE)
        hasher_update(t.hasher, n->definition.bytes, sizeof n->definition.bytes);
    if (n->node->op == BUILD_OP_COPY) {
        for (size_t i = 0; i < n->node->copy.source_count; i++) {
            add_number(t.hasher, (uintptr_t)n->node->copy.sources[i].context);
            add_number(t.hasher, (uintptr_t)n->node->copy.sources[i].remote);
        }
    }
    hasher_final(t.hasher, &out);
    hasher_free(t.hasher);
    return out;
}

struct solve_twins {
    struct digest *prints; /* open addressing; alg NONE: free */
    struct solve_node **nodes;
    size_t mask;
};

struct solve_twins *solve_twins_new(size_t count)
{
    struct solve_twins *t = base_alloc(sizeof *t);
    size_t size = 16;

    while (size < 2 * count)
        size *= 2;
    t->prints = base_alloc_array(size, sizeof *t->prints);
    t->nodes = base_alloc_array(size, sizeof(struct solve_node *));
    t->mask = size - 1;
    return t;
}

void solve_twins_free(struct solve_twins *t)
{
    if (!t)
        return;
    free(t->prints);
    free(t->nodes);
    free(t);
}

struct solve_node *solve_twins_add(struct solve_twins *t, struct solve_node *n)
{
    const struct digest print = print_of(n->solver, n);
    size_t at = 0;

    for (size_t i = 0; i < sizeof at; i++)
        at = at << 8 | print.bytes[i];
    for (at &= t->mask; digest_is_set(&t->prints[at]); at = (at + 1) & t->mask)
        if (digest_eq(&t->prints[at], &print))
            return t->nodes[at];
    t->prints[at] = print;
    t->nodes[at] = n;
    return NULL;
}
