/*
 * COPY, ADD and WORKDIR: a delta over the trees of the layers, written as a layer in one
 * pass.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/copy.h"
#include "builder/delta.h"
#include "builder/missing.h"
#include "builder/owner.h"
#include "builder/step_sent.h"
#include "builder/step_taken.h"
#include "builder/wildcard.h"
#include "cas/unpack.h"

#include <stdlib.h>
#include <string.h>

/* The trees that a step reads, opened for it alone. */
struct step_trees {
    struct build_layer_tree *base;
    struct build_layer_tree **nodes; /* per source; NULL where it is no stage */
    struct build_text_tree **texts;
    size_t count;
};

static void open_trees(struct solve_node *n, bool with_base, struct step_trees *t)
{
    const struct build_copy_op *op = &n->node->copy;

    *t = (struct step_trees){.count = op->source_count};
    t->nodes = base_alloc_array(t->count + 1, sizeof(struct build_layer_tree *));
    t->texts = base_alloc_array(t->count + 1, sizeof(struct build_text_tree *));
    if (with_base && n->node->base) {
        const struct solve_node *base = solve_of(n->solver, n->node->base);

        t->base = build_layer_tree_new(base->layers, base->count);
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct build_copy_source *s = &op->sources[i];

        if (s->from == BUILD_FROM_TEXT) {
            t->texts[i] = build_text_tree_new(s->path, s->text);
        } else if (s->from == BUILD_FROM_NODE) {
            const struct solve_node *from = s->node ? solve_of(n->solver, s->node) : NULL;

            t->nodes[i] =
                build_layer_tree_new(from ? from->layers : NULL, from ? from->count : 0);
        }
    }
}

static void close_trees(struct step_trees *t)
{
    for (size_t i = 0; i < t->count; i++) {
        build_layer_tree_free(t->nodes[i]);
        build_text_tree_free(t->texts[i]);
    }
    build_layer_tree_free(t->base);
    free(t->nodes);
    free(t->texts);
}

/* What is elsewhere is fetched now; NULL if it cannot be had. */
static struct build_tree *tree_of(const struct step_trees *t,
                                  const struct build_copy_source *s,
                                  size_t i,
                                  struct error *err)
{
    if (s->from == BUILD_FROM_TEXT)
        return build_text_tree_tree(t->texts[i]);
    if (s->from == BUILD_FROM_NODE)
        return build_layer_tree_tree(t->nodes[i]);
    if (s->from == BUILD_FROM_REMOTE)
        return build_remote_tree(s->remote, err);
    return build_context_tree(s->context);
}

/* Says what else could be wrong when something is not found. */
static int explain_missing(const struct build_copy_source *s,
                           const struct build_tree *tree,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct build_context *context = s->from == BUILD_FROM_CONTEXT ? s->context : NULL;

    if (!error_is(err, ERROR_NOT_FOUND) || s->from == BUILD_FROM_TEXT)
        return -1;
    buf_append_text(&text, error_text(err));
    if (context)
        buf_printf(&text, " in the build context %s", build_context_path(context));
    build_missing_explain(tree, context, view_of(s->required ? s->required : s->path),
                          &text);
    return error_set(err, ERROR_NOT_FOUND, "%s", buf_text(&text));
}

/* A wildcard matches nothing: is there what it looks into, as docker would have it? */
static int check_sent(const struct solve_node *n,
                      const struct build_copy_source *s,
                      struct error *err)
{
    CLEANUP(base_freep) char *path = path_clean_rooted(view_of(s->path));
    struct view dir, pattern;
    bool sent;

    build_wildcard_split(view_of(path), &dir, &pattern);
    if (dir.size <= 1)
        return 0;
    if (step_sent_has(n->solver, s, dir, &sent, err) < 0)
        return -1;
    return sent ? 0
                : error_set(err, ERROR_NOT_FOUND,
                            "%s: nothing matches, and no step takes anything else of %.*s",
                            s->path, VIEW_ARG(dir));
}

static int apply_sources(struct solve_node *n,
                         const struct step_trees *t,
                         struct build_delta *delta,
                         const struct build_copy_request *common,
                         struct error *err)
{
    const struct build_copy_op *op = common->op;

