/*
 * The cache: look-ups, hits and records (builder/cache/record.h).
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "cas/blob.h"
#include "cas/codec_write.h"
#include "cas/layer_rewrite.h"
#include "cas/record.h"

#include <stdlib.h>
#include <string.h>

/* --- Look-ups --- */

static bool is_cacheable(const struct solve_node *n)
{
    return !n->node->no_cache && n->node->op != BUILD_OP_SOURCE;
}

/* What another cache says of a layer that the store has need not be true. */
static bool has_outcome(struct cas_store *store,
                        const struct digest *diff_id,
                        const struct digest *outcome,
                        const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *layer = cas_layer_new(store, diff_id, blob, NULL, NULL);
    struct digest content;

    return cas_layer_content_key(layer, &content, &ignored) == 0 &&
           digest_eq(&content, outcome);
}

/* A blob of the layer, made as this build makes its own, or any: in the store, or else in
 * another cache. */
static int find_blob(const struct solve_node *n,
                     const struct digest *diff_id,
                     const struct digest *outcome,
                     bool as_made,
                     bool *found,
                     struct solve_hit *hit,
                     struct error *err)
{
    struct cas_store *store = n->solver->env->store;
    struct build_cache *cache = n->solver->env->cache;
    const struct build_request *r = n->solver->request;
    const struct codec_maker maker = codec_maker(r->compression, r->compression_level);
    struct descriptor blob = {0};

    if ((as_made ? cas_layer_record_find_made(store, diff_id, maker.text, found, &blob, err)
                 : cas_layer_record_find(store, diff_id, NULL, found, &blob, err)) < 0)
        return -1;
    if (*found && (build_cache_is_bad(cache, &blob.digest) ||
                   (n->is_foreign && !has_outcome(store, diff_id, outcome, &blob)))) {
        descriptor_release(&blob);
        *found = false;
    }
    if (!*found)
        build_cache_find_layer(cache, diff_id, outcome, as_made ? maker.text : NULL, found,
                               &blob, &hit->from);
    hit->blob = blob;
    return 0;
}

/* The best layer of a record for this build: the very one; then one in another compression;
 * then one that has to be clamped, best one that never was. */
static int choose(const struct solve_node *n,
                  const struct build_record *r,
                  bool *found,
                  struct solve_hit *hit,
                  struct error *err)
{
    enum { VERY, RECOMPRESS, CLAMP, CLAMP_AGAIN, PASSES };
    const int64_t epoch = n->solver->variant.epoch;

    *found = false;
    for (unsigned pass = VERY; pass < PASSES; pass++) {
        for (size_t i = 0; i < r->count; i++) {
            const struct build_record_layer *l = &r->layers[i];
            const bool is_exact = l->epoch == epoch || (l->epoch < 0 && epoch < 0);

            if (!build_record_layer_serves(l, epoch) || is_exact != (pass <= RECOMPRESS) ||
                (pass == CLAMP && l->epoch >= 0))
                continue;
            if (find_blob(n, &l->diff_id, &r->outcome, pass == VERY, found, hit, err) < 0)
                return -1;
            if (!*found)
                continue;
            hit->record = *r;
            hit->layer = *l;
            hit->rewrite = pass != VERY;
            return 0;
        }
    }
    return 0;
}

void solve_hit_free(struct solve_hit *hit)
{
    if (!hit)
        return;
    descriptor_release(&hit->blob);
    free(hit);
}

/* What came of the node is known, even if it is not at hand: what follows may be. */
static void know_chain(struct solve_node *n, const struct digest *outcome)
{
    const struct solve_node *base =
        n->node->base ? solve_of(n->solver, n->node->base) : NULL;

    if (!base)
        solve_chain_init(&n->chain);
    else
        n->chain = base->chain;
    if (digest_is_set(&n->chain))
        solve_chain_add(&n->chain, outcome);
}

/* Takes a record that was found under the key, unless it was made of other inputs (where
 * they matter). */
static int take(struct solve_node *n,
                const struct build_record *record,
                const struct digest *inputs,
                bool is_foreign,
                struct error *err)
{
    struct solve_hit *hit;
    bool found = false;
    int status;

    if (inputs && !digest_eq(&record->inputs, inputs))
        return 0;
    know_chain(n, &record->outcome);
    n->record = *record;
    n->is_foreign = is_foreign;
    hit = base_alloc(sizeof *hit);
    status = choose(n, record, &found, hit, err);
    if (status < 0 || !found) {
        solve_hit_free(hit);
        return status;
    }
    n->is_hit = true;
    n->hit = hit;
    return 0;
}

/* In the store; then in the other caches. */
static int find(struct solve_node *n,
                const struct digest *key,
                const struct digest *inputs,
                struct error *err)
{
    struct build_record record;
    size_t next = 0;
    bool found = false;

