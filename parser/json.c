/*
 * JSON arrays of strings, as exec forms and lists of paths are written. What counts as
 * valid JSON is what Go's encoding/json accepts: anything else is read as plain text, so
 * this decides between two meanings and must agree with it. Positions are kept for each
 * string.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "parser/node.h"
#include "parser/unicode.h"

#include <string.h>

/* encoding/json's own limit for nesting. */
#define DEPTH_MAX 10000

struct scan {
    struct view text;
    size_t at;
};

static bool take(struct scan *scan, char c)
{
    if (scan->at >= scan->text.size || scan->text.data[scan->at] != c)
        return false;
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->text.size && scan->text.data[scan->at] &&
           strchr(" \t\r\n", scan->text.data[scan->at]))
        scan->at++;
}

static bool take_text(struct scan *scan, const char *text)
{
    const size_t size = strlen(text);

    if (scan->text.size - scan->at < size ||
        memcmp(scan->text.data + scan->at, text, size) != 0)
        return false;
    scan->at += size;
    return true;
}

static bool take_digits(struct scan *scan)
{
    const size_t start = scan->at;

    while (scan->at < scan->text.size && scan->text.data[scan->at] >= '0' &&
           scan->text.data[scan->at] <= '9')
        scan->at++;
    return scan->at > start;
}

static bool take_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return false;
    if (take(scan, '.') && !take_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return take_digits(scan);
    }
    return true;
}

static bool take_hex4(struct scan *scan, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        if (scan->at >= scan->text.size)
            return false;
        const char c = scan->text.data[scan->at++];
        const char lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            *value = *value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *value = *value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* After \u: halves of a pair are joined, a half alone is U+FFFD. */
static bool take_unicode(struct scan *scan, uint32_t *rune)
{
    uint32_t low;

    if (!take_hex4(scan, rune))
        return false;
    if (*rune < 0xd800 || *rune > 0xdfff)
        return true;
    struct scan ahead = *scan;
    if (*rune < 0xdc00 && take_text(&ahead, "\\u") && take_hex4(&ahead, &low) &&
        low >= 0xdc00 && low <= 0xdfff) {
        *rune = 0x10000 + ((*rune - 0xd800) << 10 | (low - 0xdc00));
        *scan = ahead;
    } else {
        *rune = DOCKERFILE_RUNE_BAD;
    }
    return true;
}

static bool take_escape(struct scan *scan, uint32_t *rune)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";

    if (scan->at >= scan->text.size)
        return false;
    const char c = scan->text.data[scan->at++];
    if (c == 'u')
        return take_unicode(scan, rune);
    const char *found = c ? strchr(names, c) : NULL;
    if (!found)
        return false;
    *rune = (unsigned char)values[found - names];
    return true;
}

/* A string whose opening quote was read. `out` gets its text if it differs from what is
 * written; *plain says whether it does not. */
static bool take_string(struct scan *scan,
                        struct buf *out,
                        struct view *written,
                        bool *plain)
{
    const size_t start = scan->at;

    *plain = true;
    while (scan->at < scan->text.size) {
        const size_t before = scan->at;
        size_t length;
        uint32_t rune = dockerfile_rune_decode(scan->text.data + scan->at,
                                               scan->text.size - scan->at, &length);
        scan->at += length;
        if (rune == '"') {
            *written = view_sub(scan->text, start, before - start);
            return true;
        }
        if (rune < 0x20)
            return false;
        const bool odd = rune == '\\' || (rune == DOCKERFILE_RUNE_BAD && length == 1);
        if (rune == '\\' && !take_escape(scan, &rune))
            return false;
        if (odd && *plain) {
            *plain = false;
            buf_append_view(out, view_sub(scan->text, start, before - start));
        }
        if (!*plain)
            dockerfile_rune_append(out, rune);
    }
    return false;
}

static bool skip_string(struct scan *scan)
{
    CLEANUP(buf_release) struct buf ignored = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    struct view written;
    bool plain;

    return take(scan, '"') && take_string(scan, &ignored, &written, &plain);
}

static bool skip_scalar(struct scan *scan)
{
    if (scan->at >= scan->text.size)
        return false;
    switch (scan->text.data[scan->at]) {
    case '"':
        return skip_string(scan);
    case 't':
        return take_text(scan, "true");
    case 'f':
        return take_text(scan, "false");
    case 'n':
        return take_text(scan, "null");
    default:
        return take_number(scan);
    }
}

/* "KEY": within an object. */
static bool skip_key(struct scan *scan)
{
    skip_space(scan);
    if (!skip_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':');
}

/* Any value, however deep, without recursion: `open` has a bit for each level. */
static bool skip_value(struct scan *scan)
{
    unsigned char open[DEPTH_MAX]; /* '[' or '{' */
    size_t depth = 0;

    for (;;) {
        skip_space(scan);
        const char c = scan->at < scan->text.size ? scan->text.data[scan->at] : '\0';
        if (c == '[' || c == '{') {
            scan->at++;
            skip_space(scan);
            if (depth + 1 >= DEPTH_MAX)
                return false;
            if (!take(scan, c == '[' ? ']' : '}')) {
                open[depth++] = (unsigned char)c;
                if (c == '{' && !skip_key(scan))
                    return false;
                continue;
            }
        } else if (!skip_scalar(scan)) {
            return false;
        }
        /* A value is complete: close what it ends, or go on to the next one. */
        for (skip_space(scan); depth > 0 && take(scan, open[depth - 1] == '[' ? ']' : '}');
             skip_space(scan))
            depth--;
        if (depth == 0)
            return true;
        if (!take(scan, ',') || (open[depth - 1] == '{' && !skip_key(scan)))
            return false;
    }
}

static bool read_string(const struct dockerfile_node *node,
                        struct scan *scan,
                        struct dockerfile_word_list *list)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    const char *start = scan->text.data + scan->at;
    struct view written;
    bool plain;

    scan->at++;
    if (!take_string(scan, &text, &written, &plain))
        return false;
    if (!plain)
        written = dockerfile_arena_text(node->parser->arena, buf_view(&text));
    dockerfile_word_list_add(
        list, (struct dockerfile_word){written, dockerfile_node_pos(node, start)});
    return true;
}

enum dockerfile_json dockerfile_json_read(const struct dockerfile_node *node,
                                          struct view text,
                                          struct dockerfile_word_list *list)
{
    const size_t count_before = list->count;
    struct scan scan = {dockerfile_trim_left(text), 0};
    bool only_strings = true;

    if (!take(&scan, '['))
        return DOCKERFILE_JSON_NONE;
    skip_space(&scan);
    for (bool more = !take(&scan, ']'); more;) {
        skip_space(&scan);
        const bool string = scan.at < scan.text.size && scan.text.data[scan.at] == '"';
        only_strings = only_strings && string;
        if (!(string ? read_string(node, &scan, list) : skip_value(&scan)))
            goto none;
        skip_space(&scan);
        more = take(&scan, ',');
        if (!more && !take(&scan, ']'))
            goto none;
    }
    skip_space(&scan);
    if (scan.at < scan.text.size)
        goto none;
    return only_strings ? DOCKERFILE_JSON_STRINGS : DOCKERFILE_JSON_OTHER;
none:
    list->count = count_before;
    return DOCKERFILE_JSON_NONE;
}
