/*
 * Request headers, read: ranges, entity tags, credentials. All of it comes from outside.
 * Spec: RFC 9110 sections 8.8.3, 13.1, 14; RFC 7617; OCI distribution-spec "Pushing a blob
 * in chunks".
 */
#pragma once

#include "base/view.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <stdint.h>

enum serve_range { SERVE_RANGE_ALL = 0, SERVE_RANGE_PART, SERVE_RANGE_UNSATISFIABLE };

/* "bytes=A-B", "bytes=A-", "bytes=-N" of something with `size` bytes; *last is inclusive.
 * One that ends before it begins is as unsatisfiable as one beyond the end. What is
 * malformed, of another unit, or several ranges, means everything, as RFC 9110 allows;
 * *first and *last are not to be read then. `text` may be NULL. */
enum serve_range serve_range_parse(const char *text,
                                   uint64_t size,
                                   uint64_t *first,
                                   uint64_t *last);

/* "A-B", as the distribution specification has it, or "bytes A-B/SIZE". */
bool serve_content_range_parse(const char *text, uint64_t *first, uint64_t *last);

/* The media type without its parameters; empty for NULL. */
struct view serve_media_type(const char *text);

/* A list of entity tags, each a digest in quotes (or bare, as people write it). */
bool serve_etags_any(const char *text);                           /* is it "*"? */
bool serve_etags_match(const char *text, const struct digest *d); /* is `d` among them? */
/* The only digest in the list, for conditions that name one state. */
bool serve_etags_single(const char *text, struct digest *out);

/* "Basic BASE64(USER:PASSWORD)". Both malloc'ed; the caller wipes the password. */
bool serve_basic_parse(const char *text, char **user, char **password);
