#include "parser/expand_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "parser/unicode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- The source -------------------------------------------------------------------------
 */

static bool at_end(const struct expansion *x)
{
    return x->at >= x->source.size;
}

static bool next_is(const struct expansion *x, char c)
{
    return !at_end(x) && x->source.data[x->at] == c;
}

static uint32_t peek(const struct expansion *x, size_t *length)
{
    return dockerfile_rune_decode(x->source.data + x->at, x->source.size - x->at, length);
}

static uint32_t next_rune(struct expansion *x)
{
    size_t length;
    const uint32_t rune = peek(x, &length);

    x->at += length;
    return rune;
}

static int fail(struct expansion *x, const char *message)
{
    /* What is cut short within a ${ is reported as the outermost one missing its end. */
    if (at_end(x)) {
        for (size_t i = 0; i < x->depth; i++) {
            const enum frame_kind kind = x->frames[i].kind;
            if (kind == FRAME_PATTERN)
                message = "syntax error: missing '/' in ${}";
            else if (kind == FRAME_WORD || kind == FRAME_REPLACEMENT)
                message = "syntax error: missing '}'";
            else
                continue;
            break;
        }
    }
    return error_set(x->err, ERROR_INVALID, "%s", message);
}

static int push(struct expansion *x, struct frame frame)
{
    if (x->depth >= LIMIT_DOCKERFILE_NESTING)
        return error_set(x->err, ERROR_LIMIT, "substitutions nest deeper than %zu levels",
                         LIMIT_DOCKERFILE_NESTING);
    x->frames = base_grow(x->frames, x->depth, &x->capacity, sizeof *x->frames);
    x->frames[x->depth++] = frame;
    return 0;
}

/* --- Output -----------------------------------------------------------------------------
 */

static void emit_rune(struct expansion *x, uint32_t rune, bool raw)
{
    const size_t from = x->out->size;

    dockerfile_rune_append(x->out, rune);
    dockerfile_expand_split(x, from, raw);
}

/* --- Variables --------------------------------------------------------------------------
 */

static bool is_special_parameter(uint32_t rune)
{
    return rune < 0x80 && rune != 0 && strchr("@*#?-$!", (int)rune);
}

static struct view read_name(struct expansion *x)
{
    const size_t start = x->at;
    size_t length;

    if (!at_end(x)) {
        const uint32_t first = peek(x, &length);
        const bool number = dockerfile_rune_is_digit(first);
        if (is_special_parameter(first)) {
            x->at += length;
        } else {
            while (!at_end(x)) {
                const uint32_t rune = peek(x, &length);
                if (!dockerfile_rune_is_digit(rune) &&
                    (number || (!dockerfile_rune_is_letter(rune) && rune != '_')))
                    break;
                x->at += length;
            }
        }
    }
    return view_sub(x->source, start, x->at - start);
}

static bool look_up(const struct expansion *x, struct view name, struct view *value)
{
    const bool found = x->how->lookup && x->how->lookup(x->how->context, name, value);

    if (!found)
        *value = VIEW_LIT("");
    if (x->how->on_variable)
        x->how->on_variable(x->how->context, name, found);
    return found;
}

/* $NAME and ${NAME}. */
static void put_variable(struct expansion *x, struct view name, bool braces)
{
    const size_t from = x->out->size;
    struct view value;

    if (look_up(x, name, &value) || !(x->how->flags & DOCKERFILE_EXPAND_KEEP_UNSET)) {
        buf_append_view(x->out, value);
    } else {
        buf_append_text(x->out, braces ? "${" : "$");
        buf_append_view(x->out, name);
        if (braces)
            buf_append_char(x->out, '}');
    }
    dockerfile_expand_split(x, from, false);
}

