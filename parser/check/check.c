/*
 * The walk over the file: global arguments, then each stage with the variables it starts
 * with.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "parser/check/context.h"

#include <ctype.h>
#include <stdlib.h>

static void set_text(struct dockerfile_scope *scope, const char *name, struct view value)
{
    dockerfile_scope_set(scope, view_of(name), &value);
}

/* linux/arm/v7 as PREFIXPLATFORM, PREFIXOS, PREFIXARCH, PREFIXVARIANT. */
static void set_platform(struct dockerfile_scope *scope,
                         const char *prefix,
                         const char *platform)
{
    struct view os, arch, variant, rest;
    const struct view whole = view_of(platform);

    view_cut(whole, '/', &os, &rest);
    view_cut(rest, '/', &arch, &variant);
    const struct {
        const char *suffix;
        struct view value;
    } parts[] = {{"PLATFORM", whole},
                 {"OS", os},
                 {"OSVERSION", VIEW_LIT("")},
                 {"ARCH", arch},
                 {"VARIANT", variant}};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        CLEANUP(base_freep) char *name = base_format("%s%s", prefix, parts[i].suffix);
        set_text(scope, name, parts[i].value);
    }
}

/* What FROM can use before any ARG of the file. */
static void set_predefined(const struct dockerfile_checker *check,
                           struct dockerfile_scope *scope)
{
    const struct dockerfile_check_options *options = check->options;
    const char *target =
        options->target_platform ? options->target_platform : "linux/amd64";
    const char *build = options->build_platform ? options->build_platform : target;

    set_platform(scope, "TARGET", target);
    set_platform(scope, "BUILD", build);
    set_text(scope, "TARGETSTAGE", VIEW_LIT(""));
}

static bool find_build_arg(const struct dockerfile_checker *check,
                           struct view name,
                           struct view *value)
{
    const struct dockerfile_check_options *options = check->options;

    return options->build_arg && options->build_arg(options->context, name, value);
}

static void add_global(const struct dockerfile_checker *check,
                       struct dockerfile_scope *scope,
                       const struct dockerfile_pair *pair,
                       bool use_build_args)
{
    CLEANUP(dockerfile_expansion_release)
    struct dockerfile_expansion expansion = {.text = BUF_INIT(0)};
    struct view value;
    bool known = use_build_args && find_build_arg(check, pair->name.text, &value);

    if (!known && dockerfile_word_given(pair->value)) {
        known = dockerfile_check_expand(check, scope, pair->value.text, 0, &expansion);
        value = (struct view){buf_text(&expansion.text), expansion.text.size};
    }
    dockerfile_scope_set(scope, pair->name.text, known ? &value : NULL);
}

static void add_globals(struct dockerfile_checker *check)
{
    for (size_t i = 0; i < check->file->global_count; i++) {
        const struct dockerfile_instruction *instruction = &check->file->instructions[i];
        dockerfile_check_enter(check, instruction);
        dockerfile_check_description(check, instruction);
        for (size_t j = 0; j < instruction->arg->count; j++) {
            add_global(check, &check->globals, &instruction->arg->pairs[j], true);
            add_global(check, &check->defaults, &instruction->arg->pairs[j], false);
        }
    }
}

/* --- What a stage starts with -----------------------------------------------------------
 */

/* The stage of that name so far, in any case; the last of them, as in a build. */
static bool find_stage(const struct dockerfile_checker *check,
                       struct view name,
                       size_t *found)
{
    CLEANUP(base_freep) char *lower = view_dup(name);

    for (size_t i = 0; i < name.size; i++)
        lower[i] = (char)tolower((unsigned char)lower[i]);
    const struct dockerfile_variable *item =
        dockerfile_scope_find(&check->stage_names, view_of(lower));
    if (item)
        *found = check->named_stages[item - check->stage_names.items];
    return item != NULL;
}

static void name_stage(struct dockerfile_checker *check, size_t index)
{
    const struct view name = check->file->stages[index].from->from->stage_name;

    if (name.size == 0)
        return;
    dockerfile_scope_set(&check->stage_names, name, NULL);
    const struct dockerfile_variable *item =
        dockerfile_scope_find(&check->stage_names, name);
    check->named_stages[item - check->stage_names.items] = index;
}

/* Stages hand on their arguments too. */
static void inherit(struct dockerfile_scope *scope, const struct dockerfile_scope *base)
{
    scope->open = base->open;
    scope->workdir_set = base->workdir_set;
    scope->shell_set = base->shell_set;
    scope->pipefail = base->pipefail;
    for (size_t i = 0; i < base->count; i++) {
        const struct dockerfile_variable *variable = &base->items[i];
        const struct view value = view_of(variable->value);
        dockerfile_scope_set(scope, view_of(variable->name),
                             variable->value ? &value : NULL);
    }
}

