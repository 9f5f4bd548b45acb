/*
 * The doorkeeper of libyaml: events of its parser become JSON text. Part of the module
 * libcooper-yaml.so.
 */
#include "parser/yaml_module.h"

#include "base/limits.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

enum level_kind { LEVEL_DOCUMENT, LEVEL_SEQUENCE, LEVEL_KEY, LEVEL_VALUE };

struct level {
    enum level_kind kind; /* what comes next */
    size_t count;         /* of members so far */
};

struct reader {
    struct buf *out;
    struct level levels[LIMIT_JSON_DEPTH];
    size_t depth; /* the innermost */
};

/* --- Scalars --- */

static bool is_one_of(struct view v, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (view_eq_text(v, words[i]))
            return true;
    return false;
}

static bool all_in(struct view v, const char *set)
{
    for (size_t i = 0; i < v.size; i++)
        if (v.data[i] == '\0' || !strchr(set, v.data[i]))
            return false;
    return v.size > 0;
}

static bool append_number(struct buf *out, struct view digits, unsigned base)
{
    uint64_t value = 0;

    for (size_t i = 0; i < digits.size; i++) {
        const char c = digits.data[i];
        const unsigned digit =
            c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;

        if (value > ((uint64_t)INT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    buf_printf(out, "%ju", (uintmax_t)value);
    return true;
}

/* An integer that fits 64 bits becomes one; a longer one stays text. */
static bool append_integer(struct buf *out, struct view v)
{
    const bool negative = view_starts(v, "-");
    const struct view digits = negative || view_starts(v, "+") ? view_sub(v, 1, v.size) : v;
    const size_t before = out->size;
    bool done = false;

    if (negative)
        buf_append_char(out, '-');
    if (view_starts(digits, "0x") &&
        all_in(view_sub(digits, 2, v.size), "0123456789abcdefABCDEF"))
        done = append_number(out, view_sub(digits, 2, v.size), 16);
    else if (view_starts(digits, "0o") && all_in(view_sub(digits, 2, v.size), "01234567"))
        done = append_number(out, view_sub(digits, 2, v.size), 8);
    else if (view_starts(digits, "0") && all_in(digits, "01234567"))
        done = append_number(out, digits, 8);
    else if (all_in(digits, "0123456789") && !view_starts(digits, "0"))
        done = append_number(out, digits, 10);
    if (!done)
        out->size = before;
    return done;
}

/* "1.5", "-2e3": what JSON writes the same way. */
static bool is_real(struct view v)
{
    size_t at = view_starts(v, "-") ? 1 : 0;
    size_t digits = 0;
    bool dot = false;

    for (; at < v.size; at++) {
        const char c = v.data[at];

        if (c == '.' && !dot && digits > 0)
            dot = true;
        else if (c >= '0' && c <= '9')
            digits++;
        else
            return false;
    }
    return dot && digits > 1 && v.data[v.size - 1] != '.';
}

static void append_text(struct buf *out, struct view v)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < v.size; i++) {
        const unsigned char c = (unsigned char)v.data[i];

        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void append_plain(struct buf *out, struct view v)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};

    if (is_one_of(v, nulls, sizeof nulls / sizeof nulls[0]))
        buf_append_text(out, "null");
    else if (is_one_of(v, trues, sizeof trues / sizeof trues[0]))
        buf_append_text(out, "true");
    else if (is_one_of(v, falses, sizeof falses / sizeof falses[0]))
        buf_append_text(out, "false");
    else if (is_real(v))
        buf_append_view(out, v);
    else if (!append_integer(out, v))
        append_text(out, v);
}

/* --- Events --- */

static int at_mark(yaml_mark_t mark,
                   enum error_code code,
                   const char *what,
                   struct error *err)
{
    return error_set(err, code, "line %zu, column %zu: %s", mark.line + 1, mark.column + 1,
                     what);
}

/* What stands before a value: commas and colons. */
static void begin_value(struct reader *r)
{
    struct level *l = &r->levels[r->depth];

    if (l->kind == LEVEL_VALUE) {
        buf_append_char(r->out, ':');
        l->kind = LEVEL_KEY;
        return;
    }
    if (l->count++ > 0)
        buf_append_char(r->out, ',');
    if (l->kind == LEVEL_KEY)
        l->kind = LEVEL_VALUE;
}

static int scalar(struct reader *r, const yaml_event_t *e, struct error *err)
{
    const struct view v = {(const char *)e->data.scalar.value, e->data.scalar.length};
    const bool is_key = r->levels[r->depth].kind == LEVEL_KEY;

    if (e->data.scalar.tag)
        return at_mark(e->start_mark, ERROR_UNSUPPORTED, "tags are not read", err);
    begin_value(r);
    if (is_key || e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        append_text(r->out, v);
    else
        append_plain(r->out, v);
    return 0;
}

static int enter(struct reader *r,
                 const yaml_event_t *e,
                 enum level_kind kind,
                 struct error *err)
{
    if (r->levels[r->depth].kind == LEVEL_KEY)
        return at_mark(e->start_mark, ERROR_UNSUPPORTED, "a key is not a plain text", err);
    if (r->depth + 1 >= LIMIT_JSON_DEPTH)
        return at_mark(e->start_mark, ERROR_LIMIT, "nested too deeply", err);
    begin_value(r);
    buf_append_char(r->out, kind == LEVEL_KEY ? '{' : '[');
    r->levels[++r->depth] = (struct level){.kind = kind};
    return 0;
}

static int leave(struct reader *r, char bracket)
{
    buf_append_char(r->out, bracket);
    r->depth--;
    return 0;
}

static int handle(struct reader *r, const yaml_event_t *e, struct error *err)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return scalar(r, e, err);
    case YAML_SEQUENCE_START_EVENT:
        return enter(r, e, LEVEL_SEQUENCE, err);
    case YAML_MAPPING_START_EVENT:
        return enter(r, e, LEVEL_KEY, err);
    case YAML_SEQUENCE_END_EVENT:
        return leave(r, ']');
    case YAML_MAPPING_END_EVENT:
        return leave(r, '}');
    case YAML_ALIAS_EVENT:
        return at_mark(e->start_mark, ERROR_UNSUPPORTED, "aliases are not read", err);
    case YAML_DOCUMENT_START_EVENT:
        if (r->levels[0].count > 0)
            return at_mark(e->start_mark, ERROR_INVALID, "a second document", err);
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return 0;
}

static int read_all(yaml_parser_t *parser, struct reader *r, struct error *err)
{
    for (bool end = false; !end;) {
        yaml_event_t event;
        int status;

        if (!yaml_parser_parse(parser, &event))
            return at_mark(parser->problem_mark, ERROR_INVALID,
                           parser->problem ? parser->problem : "not YAML", err);
        status = handle(r, &event, err);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (status < 0)
            return -1;
    }
    if (r->levels[0].count == 0)
        buf_append_text(r->out, "null");
    return buf_ok(r->out, "a YAML document", err);
}

static int to_json(struct view text, struct buf *out, struct error *err)
{
    struct reader r = {.out = out};
    yaml_parser_t parser;
    int status;

    if (!yaml_parser_initialize(&parser))
        return error_set(err, ERROR_SYSTEM, "libyaml does not start");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.size);
    status = read_all(&parser, &r, err);
    yaml_parser_delete(&parser);
    return status;
}

__attribute__((visibility(
    "default"))) extern const struct parser_yaml_module parser_yaml_libyaml_module;

const struct parser_yaml_module parser_yaml_libyaml_module = {
    .version = PARSER_YAML_MODULE_VERSION,
    .to_json = to_json,
};
