/*
 * What the steps were made of the last time, and so why they miss the cache this time.
 *
 * The note (builder/slot.h) is read when the first step misses and written at the end of a
 * build in which anything was not as before. All of it is for messages: what fails here is
 * passed over in silence.
 */
#include "builder/solve_last.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/describe.h"
#include "builder/match.h"
#include "builder/miss.h"
#include "builder/miss_files.h"
#include "builder/slot.h"
#include "builder/step_taken.h"

#include <stdlib.h>
#include <sys/random.h>

#define TITLE_WIDTH ((size_t)70)

struct solve_last {
    struct build_slot_path path;
    char salt[33];
    struct doc *was;         /* the note; NULL: there is none */
    struct doc **is;         /* description of each node */
    const struct doc **step; /* the node's old description; NULL: new */
    size_t count;
};

static void salt_make(struct solve_last *l)
{
    const char *old = doc_text(doc_get(l->was, "salt"));
    uint8_t bytes[16] = {0};

    if (old && strlen(old) == sizeof l->salt - 1) {
        memcpy(l->salt, old, sizeof l->salt);
        return;
    }
    /* Without random numbers digests of secret values are still digests. */
    if (getrandom(bytes, sizeof bytes, 0) < 0)
        bytes[0] = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(l->salt + 2 * i, 3, "%02x", bytes[i]);
}

/* What holds for every step of the build and is part of its key. */
static void add_variant(const struct solver *s, const struct build_node *n, struct doc *d)
{
    CLEANUP(buf_release) struct buf hosts = BUF_INIT(LIMIT_TEXT_SIZE);
    struct doc *variant = doc_new_object();

    if (s->variant.epoch >= 0) {
        CLEANUP(base_freep) char *epoch = base_format("%lld", (long long)s->variant.epoch);
        doc_set_text(variant, "SOURCE_DATE_EPOCH", epoch);
    }
    for (size_t i = 0; n->op == BUILD_OP_RUN && i < s->variant.host_count; i++)
        buf_printf(&hosts, "%s%s:%s", i ? " " : "", s->variant.hosts[i].name,
                   s->variant.hosts[i].value);
    if (hosts.size > 0)
        doc_set_text(variant, "added hosts", buf_text(&hosts));
    doc_set(d, "variant", variant);
}

struct solve_last *solve_last_load(struct solver *s)
{
    struct solve_last *l = s->last;

    if (l)
        return l;
    l = base_alloc(sizeof *l);
    l->path = build_slot_path(s->request);
    l->was = build_slot_read(s->env->store, &l->path);
    salt_make(l);
    l->count = s->count;
    l->is = base_alloc_array(s->count + 1, sizeof(struct doc *));
    l->step = base_alloc_array(s->count + 1, sizeof(struct doc *));
    for (size_t i = 0; i < s->count; i++) {
        l->is[i] = build_describe(s->plans->graph.nodes[i], view_of(l->salt));
        if (s->plans->graph.nodes[i]->op != BUILD_OP_SOURCE)
            add_variant(s, s->plans->graph.nodes[i], l->is[i]);
    }
    build_match(doc_get(l->was, "steps"), l->is, s->count, l->step);
    s->last = l;
    return l;
}

void solve_last_free(struct solve_last *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        doc_unref(l->is[i]);
    doc_unref(l->was);
    free(l->is);
    free(l->step);
    free(l);
}

static const struct doc *old_step(const struct solve_node *n)
{
    const struct solve_last *l = n->solver->last;

    return l ? l->step[n->node->index] : NULL;
}

static bool is_old_digest(const struct doc *step, const char *key, const struct digest *d)
{
    return digest_is_set(d) &&
           view_eq_text(doc_view(doc_get(step, key)), digest_format(d).text);
}

/* --- Files --- */

static struct view source_of(void *context, size_t i)
{
    return step_taken_source(context, i);
}

/* An archive that is unpacked is one file for the selection and many for the layer. */
static bool unpacks(const struct build_copy_op *op)
{
    for (size_t i = 0; i < op->source_count; i++)
        if (op->sources[i].unpack)
            return true;
    return false;
}

