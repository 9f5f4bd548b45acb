/*
 * Makes the blocks of a layer's tar: headers, the bytes of files, padding. Blocks may be
 * made in any order and by several threads at once; the digest of a file that lies within
 * one block is taken on the way, that of a span by calling layer_fill_spans for every block
 * in order. For cas/layer_write.c.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/layer.h"
#include "cas/layer_plan.h"

#include <stddef.h>

struct layer_fill;

/* Everything is borrowed; digests are written into entries[i].content, which `plan` sees
 * too. */
struct layer_fill *layer_fill_new(const struct layer_plan *plan,
                                  struct cas_entry *entries,
                                  cas_content_fn *content,
                                  void *context);
void layer_fill_free(struct layer_fill *f); /* NULL is fine */

/* What each thread brings along. */
struct layer_fill_worker {
    struct hasher *hasher;
    struct buf headers;
};
void layer_fill_worker_init(struct layer_fill_worker *w);
void layer_fill_worker_release(struct layer_fill_worker *w); /* idempotent */

/* Makes block `b`: layer_plan_block_size(plan, b) bytes at `out`.
 * Errors: ERROR_FAILED if a file changed; those of the content callback. */
MUST_CHECK int layer_fill_block(struct layer_fill *f,
                                struct layer_fill_worker *w,
                                size_t b,
                                char *out,
                                struct error *err);

/* Hashes what spans have in block `b`, which was made as `data`. Blocks come in order, one
 * thread at a time. */
void layer_fill_spans(struct layer_fill *f, size_t b, const char *data);

/* The bytes of a small file that the index keeps, after all blocks were made; or empty. */
struct view layer_fill_inline(const struct layer_fill *f, size_t i);
