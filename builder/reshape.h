/*
 * Layers made into other layers on the way out: joined into one (--squash), or split into
 * several (--split). The files that the image gives are the same, and so is each layer's
 * digest every time; what the cache has of the steps stays as it is.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/pool.h"
#include "builder/build.h"
#include "builder/solve.h"
#include "cas/layer.h"

#include <stddef.h>
#include <stdint.h>

/* The layers as they go out, and how they came from those that went in. */
struct build_shape {
    struct build_solution solution;
    size_t joined_from;  /* the first of the layers that became one */
    size_t joined_count; /* how many; 0: none did */
    size_t *pieces;      /* of each layer after that: how many it became; NULL: one each */
};
void build_shape_release(struct build_shape *s); /* idempotent */

struct build_reshape_options {
    struct cas_store *store;
    const struct build_reshape *how;
    struct cas_layer_options layer; /* for the layers that are written */
};

/* Without anything to do *out has the same layers. */
MUST_CHECK int build_reshape(const struct build_solution *in,
                             const struct build_reshape_options *options,
                             struct build_shape *out,
                             struct error *err);

/* squash.c: the layers from `from` on in one that changes what lies below as they did
 * together. Whiteouts are only in it where something of the layers below is to be hidden.
 */
MUST_CHECK struct cas_layer *build_squash(struct cas_store *store,
                                          const struct build_solution *in,
                                          size_t from,
                                          const struct cas_layer_options *options,
                                          struct error *err);

/*
 * split.c: a layer in pieces of at most `size` bytes of tar, but for a file that is larger
 * alone. Entries stay in their order; names of one file stay together; a piece has the
 * parents of what it holds. *out is a malloc'ed array of the caller's references; *count is
 * 1 and the layer itself where it cannot be split.
 */
MUST_CHECK int build_split(struct cas_store *store,
                           struct cas_layer *layer,
                           uint64_t size,
                           const struct cas_layer_options *options,
                           struct cas_layer ***out,
                           size_t *count,
                           struct error *err);
