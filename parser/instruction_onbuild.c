/*
 * ONBUILD: the text of an instruction, kept for later.
 * Spec: BuildKit instructions/parse.go parseOnBuild.
 */
#include "base/limits.h"
#include "parser/node.h"
#include "parser/unicode.h"

static int refuse_trigger(struct dockerfile_node *node, struct dockerfile_word trigger)
{
    enum dockerfile_kind kind;

    if (!dockerfile_kind_find(trigger.text, &kind))
        return 0;
    if (kind == DOCKERFILE_ONBUILD)
        return error_at(node->err, trigger.pos, ERROR_INVALID,
                        "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (kind == DOCKERFILE_MAINTAINER || kind == DOCKERFILE_FROM)
        return error_at(node->err, trigger.pos, ERROR_INVALID,
                        "%s isn't allowed as an ONBUILD trigger",
                        dockerfile_kind_name(kind));
    return 0;
}

/* The line after the word ONBUILD, and the heredocs that belong to it. */
static struct view expression(struct dockerfile_node *node)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(2 * LIMIT_DOCKERFILE_SIZE);
    const struct view line = node->line->text;
    const size_t skip =
        (size_t)(node->out->name.text.data - line.data) + node->out->name.text.size;
    const struct view rest = dockerfile_trim_left(view_sub(line, skip, line.size - skip));

    if (node->heredocs.count == 0)
        return rest;
    buf_append_view(&text, rest);
    for (size_t i = 0; i < node->heredocs.count; i++) {
        buf_append_char(&text, '\n');
        buf_append_view(&text, node->heredocs.items[i].content);
        buf_append_view(&text, node->heredocs.items[i].name.text);
    }
    return dockerfile_arena_text(node->parser->arena, buf_view(&text));
}

int dockerfile_parse_onbuild(struct dockerfile_node *node)
{
    struct dockerfile_instruction inner_out = {.pos = node->out->pos};
    struct dockerfile_node inner = {node->parser, node->line, &inner_out,
                                    {NULL, 0},    {NULL, 0},  node->err};
    struct dockerfile_onbuild onbuild;

    if (node->args.size == 0)
        return dockerfile_node_error(node, "ONBUILD requires at least one argument");
    if (dockerfile_flags_parse(node, NULL, 0, NULL) < 0)
        return -1;
    dockerfile_node_split(&inner, node->args);
    onbuild.trigger = inner_out.name;
    if (refuse_trigger(node, onbuild.trigger) < 0 ||
        dockerfile_instruction_precheck(&inner) < 0)
        return -1;
    onbuild.expression = expression(node);
    node->out->onbuild =
        dockerfile_arena_copy(node->parser->arena, &onbuild, 1, sizeof onbuild);
    return 0;
}
