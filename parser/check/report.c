#include "base/alloc.h"
#include "base/limits.h"
#include "parser/check/context.h"
#include "parser/unicode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_on(const struct dockerfile_check_config *config, enum dockerfile_rule rule)
{
    if (dockerfile_rule_info(rule)->experimental)
        return config->experimental_all || config->experimental[rule];
    return !config->skip_all && !config->skip[rule];
}

void dockerfile_check_report(struct dockerfile_checker *check,
                             enum dockerfile_rule rule,
                             struct source_pos pos,
                             const char *format,
                             ...)
{
    CLEANUP(base_freep) char *message = NULL;
    va_list arguments;

    if (!is_on(&check->here, rule) ||
        (dockerfile_rule_info(rule)->extra && !check->options->extra))
        return;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = base_strdup(dockerfile_rule_info(rule)->description);
    va_end(arguments);
    check->count++;
    check->called[rule] = true;
    const struct dockerfile_finding finding = {rule, pos, message};
    if (check->options->on_finding)
        check->options->on_finding(check->options->context, &finding);
}

/* "check=skip=..." of a comment: what stands before the first blank; false if it is none.
 */
static bool read_comment(struct view comment, struct dockerfile_check_config *config)
{
    struct error ignored = ERROR_INIT; /* a comment may say anything */
    struct view key, value, rest;

    if (!view_cut(comment, '=', &key, &value) ||
        !view_eq_nocase(dockerfile_trim(key), "check"))
        return false;
    view_cut(dockerfile_trim(value), ' ', &value, &rest);
    const bool good = dockerfile_check_config_parse(value, config, &ignored) == 0;
    error_clear(&ignored);
    return good;
}

void dockerfile_check_enter(struct dockerfile_checker *check,
                            const struct dockerfile_instruction *instruction)
{
    struct dockerfile_check_config own;

    check->here = check->config;
    for (size_t i = 0; i < instruction->comments.count; i++) {
        if (!read_comment(instruction->comments.items[i].text, &own))
            continue;
        check->here.skip_all |= own.skip_all;
        check->here.experimental_all |= own.experimental_all;
        for (size_t rule = 0; rule < DOCKERFILE_RULE_COUNT; rule++) {
            check->here.skip[rule] |= own.skip[rule];
            check->here.experimental[rule] |= own.experimental[rule];
        }
        return;
    }
}
