#include "base/doc.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A `struct doc` is jansson's json_t under another name; these are the only casts. jansson
 * reads through pointers that are not const, hence the way around by an integer. */

static json_t *json_of(const struct doc *d)
{
    return (json_t *)(uintptr_t)d;
}

static struct doc *doc_of(json_t *json)
{
    return (struct doc *)json;
}

/* For values that can only be missing when memory is. */
static struct doc *made(json_t *json)
{
    if (!json)
        abort();
    return doc_of(json);
}

/* --- Reading --- */

/*
 * jansson's parser recurses, up to a depth of its own that is much larger than ours, so the
 * nesting is measured first. Brackets within strings do not count; whether the text is
 * well-formed otherwise is the parser's question.
 */
static bool nesting_allowed(struct view text)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > LIMIT_JSON_DEPTH)
                return false;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/* jansson quotes the text near an error, which a terminal must not be made to interpret. */
static void make_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
    }
}

struct doc *doc_parse(struct view text, struct error *err)
{
    json_error_t why;

    if (!nesting_allowed(text)) {
        error_set(err, ERROR_LIMIT, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
        return NULL;
    }

    json_t *json =
        json_loadb(text.size ? text.data : "", text.size,
                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);

    if (!json) {
        make_printable(why.text);
        error_set(err, ERROR_INVALID, "JSON, line %d, column %d: %s", why.line, why.column,
                  why.text);
    }
    return doc_of(json);
}

struct doc *doc_ref(struct doc *d)
{
    return doc_of(json_incref(json_of(d)));
}

struct doc *doc_copy(const struct doc *d)
{
    return d ? made(json_deep_copy(json_of(d))) : NULL;
}

void doc_unref(struct doc *d)
{
    json_decref(json_of(d));
}

void doc_unrefp(struct doc **d)
{
    const int saved = errno;

    doc_unref(*d);
    *d = NULL;
    errno = saved;
}

enum doc_type doc_type(const struct doc *d)
{
    if (!d)
        return DOC_ABSENT;
    switch (json_typeof(json_of(d))) {
    case JSON_OBJECT:
        return DOC_OBJECT;
    case JSON_ARRAY:
        return DOC_ARRAY;
    case JSON_STRING:
        return DOC_TEXT;
    case JSON_INTEGER:
        return DOC_INT;
    case JSON_REAL:
        return DOC_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return DOC_BOOL;
    case JSON_NULL:
        return DOC_NULL;
    }
    return DOC_ABSENT;
}

const struct doc *doc_get(const struct doc *object, const char *key)
{
    return doc_of(json_object_get(json_of(object), key));
}

size_t doc_count(const struct doc *container)
{
    /* Each gives 0 for what is not of its type. */
    return json_array_size(json_of(container)) + json_object_size(json_of(container));
}

const struct doc *doc_at(const struct doc *array, size_t index)
{
    return doc_of(json_array_get(json_of(array), index));
}

static bool member_of(void *iter, const char **key, const struct doc **value)
{
    if (!iter)
        return false;
    *key = json_object_iter_key(iter);
    *value = doc_of(json_object_iter_value(iter));
    return true;
}

bool doc_next(const struct doc *object, const char **key, const struct doc **value)
{
    json_t *json = json_of(object);

    if (!json_is_object(json))
        return false;
    if (!*key)
        return member_of(json_object_iter(json), key, value);
    return member_of(json_object_iter_next(json, json_object_key_to_iter(*key)), key,
                     value);
}

const struct doc *doc_member_at(const struct doc *object, size_t index, const char **key)
{
    json_t *json = json_of(object);
    void *iter = json_object_iter(json);
    const struct doc *value = NULL;

    for (; iter && index > 0; index--)
        iter = json_object_iter_next(json, iter);
    return member_of(iter, key, &value) ? value : NULL;
}

const char *doc_text(const struct doc *d)
{
    const struct view v = doc_view(d);

    return v.data && strlen(v.data) == v.size ? v.data : NULL;
}

struct view doc_view(const struct doc *d)
{
    return (struct view){json_string_value(json_of(d)), json_string_length(json_of(d))};
}

bool doc_int(const struct doc *d, int64_t *out)
{
    if (!json_is_integer(json_of(d)))
        return false;
    *out = json_integer_value(json_of(d));
    return true;
}

bool doc_bool(const struct doc *d)
{
    return json_is_true(json_of(d));
}

bool doc_equal(const struct doc *a, const struct doc *b)
{
    return a == b || json_equal(json_of(a), json_of(b));
}

/* --- Making --- */

/* How many bytes at `text` form one valid character (RFC 3629, table 3-7 of Unicode); 0:
 * none. */
static size_t utf8_char_size(struct view text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    const unsigned char lead = p[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t size = 0;

    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        size = 2;
    else if ((lead & 0xf0) == 0xe0)
        size = 3;
    else if (lead >= 0xf0 && lead <= 0xf4)
        size = 4;
    if (size == 0 || text.size < size)
        return 0;
    /* The second byte rules out longer forms than needed, surrogates, and past U+10FFFF. */
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

/* Each byte that is part of no character becomes U+FFFD, as in Go's encoding/json. */
static void append_valid_utf8(struct buf *out, struct view text)
{
    while (text.size > 0) {
        const size_t size = utf8_char_size(text);

        if (size == 0)
            buf_append_text(out, "\xef\xbf\xbd");
        else
            buf_append(out, text.data, size);
        text = view_sub(text, size ? size : 1, text.size);
    }
}

struct doc *doc_new_text(struct view text)
{
    /* Fails for invalid UTF-8 (and without memory, where the second try ends). */
    json_t *json = json_stringn(text.size ? text.data : "", text.size);

    if (!json) {
        CLEANUP(buf_release) struct buf valid = BUF_INIT(SIZE_MAX - 1);

        append_valid_utf8(&valid, text);
        json = json_stringn_nocheck(buf_text(&valid), valid.size);
    }
    return made(json);
}

struct doc *doc_new_object(void)
{
    return made(json_object());
}

struct doc *doc_new_array(void)
{
    return made(json_array());
}

struct doc *doc_new_int(int64_t v)
{
    return made(json_integer(v));
}

struct doc *doc_new_bool(bool v)
{
    return made(json_boolean(v));
}

struct doc *doc_new_null(void)
{
    return made(json_null());
}

void doc_set(struct doc *object, const char *key, struct doc *value)
{
    assert(doc_type(object) == DOC_OBJECT && value);
    if (json_object_set(json_of(object), key, json_of(value)) < 0) {
        CLEANUP(buf_release) struct buf valid = BUF_INIT(SIZE_MAX - 1);

        append_valid_utf8(&valid, view_of(key));
        if (json_object_set_nocheck(json_of(object), buf_text(&valid), json_of(value)) < 0)
            abort();
    }
    doc_unref(value);
}

void doc_append(struct doc *array, struct doc *value)
{
    assert(doc_type(array) == DOC_ARRAY && value);
    if (json_array_append_new(json_of(array), json_of(value)) < 0)
        abort();
}

void doc_set_text(struct doc *object, const char *key, const char *text)
{
    doc_set(object, key, doc_new_text(view_of(text)));
}

void doc_set_view(struct doc *object, const char *key, struct view text)
{
    doc_set(object, key, doc_new_text(text));
}

void doc_set_int(struct doc *object, const char *key, int64_t v)
{
    doc_set(object, key, doc_new_int(v));
}

void doc_set_bool(struct doc *object, const char *key, bool v)
{
    doc_set(object, key, doc_new_bool(v));
}

void doc_append_text(struct doc *array, const char *text)
{
    doc_append(array, doc_new_text(view_of(text)));
}

void doc_remove(struct doc *object, const char *key)
{
    json_object_del(json_of(object), key);
}

/* --- Writing --- */

static int append_written(const char *data, size_t size, void *context)
{
    struct buf *out = context;

    buf_append(out, data, size);
    return 0;
}

void doc_write(const struct doc *d, enum doc_write_flags flags, struct buf *out)
{
    size_t how = JSON_ENCODE_ANY;

    assert(d);
    how |= flags & DOC_WRITE_INDENT ? JSON_INDENT(2) : JSON_COMPACT;
    if (flags & DOC_WRITE_SORTED)
        how |= JSON_SORT_KEYS;
    /* The buffer remembers a failure of its own; what is left are cycles and want of
     * memory. */
    if (json_dump_callback(json_of(d), append_written, out, how) < 0)
        abort();
}
