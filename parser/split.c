/*
 * Splitting an instruction's text: name and flags (BuildKit split_command.go), words with
 * quotes (parseWords), words between blanks (reWhitespace).
 */
#include "base/limits.h"
#include "parser/node.h"
#include "parser/unicode.h"

#include <string.h>

/* BuildKit's [\t\v\f\r ]: what separates words of most instructions. */
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static size_t blanks_size(struct view text, size_t at)
{
    const size_t start = at;

    while (at < text.size && is_blank(text.data[at]))
        at++;
    return at - start;
}

static size_t word_size(struct view text, size_t at)
{
    const size_t start = at;

    while (at < text.size && !is_blank(text.data[at]))
        at++;
    return at - start;
}

bool dockerfile_split_first(struct view text, struct view *first, struct view *rest)
{
    const size_t size = word_size(text, 0);
    const size_t next = size + blanks_size(text, size);

    *first = view_sub(text, 0, size);
    *rest = view_sub(text, next, text.size - next);
    return size < text.size;
}

void dockerfile_split_blanks(const struct dockerfile_node *node,
                             struct view text,
                             struct dockerfile_word_list *list)
{
    for (size_t at = 0; at < text.size;) {
        const size_t size = word_size(text, at);
        dockerfile_word_list_add(list,
                                 dockerfile_node_word(node, view_sub(text, at, size)));
        at += size;
        at += blanks_size(text, at);
    }
}

/* --- Words with quotes ------------------------------------------------------------------
 */

struct scan {
    struct view text;
    size_t at;
    char escape;
    char quote; /* the open one, or 0 */
};

static uint32_t scan_peek(const struct scan *scan, size_t *length)
{
    return dockerfile_rune_decode(scan->text.data + scan->at, scan->text.size - scan->at,
                                  length);
}

/* Moves to the end of the word that begins at scan->at; its end in *end, which leaves out
 * an escape that ends the text. */
static void scan_word(struct scan *scan, size_t *end)
{
    while (scan->at < scan->text.size) {
        size_t length;
        const uint32_t rune = scan_peek(scan, &length);
        const char c = rune < 0x80 ? (char)rune : '\0';
        if (!scan->quote && dockerfile_rune_is_space(rune))
            break;
        if (c == scan->escape && scan->quote != '\'') {
            if (scan->at + 1 == scan->text.size) {
                *end = scan->at++;
                return;
            }
            scan->at++;
            scan_peek(scan, &length);
        } else if (scan->quote) {
            if (c == scan->quote)
                scan->quote = '\0';
        } else if (c == '\'' || c == '"') {
            scan->quote = c;
        }
        scan->at += length;
    }
    *end = scan->at;
}

void dockerfile_split_quoted(const struct dockerfile_node *node,
                             struct view text,
                             struct dockerfile_word_list *list)
{
    struct scan scan = {text, 0, node->parser->escape, '\0'};

    for (;;) {
        scan.at += dockerfile_space_size(view_sub(text, scan.at, text.size - scan.at));
        if (scan.at >= text.size)
            return;
        const size_t start = scan.at;
        size_t end;
        scan_word(&scan, &end);
        if (end > start)
            dockerfile_word_list_add(
                list, dockerfile_node_word(node, view_sub(text, start, end - start)));
    }
}

/* --- Name and flags ---------------------------------------------------------------------
 */

/* The flag that begins at *at, without its quotes and escapes. A flag without any is not
 * copied. BuildKit reads flags byte by byte, which garbles what is not ASCII; here they
 * are UTF-8. */
static struct view read_flag(const struct dockerfile_node *node,
                             struct view text,
                             size_t *at)
{
    CLEANUP(buf_release) struct buf word = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    const size_t start = *at;
    const char escape = node->parser->escape;
    bool plain = true;
    char quote = '\0';

    for (size_t length; *at < text.size; *at += length) {
        const uint32_t rune =
            dockerfile_rune_decode(text.data + *at, text.size - *at, &length);
        const char c = rune < 0x80 ? (char)rune : '\0';
        if (!quote && dockerfile_rune_is_space(rune))
            break;
        const bool opens = !quote && (c == '\'' || c == '"');
        const bool closes = quote && c == quote;
        if (plain && (opens || c == escape)) {
            plain = false;
            buf_append_view(&word, view_sub(text, start, *at - start));
        }
        if (opens || closes) {
            quote = opens ? c : '\0';
            continue;
        }
        if (c == escape && c != '\0') {
            if (*at + 1 == text.size)
                continue;
            ++*at;
            dockerfile_rune_decode(text.data + *at, text.size - *at, &length);
        }
        if (!plain)
            buf_append(&word, text.data + *at, length);
    }
    return plain ? view_sub(text, start, *at - start)
                 : dockerfile_arena_text(node->parser->arena, buf_view(&word));
}

/* Reads flags off the front of `text`; returns what is left. */
static struct view split_flags(struct dockerfile_node *node, struct view text)
{
    struct dockerfile_word_list *flags = &node->parser->extra;
    size_t at = 0;

    flags->count = 0;
    for (;;) {
        at += dockerfile_space_size(view_sub(text, at, text.size - at));
        if (at + 1 >= text.size || text.data[at] != '-' || text.data[at + 1] != '-')
            break;
        const struct source_pos pos = dockerfile_node_pos(node, text.data + at);
        const struct view flag = read_flag(node, text, &at);
        if (view_eq_text(flag, "--"))
            break;
        dockerfile_word_list_add(flags, (struct dockerfile_word){flag, pos});
    }
    node->out->flags = dockerfile_word_list_seal(flags, node->parser->arena);
    return view_sub(text, at, text.size - at);
}

void dockerfile_node_split(struct dockerfile_node *node, struct view text)
{
    struct view name, rest;

    dockerfile_split_first(dockerfile_trim(text), &name, &rest);
    node->out->name = dockerfile_node_word(node, name);
    node->args = dockerfile_trim(split_flags(node, rest));
}
