/*
 * A layer made anew out of its own blob: with another compression, level or latest time,
 * and equal to what writing its files with these options would have given.
 *
 * The tar is streamed through the pipeline of cas_layer_write, once, in bounded memory;
 * nothing is unpacked. Times that were clamped before stay so: what they were is lost, so
 * a layer that was written with an epoch can be rewritten for the same epoch or an earlier
 * one only. The caller sees to that; a layer does not say what it was written with.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"

/*
 * Returns the new layer, published with its layer record; a new handle in any case. Of the
 * options all but `in_order` count. The content of each file is checked against the index.
 * Errors: ERROR_CORRUPT if the blob is not what the index says; ERROR_UNSUPPORTED for a
 *         layer that cooper would have written otherwise (entries in another order; equal
 *         times, but another tar); ERROR_CANCELLED; those of fetching and writing.
 */
MUST_CHECK struct cas_layer *cas_layer_rewrite(struct cas_layer *source,
                                               const struct cas_layer_options *options,
                                               struct error *err);
