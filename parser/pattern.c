#include "parser/pattern.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/arena.h"
#include "parser/glob.h"
#include "parser/pattern_class.h"
#include "parser/unicode.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * The expression as a row of items; state i of the automaton stands before item i, the
 * state after the last one accepts. An item with a star may be skipped and stays on itself.
 * An assertion is passed without reading, when both neighbours of the place are known.
 *
 *     **     state i:   go to i + 1 or i + 2 without reading        ITEM_DIRS_ENTER
 *            state i+1: any character stays; '/' also leaves        ITEM_DIRS
 */
enum item_kind {
    ITEM_RUNE,
    ITEM_CLASS,
    ITEM_DOT, /* any character but a newline */
    ITEM_DIRS_ENTER,
    ITEM_DIRS,
    /* These read nothing and hold only at some places: */
    ITEM_START,  /* '^' or \A: before the first character */
    ITEM_END,    /* \z */
    ITEM_BORDER, /* \b: between a word and what is none; as in `dist\build` */
    ITEM_INNER,  /* \B: anywhere else */
};

static bool is_assertion(enum item_kind kind)
{
    return kind >= ITEM_START;
}

struct dockerfile_pattern_item {
    enum item_kind kind;
    bool star;
    union {
        uint32_t rune;
        const struct dockerfile_class *class;
    };
};

/* --- Compilation ------------------------------------------------------------------------
 */

/* patternmatcher's own compile: text to expression, and the type that it detects. */
static enum dockerfile_pattern_type to_expression(struct view text, struct buf *out)
{
    enum dockerfile_pattern_type type = DOCKERFILE_PATTERN_EXACT;

    for (size_t at = 0; at < text.size;) {
        const bool first = at == 0;
        const char c = text.data[at++];
        if (c == '*' && at < text.size && text.data[at] == '*') {
            at++;
            if (at < text.size && text.data[at] == '/')
                at++;
            if (at < text.size) {
                buf_append_text(out, "(.*/)?");
                type = DOCKERFILE_PATTERN_ITEMS;
            } else if (type == DOCKERFILE_PATTERN_EXACT) {
                type = DOCKERFILE_PATTERN_PREFIX;
            } else {
                buf_append_text(out, ".*");
                type = DOCKERFILE_PATTERN_ITEMS;
            }
            if (first)
                type = DOCKERFILE_PATTERN_SUFFIX;
        } else if (c == '*' || c == '?') {
            buf_append_text(out, c == '*' ? "[^/]*" : "[^/]");
            type = DOCKERFILE_PATTERN_ITEMS;
        } else if (strchr(".+()|{}$", c) && c != '\0') {
            buf_append_char(out, '\\');
            buf_append_char(out, c);
        } else {
            buf_append_char(out, c);
            if (c == '\\' && at < text.size)
                buf_append_char(out, text.data[at++]);
            if (c == '\\' || c == '[' || c == ']')
                type = DOCKERFILE_PATTERN_ITEMS;
        }
    }
    return type;
}

static bool take_text(struct view expression, size_t *at, const char *text)
{
    const size_t size = strlen(text);

    if (expression.size - *at < size || memcmp(expression.data + *at, text, size) != 0)
        return false;
    *at += size;
    return true;
}

/* A backslash and a letter that stand for a place. */
static bool read_assertion(struct view expression, size_t *at, enum item_kind *kind)
{
    const char letter = *at + 1 < expression.size ? expression.data[*at + 1] : '\0';

    switch (letter) {
    case 'A':
        *kind = ITEM_START;
        break;
    case 'z':
        *kind = ITEM_END;
        break;
    case 'b':
        *kind = ITEM_BORDER;
        break;
    case 'B':
        *kind = ITEM_INNER;
        break;
    default:
        return false;
    }
    *at += 2;
    return true;
}

/* One atom of the expression at *at. False where Go's regexp would not compile it. */
static bool read_item(struct dockerfile_arena *arena,
                      struct view expression,
                      size_t *at,
                      struct dockerfile_pattern_item *item)
{
    struct dockerfile_class class = {NULL, 0, false};
    const char c = expression.data[*at];
    size_t length;

