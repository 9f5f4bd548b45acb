/*
 * The cache: keys of nodes, look-ups, records.
 *
 * A record is {"diff_id": "sha256:...", "created": ns}. It counts only while the store has a
 * blob of that layer.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "cas/record.h"

#include <stdlib.h>

/* --- Inputs' keys --- */

struct input_keys {
    struct solver *solver;
    struct digest *keys;
    size_t count;
    bool by_content;
    bool is_known;
    int status;
    struct error *err;
};

static void count_input(void *context, struct build_node *input)
{
    size_t *count = context;

    (void)input;
    (*count)++;
}

/* The content of a stack: what each layer changes, in order. */
static int stack_content(const struct solve_node *n, struct digest *out, struct error *err)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    int status = 0;

    for (size_t i = 0; status == 0 && i < n->count; i++) {
        struct digest key;

        status = cas_layer_content_key(n->layers[i], &key, err);
        if (status == 0)
            hasher_update(h, key.bytes, sizeof key.bytes);
    }
    hasher_final(h, out);
    hasher_free(h);
    return status;
}

static void add_input(void *context, struct build_node *input)
{
    struct input_keys *in = context;
    const struct solve_node *n = solve_of(in->solver, input);
    struct digest key = n->definition;

    if (in->by_content && in->status == 0)
        in->status = stack_content(n, &key, in->err);
    in->is_known = in->is_known && digest_is_set(&key);
    in->keys[in->count++] = key;
}

/* *known false: an input has no such key yet. */
static int collect_inputs(struct solve_node *n, bool by_content, struct input_keys *in, struct error *err)
{
    size_t count = 1;

    build_node_inputs(n->node, count_input, &count);
    *in = (struct input_keys){.solver = n->solver,
                              .keys = base_alloc_array(count, sizeof *in->keys),
                              .by_content = by_content,
                              .is_known = true,
                              .err = err};
    if (!n->node->base)
        in->count = 1;
    build_node_inputs(n->node, add_input, in);
    /* A linked layer is the same whatever it lies on. */
    if (n->node->op == BUILD_OP_COPY && n->node->copy.link)
        in->keys[0] = (struct digest){0};
    return in->status;
}

static const struct digest *selection_of(const struct solve_node *n)
{
    return digest_is_set(&n->selection) ? &n->selection : NULL;
}

static void set_definition(struct solve_node *n, struct error *err)
{
    struct input_keys in;

    if (collect_inputs(n, false, &in, err) == 0 && in.is_known)
        n->definition = build_key_definition(&n->operation, in.keys, in.count, selection_of(n));
    free(in.keys);
}

/* --- Look-ups --- */

static bool is_cacheable(const struct solve_node *n)
{
    return !n->node->no_cache && n->node->op != BUILD_OP_SOURCE;
}

/* A record without a layer in the store is no hit. */
static int find(struct solve_node *n, const struct digest *key, struct error *err)
{
    struct descriptor blob = {0};
    struct doc *record = NULL;
    struct digest diff_id;
    bool found = false;

    if (cas_cache_find(n->solver->env->store, key, &found, &record, err) < 0)
        return -1;
    if (!found)
        return 0;
    if (digest_parse(doc_view(doc_get(record, "diff_id")), &diff_id, err) < 0) {
        /* A damaged record is a miss. */
        error_clear(err);
        doc_unref(record);
        return 0;
    }
    if (cas_layer_record_find(n->solver->env->store, &diff_id, NULL, &found, &blob, err) < 0) {
        doc_unref(record);
        return -1;
    }
    descriptor_release(&blob);
    if (!found) {
        doc_unref(record);
        return 0;
    }
    n->is_hit = true;
    n->record = record;
    return 0;
}

static bool is_local_copy(const struct solve_node *n)
{
    return n->node->op == BUILD_OP_COPY && step_copy_is_local(n->node);
}

int solve_prepare(struct solve_node *n, struct error *err)
{
    struct cas_store *store = n->solver->env->store;

    if (n->node->op == BUILD_OP_SOURCE) {
        n->definition = build_key_image(n->node->image);
        return 0;
    }
    n->operation = build_key_operation(n->node, &n->solver->variant);
    if (is_local_copy(n)) {
        /* Without a record there is nothing to find, and the files are read only once. */
        if (cas_cache_has_op(store, &n->operation, &n->has_records, err) < 0)
            return -1;
        if (!n->has_records || !is_cacheable(n))
            return 0;
        if (step_copy_selection(n, &n->selection, err) < 0)
            return -1;
    }
    set_definition(n, err);
    if (is_cacheable(n) && digest_is_set(&n->definition) && find(n, &n->definition, err) < 0)
        return -1;
    if (n->is_hit) {
        n->has_records = true;
        return 0;
    }
    return is_local_copy(n) ? 0 : cas_cache_has_op(store, &n->operation, &n->has_records, err);
}

