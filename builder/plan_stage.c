/*
 * Stages: their names, bases and dependencies, which of them the target needs, their base
 * images, and the ONBUILD triggers that those bring.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "parser/suggest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static struct plan_stage *new_stage(struct planner *p,
                                    char *base_name,
                                    struct source_pos pos)
{
    struct plan_stage *s = base_alloc(sizeof *s);

    s->base_name = base_name;
    s->pos = pos;
    s->name = base_strdup("");
    s->shown = base_format("stage-%zu", p->stage_count);
    return s;
}

/* A stage becomes known; the one that its base names, if known already, is its base. */
static void add_stage(struct planner *p, struct plan_stage *s)
{
    const char *target = build_inputs_target(p->inputs, s->base_name);
    const char *base = target ? target : s->base_name;

    for (size_t i = p->stage_count; i-- > 0 && !s->base;)
        if (*p->stages[i]->name && strcmp(p->stages[i]->name, base) == 0)
            s->base = p->stages[i];
    p->stages = base_grow(p->stages, p->stage_count, &p->stage_capacity,
                          sizeof(struct plan_stage *));
    p->stages[p->stage_count++] = s;
}

void plan_stage_free(struct plan_stage *s)
{
    for (size_t i = 0; i < s->command_count; i++)
        free(s->commands[i].sources);
    free(s->commands);
    free(s->name);
    free(s->shown);
    free(s->base_name);
    build_config_release(&s->config);
    plan_env_release(&s->env);
    plan_env_release(&s->args);
    free(s);
}

struct plan_stage *plan_stage_find(const struct planner *p, struct view name)
{
    for (size_t i = p->stage_count; i-- > 0;)
        if (*p->stages[i]->name && view_eq_nocase(name, p->stages[i]->name))
            return p->stages[i];
    return NULL;
}

const struct registry_platform *plan_stage_platform(const struct planner *p,
                                                    const struct plan_stage *s)
{
    while (!s->has_platform && s->base)
        s = s->base;
    return s->has_platform ? &s->platform : &p->plan->platform;
}

static int read_platform(struct planner *p,
                         struct plan_stage *s,
                         const struct dockerfile_from *from,
                         struct error *err)
{
    char *text;
    int status = 0;

    if (!dockerfile_word_given(from->platform) || from->platform.text.size == 0)
        return 0;
    text = plan_expand_in(p, from->platform.text, &p->globals, 0, err);
    if (!text)
        return error_wrap(err, "failed to process arguments for platform %.*s",
                          VIEW_ARG(from->platform.text));
    if (*text == '\0')
        status = error_set(err, ERROR_INVALID, "empty platform value from expression %.*s",
                           VIEW_ARG(from->platform.text));
    else if (registry_platform_parse(view_of(text), &s->platform, err) < 0)
        status = error_wrap(err, "failed to parse platform %s", text);
    s->has_platform = status == 0;
    free(text);
    return status;
}

static void count_steps(struct plan_stage *s)
{
    s->step_count = !s->base && strcmp(s->base_name, "scratch") != 0;
    for (size_t i = 0; i < s->ast->count; i++) {
        switch ((int)s->ast->instructions[i].kind) {
        case DOCKERFILE_ADD:
        case DOCKERFILE_COPY:
        case DOCKERFILE_RUN:
        case DOCKERFILE_WORKDIR:
            s->step_count++;
            break;
        }
    }
}

static bool is_no_cache(const struct planner *p, const struct plan_stage *s)
{
    for (size_t i = 0; i < p->request->no_cache_filter_count; i++)
        if (*s->name && strcasecmp(p->request->no_cache_filter[i], s->name) == 0)
            return true;
    return p->request->no_cache;
}

static int add_from_ast(struct planner *p,
                        const struct dockerfile_stage *ast,
                        struct error *err)
{
    const struct dockerfile_from *from = ast->from->from;
    char *base_name = plan_expand_in(p, from->image.text, &p->globals, 0, err);
    struct plan_stage *s;
    int status;