/* After ${NAME and an operator: everything up to the brace is a word. */
static int open_word(struct expansion *x, struct view name, bool colon, uint32_t operation)
{
    struct frame frame = {.kind = operation == '/' ? FRAME_PATTERN : FRAME_WORD,
                          .operation = operation,
                          .null_is_unset = colon,
                          .raw_escapes =
                              operation == '#' || operation == '%' || operation == '/',
                          .name = name};

    if (colon && (operation == '#' || operation == '%'))
        return dockerfile_expand_fail_modifier(x, true, operation);
    /* BuildKit keeps the word that is being split in a buffer which a nested word empties:
     * 1${X:-80} gives the word 80. Builds may have come to depend on it. */
    if (x->splitter)
        buf_clear(&x->splitter->word);
    if (operation == '/' && !colon && next_is(x, '/')) {
        frame.all = true;
        x->at++;
    }
    frame.set = look_up(x, name, &frame.value);
    frame.keep = !frame.set && (x->how->flags & DOCKERFILE_EXPAND_KEEP_UNSET);
    frame.start = x->out->size;
    if (frame.keep) {
        buf_append_text(x->out, "${");
        buf_append_view(x->out, name);
        if (colon)
            buf_append_char(x->out, ':');
        dockerfile_rune_append(x->out, operation);
    }
    return push(x, frame);
}

static int open_dollar(struct expansion *x)
{
    x->at++;
    if (!next_is(x, '{')) {
        const struct view name = read_name(x);
        if (name.size > 0)
            put_variable(x, name, false);
        else
            emit_rune(x, '$', false);
        return 0;
    }
    x->at++;
    if (at_end(x))
        return fail(x, "syntax error: missing '}'");
    if (next_is(x, '{') || next_is(x, '}') || next_is(x, ':'))
        return fail(x, "syntax error: bad substitution");
    const struct view name = read_name(x);
    if (at_end(x))
        return fail(x, "syntax error: missing '}'");
    uint32_t operation = next_rune(x);
    if (operation == '}') {
        put_variable(x, name, true);
        return 0;
    }
    if (operation == ':') {
        if (at_end(x))
            return fail(x, "syntax error: missing '}'");
        operation = next_rune(x);
        return open_word(x, name, true, operation);
    }
    if (operation < 0x80 && operation != 0 && strchr("+-?#%/", (int)operation))
        return open_word(x, name, false, operation);
    return dockerfile_expand_fail_modifier(x, false, operation);
}

/* --- Quotes and characters --------------------------------------------------------------
 */

static int put_single_quoted(struct expansion *x)
{
    const bool raw = x->how->flags & DOCKERFILE_EXPAND_RAW_QUOTES;
    const size_t from = x->out->size;

    x->at++;
    if (raw)
        buf_append_char(x->out, '\'');
    while (!at_end(x)) {
        const uint32_t rune = next_rune(x);
        if (rune == '\'') {
            if (raw)
                buf_append_char(x->out, '\'');
            dockerfile_expand_split(x, from, true);
            return 0;
        }
        dockerfile_rune_append(x->out, rune);
    }
    return fail(x, "unexpected end of statement while looking for matching single-quote");
}

static int open_quote(struct expansion *x)
{
    const struct frame frame = {
        .kind = FRAME_QUOTE, .raw_escapes = top(x)->raw_escapes, .start = x->out->size};

    x->at++;
    if (x->how->flags & DOCKERFILE_EXPAND_RAW_QUOTES)
        buf_append_char(x->out, '"');
    return push(x, frame);
}

static int step_quote(struct expansion *x)
{
    if (at_end(x))
        return fail(x,
                    "unexpected end of statement while looking for matching double-quote");
    if (next_is(x, '$'))
        return open_dollar(x);
    uint32_t rune = next_rune(x);
    if (rune == '"') {
        const size_t from = top(x)->start;
        if (x->how->flags & DOCKERFILE_EXPAND_RAW_QUOTES)
            buf_append_char(x->out, '"');
        x->depth--;
        dockerfile_expand_split(x, from, true);
        return 0;
    }
    if (rune == (unsigned char)x->escape) {
        if (top(x)->raw_escapes)
            dockerfile_rune_append(x->out, rune);
        if (at_end(x))
            return 0;
        /* Nothing else can be escaped: the escape itself stays. */
        if (next_is(x, '"') || next_is(x, '$') || next_is(x, x->escape))
            rune = next_rune(x);
    }
    dockerfile_rune_append(x->out, rune);
    return 0;
}