static void add_base_variable(void *context, struct view name, struct view value)
{
    dockerfile_scope_set(context, name, &value);
}

static bool is_wanted(const struct dockerfile_checker *check, size_t stage)
{
    const struct dockerfile_check_options *options = check->options;

    return !options->stage_wanted || options->stage_wanted(options->context, stage);
}

static void begin_stage(struct dockerfile_checker *check, size_t index)
{
    CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion image, platform;
    const struct dockerfile_check_options *options = check->options;
    const struct dockerfile_from *from = check->file->stages[index].from->from;
    struct dockerfile_scope *scope = &check->stages[index];

    dockerfile_check_expand(check, &check->globals, from->image.text, 0, &image);
    dockerfile_check_expand(check, &check->globals, from->platform.text, 0, &platform);
    const struct view name = buf_view(&image.text);
    size_t base;
    if (find_stage(check, name, &base)) {
        inherit(scope, &check->stages[base]);
        return;
    }
    /* Every image has a PATH, if not its own. */
    set_text(scope, "PATH",
             VIEW_LIT("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                      "/sbin:/bin"));
    if (view_eq_text(name, "scratch"))
        return;
    const struct dockerfile_base outside = {index, name, buf_view(&platform.text)};
    if (is_wanted(check, index))
        dockerfile_check_base(check, from->image, &outside);
    scope->open = !options->base_env ||
                  !options->base_env(options->context, &outside, add_base_variable, scope);
}

/* --- Public -----------------------------------------------------------------------------
 */

static int read_config(struct dockerfile_checker *check, struct error *err)
{
    if (check->options->config) {
        check->config = *check->options->config;
        return 0;
    }
    for (size_t i = 0; i < check->file->directive_count; i++) {
        const struct dockerfile_directive *directive = &check->file->directives[i];
        struct view options, rest;
        if (directive->kind != DOCKERFILE_DIRECTIVE_CHECK)
            continue;
        view_cut(directive->value.text, ' ', &options, &rest);
        if (dockerfile_check_config_parse(options, &check->config, err) < 0)
            return error_locate(err, directive->value.pos);
    }
    return 0;
}

static void run(struct dockerfile_checker *check)
{
    check->here = check->config;
    set_predefined(check, &check->globals);
    set_predefined(check, &check->defaults);
    dockerfile_check_file(check);
    add_globals(check);
    for (size_t i = 0; i < check->file->stage_count; i++) {
        const struct dockerfile_stage *stage = &check->file->stages[i];
        dockerfile_check_from(check, stage);
        begin_stage(check, i);
        name_stage(check, i);
        if (is_wanted(check, i))
            dockerfile_check_stage(check, stage, &check->stages[i]);
    }
}

static void check_release(struct dockerfile_checker *check)
{
    for (size_t i = 0; i < check->file->stage_count; i++)
        dockerfile_scope_release(&check->stages[i]);
    free(check->stages);
    free(check->named_stages);
    dockerfile_scope_release(&check->stage_names);
    dockerfile_scope_release(&check->listed);
    dockerfile_scope_release(&check->globals);
    dockerfile_scope_release(&check->defaults);
}

static int fail(const struct dockerfile_checker *check, struct error *err)
{
    CLEANUP(buf_release) struct buf names = BUF_INIT(LIMIT_TEXT_SIZE);

    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++)
        if (check->called[i])
            buf_printf(&names, "%s%s", names.size ? ", " : "",
                       dockerfile_rule_info((enum dockerfile_rule)i)->name);
    return error_set(err, ERROR_FAILED, "lint violation found for rules: %s",
                     buf_text(&names));
}

int dockerfile_check(const struct dockerfile *file,
                     const struct dockerfile_check_options *options,
                     size_t *count,
                     struct error *err)
{
    CLEANUP(check_release)
    struct dockerfile_checker check = {
        .file = file,
        .options = options,
        .stages = base_alloc_array(file->stage_count + 1, sizeof(struct dockerfile_scope)),
        .named_stages = base_alloc_array(file->stage_count + 1, sizeof(size_t)),
    };

    if (read_config(&check, err) < 0)
        return -1;
    run(&check);
    if (count)
        *count = check.count;
    return check.config.error && check.count > 0 ? fail(&check, err) : 0;
}
