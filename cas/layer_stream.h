/*
 * The uncompressed bytes of a layer's blob, with the digest over them: decompression and
 * hashing run ahead on a thread of their own, a few blocks deep, where the blob is large
 * enough to pay for it.
 *
 *     open -> next ... until *out is empty -> close
 *
 * One thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/arrival.h"
#include "cas/descriptor.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdint.h>

struct layer_stream;

/* `alg` is the digest's that is asked for in the end. ERROR_NOT_FOUND: no such blob. */
MUST_CHECK struct layer_stream *layer_stream_open(struct cas_store *s,
                                                  const struct descriptor *blob,
                                                  enum digest_alg alg,
                                                  struct error *err);
/* The same of a blob that may be under way still; `arrival` is borrowed, and read from its
 * start. Whoever gives up early leaves the arrival before he closes the stream. */
struct layer_stream *layer_stream_open_arriving(struct cas_arrival *arrival,
                                                const struct descriptor *blob,
                                                enum digest_alg alg);
void layer_stream_close(struct layer_stream *x); /* NULL is fine */
void layer_stream_closep(struct layer_stream **x);

/* The next piece, valid until the next call; empty: the end. */
MUST_CHECK int layer_stream_next(struct layer_stream *x,
                                 struct view *out,
                                 struct error *err);
/* Digest and size of everything; after the end only. */
void layer_stream_digest(struct layer_stream *x, struct digest *out, uint64_t *size);
