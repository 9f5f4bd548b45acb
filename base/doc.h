/*
 * JSON documents (RFC 8259): strict reading, order kept, compact writing with the same
 * bytes for the same document. jansson does the work behind this door.
 *
 * A `struct doc` is one JSON value with a reference count; members that are looked up are
 * borrowed and live as long as their container. NULL is accepted wherever a value is read
 * and reads as absent, so look-ups chain: doc_text(doc_get(doc_get(m, "config"),
 * "digest")). One thread at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

struct doc;

enum doc_type {
    DOC_ABSENT,
    DOC_NULL,
    DOC_BOOL,
    DOC_INT,
    DOC_REAL,
    DOC_TEXT,
    DOC_ARRAY,
    DOC_OBJECT
};

/* One whole value and nothing after it; valid UTF-8; no duplicate keys; nesting at most
 * LIMIT_JSON_DEPTH. ERROR_INVALID with line and column of the text in the message. */
MUST_CHECK struct doc *doc_parse(struct view text, struct error *err);
struct doc *doc_ref(struct doc *d);
struct doc *doc_copy(const struct doc *d); /* deep */
void doc_unref(struct doc *d);
void doc_unrefp(struct doc **d);

enum doc_type doc_type(const struct doc *d);
const struct doc *doc_get(const struct doc *object, const char *key); /* NULL: absent */
size_t doc_count(const struct doc *container);                        /* 0 for others */
const struct doc *doc_at(const struct doc *array, size_t index);
/* Steps through an object in document order: *key NULL begins, false ends. Constant time
 * a step. The object must not change meanwhile, and *key must be what the last step gave.
 *
 *     for (const char *key = NULL; doc_next(labels, &key, &value);)
 */
bool doc_next(const struct doc *object, const char **key, const struct doc **value);
/* The index'th member in document order; NULL past the end. Counts from the first member
 * on, so loops over what comes from outside use doc_next. */
const struct doc *doc_member_at(const struct doc *object, size_t index, const char **key);
const char *doc_text(const struct doc *d); /* NULL unless a string without NUL inside */
struct view doc_view(const struct doc *d); /* {NULL, 0} unless a string */
bool doc_int(const struct doc *d, int64_t *out); /* false unless an integer */
bool doc_bool(const struct doc *d);              /* false unless true */
bool doc_equal(const struct doc *a, const struct doc *b);

struct doc *doc_new_object(void);
struct doc *doc_new_array(void);
struct doc *doc_new_text(struct view text); /* invalid UTF-8 becomes U+FFFD, as Go does */
struct doc *doc_new_int(int64_t v);
struct doc *doc_new_bool(bool v);
struct doc *doc_new_null(void);
/* These consume `value`. An existing member keeps its place. */
void doc_set(struct doc *object, const char *key, struct doc *value);
void doc_append(struct doc *array, struct doc *value);
void doc_set_text(struct doc *object, const char *key, const char *text);
void doc_set_view(struct doc *object, const char *key, struct view text);
void doc_set_int(struct doc *object, const char *key, int64_t v);
void doc_set_bool(struct doc *object, const char *key, bool v);
void doc_append_text(struct doc *array, const char *text);
void doc_remove(struct doc *object, const char *key);

enum doc_write_flags {
    DOC_WRITE_COMPACT = 0,
    DOC_WRITE_SORTED = 1, /* keys in byte order: the canonical form for hashing */
    DOC_WRITE_INDENT = 2, /* for people */
};
void doc_write(const struct doc *d, enum doc_write_flags flags, struct buf *out);
