#include "parser/node.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>

struct source_pos dockerfile_node_pos(const struct dockerfile_node *node, const char *at)
{
    if (node->parser->fixed_pos)
        return *node->parser->fixed_pos;
    return dockerfile_line_pos(node->line, at, node->parser->source_name);
}

struct dockerfile_word dockerfile_node_word(const struct dockerfile_node *node,
                                            struct view text)
{
    return (struct dockerfile_word){text, dockerfile_node_pos(node, text.data)};
}

void dockerfile_word_list_add(struct dockerfile_word_list *list,
                              struct dockerfile_word word)
{
    list->items = base_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = word;
}

struct dockerfile_words dockerfile_word_list_seal(const struct dockerfile_word_list *list,
                                                  struct dockerfile_arena *arena)
{
    return (struct dockerfile_words){
        dockerfile_arena_copy(arena, list->items, list->count, sizeof *list->items),
        list->count};
}

int dockerfile_node_error(struct dockerfile_node *node, const char *format, ...)
{
    CLEANUP(base_freep) char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    const int size = vasprintf(&message, format, arguments);
    va_end(arguments);
    if (size < 0)
        message = NULL;
    return error_at(node->err, node->out->pos, ERROR_INVALID, "%s",
                    message ? message : "syntax error");
}