/* The old layer's index against what is taken now. */
static char *compare_files(struct solve_node *n, const struct cas_index *index)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(step_taken_release) struct step_taken taken = {0};

    if (step_copy_take(n, &taken, &ignored) < 0)
        return NULL;
    const struct build_miss_files question = {
        .entries = taken.entries,
        .count = taken.count,
        .source = source_of,
        .context = &taken,
        .was = index,
        .destination = n->node->copy.dest,
        .any_owner = n->node->copy.chown != NULL,
        .any_mode = n->node->copy.chmod != NULL,
    };
    return build_miss_files(&question);
}

/* NULL: what is copied is what was copied the last time, or it is not known. */
static char *tell_files(struct solve_node *n, const struct doc *was)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct cas_index *index = NULL;
    struct digest diff_id;
    char *reason = NULL;
    bool found = false;

    if (n->node->op != BUILD_OP_COPY || !digest_is_set(&n->selection) ||
        !doc_get(was, "selection") || is_old_digest(was, "selection", &n->selection))
        return NULL;
    if (!unpacks(&n->node->copy) &&
        digest_parse(doc_view(doc_get(was, "layer")), &diff_id, &ignored) == 0)
        index = cas_index_open(n->solver->env->store, &diff_id, &found, &ignored);
    if (index)
        reason = compare_files(n, index);
    cas_index_close(index);
    return reason ? reason : base_strdup("what it copies differs");
}

/* --- Reasons --- */

static const struct digest *own_layer(const struct solve_node *n)
{
    if (n->node->op == BUILD_OP_SOURCE || n->count == 0)
        return NULL;
    return cas_layer_diff_id(n->layers[n->count - 1]);
}

/* Has the input itself, not what is below it, another result than the last time? */
static bool is_changed(const struct solve_node *in)
{
    const struct doc *was = old_step(in);

    if (!was)
        return true;
    if (in->node->op == BUILD_OP_SOURCE)
        return !is_old_digest(was, "digest", &in->node->image->image.manifest.digest);
    if (!in->is_hit)
        return true;
    return own_layer(in) && !is_old_digest(was, "layer", own_layer(in));
}

struct cause_search {
    const struct solve_node *user;
    const struct solve_node *found;
    bool is_base;
};

/* The first step from the bottom on that is to blame. */
static const struct solve_node *first_change(struct solver *s,
                                             const struct build_node *node)
{
    const struct solve_node *found = NULL;

    for (; node; node = node->base) {
        const struct solve_node *n = solve_of(s, node);

        if (!is_changed(n))
            continue;
        found = n->cause ? n->cause : n;
    }
    return found;
}

static void search_input(void *context, struct build_node *input)
{
    struct cause_search *c = context;

    if (c->found || input == c->user->node->base)
        return;
    c->found = first_change(c->user->solver, input);
}

static struct cause_search cause_of(const struct solve_node *n)
{
    const bool linked = n->node->op == BUILD_OP_COPY && n->node->copy.link;
    /* What is copied is known by its content alone. */
    const bool sources_matter = n->node->op != BUILD_OP_COPY ||
                                !is_old_digest(old_step(n), "selection", &n->selection);
    struct cause_search c = {.user = n};

    if (n->node->base && !linked)
        c.found = first_change(n->solver, n->node->base);
    c.is_base = c.found != NULL;
    if (!c.found && sources_matter)
        build_node_inputs(n->node, search_input, &c);
    return c;
}

static char *tell_cause(struct solve_node *n)
{
    const struct cause_search c = cause_of(n);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    if (!c.found)
        return NULL;
    n->cause = c.found;
    buf_append_text(&out, c.is_base                      ? "its base changed: "
                          : n->node->op == BUILD_OP_COPY ? "what it copies from changed: "
                                                         : "what it mounts changed: ");
    build_miss_clip(&out, view_of(c.found->node->title), TITLE_WIDTH);
    return buf_take(&out);
}

/* Nothing differs: what is missing is the record. */
static const char *tell_missing(const struct solve_node *n, const struct doc *was)
{
    if (doc_bool(doc_get(was, "failed")))
        return "it failed the last time";
    if (!is_old_digest(was, "operation", &n->operation))
        return "its options changed";
    return "no record: its layer is no longer in the store";
}