    for (size_t i = 0; i < op->source_count; i++) {
        struct build_copy_request request = *common;
        struct build_copy_source source = op->sources[i];
        bool no_match = false;

        /* For a selection its key stands for it. */
        if (source.from == BUILD_FROM_REMOTE && !request.spool)
            continue;
        request.source = &source;
        request.no_match = &no_match;
        request.tree = tree_of(t, &source, i, err);
        if (!request.tree)
            return -1;
        /* For a selection an archive is the file that it is. */
        source.unpack = source.unpack && request.spool;
        if (solve_is_cancelled(n->solver))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        if (build_copy_apply(delta, &request, err) < 0)
            return explain_missing(&source, request.tree, err);
        if (no_match && source.from == BUILD_FROM_CONTEXT &&
            check_sent(n, &source, err) < 0)
            return -1;
    }
    return 0;
}

/* --- What is taken --- */

bool step_copy_is_local(const struct build_node *n)
{
    for (size_t i = 0; i < n->copy.source_count; i++)
        if (n->copy.sources[i].from == BUILD_FROM_NODE)
            return false;
    return true;
}

static int digest_files(struct build_delta *delta,
                        struct cas_entry *entries,
                        size_t count,
                        struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct build_delta_content *c = build_delta_content_at(delta, i);

        if (!c || !c->tree || !c->tree->digest || digest_is_set(&entries[i].content))
            continue;
        if (c->tree->digest(c->tree->self, &c->place, &entries[i].content, err) < 0)
            return -1;
    }
    return 0;
}

int step_copy_take(struct solve_node *n, struct step_taken *out, struct error *err)
{
    const struct build_copy_request request = {.op = &n->node->copy};
    int status;

    *out = (struct step_taken){.delta = build_delta_new(NULL),
                               .trees = base_alloc(sizeof *out->trees)};
    open_trees(n, false, out->trees);
    status = apply_sources(n, out->trees, out->delta, &request, err);
    if (status == 0)
        status = build_delta_finish(out->delta, &out->entries, &out->count, err);
    if (status == 0)
        status = digest_files(out->delta, out->entries, out->count, err);
    if (status < 0)
        step_taken_release(out);
    return status;
}

struct view step_taken_source(const struct step_taken *t, size_t i)
{
    const struct build_delta_content *c = build_delta_content_at(t->delta, i);

    return c && c->tree ? c->place.path : VIEW_LIT("");
}

void step_taken_release(struct step_taken *t)
{
    build_delta_free(t->delta);
    if (t->trees)
        close_trees(t->trees);
    free(t->trees);
    *t = (struct step_taken){0};
}

/* What is elsewhere is known by its key, for which nothing need be fetched. */
static int add_remotes(const struct build_copy_op *op,
                       struct digest *out,
                       struct error *err)
{
    CLEANUP(base_freep)
    struct digest *keys = base_alloc_array(op->source_count + 1, sizeof *keys);
    size_t count = 1;

    keys[0] = *out;
    for (size_t i = 0; i < op->source_count; i++)
        if (op->sources[i].from == BUILD_FROM_REMOTE &&
            build_remote_key(op->sources[i].remote, &keys[count++], err) < 0)
            return -1;
    if (count > 1)
        *out = build_key_inputs(keys, count);
    return 0;
}

int step_copy_select(struct solve_node *n, struct digest *out, struct error *err)
{
    CLEANUP(step_taken_release) struct step_taken taken = {0};

    if (step_copy_take(n, &taken, err) < 0)
        return -1;
    *out = build_key_entries(taken.entries, taken.count);
    return add_remotes(&n->node->copy, out, err);
}

/* --- The layer --- */

/* Digests that the writing found are worth keeping: the next build need not read the files.
 */
static void remember_digests(const struct build_node *n,
                             struct build_delta *delta,
                             const struct cas_entry *entries,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct build_delta_content *c = build_delta_content_at(delta, i);

        for (size_t k = 0;
             c && digest_is_set(&entries[i].content) && k < n->copy.source_count; k++)
            if (n->copy.sources[k].from == BUILD_FROM_CONTEXT &&
                c->tree == build_context_tree(n->copy.sources[k].context)) {
                build_context_remember(n->copy.sources[k].context, &c->place,
                                       &entries[i].content);
                break;
            }
    }
}