    if (build_record_find(n->solver->env->store, key, &found, &record, err) < 0 ||
        (found && take(n, &record, inputs, false, err) < 0))
        return -1;
    while (!n->is_hit && build_cache_find(n->solver->env->cache, key, &next, &record))
        if (take(n, &record, inputs, true, err) < 0)
            return -1;
    return 0;
}

static int has_records(struct solve_node *n, struct error *err)
{
    if (cas_cache_has_op(n->solver->env->store, &n->operation, &n->has_records, err) < 0)
        return -1;
    if (!n->has_records)
        n->has_records = build_cache_has_operation(n->solver->env->cache, &n->operation);
    return 0;
}

/* Before anything ran a hit needs its base to be at hand as well: should that be made anew
 * it may turn out otherwise. */
static bool has_base(const struct solve_node *n)
{
    const struct solve_node *base =
        n->node->base ? solve_of(n->solver, n->node->base) : NULL;

    return !base || base->is_hit || base->node->op == BUILD_OP_SOURCE;
}

static int find_definition(struct solve_node *n, solve_key_fn *chain_of, struct error *err)
{
    struct digest inputs = {0};

    if (!digest_is_set(&n->definition))
        return 0;
    if (solve_make_inputs(n, chain_of, &inputs, err) < 0)
        return -1;
    return digest_is_set(&inputs) ? find(n, &n->definition, &inputs, err) : 0;
}

static int find_planned(struct solve_node *n, struct error *err)
{
    if (find_definition(n, solve_planned_chain, err) < 0)
        return -1;
    if (n->is_hit && !has_base(n)) {
        solve_hit_free(n->hit);
        n->hit = NULL;
        n->is_hit = false;
    }
    return 0;
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
    solve_chain_init(&chain);
    for (size_t i = 0; i < doc_count(diff_ids); i++) {
        struct digest diff_id;

        if (digest_parse(doc_view(doc_at(diff_ids, i)), &diff_id, &ignored) < 0)
            return;
        solve_chain_add(&chain, &diff_id);
    }
    n->chain = chain;
}

void solve_identify(struct solve_node *n)
{
    if (n->node->op == BUILD_OP_SOURCE)
        prepare_source(n);
    else
        n->operation = build_key_operation(n->node, &n->solver->variant);
}

/* What is not there is the step's own failure, when it is its turn: then there is a state
 * to look at. */
static int select_failed(struct solve_node *n, struct error *err)
{
    if (n->solver->is_dry || !error_is(err, ERROR_NOT_FOUND))
        return -1;
    error_clear(err);
    n->has_records = false;
    return 0;
}

int solve_prepare(struct solve_node *n, struct error *err)
{
    if (n->node->op == BUILD_OP_SOURCE)
        return 0;
    if (is_local_copy(n)) {
        /* Without a record there is nothing to find, and the files are read only once. */
        if (has_records(n, err) < 0)
            return -1;
        if (!n->has_records || !is_cacheable(n))
            return 0;
        if (step_copy_selection(n, &n->selection, err) < 0)
            return select_failed(n, err);
    }
    if (solve_make_definition(n, solve_definition_of, &n->definition, err) < 0)
        return -1;
    if (is_cacheable(n) && find_planned(n, err) < 0)
        return -1;
    if (n->is_hit) {
        n->has_records = true;
        return 0;
    }
    return is_local_copy(n) ? 0 : has_records(n, err);
}

int solve_lookup(struct solve_node *n, struct error *err)
{
    struct digest key;

    if (n->node->op == BUILD_OP_SOURCE || n->is_hit)
        return 0;
    if (!digest_is_set(&n->definition) &&
        !(is_local_copy(n) && !digest_is_set(&n->selection)) &&
        solve_make_definition(n, solve_definition_of, &n->definition, err) < 0)
        return -1;
    if (!is_cacheable(n) || !n->has_records)
        return 0;
    if (find_definition(n, solve_stack_chain, err) < 0)
        return -1;
    if (n->is_hit)
        return 0;
    if (solve_content_key(n, &key, err) < 0)
        return -1;
    return find(n, &key, NULL, err);
}

int solve_lookup_again(struct solve_node *n, struct error *err)
{
    return find_definition(n, solve_stack_chain, err);
}

int solve_define(struct solve_node *n, struct error *err)
{
    if (!is_local_copy(n) || digest_is_set(&n->definition))
        return 0;
    if (!digest_is_set(&n->selection) && step_copy_selection(n, &n->selection, err) < 0)
        return -1;
    return solve_make_definition(n, solve_definition_of, &n->definition, err);
}

/* --- Hits --- */