/* "<<", with the white space after it, does not split: a heredoc's name may follow. */
static void put_less(struct expansion *x)
{
    const size_t from = x->out->size;

    x->at++;
    buf_append_char(x->out, '<');
    if (next_is(x, '<')) {
        x->at++;
        buf_append_char(x->out, '<');
        while (next_is(x, ' ') || next_is(x, '\t') || next_is(x, '\r'))
            buf_append_char(x->out, x->source.data[x->at++]);
    }
    dockerfile_expand_split(x, from, true);
}

static void put_escaped(struct expansion *x)
{
    x->at++;
    if (top(x)->raw_escapes)
        emit_rune(x, (unsigned char)x->escape, true);
    if (!at_end(x))
        emit_rune(x, next_rune(x), true);
}

static bool stops(const struct expansion *x, char c)
{
    switch (top(x)->kind) {
    case FRAME_PATTERN:
        return c == '/';
    case FRAME_WORD:
    case FRAME_REPLACEMENT:
        return c == '}';
    case FRAME_TOP:
    case FRAME_QUOTE:
        return false;
    }
    return false;
}

static int step_word(struct expansion *x)
{
    if (at_end(x))
        return fail(x, "unexpected end of statement");
    const char c = x->source.data[x->at];
    if (stops(x, c)) {
        x->at++;
        return dockerfile_expand_close(x);
    }
    if (c == '$')
        return open_dollar(x);
    if (c == '<') {
        put_less(x);
        return 0;
    }
    if (!(x->how->flags & DOCKERFILE_EXPAND_NO_QUOTES)) {
        if (c == '\'')
            return put_single_quoted(x);
        if (c == '"')
            return open_quote(x);
    }
    if (c == x->escape)
        put_escaped(x);
    else
        emit_rune(x, next_rune(x), false);
    return 0;
}

static int run(struct expansion *x)
{
    const struct frame bottom = {
        .kind = FRAME_TOP,
        .raw_escapes = x->how->flags & DOCKERFILE_EXPAND_RAW_ESCAPES,
    };

    assert(x->escape == '\\' || x->escape == '`');
    if (push(x, bottom) < 0)
        return -1;
    if (view_starts(x->source, "\xef\xbb\xbf"))
        x->at = 3; /* Go's scanner drops a byte order mark */
    while (x->depth > 1 || !at_end(x)) {
        if ((top(x)->kind == FRAME_QUOTE ? step_quote(x) : step_word(x)) < 0)
            return -1;
    }
    return buf_ok(x->out, "expansion", x->err);
}

/* --- Public -----------------------------------------------------------------------------
 */

static int expand(struct view word,
                  const struct dockerfile_expand *how,
                  struct buf *out,
                  struct splitter *splitter,
                  struct error *err)
{
    struct expansion x = {
        .source = word,
        .how = how,
        .escape = how->escape ? how->escape : '\\',
        .out = out,
        .err = err,
        .splitter = splitter,
    };
    const int result = run(&x);

    free(x.frames);
    if (result < 0) {
        const struct view shown = view_sub(word, 0, 200);
        return error_wrap(err, "failed to process \"%.*s%s\"", VIEW_ARG(shown),
                          shown.size < word.size ? "..." : "");
    }
    return 0;
}

/* Most words hold nothing to expand. */
static bool is_plain(struct view word, char escape)
{
    for (size_t i = 0; i < word.size; i++) {
        const char c = word.data[i];
        if (c == '$' || c == '\'' || c == '"' || c == escape || (unsigned char)c >= 0x80)
            return false;
    }
    return true;
}

int dockerfile_expand(struct view word,
                      const struct dockerfile_expand *how,
                      struct buf *out,
                      struct error *err)
{
    if (is_plain(word, how->escape ? how->escape : '\\')) {
        buf_append_view(out, word);
        return buf_ok(out, "expansion", err);
    }
    return expand(word, how, out, NULL, err);
}

int dockerfile_expand_words(struct view word,
                            const struct dockerfile_expand *how,
                            struct dockerfile_strings *out,
                            struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct splitter splitter = {out, BUF_INIT(LIMIT_TEXT_SIZE)};
    const size_t count_before = out->count;
    const int result = expand(word, how, &text, &splitter, err);

    if (result == 0)
        dockerfile_expand_flush(&splitter);
    buf_release(&splitter.word);
    if (result < 0)
        while (out->count > count_before)
            free(out->items[--out->count]);
    return result;
}
