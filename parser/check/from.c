/* Rules about FROM and about the file as a whole. Spec: BuildKit
 * dockerfile2llb/validations.go, instructions/parse.go. */
#include "base/alloc.h"
#include "base/limits.h"
#include "parser/check/context.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- Casing -----------------------------------------------------------------------------
 */

static bool is_lower(struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        if (isupper((unsigned char)text.data[i]))
            return false;
    return true;
}

static bool is_upper(struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        if (islower((unsigned char)text.data[i]))
            return false;
    return true;
}

static bool is_global(const struct dockerfile_checker *check, size_t index)
{
    return index < check->file->global_count;
}

static void check_casing(struct dockerfile_checker *check)
{
    const struct dockerfile *file = check->file;
    size_t lower = 0, upper = 0;

    for (size_t i = 0; i < file->instruction_count; i++) {
        const struct view name = file->instructions[i].name.text;
        lower += !is_global(check, i) && is_lower(name);
        upper += !is_global(check, i) && !is_lower(name) && is_upper(name);
    }
    for (size_t i = 0; i < file->instruction_count; i++) {
        const struct dockerfile_word name = file->instructions[i].name;
        if (is_global(check, i) ||
            (lower > upper ? is_lower(name.text) : is_upper(name.text)))
            continue;
        dockerfile_check_enter(check, &file->instructions[i]);
        dockerfile_check_report(
            check, DOCKERFILE_RULE_CONSISTENT_INSTRUCTION_CASING, name.pos,
            "Command '%.*s' should match the case of the command majority (%s)",
            VIEW_ARG(name.text), lower > upper ? "lowercase" : "uppercase");
    }
}

/* --- Names of stages --------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b)
{
    const struct dockerfile_from *const *left = a, *const *right = b;
    const int order = view_compare((*left)->stage_name, (*right)->stage_name);

    /* Equal names stand in the order of the file. */
    return order ? order : ((*left)->name.pos.line > (*right)->name.pos.line) ? 1 : -1;
}

static void check_duplicates(struct dockerfile_checker *check)
{
    const struct dockerfile *file = check->file;
    CLEANUP(base_freep)
    const struct dockerfile_from **named =
        base_alloc_array(file->stage_count + 1, sizeof *named);
    size_t count = 0;

    for (size_t i = 0; i < file->stage_count; i++)
        if (file->stages[i].from->from->stage_name.size > 0)
            named[count++] = file->stages[i].from->from;
    qsort(named, count, sizeof *named, compare_names);
    for (size_t i = 1; i < count; i++)
        if (view_eq(named[i]->stage_name, named[i - 1]->stage_name))
            dockerfile_check_report(
                check, DOCKERFILE_RULE_DUPLICATE_STAGE_NAME, named[i]->name.pos,
                "Duplicate stage name \"%.*s\", stage names should be unique",
                VIEW_ARG(named[i]->stage_name));
}

static void check_names(struct dockerfile_checker *check,
                        const struct dockerfile_instruction *instruction)
{
    const struct dockerfile_from *from = instruction->from;
    const struct view keyword = instruction->name.text;

    if (!dockerfile_word_given(from->name))
        return;
    if (!is_lower(from->name.text))
        dockerfile_check_report(check, DOCKERFILE_RULE_STAGE_NAME_CASING, from->name.pos,
                                "Stage name '%.*s' should be lowercase",
                                VIEW_ARG(from->name.text));
    if ((is_lower(keyword) && !is_lower(from->as.text)) ||
        (is_upper(keyword) && !is_upper(from->as.text)))
        dockerfile_check_report(check, DOCKERFILE_RULE_FROM_AS_CASING, from->as.pos,
                                "'%.*s' and '%.*s' keywords' casing do not match",
                                VIEW_ARG(from->as.text), VIEW_ARG(keyword));
    if (view_eq_text(from->stage_name, "scratch") ||
        view_eq_text(from->stage_name, "context"))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_RESERVED_STAGE_NAME, from->name.pos,
            "Stage name should not use the same name as reserved stage \"%.*s\"",
            VIEW_ARG(from->stage_name));
}

/* --- Base images with default arguments -------------------------------------------------
 */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+ with single '.', one or two '_' or any '-' in between, in parts between '/'. */
static bool is_path(struct view path)
{
    size_t start = 0;

    for (size_t i = 0; i <= path.size; i++) {
        if (i < path.size && path.data[i] != '/')
            continue;
        if (i == start || !is_name_char(path.data[start]) ||
            !is_name_char(path.data[i - 1]))
            return false;
        for (size_t j = start; j < i; j++)
            if (!is_name_char(path.data[j]) && !strchr("._-", path.data[j]))
                return false;
        start = i + 1;
    }
    return true;
}

