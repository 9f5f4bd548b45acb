/*
 * The cache: keys of nodes, look-ups, records.
 *
 * A record is {"diff_id": "sha256:...", "created": ns}. It counts only while the store has
 * a blob of that layer.
 *
 * A definition says what is done, not what came of it: where a step was run anew with
 * another outcome, those that follow have their old definitions and records that were made
 * of the old outcome. So a record under a definition also tells of which layers it was made
 * ("inputs"), and counts for these only. Content keys need no such thing.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "cas/record.h"

#include <stdlib.h>

/* --- Inputs' keys --- */

typedef int input_key_fn(const struct solve_node *n, struct digest *out, struct error *err);

struct input_keys {
    struct solver *solver;
    input_key_fn *key_of;
    struct digest *keys;
    size_t count;
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

static int definition_of(const struct solve_node *n, struct digest *out, struct error *err)
{
    (void)err;
    *out = n->definition;
    return 0;
}

/* For the recorder alone. */
static int recorded_definition_of(const struct solve_node *n,
                                  struct digest *out,
                                  struct error *err)
{
    (void)err;
    *out = digest_is_set(&n->recorded) ? n->recorded : n->definition;
    return 0;
}

/* Which layers a stack consists of, by diffID. */
static void chain_init(struct digest *chain)
{
    *chain = (struct digest){.alg = DIGEST_SHA256};
}

static void chain_add(struct digest *chain, const struct digest *diff_id)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);

    hasher_update(h, chain->bytes, sizeof chain->bytes);
    hasher_update(h, diff_id->bytes, sizeof diff_id->bytes);
    hasher_final(h, chain);
    hasher_free(h);
}

/* Before anything ran: known of base images and of what is cached. */
static int planned_chain(const struct solve_node *n, struct digest *out, struct error *err)
{
    (void)err;
    *out = n->chain;
    return 0;
}

static int stack_chain(const struct solve_node *n, struct digest *out, struct error *err)
{
    chain_init(out);
    for (size_t i = 0; i < n->count; i++) {
        if (cas_layer_wait(n->layers[i], err) < 0)
            return -1;
        chain_add(out, cas_layer_diff_id(n->layers[i]));
    }
    return 0;
}

static void add_input(void *context, struct build_node *input)
{
    struct input_keys *in = context;
    struct digest key = {0};

    if (in->status == 0)
        in->status = in->key_of(solve_of(in->solver, input), &key, in->err);
    in->is_known = in->is_known && digest_is_set(&key);
    in->keys[in->count++] = key;
}

/* The keys of all inputs, the base's first; in->is_known false: one of them has none yet.
 */
static int collect_inputs(struct solve_node *n,
                          input_key_fn *key_of,
                          struct input_keys *in,
                          struct error *err)
{
    size_t count = 1;

