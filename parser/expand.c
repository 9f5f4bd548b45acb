#include "parser/expand.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "parser/expand_glob.h"
#include "parser/unicode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * One pass over the source, one output text. What nests is a frame on a heap stack; while a
 * ${...} is open, its word grows at the end of the output:
 *
 *     output   a b ${x:-  c d  }          frame.start .. end of output = the word so far
 *                         ^start
 *
 * When it closes, either the word stays where it is, or the output is cut back to `start`
 * and the value takes its place. So nothing is copied from one level to the next, and
 * nesting costs linear work.
 */
enum frame_kind {
    FRAME_TOP,
    FRAME_QUOTE,       /* "..." */
    FRAME_WORD,        /* ${NAME-word}: up to '}' */
    FRAME_PATTERN,     /* ${NAME/pattern/: up to '/' */
    FRAME_REPLACEMENT, /* and then up to '}' */
};

struct frame {
    enum frame_kind kind;
    bool raw_escapes;
    bool set;           /* the variable is set, to `value` */
    bool keep;          /* unset and to be kept as written: "${NAME:-" is in the output */
    bool null_is_unset; /* the operator came after ':' */
    bool all;           /* ${NAME//...} */
    uint32_t operation; /* one of - + ? # %, or what else stood there */
    struct view name;
    struct view value;
    size_t start;       /* of the word in the output, or of the pattern */
    size_t replacement; /* start of the replacement */
};

struct expansion {
    struct view source;
    size_t at;
    const struct dockerfile_expand *how;
    char escape;
    struct buf *out;
    struct error *err;
    struct frame *frames;
    size_t depth; /* frames in use */
    size_t capacity;
    size_t work;               /* done so far, of LIMIT_DOCKERFILE_EXPANSION */
    struct splitter *splitter; /* NULL when one text is wanted */
};

/* --- Splitting at white space -----------------------------------------------------------
 */

struct splitter {
    struct dockerfile_strings *strings;
    struct buf word;
};

void dockerfile_strings_release(struct dockerfile_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct dockerfile_strings){NULL, 0, 0};
}

static void splitter_flush(struct splitter *splitter)
{
    struct dockerfile_strings *strings = splitter->strings;

    if (splitter->word.size == 0)
        return;
    strings->items =
        base_grow(strings->items, strings->count, &strings->capacity, sizeof(char *));
    strings->items[strings->count++] =
        base_strndup(splitter->word.data, splitter->word.size);
    buf_clear(&splitter->word);
}

static void splitter_add(struct splitter *splitter, struct view text)
{
    for (size_t at = 0; at < text.size;) {
        size_t length;
        const uint32_t rune =
            dockerfile_rune_decode(text.data + at, text.size - at, &length);
        if (dockerfile_rune_is_space(rune))
            splitter_flush(splitter);
        else
            dockerfile_rune_append(&splitter->word, rune);
        at += length;
    }
}

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

static struct frame *top(const struct expansion *x)
{
    return &x->frames[x->depth - 1];
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

static int fail_modifier(struct expansion *x, bool colon, uint32_t rune)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_NAME_SIZE);

    dockerfile_rune_append(&text, rune);
    return error_set(x->err, ERROR_INVALID, "unsupported modifier (%s%s) in substitution",
                     colon ? ":" : "", buf_text(&text));
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

/* At the top, what was just added to the output from `from` on also goes to the splitter:
 * `raw` text joins the word, other text is split at white space. */
static void split_from(struct expansion *x, size_t from, bool raw)
{
    if (!x->splitter || top(x)->kind != FRAME_TOP || x->out->size < from)
        return;
    const struct view added = {buf_text(x->out) + from, x->out->size - from};
    if (added.size == 0)
        return;
    if (raw)
        buf_append_view(&x->splitter->word, added);
    else
        splitter_add(x->splitter, added);
}

static void emit_rune(struct expansion *x, uint32_t rune, bool raw)
{
    const size_t from = x->out->size;

    dockerfile_rune_append(x->out, rune);
    split_from(x, from, raw);
}

static void cut_back(struct expansion *x, size_t size)
{
    if (size < x->out->size) {
        x->out->size = size;
        x->out->data[size] = '\0';
    }
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
    split_from(x, from, false);
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
        return fail_modifier(x, true, operation);
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
    return fail_modifier(x, false, operation);
}

/* --- Closing ${...} ---------------------------------------------------------------------
 */

static void replace_with(struct expansion *x, const struct frame *frame, struct view text)
{
    cut_back(x, frame->start);
    buf_append_view(x->out, text);
}