    *item = (struct dockerfile_pattern_item){.kind = ITEM_RUNE};
    if (c == '\\' && read_assertion(expression, at, &item->kind))
        return true;
    if (c == '[' || c == '\\') {
        if (c == '[' ? !dockerfile_class_read(arena, expression, at, &class)
                     : !dockerfile_class_escape(expression, at, &item->rune, &class))
            return false;
        if (class.range_count > 0) {
            item->kind = ITEM_CLASS;
            item->class = dockerfile_arena_copy(arena, &class, 1, sizeof class);
        }
        return true;
    }
    if (c == '.')
        item->kind = ITEM_DOT;
    else if (c == '^')
        item->kind = ITEM_START;
    item->rune =
        dockerfile_rune_decode(expression.data + *at, expression.size - *at, &length);
    *at += length;
    return true;
}

static bool read_items(struct dockerfile_arena *arena,
                       struct view expression,
                       struct dockerfile_pattern *out)
{
    /* An item takes at least one byte of the expression, "**" two items of six bytes. */
    struct dockerfile_pattern_item *items =
        dockerfile_arena_array(arena, expression.size + 1, sizeof *items);
    size_t count = 0;

    for (size_t at = 0; at < expression.size; count++) {
        if (take_text(expression, &at, "(.*/)?")) {
            items[count++].kind = ITEM_DIRS_ENTER;
            items[count].kind = ITEM_DIRS;
            continue;
        }
        if (!read_item(arena, expression, &at, &items[count]))
            return false;
        out->has_assertions = out->has_assertions || is_assertion(items[count].kind);
        if (at < expression.size && expression.data[at] == '*') {
            items[count].star = true;
            at++;
        }
    }
    out->items = items;
    out->item_count = count;
    return true;
}

static bool is_literal(const struct dockerfile_pattern_item *item)
{
    return item->kind == ITEM_RUNE && !item->star && item->rune != DOCKERFILE_RUNE_BAD;
}

/* The literal bytes that begin and end every match: most paths are refused by them. */
static void find_ends(struct dockerfile_arena *arena, struct dockerfile_pattern *pattern)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    size_t start = 0, end = pattern->item_count;

    for (; start < end && is_literal(&pattern->items[start]); start++)
        dockerfile_rune_append(&text, pattern->items[start].rune);
    pattern->head = dockerfile_arena_text(arena, buf_view(&text));
    buf_clear(&text);
    while (end > start && is_literal(&pattern->items[end - 1]))
        end--;
    for (; end < pattern->item_count; end++)
        dockerfile_rune_append(&text, pattern->items[end].rune);
    pattern->tail = dockerfile_arena_text(arena, buf_view(&text));
}

int dockerfile_pattern_compile(struct dockerfile_arena *arena,
                               struct view text,
                               struct dockerfile_pattern *out,
                               struct error *err)
{
    CLEANUP(buf_release) struct buf expression = BUF_INIT(LIMIT_TEXT_SIZE);

    if (text.size > LIMIT_PATTERN_SIZE)
        return error_set(err, ERROR_LIMIT, "a pattern is longer than %zu bytes",
                         LIMIT_PATTERN_SIZE);
    /* patternmatcher asks filepath.Match whether the pattern is well formed. */
    if (dockerfile_glob_check(text, err) < 0)
        return -1;
    *out = (struct dockerfile_pattern){.text = dockerfile_arena_text(arena, text)};
    out->type = to_expression(out->text, &expression);
    if (buf_ok(&expression, "pattern", err) < 0)
        return -1;
    switch (out->type) {
    case DOCKERFILE_PATTERN_EXACT:
        return 0;
    case DOCKERFILE_PATTERN_PREFIX:
        out->literal = view_sub(out->text, 0, out->text.size - 2);
        return 0;
    case DOCKERFILE_PATTERN_SUFFIX:
        out->literal = view_sub(out->text, 2, out->text.size - 2);
        return 0;
    case DOCKERFILE_PATTERN_ITEMS:
        break;
    }
    if (!read_items(arena, buf_view(&expression), out))
        return error_set(err, ERROR_INVALID, "pattern '%.*s' is malformed", VIEW_ARG(text));
    find_ends(arena, out);
    return 0;
}

