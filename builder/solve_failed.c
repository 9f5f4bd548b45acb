#include "builder/solve_failed.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/failed_image.h"
#include "builder/journal.h"
#include "builder/kept.h"
#include "cas/note.h"
#include "cas/snapshot.h"

#include <stdlib.h>

/* Of several the first; consumes `root`. */
static void take(struct solve_node *n, struct cas_snapshot *root, const struct error *why)
{
    struct solver *s = n->solver;

    pthread_mutex_lock(&s->lock);
    if (!s->failed) {
        s->failed = n;
        s->failed_root = root;
        s->failed_why = base_strdup(error_text(why));
        root = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    cas_snapshot_discard(root);
}

void solve_failed_take(struct solve_node *n,
                       struct cas_snapshot *root,
                       const struct error *why)
{
    if (root)
        take(n, root, why);
}

void solve_failed_note(struct solve_node *n, const struct error *why)
{
    if (n->node->op != BUILD_OP_RUN && n->node->beside && !error_is(why, ERROR_CANCELLED))
        take(n, NULL, why);
}

void solve_failed_drop(struct solver *s)
{
    cas_snapshot_discard(s->failed_root);
    s->failed_root = NULL;
    base_freep(&s->failed_why);
}

/* --- Stacks of layers --- */

/* The step's base is stack 0; the nodes that it mounts from follow, each once. */
struct stacks {
    struct solver *solver;
    const struct build_node **nodes;
    size_t count;
};

static size_t stack_of(void *context, const struct build_node *n)
{
    struct stacks *s = context;

    for (size_t i = 1; i < s->count; i++)
        if (s->nodes[i] == n)
            return i;
    s->nodes[s->count] = n;
    return s->count++;
}

/* The image that a stack begins with; NULL: none, or one that is not elsewhere. */
static const struct build_image *image_of(const struct build_node *n)
{
    while (n && n->base)
        n = n->base;
    return n && n->op == BUILD_OP_SOURCE && n->image->ref.host ? n->image : NULL;
}

/* `layers` of stack 0 may be more than its node's: --on-failure adds one. */
static struct doc *stacks_doc(const struct stacks *s,
                              struct cas_layer *const *layers,
                              size_t count,
                              struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *list = doc_new_array();

    for (size_t i = 0; i < s->count; i++) {
        const struct solve_node *n = i > 0 ? solve_of(s->solver, s->nodes[i]) : NULL;
        const struct build_node *top = n ? n->node : s->solver->failed->node->base;
        struct doc *stack = build_kept_stack_doc(n ? n->layers : layers,
                                                 n ? n->count : count, image_of(top), err);

        if (!stack)
            return NULL;
        doc_append(list, stack);
    }
    return doc_ref(list);
}

/* --- Keeping --- */

/* What the state consists of. */
struct state {
    struct cas_layer **layers; /* references */
    size_t count;
    char *form; /* of builds/ID/fs; NULL: all is in the layers */
};

static void state_release(struct state *st)
{
    for (size_t i = 0; i < st->count; i++)
        cas_layer_unref(st->layers[i]);
    free(st->layers);
    free(st->form);
    *st = (struct state){0};
}

static void state_init(struct state *st, struct solver *s)
{
    const struct build_node *base = s->failed->node->base;
    const struct solve_node *n = base ? solve_of(s, base) : NULL;

    *st = (struct state){0};
    st->layers = base_alloc_array((n ? n->count : 0) + 2, sizeof(struct cas_layer *));
    for (size_t i = 0; n && i < n->count; i++)
        st->layers[st->count++] = cas_layer_ref(n->layers[i]);
}

/* --on-failure image: the files become a layer, and the stack an image. */
static int make_image(struct solver *s, struct state *st, struct error *err)
{
    const struct cas_layer_options options = solve_layer_options(s->failed);
    struct cas_snapshot *root = s->failed_root;
    struct cas_layer *layer = NULL;
    bool changed;

    s->failed_root = NULL;
    if (root)
        layer = cas_snapshot_commit(root, &options, &changed, err);
    if (!layer && err->code != ERROR_NONE)
        return -1;
    if (layer)
        st->layers[st->count++] = layer;
    const struct build_failed_image image = {
        .node = s->failed->node,
        .platform = &build_node_command(s->failed->node)->platform,
        .layers = st->layers,
        .count = st->count,
        .name = s->request->on_failure,
        .time_ns = solve_now_ns(),
    };
    return build_failed_image_make(s->env, &image, err);
}

static int keep_files(struct solver *s,
                      const char *dir,
                      struct state *st,
                      struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s/" BUILD_KEPT_FILES, dir);
    struct cas_snapshot *root = s->failed_root;

    s->failed_root = NULL;
    return cas_snapshot_keep(root, path, &st->form, err);
}

/* The document comes last: files without one are nobody's. */
static int write_state(struct solver *s,
                       const char *dir,
                       const struct state *st,
                       struct error *err)
{
    const struct build_node *node = s->failed->node;
    CLEANUP(base_freep) char *path = base_format("%s/" BUILD_KEPT_FILE, dir);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep)
    const struct build_node **nodes =
        base_alloc_array(build_node_command(node)->mount_count + 2, sizeof *nodes);
    struct stacks stacks = {.solver = s, .nodes = nodes, .count = 1};
    CLEANUP(doc_unrefp)
    struct doc *d = build_kept_describe(node, s->request, stack_of, &stacks);
    struct doc *list = stacks_doc(&stacks, st->layers, st->count, err);

    if (!list)
        return -1;
    doc_set(d, "stacks", list);
    doc_set_int(d, "step", s->failed->step);
    doc_set_bool(d, "files", st->form != NULL);
    if (st->form)
        doc_set_text(d, "form", st->form);
    doc_set(d, "error", doc_new_text(view_of(s->failed_why)));
    doc_write(d, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "the state of a step", err) < 0 ||
        cas_note_write(s->env->store, path, buf_view(&text), err) < 0)
        return -1;
    build_journal_keep(s->env->journal);
    return build_kept_prune(s->env->store, err);
}

static int keep(struct solver *s, struct state *st, struct error *err)
{
    const char *dir;

    if (s->request->on_failure && make_image(s, st, err) < 0)
        return error_wrap(err, "--on-failure image=%s", s->request->on_failure);
    if (!s->env->journal)
        return 0;
    if (build_journal_dir(s->env->journal, &dir, err) < 0)
        return -1;
    if (s->failed_root && keep_files(s, dir, st, err) < 0)
        return -1;
    return write_state(s, dir, st, err);
}

void solve_failed_keep(struct solver *s)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(state_release) struct state st = {0};

    if (!s->failed || solve_is_interrupted(s))
        return;
    state_init(&st, s);
    if (keep(s, &st, &err) == 0)
        return;
    CLEANUP(base_freep)
    char *note =
        base_format("the state of the failed step could not be kept: %s", error_text(&err));
    event_send(&s->env->sink, (struct event){.type = EVENT_NOTE, .text = note});
}
