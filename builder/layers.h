/*
 * Whole stacks of layers whose bytes may still be somewhere else.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"

#include <stddef.h>

/* Makes sure that the store has all blobs, fetching several at once. The first failure
 * counts. */
MUST_CHECK int build_layers_bring(struct cas_layer *const *layers,
                                  size_t count,
                                  struct error *err);
/* How many blobs the store lacks. */
MUST_CHECK int build_layers_absent(struct cas_layer *const *layers,
                                   size_t count,
                                   size_t *absent,
                                   struct error *err);