    if (!base_name)
        return -1;
    if (*base_name == '\0') {
        free(base_name);
        return error_set(err, ERROR_INVALID, "base name (%.*s) should not be blank",
                         VIEW_ARG(from->image.text));
    }
    s = new_stage(p, base_name, ast->from->pos);
    s->ast = ast;
    if (from->stage_name.size) {
        free(s->name);
        free(s->shown);
        s->name = view_dup(from->stage_name);
        s->shown = base_strdup(s->name);
    }
    status = read_platform(p, s, from, err);
    if (status == 0 && *s->name)
        status = build_inputs_named(p->inputs, s->name,
                                    s->has_platform ? &s->platform : &p->plan->platform,
                                    &s->override, &s->override_context, &s->image, err);
    add_stage(p, s);
    if (s->image)
        build_graph_add_image(p->graph, s->image);
    if (s->override != BUILD_NAMED_NONE)
        s->base = NULL;
    else
        count_steps(s);
    s->no_cache = is_no_cache(p, s);
    return status;
}

int plan_stages_add(struct planner *p, struct error *err)
{
    for (size_t i = 0; i < p->file->stage_count; i++)
        if (add_from_ast(p, &p->file->stages[i], err) < 0)
            return error_locate(err, p->file->stages[i].from->pos);
    return 0;
}

/* --- Dependencies --- */

static struct plan_stage *outside_image(struct planner *p,
                                        struct view name,
                                        struct source_pos pos)
{
    struct plan_stage *s = new_stage(p, view_dup(name), pos);

    add_stage(p, s);
    return s;
}

/* A stage, also one that a --build-context NAME=target:STAGE puts in the place of the name;
 * else an image. */
static int named_source(struct planner *p,
                        struct view from,
                        struct source_pos pos,
                        struct plan_stage **out,
                        struct error *err)
{
    CLEANUP(base_freep) char *name = view_dup(from);
    const char *target = build_inputs_target(p->inputs, name);

    *out = plan_stage_find(p, target ? view_of(target) : from);
    if (target && !*out)
        return error_set(err, ERROR_INVALID,
                         "build context %s=target:%s: the Dockerfile has no stage %s", name,
                         target, target);
    if (!*out)
        *out = outside_image(p, from, pos);
    return 0;
}

static int copy_source(struct planner *p,
                       struct view from,
                       struct source_pos pos,
                       struct plan_stage **out,
                       struct error *err)
{
    const struct plan_env none = {0};
    CLEANUP(base_freep) char *plain = plan_expand_in(p, from, &none, 0, err);
    uint64_t number;
    struct view digits = from;

    if (!plain)
        return -1;
    if (!view_eq_text(from, plain))
        return error_set(err, ERROR_INVALID,
                         "variable expansion is not supported for --from, define a new "
                         "stage with FROM using ARG from global scope as a workaround");
    if (from.size > 1 && (*from.data == '+' || *from.data == '-'))
        digits = view_sub(from, 1, from.size);
    if (view_to_u64(digits, &number)) {
        if (number >= p->stage_count || (number > 0 && *from.data == '-'))
            return error_set(err, ERROR_INVALID,
                             "invalid stage index %.*s: there are %zu stages",
                             VIEW_ARG(from), p->file->stage_count);
        *out = p->stages[number];
        return 0;
    }
    return named_source(p, from, pos, out, err);
}

static int link_command(struct planner *p, struct plan_command *c, struct error *err)
{
    const struct dockerfile_instruction *in = c->instruction;

    if (in->kind == DOCKERFILE_COPY && in->copy->from.text.size > 0) {
        c->sources = base_alloc(sizeof(struct plan_stage *));
        c->source_count = 1;
        return copy_source(p, in->copy->from.text, in->pos, &c->sources[0], err);
    }
    if (in->kind != DOCKERFILE_RUN)
        return 0;
    c->source_count = in->run->mount_count;
    c->sources = base_alloc_array(c->source_count + 1, sizeof(struct plan_stage *));
    for (size_t i = 0; i < c->source_count; i++) {
        const struct view from = in->run->mounts[i].from;

        if (from.size == 0)
            continue;
        if (named_source(p, from, in->pos, &c->sources[i], err) < 0)
            return -1;
    }
    return 0;
}

/* How deep stages may need each other, forwards: the search for circles recurses. */
enum { DEPTH_MAX = 10000 };

/* `from` is where the stage is asked for. */
static int find_circle(struct plan_stage *s,
                       struct source_pos from,
                       unsigned depth,
                       struct error *err)
{
    enum { OPEN = 1, DONE = 2 };

