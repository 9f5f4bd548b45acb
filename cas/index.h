/*
 * The index of a layer: what is in it, sorted by path, mmapped; made in the same pass that
 * writes or first reads the layer's tar. Kept in index/ALG/HEX of the store under the
 * diffID; rebuilt from the blob when it is missing or damaged (magic, version, checksum).
 *
 * Entries that are given out borrow from the index. An open index is immutable and may be
 * shared between threads.
 */
#pragma once

#include "base/error.h"
#include "cas/digest.h"
#include "cas/entry.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>

struct cas_index;

/* --- Reading --- */

/* *found false: there is none, or a damaged one, or one of another version; NULL is
 * returned and err stays empty. NULL with err set is a failure. */
MUST_CHECK struct cas_index *cas_index_open(struct cas_store *s,
                                            const struct digest *diff_id,
                                            bool *found,
                                            struct error *err);
void cas_index_close(struct cas_index *x);
size_t cas_index_count(const struct cas_index *x);
void cas_index_at(const struct cas_index *x, size_t i, struct cas_entry *out);
/* The position of `path`, or false and the position where it would stand. */
bool cas_index_find(const struct cas_index *x, struct view path, size_t *i);
/* The bytes of small files that builders ask for (etc/passwd, etc/group), kept inline. */
bool cas_index_inline(const struct cas_index *x, size_t i, struct view *bytes);
/* Digest over all entries without their times. */
struct digest cas_index_content_key(const struct cas_index *x);
/* Does the layer hold every parent directory of its entries, and no hard link to a file of
 * a layer below? Then its unpacked form depends on the layer alone. */
bool cas_index_is_self_contained(const struct cas_index *x);
/* Bytes of the whole uncompressed tar. */
uint64_t cas_index_tar_size(const struct cas_index *x);
/* Where a file's bytes begin in the tar. */
uint64_t cas_index_offset(const struct cas_index *x, size_t i);

/*
 * Where one can begin to read in the middle of the layer's blob: the bytes of the tar from
 * i * block_size on are what decompressing the blob from the i'th of `count` points on
 * gives. (gzip: raw deflate begins there; zstd: a frame; plain: the byte itself.)
 */
struct cas_index_restarts {
    struct digest blob; /* alg NONE: no points are known for any blob */
    uint32_t block_size;
    uint64_t count;
};
struct cas_index_restarts cas_index_restarts(const struct cas_index *x);
/* The position in the blob; i < count. */
uint64_t cas_index_restart(const struct cas_index *x, uint64_t i);

/* --- Writing --- */
struct cas_index_writer;
struct cas_index_writer *cas_index_writer_new(void);
/* In any order; copied. A later entry with the same path replaces the earlier one. `bytes`
 * is kept inline if it is not empty. `offset` is where the file's bytes begin in the tar.
 */
MUST_CHECK int cas_index_writer_add(struct cas_index_writer *w,
                                    const struct cas_entry *e,
                                    uint64_t offset,
                                    struct view bytes,
                                    struct error *err);
/* The points of `blob` that was made with the layer; copied. At most once. */
void cas_index_writer_restarts(struct cas_index_writer *w,
                               const struct digest *blob,
                               uint32_t block_size,
                               const uint64_t *points,
                               uint64_t count);
/* Sorts, writes and publishes under the diffID (of a tar of tar_size bytes). Consumes `w`.
 */
MUST_CHECK int cas_index_writer_commit(struct cas_index_writer *w,
                                       struct cas_store *s,
                                       const struct digest *diff_id,
                                       uint64_t tar_size,
                                       struct error *err);
void cas_index_writer_abort(struct cas_index_writer *w);