    build_node_inputs(n->node, count_input, &count);
    *in = (struct input_keys){.solver = n->solver,
                              .key_of = key_of,
                              .keys = base_alloc_array(count, sizeof *in->keys),
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

static int make_definition(struct solve_node *n,
                           input_key_fn *key_of,
                           struct digest *out,
                           struct error *err)
{
    struct input_keys in;
    const int status = collect_inputs(n, key_of, &in, err);

    if (status == 0 && in.is_known)
        *out = build_key_definition(&n->operation, in.keys, in.count, selection_of(n));
    free(in.keys);
    return status;
}

/* *out stays unset if some input's layers are not known. */
static int make_inputs(struct solve_node *n,
                       input_key_fn *chain_of,
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

/* --- Look-ups --- */

static bool is_cacheable(const struct solve_node *n)
{
    return !n->node->no_cache && n->node->op != BUILD_OP_SOURCE;
}

/* The layer that a record names, if the store has it: else, or if the record is damaged or
 * was made of other inputs (where they matter), it is as good as none. */
static int check_record(struct solve_node *n,
                        const struct doc *record,
                        const struct digest *inputs,
                        struct digest *diff_id,
                        struct descriptor *blob,
                        bool *found,
                        struct error *err)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;

    *found = false;
    if (inputs &&
        !view_eq_text(doc_view(doc_get(record, "inputs")), digest_format(inputs).text))
        return 0;
    if (digest_parse(doc_view(doc_get(record, "diff_id")), diff_id, &damage) < 0)
        return 0;
    return cas_layer_record_find(n->solver->env->store, diff_id, NULL, found, blob, err);
}

static void set_hit(struct solve_node *n, struct doc *record, const struct digest *diff_id)
{
    const struct solve_node *base =
        n->node->base ? solve_of(n->solver, n->node->base) : NULL;

    n->is_hit = true;
    n->record = record;
    if (!base)
        chain_init(&n->chain);
    else
        n->chain = base->chain;
    if (digest_is_set(&n->chain))
        chain_add(&n->chain, diff_id);
}

static int find(struct solve_node *n,
                const struct digest *key,
                const struct digest *inputs,
                struct error *err)
{
    struct descriptor blob = {0};
    struct doc *record = NULL;
    struct digest diff_id;
    bool found = false;

    if (cas_cache_find(n->solver->env->store, key, &found, &record, err) < 0)
        return -1;
    if (!found)
        return 0;
    const int status = check_record(n, record, inputs, &diff_id, &blob, &found, err);

    if (status == 0 && found) {
        descriptor_release(&blob);
        set_hit(n, record, &diff_id);
    } else {
        doc_unref(record);
    }
    return status;
}

static int find_definition(struct solve_node *n, input_key_fn *chain_of, struct error *err)
{
    struct digest inputs = {0};

    if (!digest_is_set(&n->definition))
        return 0;
    if (make_inputs(n, chain_of, &inputs, err) < 0)
        return -1;
    return digest_is_set(&inputs) ? find(n, &n->definition, &inputs, err) : 0;
}

static bool is_local_copy(const struct solve_node *n)
{
    return n->node->op == BUILD_OP_COPY && step_copy_is_local(n->node);
}

/* What is wrong with a diffID is said when the layers are made. */
static void prepare_source(struct solve_node *n)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const struct doc *diff_ids =
        doc_get(doc_get(n->node->image->config, "rootfs"), "diff_ids");
    struct digest chain;

    n->definition = build_key_image(n->node->image);
    chain_init(&chain);
    for (size_t i = 0; i < doc_count(diff_ids); i++) {
        struct digest diff_id;

        if (digest_parse(doc_view(doc_at(diff_ids, i)), &diff_id, &ignored) < 0)
            return;
        chain_add(&chain, &diff_id);
    }
    n->chain = chain;
}

int solve_prepare(struct solve_node *n, struct error *err)
{
    struct cas_store *store = n->solver->env->store;

    if (n->node->op == BUILD_OP_SOURCE) {
        prepare_source(n);
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
    if (make_definition(n, definition_of, &n->definition, err) < 0)
        return -1;
    if (is_cacheable(n) && find_definition(n, planned_chain, err) < 0)
        return -1;
    if (n->is_hit) {
        n->has_records = true;
        return 0;
    }
    return is_local_copy(n) ? 0
                            : cas_cache_has_op(store, &n->operation, &n->has_records, err);
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
    status = collect_inputs(n, stack_content, &in, err);
    if (status == 0)
        *out =
            build_key_content(&n->operation, in.keys,
                              n->node->op == BUILD_OP_COPY ? 1 : in.count, selection_of(n));
    free(in.keys);
    return status;
}

int solve_lookup(struct solve_node *n, struct error *err)
{
    struct digest key;

    if (n->node->op == BUILD_OP_SOURCE || n->is_hit)
        return 0;
    if (!digest_is_set(&n->definition) &&
        !(is_local_copy(n) && !digest_is_set(&n->selection)) &&
        make_definition(n, definition_of, &n->definition, err) < 0)
        return -1;
    if (!is_cacheable(n) || !n->has_records)
        return 0;
    if (find_definition(n, stack_chain, err) < 0)
        return -1;
    if (n->is_hit)
        return 0;
    if (content_key(n, &key, err) < 0)
        return -1;
    return find(n, &key, NULL, err);
}

int solve_apply_hit(struct solve_node *n, struct error *err)
{
    struct descriptor blob = {0};
    struct digest diff_id;
    int64_t created = -1;
    bool found = false;

    if (digest_parse(doc_view(doc_get(n->record, "diff_id")), &diff_id, err) < 0 ||
        cas_layer_record_find(n->solver->env->store, &diff_id, NULL, &found, &blob, err) <
            0)
        return -1;
    if (!found)
        return error_set(err, ERROR_CORRUPT,
                         "a cached layer vanished from the store during the build");
    doc_int(doc_get(n->record, "created"), &created);
    solve_set_result(n, cas_layer_new(n->solver->env->store, &diff_id, &blob, NULL, NULL),
                     created);
    descriptor_release(&blob);
    return 0;
}

/* --- Records --- */

static int put(struct solve_node *n,
               const struct digest *key,
               const struct digest *inputs,
               struct error *err)
{
    const struct digest_text diff_id =
        digest_format(cas_layer_diff_id(n->layers[n->count - 1]));
    struct doc *record = doc_new_object();
    int status;

    doc_set_text(record, "diff_id", diff_id.text);
    doc_set_int(record, "created", n->created[n->count - 1]);
    if (inputs)
        doc_set_text(record, "inputs", digest_format(inputs).text);
    status = cas_cache_put(n->solver->env->store, key, &n->operation, record, err);
    doc_unref(record);
    return status;
}

static int put_definition(struct solve_node *n, struct error *err)
{
    struct digest inputs = {0};

    if (make_definition(n, recorded_definition_of, &n->recorded, err) < 0 ||
        make_inputs(n, stack_chain, &inputs, err) < 0)
        return -1;
    return digest_is_set(&n->recorded) ? put(n, &n->recorded, &inputs, err) : 0;
}

int solve_store(struct solve_node *n, struct error *err)
{
    struct digest key, outcome;

    if (n->node->op == BUILD_OP_SOURCE || n->count == 0)
        return 0;
    if (cas_layer_wait(n->layers[n->count - 1], err) < 0)
        return -1;
    if (content_key(n, &key, err) < 0 || put(n, &key, NULL, err) < 0 ||
        put_definition(n, err) < 0)
        return -1;
    if (n->is_hit)
        return 0;
    if (cas_layer_content_key(n->layers[n->count - 1], &outcome, err) < 0)
        return -1;
    key = build_key_result(&n->operation, &outcome);
    return put(n, &key, NULL, err);
}

int solve_adopt(struct solve_node *n,
                struct cas_layer **layer,
                int64_t *created,
                struct error *err)
{
    struct descriptor blob = {0};
    struct digest outcome, key, diff_id;
    struct doc *record = NULL;
    bool found = false;
    int status;

    /* Who asked for no cache wants what is made now, times and all. */
    if (!n->has_records || !is_cacheable(n))
        return 0;
    if (cas_layer_wait(*layer, err) < 0 || cas_layer_content_key(*layer, &outcome, err) < 0)
        return -1;
    key = build_key_result(&n->operation, &outcome);
    if (cas_cache_find(n->solver->env->store, &key, &found, &record, err) < 0)
        return -1;
    if (!found)
        return 0;
    status = check_record(n, record, NULL, &diff_id, &blob, &found, err);
    if (status == 0 && found && !digest_eq(&diff_id, cas_layer_diff_id(*layer))) {
        cas_layer_unref(*layer);
        *layer = cas_layer_new(n->solver->env->store, &diff_id, &blob, NULL, NULL);
        doc_int(doc_get(record, "created"), created);
    }
    descriptor_release(&blob);
    doc_unref(record);
    return status;
}
