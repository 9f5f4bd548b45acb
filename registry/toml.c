#include "registry/toml.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Arrays within arrays are followed by recursion. */
#define DEPTH_MAX 32

struct parser {
    struct view text;
    size_t at;
    unsigned line;
    struct buf table; /* the current one */
    struct buf key;
    struct buf value; /* of a text */
    int (*each)(void *context, const struct toml_item *item, struct error *err);
    void *context;
};

/* ---- Characters ---- */

static char peek_at(const struct parser *p, size_t ahead)
{
    return p->at + ahead < p->text.size ? p->text.data[p->at + ahead] : '\0';
}

static char peek(const struct parser *p)
{
    return peek_at(p, 0);
}

static bool at_end(const struct parser *p)
{
    return p->at >= p->text.size;
}

static bool starts(const struct parser *p, const char *what)
{
    return view_starts(view_sub(p->text, p->at, p->text.size), what);
}

static void next(struct parser *p)
{
    if (peek(p) == '\n')
        p->line++;
    p->at++;
}

static int wrong(const struct parser *p, const char *what, struct error *err)
{
    return error_set(err, ERROR_INVALID, "line %u: %s", p->line, what);
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t')
        p->at++;
}

static void skip_comment(struct parser *p)
{
    if (peek(p) != '#')
        return;
    while (!at_end(p) && peek(p) != '\n')
        p->at++;
}

/* Blanks, comments and line ends: where arrays go over several lines, and between lines. */
static void skip_lines(struct parser *p)
{
    for (;;) {
        skip_blanks(p);
        skip_comment(p);
        if (peek(p) == '\r' && peek_at(p, 1) == '\n')
            p->at++;
        if (peek(p) != '\n')
            return;
        next(p);
    }
}

static int end_line(struct parser *p, struct error *err)
{
    skip_blanks(p);
    skip_comment(p);
    if (peek(p) == '\r')
        p->at++;
    if (!at_end(p) && peek(p) != '\n')
        return wrong(p, "something stands behind the value", err);
    return 0;
}

/* ---- Texts ---- */