/* --- The automaton ----------------------------------------------------------------------
 */

/* States as bits; patterns of fewer than 64 items, all real ones, need no memory. */
struct states {
    uint64_t *words;
    size_t word_count;
};

static void add_state(const struct dockerfile_pattern *pattern,
                      struct states *set,
                      size_t state)
{
    /* States only lead onwards, by one or two: a loop over what is still to be added. */
    size_t also = SIZE_MAX;

    for (;;) {
        set->words[state / 64] |= UINT64_C(1) << state % 64;
        if (state < pattern->item_count) {
            const struct dockerfile_pattern_item *item = &pattern->items[state];
            if (item->kind == ITEM_DIRS_ENTER) {
                also = state + 1;
                state += 2;
                continue;
            }
            if (item->star) {
                state++;
                continue;
            }
        }
        if (also == SIZE_MAX)
            return;
        /* ITEM_DIRS leads nowhere without reading. */
        set->words[also / 64] |= UINT64_C(1) << also % 64;
        return;
    }
}

static bool item_accepts(const struct dockerfile_pattern_item *item, uint32_t rune)
{
    switch (item->kind) {
    case ITEM_RUNE:
        return rune == item->rune;
    case ITEM_CLASS:
        return dockerfile_class_holds(item->class, rune);
    case ITEM_DOT:
    case ITEM_DIRS:
        return rune != '\n';
    case ITEM_DIRS_ENTER:
    case ITEM_START:
    case ITEM_END:
    case ITEM_BORDER:
    case ITEM_INNER:
        return false;
    }
    return false;
}

/* What stands before and after a place in the path; NONE at its ends. */
#define RUNE_NONE UINT32_MAX

static bool is_word(uint32_t rune)
{
    return rune < 0x80 && (isalnum((int)rune) || rune == '_');
}

static bool holds(enum item_kind kind, uint32_t before, uint32_t after)
{
    switch (kind) {
    case ITEM_START:
        return before == RUNE_NONE;
    case ITEM_END:
        return after == RUNE_NONE;
    case ITEM_BORDER:
        return is_word(before) != is_word(after);
    case ITEM_INNER:
        return is_word(before) == is_word(after);
    case ITEM_RUNE:
    case ITEM_CLASS:
    case ITEM_DOT:
    case ITEM_DIRS_ENTER:
    case ITEM_DIRS:
        return false;
    }
    return false;
}

/* Steps over the assertions that hold. States only lead onwards, so one pass is enough. */
static void pass_assertions(const struct dockerfile_pattern *pattern,
                            struct states *set,
                            uint32_t before,
                            uint32_t after)
{
    for (size_t i = 0; pattern->has_assertions && i < pattern->item_count; i++)
        if ((set->words[i / 64] >> i % 64 & 1) &&
            holds(pattern->items[i].kind, before, after))
            add_state(pattern, set, i + 1);
}

/* Moves from every state of `from` over `rune`; false if none is left. */
static bool advance(const struct dockerfile_pattern *pattern,
                    const struct states *from,
                    struct states *to,
                    uint32_t rune)
{
    bool any = false;

    memset(to->words, 0, to->word_count * sizeof *to->words);
    for (size_t word = 0; word < from->word_count; word++) {
        for (uint64_t bits = from->words[word]; bits; bits &= bits - 1) {
            const size_t state = word * 64 + (size_t)__builtin_ctzll(bits);
            if (state >= pattern->item_count)
                continue;
            const struct dockerfile_pattern_item *item = &pattern->items[state];
            if (!item_accepts(item, rune))
                continue;
            any = true;
            if (item->star || item->kind == ITEM_DIRS)
                add_state(pattern, to, state);
            if (!item->star && (item->kind != ITEM_DIRS || rune == '/'))
                add_state(pattern, to, state + 1);
        }
    }
    return any;
}

static bool accepts(const struct dockerfile_pattern *pattern, const struct states *set)
{
    return set->words[pattern->item_count / 64] >> pattern->item_count % 64 & 1;
}