    if (s->mark == DONE)
        return 0;
    if (s->mark == OPEN)
        return error_at(err, from, ERROR_INVALID,
                        "circular dependency detected on stage: %s", s->shown);
    if (depth > DEPTH_MAX)
        return error_at(err, from, ERROR_LIMIT,
                        "more than %d stages need each other in a row", DEPTH_MAX);
    s->mark = OPEN;
    if (s->base && find_circle(s->base, s->pos, depth + 1, err) < 0)
        return -1;
    for (size_t i = 0; i < s->command_count; i++)
        for (size_t k = 0; k < s->commands[i].source_count; k++)
            if (s->commands[i].sources[k] &&
                find_circle(s->commands[i].sources[k], s->commands[i].instruction->pos,
                            depth + 1, err) < 0)
                return -1;
    s->mark = DONE;
    return 0;
}

int plan_stages_link(struct planner *p, struct error *err)
{
    for (size_t i = 0; i < p->stage_count; i++) {
        struct plan_stage *s = p->stages[i];

        if (!s->ast || s->override != BUILD_NAMED_NONE)
            continue;
        s->command_count = s->ast->count;
        s->commands = base_alloc_array(s->command_count + 1, sizeof *s->commands);
        for (size_t k = 0; k < s->command_count; k++) {
            s->commands[k].instruction = &s->ast->instructions[k];
            if (link_command(p, &s->commands[k], err) < 0)
                return error_locate(err, s->ast->instructions[k].pos);
        }
    }
    for (size_t i = 0; i < p->stage_count; i++)
        if (find_circle(p->stages[i], p->stages[i]->pos, 0, err) < 0)
            return -1;
    if (p->stage_count == 1)
        p->stages[0]->shown[0] = '\0';
    for (size_t i = 0; p->request->platform_count > 1 && i < p->stage_count; i++)
        p->stages[i]->shown_platform = plan_stage_platform(p, p->stages[i]);
    return 0;
}

/* --- Base images --- */

static bool mark(struct plan_stage *s)
{
    const bool is_new = s && !s->is_reachable;

    if (is_new)
        s->is_reachable = true;
    return is_new;
}

/* Stages mostly need those before them, so a pass backwards finds nearly all; without
 * recursion, as a Dockerfile may have any number of them. */
static void mark_reachable(struct planner *p, struct plan_stage *target)
{
    bool more = mark(target);

    while (more) {
        more = false;
        for (size_t n = p->stage_count; n-- > 0;) {
            struct plan_stage *s = p->stages[n];

            if (!s->is_reachable)
                continue;
            more = mark(s->base) || more;
            for (size_t i = 0; i < s->command_count; i++)
                for (size_t k = 0; k < s->commands[i].source_count; k++)
                    more = mark(s->commands[i].sources[k]) || more;
        }
    }
}

static struct build_node *image_node(struct planner *p, struct plan_stage *s)
{
    struct build_node *n;

    if (s->image->image.layer_count == 0)
        return NULL;
    n = build_graph_add(p->graph, BUILD_OP_SOURCE, NULL, s->pos);
    n->image = s->image;
    char *text = base_format("FROM %s", s->image->name);
    n->title = plan_title(s, NULL, text);
    free(text);
    return n;
}

static void take_image(struct planner *p, struct plan_stage *s)
{
    s->node = image_node(p, s);
    build_config_init_base(&s->config, s->image->config);
}