static int spend(struct expansion *x, size_t work)
{
    if (work > LIMIT_DOCKERFILE_EXPANSION - x->work)
        return error_set(x->err, ERROR_LIMIT,
                         "patterns and replacements take more than %zu steps",
                         LIMIT_DOCKERFILE_EXPANSION);
    x->work += work;
    return 0;
}

/* Matching costs at most this much. */
static int spend_match(struct expansion *x, struct view pattern, struct view value)
{
    if (pattern.size > LIMIT_DOCKERFILE_EXPANSION / (value.size + 1))
        return spend(x, SIZE_MAX);
    return spend(x, pattern.size * (value.size + 1));
}

static int close_question(struct expansion *x, const struct frame *frame, struct view word)
{
    if (frame->set && !(frame->null_is_unset && frame->value.size == 0)) {
        replace_with(x, frame, frame->value);
        return 0;
    }
    if (word.size == 0)
        word = frame->set ? VIEW_LIT("is not allowed to be empty")
                          : VIEW_LIT("is not allowed to be unset");
    return error_set(x->err, ERROR_INVALID, "%.*s: %.*s", VIEW_ARG(frame->name),
                     VIEW_ARG(word));
}

/* ${NAME#pattern} and its kin. The pattern stands in the output and is cut off after use.
 */
static int close_trim(struct expansion *x, const struct frame *frame, struct view pattern)
{
    const bool greedy =
        pattern.size > 0 && (unsigned char)pattern.data[0] == frame->operation;
    struct view rest;

    if (greedy)
        pattern = view_sub(pattern, 1, pattern.size);
    if (spend_match(x, pattern, frame->value) < 0 ||
        dockerfile_expand_trim(pattern, frame->value, frame->operation == '%', greedy,
                               &rest, x->err) < 0)
        return -1;
    replace_with(x, frame, rest);
    return 0;
}

static int close_word(struct expansion *x, const struct frame *frame)
{
    const struct view word = {buf_text(x->out) + frame->start, x->out->size - frame->start};
    const bool empty = !frame->set || (frame->null_is_unset && frame->value.size == 0);

    if (frame->keep) {
        buf_append_char(x->out, '}');
        return 0;
    }
    switch (frame->operation) {
    case '-':
        if (!empty)
            replace_with(x, frame, frame->value);
        return 0;
    case '+':
        if (empty)
            cut_back(x, frame->start);
        return 0;
    case '?':
        return close_question(x, frame, word);
    case '#':
    case '%':
        return close_trim(x, frame, word);
    default:
        return fail_modifier(x, frame->null_is_unset, frame->operation);
    }
}

static int close_replacement(struct expansion *x, const struct frame *frame)
{
    CLEANUP(buf_release)
    struct buf result = BUF_INIT(x->out->max);

    if (frame->keep) {
        buf_append_char(x->out, '}');
        return 0;
    }
    const struct view all = buf_view(x->out);
    const struct view pattern =
        view_sub(all, frame->start, frame->replacement - frame->start);
    const struct view replacement = view_sub(all, frame->replacement, all.size);
    if (result.max > LIMIT_DOCKERFILE_EXPANSION - x->work)
        result.max = LIMIT_DOCKERFILE_EXPANSION - x->work;
    if (spend_match(x, pattern, frame->value) < 0 ||
        dockerfile_expand_replace(pattern, frame->value, replacement, frame->all, &result,
                                  x->err) < 0 ||
        buf_ok(&result, "expansion", x->err) < 0 || spend(x, result.size) < 0)
        return -1;
    replace_with(x, frame, buf_view(&result));
    return 0;
}

/* The stop character of the frame on top was read. */
static int close_frame(struct expansion *x)
{
    struct frame frame = *top(x);
    int result;

    if (x->out->failed)
        return buf_ok(x->out, "expansion", x->err);
    if (frame.kind == FRAME_PATTERN) {
        if (frame.keep)
            buf_append_char(x->out, '/');
        top(x)->kind = FRAME_REPLACEMENT;
        top(x)->replacement = x->out->size;
        return 0;
    }
    x->depth--;
    if (frame.kind == FRAME_REPLACEMENT)
        result = close_replacement(x, &frame);
    else
        result = close_word(x, &frame);
    if (result == 0)
        split_from(x, frame.start, false);
    return result;
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
            split_from(x, from, true);
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
        split_from(x, from, true);
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
    split_from(x, from, true);
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
        return close_frame(x);
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
        splitter_flush(&splitter);
    buf_release(&splitter.word);
    if (result < 0)
        while (out->count > count_before)
            free(out->items[--out->count]);
    return result;
}
