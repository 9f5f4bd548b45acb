/*
 * Flags of one instruction. Spec: BuildKit instructions/bflag.go.
 */
#include "base/limits.h"
#include "parser/node.h"
#include "parser/suggest.h"

#include <assert.h>

/* No instruction knows more flags than this. */
#define SPEC_COUNT_MAX 16

static int error_at_flag(struct dockerfile_node *node,
                         struct dockerfile_word flag,
                         const char *format,
                         struct view name)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&text, format);
    buf_append_view(&text, name);
    struct source_pos pos = flag.pos;
    pos.line_end = node->out->pos.line_end;
    return error_at(node->err, pos, ERROR_INVALID, "%s", buf_text(&text));
}

static int unknown_flag(struct dockerfile_node *node,
                        struct dockerfile_word flag,
                        struct view name,
                        const struct dockerfile_flag_spec *specs,
                        size_t count)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    const char *names[SPEC_COUNT_MAX];

    assert(count <= SPEC_COUNT_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = specs[i].name;
    buf_append_view(&text, name);
    dockerfile_suggest_append(&text, view_sub(name, 2, name.size), names, count, false);
    return error_at_flag(node, flag, "unknown flag: ", buf_view(&text));
}

static int read_bool(struct dockerfile_node *node,
                     struct dockerfile_word flag,
                     struct view name,
                     bool has_value,
                     struct dockerfile_flag *out)
{
    const struct view value = out->value.text;

    if (has_value && value.size == 0)
        return error_at_flag(node, flag, "missing a value on flag: ", name);
    out->on = !has_value || view_eq_nocase(value, "true");
    if (!out->on && !view_eq_nocase(value, "false"))
        return error_at_flag(node, flag, "expecting true or false for flag: ", flag.text);
    return 0;
}

static int parse_one(struct dockerfile_node *node,
                     struct dockerfile_word flag,
                     const struct dockerfile_flag_spec *specs,
                     size_t count,
                     struct dockerfile_flag *flags)
{
    struct view name, value;
    const bool has_value = view_cut(flag.text, '=', &name, &value);
    size_t i = 0;

    while (i < count && !view_eq_text(view_sub(name, 2, name.size), specs[i].name))
        i++;
    if (i == count)
        return unknown_flag(node, flag, name, specs, count);
    if (flags[i].given && specs[i].type != DOCKERFILE_FLAG_TEXTS)
        return error_at_flag(node, flag, "duplicate flag specified: ", name);
    if (!has_value && specs[i].type != DOCKERFILE_FLAG_BOOL)
        return error_at_flag(node, flag, "missing a value on flag: ", name);
    flags[i].given = true;
    if (has_value) {
        flags[i].value = (struct dockerfile_word){value, flag.pos};
        if (!node->parser->fixed_pos)
            flags[i].value.pos.column += (unsigned)name.size + 1;
    }
    return specs[i].type == DOCKERFILE_FLAG_BOOL
               ? read_bool(node, flag, name, has_value, &flags[i])
               : 0;
}

int dockerfile_flags_parse(struct dockerfile_node *node,
                           const struct dockerfile_flag_spec *specs,
                           size_t count,
                           struct dockerfile_flag *flags)
{
    const struct dockerfile_words words = node->out->flags;

    for (size_t i = 0; i < count; i++)
        flags[i] = (struct dockerfile_flag){.given = false};
    for (size_t i = 0; i < words.count; i++)
        if (parse_one(node, words.items[i], specs, count, flags) < 0)
            return -1;
    return 0;
}

struct dockerfile_words dockerfile_flags_collect(const struct dockerfile_node *node,
                                                 const char *name)
{
    struct dockerfile_word_list *list = &node->parser->extra;
    const struct dockerfile_words words = node->out->flags;

    list->count = 0;
    for (size_t i = 0; i < words.count; i++) {
        struct view head, value;
        if (!view_cut(words.items[i].text, '=', &head, &value) ||
            !view_eq_text(view_sub(head, 2, head.size), name))
            continue;
        struct dockerfile_word word = {value, words.items[i].pos};
        if (!node->parser->fixed_pos)
            word.pos.column += (unsigned)head.size + 1;
        dockerfile_word_list_add(list, word);
    }
    return dockerfile_word_list_seal(list, node->parser->arena);
}
