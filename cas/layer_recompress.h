/*
 * A layer's blob compressed anew: the same tar, so the same diffID, whoever made it. What a
 * layer that cooper wrote becomes is what writing it with this compression would have
 * given.
 *
 * The tar is never there as a whole: it is decompressed on one thread, compressed in blocks
 * on the pool, and written in order; memory is bounded whatever the layer's size.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"

/*
 * Returns a handle of the same layer with the other blob, published with its layer record.
 * Of the options compression, level, pool and cancel count. The blob is fetched if it is
 * not here. Errors: ERROR_CORRUPT if it does not unpack to its diffID; ERROR_CANCELLED;
 * those of fetching and writing.
 */
MUST_CHECK struct cas_layer *cas_layer_recompress(struct cas_layer *source,
                                                  const struct cas_layer_options *options,
                                                  struct error *err);

/* The media type of a layer with that compression. Static. */
const char *cas_layer_media_type(enum cas_compression compression);