/* A COPY from a stage is known by what it takes, whatever else the stage holds. */
static int set_selection(struct solve_node *n, struct error *err)
{
    if (n->node->op != BUILD_OP_COPY || digest_is_set(&n->selection))
        return 0;
    return step_copy_selection(n, &n->selection, err);
}

static int content_key(struct solve_node *n, struct digest *out, struct error *err)
{
    struct input_keys in;
    int status;

    if (set_selection(n, err) < 0)
        return -1;
    /* What is selected stands for the sources: only the base counts besides. */
    status = collect_inputs(n, true, &in, err);
    if (status == 0)
        *out = build_key_content(&n->operation, in.keys, n->node->op == BUILD_OP_COPY ? 1 : in.count, selection_of(n));
    free(in.keys);
    return status;
}

int solve_lookup(struct solve_node *n, struct error *err)
{
    struct digest key;

    if (n->node->op == BUILD_OP_SOURCE || n->is_hit)
        return 0;
    if (!digest_is_set(&n->definition) && !(is_local_copy(n) && !digest_is_set(&n->selection)))
        set_definition(n, err);
    if (!is_cacheable(n) || !n->has_records)
        return 0;
    if (digest_is_set(&n->definition) && find(n, &n->definition, err) < 0)
        return -1;
    if (n->is_hit)
        return 0;
    if (content_key(n, &key, err) < 0)
        return -1;
    return find(n, &key, err);
}

int solve_apply_hit(struct solve_node *n, struct error *err)
{
    struct descriptor blob = {0};
    struct digest diff_id;
    int64_t created = -1;
    bool found = false;

    if (digest_parse(doc_view(doc_get(n->record, "diff_id")), &diff_id, err) < 0 ||
        cas_layer_record_find(n->solver->env->store, &diff_id, NULL, &found, &blob, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_CORRUPT, "a cached layer vanished from the store during the build");
    doc_int(doc_get(n->record, "created"), &created);
    solve_set_result(n, cas_layer_new(n->solver->env->store, &diff_id, &blob, NULL, NULL), created);
    descriptor_release(&blob);
    return 0;
}

/* --- Records --- */

static int put(struct solve_node *n, const struct digest *key, struct error *err)
{
    const struct digest_text diff_id = digest_format(cas_layer_diff_id(n->layers[n->count - 1]));
    struct doc *record = doc_new_object();
    int status;

    doc_set_text(record, "diff_id", diff_id.text);
    doc_set_int(record, "created", n->created[n->count - 1]);
    status = cas_cache_put(n->solver->env->store, key, &n->operation, record, err);
    doc_unref(record);
    return status;
}

int solve_store(struct solve_node *n, struct error *err)
{
    struct digest key, outcome;

    if (n->node->op == BUILD_OP_SOURCE || n->count == 0 || cas_layer_wait(n->layers[n->count - 1], err) < 0)
        return n->count == 0 || n->node->op == BUILD_OP_SOURCE ? 0 : -1;
    if (content_key(n, &key, err) < 0 || put(n, &key, err) < 0)
        return -1;
    set_definition(n, err);
    if (digest_is_set(&n->definition) && put(n, &n->definition, err) < 0)
        return -1;
    if (n->is_hit)
        return 0;
    if (cas_layer_content_key(n->layers[n->count - 1], &outcome, err) < 0)
        return -1;
    key = build_key_result(&n->operation, &outcome);
    return put(n, &key, err);
}

int solve_adopt(struct solve_node *n, struct cas_layer **layer, int64_t *created, struct error *err)
{
    struct descriptor blob = {0};
    struct digest outcome, key, diff_id;
    struct doc *record = NULL;
    bool found = false;
    int status;

    if (!n->has_records)
        return 0;
    if (cas_layer_wait(*layer, err) < 0 || cas_layer_content_key(*layer, &outcome, err) < 0)
        return -1;
    key = build_key_result(&n->operation, &outcome);
    if (cas_cache_find(n->solver->env->store, &key, &found, &record, err) < 0 || !found)
        return found ? -1 : 0;
    status = digest_parse(doc_view(doc_get(record, "diff_id")), &diff_id, err);
    if (status == 0)
        status = cas_layer_record_find(n->solver->env->store, &diff_id, NULL, &found, &blob, err);
    if (status == 0 && found && !digest_eq(&diff_id, cas_layer_diff_id(*layer))) {
        cas_layer_unref(*layer);
        *layer = cas_layer_new(n->solver->env->store, &diff_id, &blob, NULL, NULL);
        doc_int(doc_get(record, "created"), created);
    }
    descriptor_release(&blob);
    doc_unref(record);
    return status;
}
