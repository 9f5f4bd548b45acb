/*
 * Where everything of a layer's tar lies, known before any file is read: sizes of headers
 * follow from the entries. So the tar can be made in blocks of equal size, each by itself
 * and in any order. For cas/layer_write.c and its tests.
 *
 *     block 0                block 1                block 2
 *     | h a.. | h bbbbbbbbbbb|bbbbbb | h c | h dir |ddd.. 0 0 |
 *
 * `b` above lies in more than one block: it is a "span".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct layer_plan {
    const struct cas_entry *entries; /* borrowed; as given */
    size_t count;
    int64_t epoch;
    size_t block_size;
    uint64_t
        *starts; /* of each entry's headers in the tar; starts[count]: the end blocks */
    uint64_t tar_size;
    uint32_t *firsts; /* of each block: the entry in which it begins */
    size_t block_count;
};

/*
 * `entries` must be sorted, without a path twice, and are borrowed.
 * Errors: ERROR_LIMIT for a layer beyond LIMIT_LAYER_SIZE or LIMIT_LAYER_ENTRIES; those of
 * tar_entry_check.
 */
MUST_CHECK int layer_plan_init(struct layer_plan *p,
                               const struct cas_entry *entries,
                               size_t count,
                               int64_t epoch,
                               size_t block_size,
                               struct error *err);
void layer_plan_release(struct layer_plan *p); /* idempotent */

/* Bytes of block `b`: block_size but for the last. */
size_t layer_plan_block_size(const struct layer_plan *p, size_t b);
/* Where the content of entry `i` begins in the tar. */
uint64_t layer_plan_content(const struct layer_plan *p, size_t i);
/* Does the content of entry `i` lie in more than one block? */
bool layer_plan_is_span(const struct layer_plan *p, size_t i);

/* The part of [begin, end) of the tar that lies in a block. */
struct layer_overlap {
    uint64_t from; /* relative to begin */
    size_t at;     /* in the block */
    size_t size;   /* 0: none */
};
struct layer_overlap layer_plan_overlap(const struct layer_plan *p,
                                        size_t b,
                                        uint64_t begin,
                                        uint64_t end);