static struct cas_layer *write_layer(struct solve_node *n,
                                     struct build_delta *delta,
                                     struct error *err)
{
    const struct cas_layer_options options = solve_layer_options(n);
    struct cas_layer *layer;
    struct cas_entry *entries;
    size_t count;

    if (build_delta_finish(delta, &entries, &count, err) < 0)
        return NULL;
    layer = cas_layer_write(n->solver->env->store, entries, count, build_delta_content,
                            delta, &options, err);
    if (layer && n->node->op == BUILD_OP_COPY)
        remember_digests(n->node, delta, entries, count);
    return layer;
}

static int finish(struct solve_node *n, struct build_delta *delta, struct error *err)
{
    struct cas_layer *layer = write_layer(n, delta, err);
    int64_t created = solve_now_ns();

    if (!layer)
        return -1;
    if (solve_adopt(n, &layer, &created, err) < 0) {
        cas_layer_unref(layer);
        return -1;
    }
    solve_set_result(n, layer, created);
    return 0;
}

static int copy_into(struct solve_node *n,
                     const struct step_trees *trees,
                     struct build_archive_spool *spool,
                     struct error *err)
{
    const struct build_copy_op *op = &n->node->copy;
    struct build_tree *below =
        trees->base && !op->link ? build_layer_tree_tree(trees->base) : NULL;
    CLEANUP(build_delta_freep) struct build_delta *delta = build_delta_new(below);
    struct build_copy_request request = {
        .op = op, .spool = spool, .has_owner = op->chown != NULL};

    if (op->chown &&
        build_owner_of_files(trees->base ? build_layer_tree_cas(trees->base) : NULL,
                             op->chown, &request.uid, &request.gid, err) < 0)
        return error_wrap(err, "--chown=%s", op->chown);
    build_delta_set_epoch(delta, n->solver->variant.epoch);
    if (apply_sources(n, trees, delta, &request, err) < 0)
        return -1;
    return finish(n, delta, err);
}

/*
 * The step looks at the base image's layers, and a later one will see their files: what is
 * not unpacked yet is unpacked now, as that makes the indexes too. Otherwise a blob that
 * comes from elsewhere would be read, and decompressed, once for each. Where it cannot be
 * unpacked the step does without.
 */
static void unpack_base(const struct solve_node *n)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* who needs it tells again */
    const struct build_node *base = n->node->base;

    while (base && base->op != BUILD_OP_SOURCE)
        base = base->base;
    if (!base || !n->needs_files)
        return;
    const struct solve_node *source = solve_of(n->solver, base);

    (void)!cas_layers_unpack(source->layers, source->count, &ignored);
}

int step_copy(struct solve_node *n, struct error *err)
{
    struct build_archive_spool *spool =
        build_archive_spool_new(cas_store_fd(n->solver->env->store));
    struct step_trees trees;
    int status;

    open_trees(n, true, &trees);
    if (!n->node->copy.link)
        unpack_base(n);
    status = copy_into(n, &trees, spool, err);
    close_trees(&trees);
    build_archive_spool_free(spool);
    return status;
}

int step_mkdir(struct solve_node *n, struct error *err)
{
    const struct solve_node *base =
        n->node->base ? solve_of(n->solver, n->node->base) : NULL;
    struct build_layer_tree *tree =
        build_layer_tree_new(base ? base->layers : NULL, base ? base->count : 0);
    struct build_delta *delta = build_delta_new(build_layer_tree_tree(tree));
    CLEANUP(base_freep) char *path = NULL;
    uint32_t uid = 0;
    uint32_t gid = 0;
    int status = 0;

    unpack_base(n);
    if (n->node->mkdir.user)
        status = build_owner_of_files(base ? build_layer_tree_cas(tree) : NULL,
                                      n->node->mkdir.user, &uid, &gid, err);
    if (status == 0) {
        path = build_delta_resolve(delta, view_of(n->node->mkdir.path), err);
        status =
            path ? build_delta_mkdir_all(delta, view_of(path), 0755, uid, gid, err) : -1;
    }
    if (status == 0)
        status = finish(n, delta, err);
    build_delta_free(delta);
    build_layer_tree_free(tree);
    return status;
}
