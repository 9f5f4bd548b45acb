/*
 * COPY and ADD, and parts of contexts as trees of their own.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/mode.h"
#include "parser/glob.h"

#include <stdlib.h>
#include <string.h>

/* A URL or a repository; *out stays NULL if it is neither. The checksum goes with it. */
static int read_remote(struct planner *p,
                       const struct dockerfile_instruction *in,
                       const char *typed,
                       const char *checksum,
                       struct build_remote **out,
                       struct error *err)
{
    const enum dockerfile_switch keep = in->copy->keep_git_dir;
    const struct build_remote_options options = {
        .env = p->environment,
        .request = p->request,
        .source = typed,
        .checksum = checksum,
        .has_keep_git_dir = keep != DOCKERFILE_SWITCH_UNSET,
        .keep_git_dir = keep == DOCKERFILE_SWITCH_ON,
    };
    enum build_remote_kind kind;

    if (build_remote_kind(typed, false, &kind, err) < 0)
        return -1;
    if (kind == BUILD_REMOTE_NONE)
        return 0;
    if (in->kind != DOCKERFILE_ADD)
        return error_set(err, ERROR_INVALID, "%s: source can't be a %s for COPY", typed,
                         kind == BUILD_REMOTE_GIT ? "git ref" : "URL");
    *out = build_inputs_remote(p->inputs, &options, err);
    return *out ? 0 : -1;
}

/* "/a/./b*" -> copy below /a what matches b*; without a pivot all is below the root. */
static void read_parents(const char *typed, struct build_copy_source *out)
{
    const char *pivot = strstr(typed, "/./");
    CLEANUP(base_freep)
    char *base = pivot ? base_strndup(typed, (size_t)(pivot - typed)) : base_strdup("/");
    CLEANUP(base_freep)
    char *pattern = path_clean_rooted(view_of(pivot ? pivot + 3 : typed));

    out->pattern = base_strdup(pattern + 1);
    out->path = path_clean_rooted(view_of(base));
    if (!dockerfile_glob_has_wildcards(view_of(base)) &&
        !dockerfile_glob_has_wildcards(view_of(pattern))) {
        CLEANUP(base_freep) char *required = base_format("%s/%s", base, pattern);

        out->required = path_clean_rooted(view_of(required));
    }
}

static int read_source(struct planner *p,
                       struct plan_stage *s,
                       const struct dockerfile_instruction *in,
                       struct view word,
                       const char *checksum,
                       struct build_copy_source *out,
                       struct buf *shown,
                       struct error *err)
{
    const struct dockerfile_copy *copy = in->copy;
    const bool is_add = in->kind == DOCKERFILE_ADD;
    CLEANUP(base_freep) char *typed = plan_expand(p, s, word, err);

    if (!typed || read_remote(p, in, typed, checksum, &out->remote, err) < 0)
        return -1;
    if (out->remote) {
        out->from = BUILD_FROM_REMOTE;
        out->path = base_strdup(build_remote_path(out->remote));
        /* As BuildKit: archives from elsewhere stay what they are, unless asked for. */
        out->unpack = copy->unpack == DOCKERFILE_SWITCH_ON &&
                      build_remote_kind_of(out->remote) == BUILD_REMOTE_FILE;
        buf_printf(shown, " %s", build_remote_shown(out->remote));
        return 0;
    }
    buf_printf(shown, " %s", typed);
    if (checksum)
        return error_set(err, ERROR_INVALID, "checksum requires HTTP(S) or Git sources");
    if (copy->parents)
        read_parents(typed, out);
    else
        out->path = path_clean_rooted(view_of(typed));
    out->wildcard = dockerfile_glob_has_wildcards(view_of(out->path));
    if (out->wildcard && dockerfile_glob_check(view_of(out->path), err) < 0)
        return -1;
    out->unpack = copy->unpack == DOCKERFILE_SWITCH_UNSET
                      ? is_add
                      : copy->unpack == DOCKERFILE_SWITCH_ON;
    return 0;
}

static int read_inline(struct planner *p,
                       struct plan_stage *s,
                       const struct dockerfile_heredoc *doc,
                       struct build_copy_source *out,
                       struct buf *shown,
                       struct error *err)
{
    char *text = doc->expand
                     ? plan_expand_in(p, doc->body, &s->env, DOCKERFILE_EXPAND_CONTENT, err)
                     : view_dup(doc->body);

    if (!text)
        return -1;
    out->from = BUILD_FROM_TEXT;
    out->text = (struct view){text, doc->expand ? strlen(text) : doc->body.size};
    out->path = view_dup(doc->name.text);
    buf_printf(shown, " <<%s", out->path);
    return 0;
}

/* Where the sources are taken from: a stage, an image, or the context. */
static int set_origin(struct planner *p,
                      struct plan_stage *s,
                      const struct plan_command *c,
                      struct build_copy_op *op,
                      struct error *err)
{
    struct plan_stage *from = c->source_count ? c->sources[0] : NULL;
    struct build_context *context = NULL;

    if (from && !from->is_dispatched && (from->ast || !from->config.root))
        return error_set(err, ERROR_INVALID,
                         "cannot copy from stage \"%.*s\", it needs to be defined before "
                         "current stage \"%s\"",
                         VIEW_ARG(c->instruction->copy->from.text), s->shown);
    for (size_t i = 0; i < op->source_count; i++) {
        if (op->sources[i].from == BUILD_FROM_TEXT ||
            op->sources[i].from == BUILD_FROM_REMOTE)
            continue;
        if (!from && !context && !(context = build_inputs_context(p->inputs, err)))
            return -1;
        op->sources[i].from = from ? BUILD_FROM_NODE : BUILD_FROM_CONTEXT;
        op->sources[i].node = from ? from->node : NULL;
        op->sources[i].context = context;
    }
    return 0;
}

