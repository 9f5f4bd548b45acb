/*
 * ENV, LABEL and ARG: names and values.
 * Spec: BuildKit parser/line_parsers.go parseNameVal, instructions/parse.go parseArg.
 */
#include "parser/node.h"

#include <string.h>

static struct dockerfile_word part(struct dockerfile_node *node,
                                   struct view text,
                                   size_t offset,
                                   size_t size)
{
    return dockerfile_node_word(node, view_sub(text, offset, size));
}

static bool has_equals(struct view text, size_t *offset)
{
    return view_find(text, '=', offset);
}

/* ENV NAME VALUE: the value goes to the end of the line, as it is. */
static int parse_legacy(struct dockerfile_node *node, struct dockerfile_pair *pair)
{
    struct view name, value;

    if (!dockerfile_split_first(node->args, &name, &value))
        return dockerfile_node_error(node, "%s must have two arguments",
                                     dockerfile_kind_name(node->out->kind));
    *pair = (struct dockerfile_pair){dockerfile_node_word(node, name),
                                     dockerfile_node_word(node, value), true};
    return 0;
}

static int parse_pair(struct dockerfile_node *node,
                      struct dockerfile_word word,
                      struct dockerfile_pair *pair)
{
    size_t equals;

    if (!has_equals(word.text, &equals))
        return error_at(node->err, word.pos, ERROR_INVALID,
                        "Syntax error - can't find = in \"%.*s\". Must be of the form: "
                        "name=value",
                        VIEW_ARG(word.text));
    if (equals == 0)
        return error_at(node->err, word.pos, ERROR_INVALID, "%s names can not be blank",
                        dockerfile_kind_name(node->out->kind));
    *pair =
        (struct dockerfile_pair){part(node, word.text, 0, equals),
                                 part(node, word.text, equals + 1, word.text.size), false};
    return 0;
}

int dockerfile_parse_pairs(struct dockerfile_node *node)
{
    struct dockerfile_word_list *args = &node->parser->args;
    struct dockerfile_arena *arena = node->parser->arena;
    struct dockerfile_env env;
    size_t equals;

    args->count = 0;
    dockerfile_split_quoted(node, node->args, args);
    if (args->count == 0)
        return dockerfile_node_error(node, "%s requires at least one argument",
                                     dockerfile_kind_name(node->out->kind));
    const bool legacy = !has_equals(args->items[0].text, &equals);
    env.count = legacy ? 1 : args->count;
    struct dockerfile_pair *pairs = dockerfile_arena_array(arena, env.count, sizeof *pairs);
    for (size_t i = 0; i < env.count; i++)
        if ((legacy ? parse_legacy(node, &pairs[i])
                    : parse_pair(node, args->items[i], &pairs[i])) < 0)
            return -1;
    env.pairs = pairs;
    node->out->env = dockerfile_arena_copy(arena, &env, 1, sizeof env);
    return 0;
}

int dockerfile_parse_arg(struct dockerfile_node *node)
{
    struct dockerfile_word_list *args = &node->parser->args;
    struct dockerfile_arena *arena = node->parser->arena;

    /* BuildKit does not look at ARG's flags. */
    args->count = 0;
    dockerfile_split_quoted(node, node->args, args);
    if (args->count == 0)
        return dockerfile_node_error(node, "ARG requires at least one argument");
    struct dockerfile_pair *pairs =
        dockerfile_arena_array(arena, args->count, sizeof *pairs);
    for (size_t i = 0; i < args->count; i++) {
        size_t equals;
        if (!has_equals(args->items[i].text, &equals))
            pairs[i].name = args->items[i];
        else if (parse_pair(node, args->items[i], &pairs[i]) < 0)
            return -1;
    }
    const struct dockerfile_arg arg = {pairs, args->count};
    node->out->arg = dockerfile_arena_copy(arena, &arg, 1, sizeof arg);
    return 0;
}
