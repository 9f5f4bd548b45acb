/*
 * Secrets kept out of what steps print: each occurrence of a secret's bytes in a stream
 * becomes "***", also where it arrives in pieces.
 *
 * What is looked for: the whole value without white space around it, and of a value of
 * several lines each line, if it is long enough not to be found everywhere. What a step
 * prints in another form (base64, reversed) cannot be known.
 */
#pragma once

#include "base/view.h"

#include <stddef.h>

/* Shorter values would tear ordinary words apart. */
#define BUILD_MASK_VALUE_MIN ((size_t)4)
#define BUILD_MASK_LINE_MIN  ((size_t)8)

/* The values: read-only once filled, then shared by any number of streams. */
struct build_mask;

struct build_mask *build_mask_new(void);
/* Copies; wiped with the mask. */
void build_mask_add(struct build_mask *m, struct view secret);
void build_mask_free(struct build_mask *m); /* NULL is fine */
void build_mask_freep(struct build_mask **m);

/* One stream. What may be the beginning of a secret is held back until more is known. One
 * thread at a time. */
struct build_mask_stream;

typedef void build_mask_emit_fn(void *context, const char *data, size_t size);

/* `m` is borrowed, and may be NULL: everything passes. */
struct build_mask_stream *build_mask_stream_new(const struct build_mask *m,
                                                build_mask_emit_fn *emit,
                                                void *context);
void build_mask_stream_write(struct build_mask_stream *s, const char *data, size_t size);
/* The end: what was held back comes out. Frees. NULL is fine. */
void build_mask_stream_end(struct build_mask_stream *s);