static int resolve_base(struct planner *p, struct plan_stage *s, struct error *err)
{
    const struct registry_platform *platform =
        s->has_platform ? &s->platform : &p->plan->platform;
    struct build_context *context = s->override_context;
    enum build_named kind = s->override;
    CLEANUP(base_freep) char *full = NULL;

    s->is_resolved = true;
    if (kind == BUILD_NAMED_NONE && strcmp(s->base_name, "scratch") == 0) {
        /* As BuildKit: nothing is made for the platform that FROM names. */
        s->has_platform = false;
        build_config_init_empty(&s->config, &p->plan->platform);
        return 0;
    }
    if (kind == BUILD_NAMED_NONE) {
        full = registry_reference_normalize(view_of(s->base_name), err);
        if (!full)
            return error_wrap(err, "failed to parse stage name \"%s\"", s->base_name);
        if (!s->is_reachable)
            return 0;
        if (build_inputs_named(p->inputs, full, platform, &kind, &context, &s->image, err) <
            0)
            return -1;
    }
    if (kind == BUILD_NAMED_DIRECTORY) {
        build_config_init_empty(&s->config, platform);
        s->node =
            plan_context_node(p, context, "/", s->pos, "[internal] load build context");
        return 0;
    }
    if (kind == BUILD_NAMED_NONE)
        s->image = build_inputs_image(p->inputs, s->base_name, platform, err);
    if (!s->image)
        return -1;
    if (s->override == BUILD_NAMED_NONE)
        build_graph_add_image(p->graph, s->image);
    take_image(p, s);
    return 0;
}

/* --- ONBUILD --- */

static int add_trigger(struct planner *p,
                       struct plan_stage *s,
                       struct view text,
                       struct plan_command *out,
                       struct error *err)
{
    struct dockerfile *tree = dockerfile_parse_trigger(text, s->pos, err);

    if (!tree)
        return -1;
    p->plan->triggers = base_grow(p->plan->triggers, p->plan->trigger_count,
                                  &p->plan->trigger_capacity, sizeof(struct dockerfile *));
    p->plan->triggers[p->plan->trigger_count++] = tree;
    *out = (struct plan_command){.instruction = &tree->instructions[0], .is_trigger = true};
    if (out->instruction->kind == DOCKERFILE_FROM)
        return error_set(err, ERROR_INVALID, "FROM isn't allowed as an ONBUILD trigger");
    return link_command(p, out, err);
}

static size_t trigger_texts(const struct plan_stage *s, struct view *texts)
{
    const struct doc *list = doc_get(doc_get(s->config.root, "config"), "OnBuild");
    size_t count = 0;

    if (s->base) {
        for (size_t i = 0; i < s->base->command_count; i++) {
            const struct dockerfile_instruction *in = s->base->commands[i].instruction;

            if (in->kind == DOCKERFILE_ONBUILD && texts)
                texts[count] = in->onbuild->expression;
            count += in->kind == DOCKERFILE_ONBUILD;
        }
        return count;
    }
    for (size_t i = 0; i < doc_count(list); i++) {
        if (texts)
            texts[i] = doc_view(doc_at(list, i));
        count++;
    }
    return count;
}

/* Puts the triggers of the base before the stage's own instructions. */
static int add_triggers(struct planner *p,
                        struct plan_stage *s,
                        bool *added,
                        struct error *err)
{
    const size_t count = trigger_texts(s, NULL);
    struct view *texts = base_alloc_array(count + 1, sizeof *texts);
    struct plan_command *commands =
        base_alloc_array(count + s->command_count + 1, sizeof *commands);
    int status = 0;

    trigger_texts(s, texts);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = add_trigger(p, s, texts[i], &commands[i], err);
    if (s->command_count)
        memcpy(commands + count, s->commands, s->command_count * sizeof *commands);
    free(s->commands);
    s->commands = commands;
    s->command_count += count;
    s->step_count += (unsigned)count;
    s->triggers_done = true;
    *added = *added || count > 0;
    free(texts);
    if (!s->base)
        build_config_set_list(&s->config, "OnBuild", NULL, 0);
    return status < 0 ? error_locate(err, s->pos) : 0;
}

int plan_stages_resolve(struct planner *p, struct plan_stage *target, struct error *err)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = 0; i < p->stage_count; i++)
            p->stages[i]->is_reachable = false;
        mark_reachable(p, target);
        for (size_t i = 0; i < p->stage_count; i++) {
            struct plan_stage *s = p->stages[i];

            if (!s->base && (!s->is_resolved || (s->is_reachable && !s->config.root)) &&
                resolve_base(p, s, err) < 0)
                return error_locate(err, s->pos);
        }
        for (size_t i = 0; i < p->stage_count; i++) {
            struct plan_stage *s = p->stages[i];

            if (s->is_reachable && s->ast && !s->triggers_done &&
                s->override == BUILD_NAMED_NONE && add_triggers(p, s, &changed, err) < 0)
                return -1;
        }
    }
    return 0;
}
