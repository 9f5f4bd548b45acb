/*
 * Blobs: immutable content under its digest, in blobs/ALG/HEX of the OCI image layout.
 *
 * A blob is written through a writer into ingest/, verified, flushed and published by one
 * rename; it is read-only from then on. Nothing half-written is ever visible.
 * Spec: OCI image-spec image-layout.md "Blobs", descriptor.md "Verification".
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/pool.h"
#include "cas/descriptor.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stdint.h>

/* Is it there? `size` may be NULL. */
MUST_CHECK int cas_blob_find(struct cas_store *s,
                             const struct digest *d,
                             bool *found,
                             uint64_t *size,
                             struct error *err);
/* A read-only descriptor; ERROR_NOT_FOUND. */
MUST_CHECK int cas_blob_open(struct cas_store *s,
                             const struct digest *d,
                             struct error *err);
/* Reads a small blob (at most out->max bytes) and verifies its digest. */
MUST_CHECK int cas_blob_read(struct cas_store *s,
                             const struct digest *d,
                             struct buf *out,
                             struct error *err);
/* Reads, verifies and parses a JSON blob. */
MUST_CHECK struct doc *cas_blob_read_doc(struct cas_store *s,
                                         const struct descriptor *d,
                                         size_t max,
                                         struct error *err);
/* Stores a small blob from memory; *out gets its digest. Present already is success. */
MUST_CHECK int cas_blob_put(struct cas_store *s,
                            struct view data,
                            struct digest *out,
                            struct error *err);
/* Stores a document, compact, and describes it; ERROR_LIMIT if it is longer than `max`. */
MUST_CHECK int cas_blob_put_doc(struct cas_store *s,
                                const struct doc *doc,
                                const char *media_type,
                                size_t max,
                                struct descriptor *out,
                                struct error *err);

struct cas_blob_writer;

/* Begins an ingest. The writer hashes what is written with `alg`; with DIGEST_NONE it does
 * not, as the caller hashes already (parallel compression): then the commit's `want` is
 * believed. */
MUST_CHECK struct cas_blob_writer *cas_blob_writer_new(struct cas_store *s,
                                                       enum digest_alg alg,
                                                       struct error *err);
MUST_CHECK int cas_blob_writer_write(struct cas_blob_writer *w,
                                     const void *data,
                                     size_t size,
                                     struct error *err);
/*
 * For a blob whose parts come at once. Room for so many more bytes is taken; the descriptor
 * (borrowed until commit or abort) may be written and read at any place, by any thread. The
 * bytes are part of the blob when `took` was given them, in their order. One thread at a
 * time calls these two, and writes nothing by cas_blob_writer_write meanwhile.
 */
MUST_CHECK int cas_blob_writer_reserve(struct cas_blob_writer *w,
                                       uint64_t size,
                                       struct error *err);
void cas_blob_writer_took(struct cas_blob_writer *w, const void *data, size_t size);
/* Hashes with `alg` from now on, and what was written so far, which is read again. */
MUST_CHECK int cas_blob_writer_rehash(struct cas_blob_writer *w,
                                      enum digest_alg alg,
                                      struct error *err);
/* From now on `pool` (borrowed) hashes what is written, beside the writing: worth it for
 * large blobs. NULL: the writing thread does, and nobody in the pool has to do with it. */
void cas_blob_writer_hash_in(struct cas_blob_writer *w, struct pool *pool);
/* Bytes written so far. */
uint64_t cas_blob_writer_size(const struct cas_blob_writer *w);
/* A read-only descriptor of what was written so far, which stays good when the blob is
 * published; the caller's. */
MUST_CHECK int cas_blob_writer_reader(const struct cas_blob_writer *w, struct error *err);

/*
 * Seal: check that the content has the digest `want` (NULL: whatever it has) and, unless
 * UINT64_MAX, exactly `want_size` bytes; flush; make it visible by one rename. Storing what
 * is present succeeds. `got` (may be NULL) receives the digest, `got_size` the size.
 * Ownership: consumes `w`, also on failure.
 * Errors:    ERROR_CORRUPT if size or digest differ; ERROR_SYSTEM. Nothing is visible then.
 */
MUST_CHECK int cas_blob_writer_commit(struct cas_blob_writer *w,
                                      const struct digest *want,
                                      uint64_t want_size,
                                      struct digest *got,
                                      uint64_t *got_size,
                                      struct error *err);
/* Throws away. NULL is fine. */
void cas_blob_writer_abort(struct cas_blob_writer *w);
void cas_blob_writer_abortp(struct cas_blob_writer **w);