enum question {
    ASK_WHOLE,      /* is all of the path matched? */
    ASK_ANY_PARENT, /* or what stands before one of its slashes? */
    ASK_ALIVE,      /* could something be matched that begins with it? */
};

static bool run(const struct dockerfile_pattern *pattern,
                struct view path,
                enum question ask)
{
    uint64_t inline_words[2] = {0, 0};
    const size_t word_count = pattern->item_count / 64 + 1;
    CLEANUP(base_freep)
    uint64_t *memory =
        word_count > 1 ? base_alloc_array(2 * word_count, sizeof *memory) : NULL;
    uint64_t *words = memory ? memory : inline_words;
    struct states now = {words, word_count}, next = {words + word_count, word_count};

    uint32_t before = RUNE_NONE;
    add_state(pattern, &now, 0);
    for (size_t at = 0; at < path.size;) {
        size_t length;
        const uint32_t rune =
            dockerfile_rune_decode(path.data + at, path.size - at, &length);
        if (rune == '/' && ask == ASK_ANY_PARENT && accepts(pattern, &now))
            return true;
        pass_assertions(pattern, &now, before, rune);
        if (!advance(pattern, &now, &next, rune))
            return false;
        const struct states swap = now;
        now = next;
        next = swap;
        before = rune;
        at += length;
    }
    pass_assertions(pattern, &now, before, RUNE_NONE);
    return ask == ASK_ALIVE || accepts(pattern, &now);
}

/* --- Questions --------------------------------------------------------------------------
 */

static bool starts_with(struct view text, struct view head)
{
    return text.size >= head.size && memcmp(text.data, head.data, head.size) == 0;
}

static bool ends_with(struct view text, struct view tail)
{
    return text.size >= tail.size &&
           memcmp(text.data + text.size - tail.size, tail.data, tail.size) == 0;
}

static bool suffix_match(struct view literal, struct view path)
{
    return ends_with(path, literal) || (literal.size > 0 && literal.data[0] == '/' &&
                                        view_eq(path, view_sub(literal, 1, literal.size)));
}

bool dockerfile_pattern_match(const struct dockerfile_pattern *pattern, struct view path)
{
    switch (pattern->type) {
    case DOCKERFILE_PATTERN_EXACT:
        return view_eq(path, pattern->text);
    case DOCKERFILE_PATTERN_PREFIX:
        return starts_with(path, pattern->literal);
    case DOCKERFILE_PATTERN_SUFFIX:
        return suffix_match(pattern->literal, path);
    case DOCKERFILE_PATTERN_ITEMS:
        return starts_with(path, pattern->head) && ends_with(path, pattern->tail) &&
               run(pattern, path, ASK_WHOLE);
    }
    return false;
}

bool dockerfile_pattern_match_any_parent(const struct dockerfile_pattern *pattern,
                                         struct view path)
{
    if (pattern->type == DOCKERFILE_PATTERN_ITEMS && !pattern->has_assertions)
        return starts_with(path, pattern->head) && run(pattern, path, ASK_ANY_PARENT);
    if (dockerfile_pattern_match(pattern, path))
        return true;
    for (size_t at = 1; at < path.size; at++)
        if (path.data[at] == '/' &&
            dockerfile_pattern_match(pattern, view_sub(path, 0, at)))
            return true;
    return false;
}

/* Do all of `a` and the beginning of `b` agree, or the other way round? */
static bool agree(struct view a, struct view b)
{
    return a.size < b.size ? starts_with(b, a) : starts_with(a, b);
}

bool dockerfile_pattern_reaches_below(const struct dockerfile_pattern *pattern,
                                      struct view path)
{
    const struct view text = pattern->text;

    switch (pattern->type) {
    case DOCKERFILE_PATTERN_EXACT:
        return text.size > path.size + 1 && starts_with(text, path) &&
               text.data[path.size] == '/';
    case DOCKERFILE_PATTERN_PREFIX:
        return agree(pattern->literal, path);
    case DOCKERFILE_PATTERN_SUFFIX:
        return true;
    case DOCKERFILE_PATTERN_ITEMS:
        return agree(pattern->head, path) &&
               (pattern->has_assertions || run(pattern, path, ASK_ALIVE));
    }
    return true;
}