static bool is_numeric_owner(const char *owner)
{
    struct view user, group;
    uint64_t id;

    view_cut(view_of(owner), ':', &user, &group);
    return (user.size == 0 || view_to_u64(user, &id)) &&
           (group.size == 0 || view_to_u64(group, &id));
}

static int read_flags(struct planner *p,
                      struct plan_stage *s,
                      const struct dockerfile_copy *copy,
                      struct build_copy_op *op,
                      struct error *err)
{
    if (copy->chown.text.size > 0 &&
        !(op->chown = plan_expand(p, s, copy->chown.text, err)))
        return -1;
    if (copy->chmod.text.size > 0) {
        op->chmod = plan_expand(p, s, copy->chmod.text, err);
        if (!op->chmod || (*op->chmod && build_mode_check(view_of(op->chmod), err) < 0))
            return -1;
    }
    if (op->chown && !*op->chown) {
        free(op->chown);
        op->chown = NULL;
    }
    if (op->chmod && !*op->chmod) {
        free(op->chmod);
        op->chmod = NULL;
    }
    /* As BuildKit has it: a layer of its own only without --chmod. */
    op->link = copy->link && !op->chmod;
    if (op->link && op->chown && !is_numeric_owner(op->chown))
        return error_set(err, ERROR_INVALID,
                         "--link with --chown=%s: a linked layer knows no passwd file, so "
                         "the owner must be numeric",
                         op->chown);
    op->exclude_count = copy->excludes.count;
    op->excludes = base_alloc_array(op->exclude_count + 1, sizeof *op->excludes);
    for (size_t i = 0; i < op->exclude_count; i++)
        op->excludes[i] = copy->excludes.items[i].text;
    return 0;
}

static void append_history(struct plan_stage *s,
                           const struct dockerfile_instruction *in,
                           const struct build_copy_op *op,
                           const char *sources,
                           const char *dest)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&text, dockerfile_kind_name(in->kind));
    if (in->copy->parents)
        buf_append_text(&text, " --parents");
    if (op->chown)
        buf_printf(&text, " --chown=%s", op->chown);
    if (op->chmod)
        buf_printf(&text, " --chmod=%s", op->chmod);
    buf_printf(&text, "%s %s # cooper", sources, dest);
    build_config_history(&s->config, buf_text(&text), false);
}

/* --checksum; NULL without. malloc'ed. */
static int read_checksum(struct planner *p,
                         struct plan_stage *s,
                         const struct dockerfile_copy *copy,
                         char **out,
                         struct error *err)
{
    *out = NULL;
    if (copy->checksum.text.size == 0)
        return 0;
    *out = plan_expand(p, s, copy->checksum.text, err);
    if (!*out)
        return -1;
    if (**out && copy->sources.count != 1)
        return error_set(err, ERROR_INVALID,
                         "checksum can't be specified for multiple sources");
    if (!**out)
        base_freep(out);
    return 0;
}

int plan_copy(struct planner *p,
              struct plan_stage *s,
              const struct plan_command *c,
              struct error *err)
{
    const struct dockerfile_copy *copy = c->instruction->copy;
    struct build_node *n = plan_add_node(p, s, c, BUILD_OP_COPY);
    struct build_copy_op *op = &n->copy;
    CLEANUP(base_freep) char *dest = plan_expand(p, s, copy->dest.text, err);
    CLEANUP(base_freep) char *checksum = NULL;
    CLEANUP(buf_release) struct buf shown = BUF_INIT(LIMIT_TEXT_SIZE);

    op->sources = base_alloc_array(copy->sources.count + copy->inlines.count + 1,
                                   sizeof *op->sources);
    if (!dest || read_flags(p, s, copy, op, err) < 0 ||
        read_checksum(p, s, copy, &checksum, err) < 0)
        return -1;
    op->dest = plan_path(s, dest);
    for (size_t i = 0; i < copy->sources.count; i++)
        if (read_source(p, s, c->instruction, copy->sources.items[i].text, checksum,
                        &op->sources[op->source_count++], &shown, err) < 0)
            return -1;
    for (size_t i = 0; i < copy->inlines.count; i++)
        if (read_inline(p, s, &copy->inlines.items[i], &op->sources[op->source_count++],
                        &shown, err) < 0)
            return -1;
    if (set_origin(p, s, c, op, err) < 0)
        return -1;
    plan_run_beside(p, s, build_config_text(&s->config, "WorkingDir"), n);
    append_history(s, c->instruction, op, buf_text(&shown), dest);
    s->node = n;
    return 0;
}

struct build_node *plan_context_node(struct planner *p,
                                     struct build_context *context,
                                     const char *path,
                                     struct source_pos pos,
                                     const char *title)
{
    struct build_node *n = build_graph_add(p->graph, BUILD_OP_COPY, NULL, pos);

    n->title = base_strdup(title);
    n->copy.sources = base_alloc(sizeof *n->copy.sources);
    n->copy.source_count = 1;
    n->copy.sources[0].from = BUILD_FROM_CONTEXT;
    n->copy.sources[0].context = context;
    n->copy.sources[0].path = path_clean_rooted(view_of(path));
    n->copy.dest = path_clean_rooted(view_of(path));
    n->copy.is_tree = true;
    return n;
}
