/*
 * HEALTHCHECK. Spec: BuildKit instructions/parse.go parseHealthcheck.
 */
#include "parser/node.h"
#include "parser/number.h"
#include "parser/unicode.h"

enum {
    FLAG_INTERVAL,
    FLAG_TIMEOUT,
    FLAG_START_PERIOD,
    FLAG_START_INTERVAL,
    FLAG_RETRIES,
    FLAG_COUNT,
};

static const struct dockerfile_flag_spec specs[FLAG_COUNT] = {
    [FLAG_INTERVAL] = {"interval", DOCKERFILE_FLAG_TEXT},
    [FLAG_TIMEOUT] = {"timeout", DOCKERFILE_FLAG_TEXT},
    [FLAG_START_PERIOD] = {"start-period", DOCKERFILE_FLAG_TEXT},
    [FLAG_START_INTERVAL] = {"start-interval", DOCKERFILE_FLAG_TEXT},
    [FLAG_RETRIES] = {"retries", DOCKERFILE_FLAG_TEXT},
};

/* Docker's engine refuses shorter ones. */
#define INTERVAL_MIN_NS 1000000

static int parse_interval(struct dockerfile_node *node,
                          const struct dockerfile_flag *flags,
                          unsigned which,
                          int64_t *ns)
{
    const struct dockerfile_word value = flags[which].value;

    *ns = 0;
    if (value.text.size == 0)
        return 0;
    if (!dockerfile_duration_parse(value.text, ns))
        return error_at(node->err, value.pos, ERROR_INVALID,
                        "invalid duration \"%.*s\" (such as 30s, 1m30s, 500ms)",
                        VIEW_ARG(value.text));
    if (*ns != 0 && *ns < INTERVAL_MIN_NS)
        return error_at(node->err, value.pos, ERROR_INVALID,
                        "Interval \"%s\" cannot be less than 1ms", specs[which].name);
    return 0;
}

static int parse_retries(struct dockerfile_node *node,
                         const struct dockerfile_flag *flag,
                         int32_t *retries)
{
    const struct dockerfile_word value = flag->value;
    int64_t number;

    *retries = 0;
    if (value.text.size == 0)
        return 0;
    if (!dockerfile_int_parse(value.text, &number) || number > INT32_MAX ||
        number < INT32_MIN)
        return error_at(node->err, value.pos, ERROR_INVALID,
                        "--retries must be a number, not \"%.*s\"", VIEW_ARG(value.text));
    if (number < 0)
        return error_at(node->err, value.pos, ERROR_INVALID,
                        "--retries cannot be negative (%d)", (int)number);
    *retries = (int32_t)number;
    return 0;
}

static int parse_options(struct dockerfile_node *node, struct dockerfile_healthcheck *check)
{
    struct dockerfile_flag flags[FLAG_COUNT];

    if (dockerfile_flags_parse(node, specs, FLAG_COUNT, flags) < 0 ||
        parse_interval(node, flags, FLAG_INTERVAL, &check->interval_ns) < 0 ||
        parse_interval(node, flags, FLAG_TIMEOUT, &check->timeout_ns) < 0 ||
        parse_interval(node, flags, FLAG_START_PERIOD, &check->start_period_ns) < 0 ||
        parse_interval(node, flags, FLAG_START_INTERVAL, &check->start_interval_ns) < 0)
        return -1;
    return parse_retries(node, &flags[FLAG_RETRIES], &check->retries);
}

/* The type ends at any white space, while other words end at blanks. */
static void split_type(struct view text, struct view *type, struct view *rest)
{
    size_t size = 0;

    while (size < text.size &&
           dockerfile_space_size(view_sub(text, size, text.size - size)) == 0)
        size++;
    *type = view_sub(text, 0, size);
    *rest = dockerfile_trim_left(view_sub(text, size, text.size - size));
}

int dockerfile_parse_healthcheck(struct dockerfile_node *node)
{
    struct dockerfile_healthcheck check = {.none = false};
    struct view type, rest;

    if (node->args.size == 0)
        return dockerfile_node_error(node, "HEALTHCHECK requires at least one argument");
    split_type(node->args, &type, &rest);
    if (dockerfile_parse_command(node, rest, &check.command) < 0)
        return -1;
    if (view_eq_nocase(type, "NONE")) {
        if (check.command.args.count > 0)
            return dockerfile_node_error(node, "HEALTHCHECK NONE takes no arguments");
        check.none = true;
    } else if (parse_options(node, &check) < 0) {
        return -1;
    } else if (!view_eq_nocase(type, "CMD")) {
        return error_at(node->err, dockerfile_node_pos(node, type.data), ERROR_INVALID,
                        "Unknown type \"%.*s\" in HEALTHCHECK (try CMD)", VIEW_ARG(type));
    } else if (check.command.args.count == 0) {
        return dockerfile_node_error(node, "Missing command after HEALTHCHECK CMD");
    }
    node->out->healthcheck =
        dockerfile_arena_copy(node->parser->arena, &check, 1, sizeof check);
    return 0;
}