static bool is_here(struct cas_store *store, const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    bool found = false;

    return cas_blob_find(store, &blob->digest, &found, NULL, &ignored) == 0 && found;
}

/* The layer of a hit, rewritten if the build wants it otherwise. */
static struct cas_layer *bring(const struct solve_node *n,
                               struct solve_hit *hit,
                               struct error *err)
{
    const struct cas_layer_options options = solve_layer_options(n);
    struct cas_store *store = n->solver->env->store;
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *there =
        cas_layer_new(store, &hit->layer.diff_id, &hit->blob,
                      hit->from ? build_cache_fetch_layer : NULL, hit->from);
    struct cas_layer *made;

    /* That the blob is here already says nothing about the record. */
    if (hit->from && is_here(store, &hit->blob) &&
        build_cache_fetch_layer(hit->from, &hit->blob, NULL, err) < 0)
        return NULL;
    if (!hit->rewrite)
        return cas_layer_ref(there);
    made = cas_layer_rewrite(there, &options, err);
    if (!made) {
        /* Not as it should be: the build is done again without it. */
        if (!error_is(err, ERROR_CANCELLED))
            build_cache_mark_bad(n->solver->env->cache, &hit->blob.digest);
        return NULL;
    }
    hit->layer.diff_id = *cas_layer_diff_id(made);
    hit->layer.epoch = n->solver->variant.epoch;
    build_record_add(&hit->record, &hit->layer);
    return made;
}

int solve_apply_hit(struct solve_node *n, struct error *err)
{
    struct cas_layer *layer = bring(n, n->hit, err);

    if (!layer)
        return -1;
    solve_set_result(n, layer, n->hit->layer.created);
    n->contents[n->count - 1] = n->hit->record.outcome;
    return 0;
}

/* --- Records --- */

/* The record of a step that ran, or was found by another key than its definition. */
static int make_record(struct solve_node *n, struct build_record *out, struct error *err)
{
    const struct build_record_layer layer = {
        .diff_id = *cas_layer_diff_id(n->layers[n->count - 1]),
        .created = n->created[n->count - 1],
        .epoch = n->solver->variant.epoch,
    };

    *out = n->hit ? n->hit->record : (struct build_record){0};
    if (solve_outcome(n, &out->outcome, err) < 0 ||
        solve_content_key(n, &out->content, err) < 0 ||
        solve_make_definition(n, solve_recorded_definition_of, &n->recorded, err) < 0 ||
        solve_make_inputs(n, solve_stack_chain, &out->inputs, err) < 0)
        return -1;
    /* Without its inputs a definition says nothing. */
    if (digest_is_set(&n->recorded) && digest_is_set(&out->inputs))
        out->definition = n->recorded;
    out->result = build_key_result(&n->operation, &out->outcome);
    build_record_add(out, &layer);
    return 0;
}

int solve_store(struct solve_node *n, struct error *err)
{
    struct cas_store *store = n->solver->env->store;
    struct build_record record;

    if (n->node->op == BUILD_OP_SOURCE || n->count == 0)
        return 0;
    if (n->is_hit && !n->hit_late) {
        record = n->hit->record;
        /* Of what another cache says only that is believed by which it was found. */
        if (n->hit->from)
            record.content = record.result = (struct digest){.alg = DIGEST_NONE};
        return build_record_store(store, &n->operation, &record, BUILD_RECORD_EXTEND, err);
    }
    if (cas_layer_wait(n->layers[n->count - 1], err) < 0 ||
        make_record(n, &record, err) < 0)
        return -1;
    n->record = record;
    return build_record_store(store, &n->operation, &record, BUILD_RECORD_REPLACE, err);
}

int solve_adopt(struct solve_node *n,
                struct cas_layer **layer,
                int64_t *created,
                struct error *err)
{
    struct solve_hit hit = {0};
    struct build_record record;
    struct digest outcome, key;
    struct cas_layer *older;
    bool found = false;

    /* Who asked for no cache wants what is made now, times and all. */
    if (!n->has_records || !is_cacheable(n))
        return 0;
    if (cas_layer_wait(*layer, err) < 0 || cas_layer_content_key(*layer, &outcome, err) < 0)
        return -1;
    key = build_key_result(&n->operation, &outcome);
    if (build_record_find(n->solver->env->store, &key, &found, &record, err) < 0)
        return -1;
    if (!found)
        return 0;
    if (choose(n, &record, &found, &hit, err) < 0)
        return -1;
    if (!found)
        return 0;
    older = bring(n, &hit, err);
    descriptor_release(&hit.blob);
    if (!older)
        return -1;
    cas_layer_unref(*layer);
    *layer = older;
    *created = hit.layer.created;
    return 0;
}
