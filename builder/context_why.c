#include "builder/context_why.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/context.h"
#include "builder/inputs.h"
#include "cas/arena.h"
#include "registry/fetch.h"

#include <stdlib.h>
#include <string.h>

/* So many of a rule's paths are named. */
#define TOPS_MAX 100

struct owned {
    struct cas_arena paths;
    struct dockerfile_ignore *ignore;
};

/* A directory that the walk is in. */
struct level {
    struct view path;
    uint8_t *state;
    size_t rule;
};

struct survey {
    struct build_context_report *report;
    struct owned *owned;
    struct level *levels;
    size_t depth;
    size_t level_capacity;
    size_t capacity;
};

void build_context_report_release(struct build_context_report *r)
{
    struct owned *owned = r->owned;

    for (size_t i = 0; i < r->rule_count; i++) {
        for (size_t k = 0; k < r->rules[i].top_count; k++)
            free(r->rules[i].tops[k]);
        free(r->rules[i].tops);
    }
    free(r->rules);
    free(r->files);
    free(r->context);
    free(r->ignore_name);
    if (owned) {
        cas_arena_release(&owned->paths);
        dockerfile_ignore_free(owned->ignore);
    }
    free(owned);
    *r = (struct build_context_report){0};
}

static void leave(struct survey *s, struct view path)
{
    while (s->depth > 0) {
        const struct view dir = s->levels[s->depth - 1].path;

        if (path.size > dir.size && path.data[dir.size] == '/' &&
            memcmp(path.data, dir.data, dir.size) == 0)
            return;
        free(s->levels[--s->depth].state);
    }
}

/* The path is named if the rule did not decide about the directory around it. */
static void name_top(struct survey *s, size_t rule, struct view path, bool is_dir)
{
    struct build_context_rule *r = &s->report->rules[rule];

    if (s->depth > 0 && s->levels[s->depth - 1].rule == rule)
        return;
    if (r->tops_in_all++ >= TOPS_MAX)
        return;
    if (!r->tops)
        r->tops = base_alloc_array(TOPS_MAX, sizeof(char *));
    r->tops[r->top_count++] = base_format("%.*s%s", VIEW_ARG(path), is_dir ? "/" : "");
}

static void count_file(struct survey *s,
                       const struct cas_entry *e,
                       bool is_sent,
                       size_t rule)
{
    struct build_context_report *r = s->report;
    const uint64_t size = e->type == CAS_ENTRY_FILE ? e->size : 0;

    r->files = base_grow(r->files, r->count, &s->capacity, sizeof *r->files);
    r->files[r->count++] = (struct build_context_file){
        .path = cas_arena_join(&s->owned->paths, VIEW_LIT(""), e->path),
        .size = size,
        .type = e->type,
        .is_sent = is_sent,
        .rule = rule};
    *(is_sent ? &r->sent_files : &r->ignored_files) += 1;
    *(is_sent ? &r->sent_size : &r->ignored_size) += size;
    if (rule == BUILD_CONTEXT_NO_RULE)
        return;
    r->rules[rule].files++;
    r->rules[rule].size += size;
}

static void enter(struct survey *s, struct view path, uint8_t *state, size_t rule)
{
    s->levels = base_grow(s->levels, s->depth, &s->level_capacity, sizeof *s->levels);
    s->levels[s->depth++] =
        (struct level){cas_arena_join(&s->owned->paths, VIEW_LIT(""), path), state, rule};
}

static int look(void *context, const struct build_tree_entry *entry, struct error *err)
{
    struct survey *s = context;
    const struct cas_entry *e = &entry->entry;
    const struct dockerfile_ignore *ignore = s->owned->ignore;
    const bool is_dir = e->type == CAS_ENTRY_DIR;
    size_t rule = BUILD_CONTEXT_NO_RULE;
    uint8_t *state = NULL;
    bool is_left_out = false;

    (void)err;
    if (e->path.size == 0)
        return 1;
    leave(s, e->path);
    if (ignore) {
        const uint8_t *parent = s->depth > 0 ? s->levels[s->depth - 1].state : NULL;

        state = is_dir ? base_alloc(dockerfile_ignore_state_size(ignore)) : NULL;
        is_left_out = dockerfile_ignore_step_rule(ignore, e->path, parent, state, &rule);
        if (rule == dockerfile_ignore_count(ignore))
            rule = BUILD_CONTEXT_NO_RULE;
        else
            name_top(s, rule, e->path, is_dir);
    }
    if (is_dir)
        enter(s, e->path, state, rule);
    else
        count_file(s, e, !is_left_out, rule);
    return 1;
}

static int survey(struct build_inputs *inputs,
                  struct build_context_report *out,
                  struct error *err)
{
    struct survey s = {.report = out, .owned = base_alloc(sizeof *s.owned)};
    struct build_context *context;
    int status;

    out->owned = s.owned;
    if (build_inputs_ignore(inputs, &s.owned->ignore, err) < 0)
        return -1;
    out->ignore_name = base_strdup(build_inputs_ignore_name(inputs));
    if (s.owned->ignore) {
        out->rule_count = dockerfile_ignore_count(s.owned->ignore);
        out->rules = base_alloc_array(out->rule_count + 1, sizeof *out->rules);
        for (size_t i = 0; i < out->rule_count; i++)
            out->rules[i].rule = dockerfile_ignore_rule_at(s.owned->ignore, i);
    }
    context = build_inputs_whole_context(inputs, err);
    if (!context)
        return -1;
    const struct build_tree *tree = build_context_tree(context);
    status = tree->walk(tree->self, VIEW_LIT(""), look, &s, err);
    while (s.depth > 0)
        free(s.levels[--s.depth].state);
    free(s.levels);
    return status;
}

int build_context_report_make(const struct build_environment *env,
                              const struct build_request *request,
                              struct build_context_report *out,
                              struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(error_clear) struct error none = ERROR_INIT;
    struct build_inputs *inputs = build_inputs_new(env, request, err);
    const char *name;
    int status;

    *out = (struct build_context_report){.context = registry_fetch_shown(request->context)};
    if (!inputs)
        return -1;
    /* Only its name counts, for NAME.dockerignore: there may be none yet. */
    status = build_inputs_dockerfile(inputs, &text, &name, &none);
    if (status < 0 && !error_is(&none, ERROR_NOT_FOUND))
        error_move(err, &none);
    else
        status = survey(inputs, out, err);
    build_inputs_free(inputs);
    if (status < 0)
        build_context_report_release(out);
    return status;
}
