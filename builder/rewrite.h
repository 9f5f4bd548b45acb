/*
 * Files that a step wrote again without changing a byte of them: chmod -R or chown -R over
 * what the layers below hold makes a layer as large as they are. Found by comparing the
 * indexes of the layers; nothing is read.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below both of these it is not worth a word. */
#define BUILD_REWRITE_SIZE_MIN  ((uint64_t)10 << 20)
#define BUILD_REWRITE_COUNT_MIN ((size_t)1000)

struct build_rewrite {
    size_t count;  /* files with content that stand in a layer below, byte for byte */
    uint64_t size; /* of their content */
    size_t mode;   /* those whose mode differs; */
    size_t owner;  /* whose owner differs */
};

/* Of the last layer of the stack; waits until it is written. Cheap layers are not looked
 * into: *out is zero then. */
MUST_CHECK int build_rewrite_find(struct cas_layer *const *layers,
                                  size_t count,
                                  struct build_rewrite *out,
                                  struct error *err);
/* One line that names cost and cure, malloc'ed; NULL if it is not worth one. `step` is the
 * instruction. */
char *build_rewrite_tell(const struct build_rewrite *r, const char *step);