static void append_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_append_char(out, (char)c);
    } else if (c < 0x800) {
        buf_append_char(out, (char)(0xc0 | c >> 6));
        buf_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_append_char(out, (char)(0xe0 | c >> 12));
        buf_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_append_char(out, (char)(0xf0 | c >> 18));
        buf_append_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* \uXXXX and \UXXXXXXXX, from the first digit on. */
static int read_code_point(struct parser *p, size_t digits, struct error *err)
{
    uint32_t c = 0;

    for (size_t i = 0; i < digits; i++, p->at++) {
        const int digit = tolower((unsigned char)peek(p));

        if (!isxdigit(digit))
            return wrong(p, "an escape without its hex digits", err);
        c = c << 4 | (uint32_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return wrong(p, "an escape that is no character", err);
    append_utf8(&p->value, c);
    return 0;
}

static int read_escape(struct parser *p, bool multiline, struct error *err)
{
    static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    const char c = peek(p);
    const char *name = c ? strchr(names, c) : NULL;

    if (multiline && (c == '\n' || c == '\r' || c == ' ' || c == '\t')) {
        while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\r' || peek(p) == '\n')
            next(p);
        return 0;
    }
    p->at++;
    if (c == 'u' || c == 'U')
        return read_code_point(p, c == 'u' ? 4 : 8, err);
    if (!name)
        return wrong(p, "an unknown escape", err);
    buf_append_char(&p->value, values[name - names]);
    return 0;
}

/* From the opening quotation marks on, of any of the four kinds, into p->value. */
static int read_text(struct parser *p, struct error *err)
{
    const char quote = peek(p);
    const char triple[] = {quote, quote, quote, '\0'};
    const bool multiline = starts(p, triple);

    buf_clear(&p->value);
    buf_append_text(&p->value, "");
    p->at += multiline ? 3 : 1;
    if (multiline && peek(p) == '\r')
        p->at++;
    if (multiline && peek(p) == '\n')
        next(p);
    for (;;) {
        const char c = peek(p);

        if (at_end(p) || (c == '\n' && !multiline))
            return wrong(p, "a text without its closing quotation mark", err);
        if (c == '\0')
            return wrong(p, "a text with a NUL", err);
        /* Up to two quotation marks may stand right before the closing three. */
        if (multiline ? starts(p, triple) && peek_at(p, 3) != quote : c == quote)
            break;
        next(p);
        if (c != '\\' || quote == '\'')
            buf_append_char(&p->value, c);
        else if (read_escape(p, multiline, err) < 0)
            return -1;
    }
    p->at += multiline ? 3 : 1;
    return buf_ok(&p->value, "a text", err);
}

/* ---- Keys ---- */

static bool is_bare(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static int read_simple_key(struct parser *p, struct buf *out, struct error *err)
{
    if (peek(p) == '"' || peek(p) == '\'') {
        if (read_text(p, err) < 0)
            return -1;
        buf_append_view(out, buf_view(&p->value));
        return 0;
    }
    if (!is_bare(peek(p)))
        return wrong(p, "a name is missing", err);
    for (; is_bare(peek(p)); p->at++)
        buf_append_char(out, peek(p));
    return 0;
}

static int read_key(struct parser *p, struct buf *out, struct error *err)
{
    buf_clear(out);
    for (;;) {
        skip_blanks(p);
        if (read_simple_key(p, out, err) < 0)
            return -1;
        skip_blanks(p);
        if (peek(p) != '.')
            return buf_ok(out, "a name", err);
        buf_append_char(out, '.');
        p->at++;
    }
}

/* ---- Values ---- */

static int read_value(struct parser *p,
                      struct toml_item *out,
                      int depth,
                      struct error *err);

/* Elements of an array, or the members of an inline table, up to `close`. */
static int read_over(struct parser *p, char close, int depth, struct error *err)
{
    CLEANUP(buf_release) struct buf key = BUF_INIT(LIMIT_HTTP_HEADER);
    struct toml_item ignored = {0};

    p->at++;
    for (skip_lines(p); peek(p) != close; skip_lines(p)) {
        if (close == '}') {
            if (read_key(p, &key, err) < 0)
                return -1;
            if (peek(p) != '=')
                return wrong(p, "'=' is missing", err);
            p->at++;
            skip_blanks(p);
        }
        if (read_value(p, &ignored, depth + 1, err) < 0)
            return -1;
        skip_lines(p);
        if (peek(p) != ',' && peek(p) != close)
            return wrong(
                p, close == ']' ? "',' or ']' is missing" : "',' or '}' is missing", err);
        if (peek(p) == ',')
            p->at++;
    }
    p->at++;
    return 0;
}

static bool read_int(struct view word, int64_t *out)
{
    CLEANUP(buf_release) struct buf digits = BUF_INIT(LIMIT_NAME_SIZE);
    const bool negative = word.size > 0 && word.data[0] == '-';
    uint64_t value;

    if (word.size > 0 && (word.data[0] == '-' || word.data[0] == '+'))
        word = view_sub(word, 1, word.size);
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] != '_')
            buf_append_char(&digits, word.data[i]);
    }
    if (!view_to_u64(buf_view(&digits), &value) || value > INT64_MAX)
        return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static int read_word(struct parser *p, struct toml_item *out, struct error *err)
{
    const size_t begin = p->at;

    while (!at_end(p) && !strchr(" \t\r\n,]}#", peek(p)))
        p->at++;
    const struct view word = view_sub(p->text, begin, p->at - begin);
    if (word.size == 0)
        return wrong(p, "a value is missing", err);
    out->type = TOML_OTHER;
    if (view_eq_text(word, "true") || view_eq_text(word, "false")) {
        out->type = TOML_BOOL;
        out->flag = view_eq_text(word, "true");
    } else if (read_int(word, &out->number)) {
        out->type = TOML_INT;
    } else if (!isdigit((unsigned char)word.data[0]) && !strchr("+-in", word.data[0])) {
        return wrong(p, "a value that is no text, number or switch (quotation marks?)",
                     err);
    }
    return 0;
}

static int read_value(struct parser *p, struct toml_item *out, int depth, struct error *err)
{
    if (depth > DEPTH_MAX)
        return wrong(p, "values within values too deep", err);
    switch (peek(p)) {
    case '"':
    case '\'':
        if (read_text(p, err) < 0)
            return -1;
        out->type = TOML_TEXT;
        out->text = buf_text(&p->value);
        return 0;
    case '[':
        out->type = TOML_OTHER;
        return read_over(p, ']', depth, err);
    case '{':
        out->type = TOML_OTHER;
        return read_over(p, '}', depth, err);
    default:
        return read_word(p, out, err);
    }
}

/* ---- Lines ---- */

static int tell(struct parser *p, struct toml_item *item, struct error *err)
{
    item->table = buf_text(&p->table);
    item->line = p->line;
    return p->each(p->context, item, err) < 0 ? error_wrap(err, "line %u", p->line) : 0;
}

static int read_header(struct parser *p, struct error *err)
{
    const bool is_array = starts(p, "[[");
    struct toml_item item = {.event = is_array ? TOML_ITEM : TOML_TABLE};

    p->at += is_array ? 2 : 1;
    if (read_key(p, &p->table, err) < 0)
        return -1;
    if (!starts(p, is_array ? "]]" : "]"))
        return wrong(p, "']' is missing", err);
    p->at += is_array ? 2 : 1;
    return tell(p, &item, err);
}

static int read_assignment(struct parser *p, struct error *err)
{
    struct toml_item item = {.event = TOML_KEY};

    if (read_key(p, &p->key, err) < 0)
        return -1;
    if (peek(p) != '=')
        return wrong(p, "'=' is missing", err);
    p->at++;
    skip_blanks(p);
    if (read_value(p, &item, 0, err) < 0)
        return -1;
    item.key = buf_text(&p->key);
    return tell(p, &item, err);
}

int toml_parse(struct view text,
               int (*each)(void *context, const struct toml_item *item, struct error *err),
               void *context,
               struct error *err)
{
    struct parser p = {
        .text = text,
        .line = 1,
        .table = BUF_INIT(LIMIT_HTTP_HEADER),
        .key = BUF_INIT(LIMIT_HTTP_HEADER),
        .value = BUF_INIT(LIMIT_HTTP_BODY_SMALL),
        .each = each,
        .context = context,
    };
    int rc = 0;

    for (skip_lines(&p); rc == 0 && !at_end(&p); skip_lines(&p)) {
        rc = peek(&p) == '[' ? read_header(&p, err) : read_assignment(&p, err);
        if (rc == 0)
            rc = end_line(&p, err);
    }
    buf_release(&p.table);
    buf_release(&p.key);
    buf_release(&p.value);
    return rc;
}