/* Could it be an image's name? Wrong tags and digests are found when it is pulled. */
static bool is_reference(struct view text)
{
    struct view name, rest, host, path;

    view_cut(text, '@', &name, &rest);
    if (view_cut(name, '/', &host, &path)) {
        size_t ignored;
        const bool is_host = view_find(host, '.', &ignored) ||
                             view_find(host, ':', &ignored) ||
                             view_eq_text(host, "localhost");
        if (is_host)
            name = path;
    }
    view_cut(name, ':', &path, &rest);
    return !(path.size == name.size - 1) && is_path(path);
}

static void check_default_args(struct dockerfile_checker *check,
                               struct dockerfile_word image)
{
    CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion expansion;

    if (dockerfile_check_expand(check, &check->defaults, image.text, 0, &expansion) &&
        !is_reference((struct view){buf_text(&expansion.text), expansion.text.size}))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_INVALID_DEFAULT_ARG_IN_FROM, image.pos,
            "Default value for ARG %.*s results in empty or invalid base image name",
            VIEW_ARG(image.text));
}

/* --- Variables --------------------------------------------------------------------------
 */

static void report_undefined(struct dockerfile_checker *check,
                             const struct dockerfile_expansion *expansion,
                             struct source_pos pos)
{
    for (size_t i = 0; i < expansion->unmatched.count; i++) {
        CLEANUP(buf_release) struct buf hint = BUF_INIT(LIMIT_TEXT_SIZE);
        const struct view name = view_of(expansion->unmatched.items[i].name);
        /* Declared without a value: empty, but not unknown. */
        if (dockerfile_scope_find(&check->globals, name))
            continue;
        dockerfile_scope_suggest(&check->globals, name, "", &hint);
        dockerfile_check_report(check, DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM, pos,
                                "FROM argument '%.*s' is not declared%s", VIEW_ARG(name),
                                buf_text(&hint));
    }
}

/* os/arch[/variant], or one of the two: does the stage's name hold a part of it? */
static bool names_platform(struct view stage_name, struct view platform)
{
    for (bool more = platform.size > 0; more;) {
        struct view part, rest;
        more = view_cut(platform, '/', &part, &rest);
        if (part.size > 0 && stage_name.size >= part.size &&
            memmem(stage_name.data, stage_name.size, part.data, part.size))
            return true;
        platform = rest;
    }
    return false;
}

static void check_platform(struct dockerfile_checker *check,
                           const struct dockerfile_from *from)
{
    CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion platform;

    if (!dockerfile_check_expand(check, &check->globals, from->platform.text, 0, &platform))
        return;
    const struct view value = buf_view(&platform.text);
    report_undefined(check, &platform, from->platform.pos);
    if (platform.matched.count == 0 && platform.unmatched.count == 0) {
        if (!names_platform(from->stage_name, value))
            dockerfile_check_report(
                check, DOCKERFILE_RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
                from->platform.pos,
                "FROM --platform flag should not use constant value \"%.*s\"",
                VIEW_ARG(value));
        return;
    }
    const struct dockerfile_variable *target =
        dockerfile_scope_find(&check->globals, VIEW_LIT("TARGETPLATFORM"));
    if (platform.matched.count == 1 && platform.unmatched.count == 0 &&
        strcmp(platform.matched.items[0].name, target->name) == 0 &&
        view_eq_text(value, target->value))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_REDUNDANT_TARGET_PLATFORM, from->platform.pos,
            "Setting platform to predefined %.*s in FROM is redundant as this is the "
            "default behavior",
            VIEW_ARG(from->platform.text));
}

void dockerfile_check_from(struct dockerfile_checker *check,
                           const struct dockerfile_stage *stage)
{
    CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion image;
    const struct dockerfile_from *from = stage->from->from;

    dockerfile_check_enter(check, stage->from);
    check_names(check, stage->from);
    dockerfile_check_description(check, stage->from);
    dockerfile_check_expand(check, &check->globals, from->image.text, 0, &image);
    report_undefined(check, &image, from->image.pos);
    check_default_args(check, from->image);
    if (from->platform.text.size > 0)
        check_platform(check, from);
}

void dockerfile_check_file(struct dockerfile_checker *check)
{
    for (size_t i = 0; i < check->file->instruction_count; i++) {
        const struct dockerfile_instruction *instruction = &check->file->instructions[i];
        struct source_pos pos = instruction->pos;
        if (instruction->empty_continuation == 0)
            continue;
        dockerfile_check_enter(check, instruction);
        pos.line = pos.line_end = instruction->empty_continuation;
        pos.column = 1;
        dockerfile_check_report(check, DOCKERFILE_RULE_NO_EMPTY_CONTINUATION, pos,
                                "Empty continuation line");
    }
    check->here = check->config;
    check_duplicates(check);
    check_casing(check);
}