static char *tell_source(struct solve_node *n)
{
    const struct doc *was = old_step(n);

    return was ? build_miss_difference(was, n->solver->last->is[n->node->index]) : NULL;
}

char *solve_miss_reason(struct solve_node *n)
{
    const struct doc *was = old_step(n);
    char *reason;

    if (!n->solver->last)
        return NULL;
    if (n->node->op == BUILD_OP_SOURCE)
        return tell_source(n);
    if (n->node->no_cache)
        return base_strdup(n->solver->request->no_cache ? "--no-cache"
                                                        : "--no-cache-filter");
    if (!was)
        return base_strdup("new step");
    if ((reason = build_miss_difference(was, n->solver->last->is[n->node->index])))
        return reason;
    if ((reason = tell_files(n, was)) || (reason = tell_cause(n)))
        return reason;
    return base_strdup(tell_missing(n, was));
}

/* --- Saving --- */

static bool has_failed(const struct solve_node *n)
{
    return n->solver->failed == n;
}

static bool is_finished(const struct solve_node *n)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return n->phase == SOLVE_DONE && n->error.code == ERROR_NONE &&
           (n->node->op == BUILD_OP_SOURCE ||
            (n->count > 0 && cas_layer_wait(n->layers[n->count - 1], &ignored) == 0));
}

static void add_digest(struct hasher *h, const struct digest *d)
{
    const uint8_t alg = (uint8_t)d->alg;

    hasher_update(h, &alg, 1);
    hasher_update(h, d->bytes, sizeof d->bytes);
}

static struct digest fingerprint_of(const struct solver *s)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest out;

    for (size_t i = 0; i < s->count; i++) {
        const struct solve_node *n = &s->nodes[i];
        const uint8_t state = has_failed(n);

        hasher_update(h, n->node->title, strlen(n->node->title) + 1);
        hasher_update(h, &state, 1);
        add_digest(h, &n->operation);
        add_digest(h, &n->definition);
        if (n->node->op == BUILD_OP_SOURCE)
            add_digest(h, &n->node->image->image.manifest.digest);
    }
    hasher_final(h, &out);
    return out;
}

static void set_digest(struct doc *d, const char *key, const struct digest *digest)
{
    if (digest_is_set(digest))
        doc_set_text(d, key, digest_format(digest).text);
}

/* The layer of a step that was not needed because what follows it is cached. */
static void set_known_layer(const struct solve_node *n,
                            const struct doc *was,
                            struct doc *d)
{
    const struct view layer = doc_view(doc_get(was, "layer"));

    if (n->is_hit)
        set_digest(d, "layer", &n->hit->layer.diff_id);
    else if (layer.size > 0 && is_old_digest(was, "definition", &n->definition))
        doc_set_view(d, "layer", layer);
}

static struct doc *step_doc(const struct solve_node *n)
{
    const struct solve_last *l = n->solver->last;
    const struct doc *was = old_step(n);
    struct doc *d = l->is[n->node->index];

    if (!is_finished(n) && n->is_needed && !has_failed(n))
        return doc_copy(was);
    d = doc_copy(d);
    set_digest(d, "operation", &n->operation);
    set_digest(d, "definition", &n->definition);
    set_digest(d, "selection", &n->selection);
    if (has_failed(n))
        doc_set_bool(d, "failed", true);
    else if (is_finished(n) && own_layer(n))
        set_digest(d, "layer", own_layer(n));
    else
        set_known_layer(n, was, d);
    return d;
}

void solve_last_save(struct solver *s)
{
    CLEANUP(doc_unrefp) struct doc *root = NULL;
    const struct digest fingerprint = fingerprint_of(s);
    struct build_slot_path path = build_slot_path(s->request);
    struct doc *steps;

    if (build_slot_is(s->env->store, &path, &fingerprint))
        return;
    solve_last_load(s);
    root = doc_new_object();
    steps = doc_new_array();
    for (size_t i = 0; i < s->count; i++) {
        struct doc *d = step_doc(&s->nodes[i]);

        if (d)
            doc_append(steps, d);
    }
    doc_set_int(root, "version", BUILD_SLOT_VERSION);
    doc_set_text(root, "salt", s->last->salt);
    doc_set(root, "steps", steps);
    build_slot_write(s->env->store, &path, &fingerprint, root);
}
