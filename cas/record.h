/*
 * Records about layers and build steps, in SQLite. All can be rebuilt or lost without harm.
 *
 * A layer record ties a diffID to the blobs that hold it (one a compressor and level).
 * A cache record ties a build key to the content that the step produced: a small document
 * that the builder writes and reads. Thread-safe.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "cas/descriptor.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stdint.h>

/* --- Layers --- */

/* `blob` (media type, digest, size) unpacks to `diff_id`. Many blobs may. `maker` says with
 * what compressor and level it was made (codec_maker); NULL if others made it. */
MUST_CHECK int cas_layer_record_put(struct cas_store *s,
                                    const struct digest *diff_id,
                                    const struct descriptor *blob,
                                    const char *maker,
                                    struct error *err);
/* A blob of that layer which the store has now, preferring `media_type` if not NULL. */
MUST_CHECK int cas_layer_record_find(struct cas_store *s,
                                     const struct digest *diff_id,
                                     const char *media_type,
                                     bool *found,
                                     struct descriptor *blob,
                                     struct error *err);
/* A blob of that layer that the store has now and that has exactly this maker. */
MUST_CHECK int cas_layer_record_find_made(struct cas_store *s,
                                          const struct digest *diff_id,
                                          const char *maker,
                                          bool *found,
                                          struct descriptor *blob,
                                          struct error *err);
/* What made a blob, or NULL if that is not known; *maker is malloc'ed. */
MUST_CHECK int cas_layer_record_maker(struct cas_store *s,
                                      const struct digest *blob,
                                      char **maker,
                                      struct error *err);
/* The diffID of a blob that was unpacked or made before. */
MUST_CHECK int cas_layer_record_find_blob(struct cas_store *s,
                                          const struct digest *blob,
                                          bool *found,
                                          struct digest *diff_id,
                                          struct error *err);

/* --- Build cache --- */

/* Keys are SHA-256 digests made by builder/key. `op` groups the records of one operation
 * whatever its inputs were (for "why did it miss?" and for asking whether any exist). */
MUST_CHECK int cas_cache_put(struct cas_store *s,
                             const struct digest *key,
                             const struct digest *op,
                             const struct doc *value,
                             struct error *err);
MUST_CHECK int cas_cache_find(struct cas_store *s,
                              const struct digest *key,
                              bool *found,
                              struct doc **value,
                              struct error *err);
/* Is there any record of this operation? */
MUST_CHECK int cas_cache_has_op(struct cas_store *s,
                                const struct digest *op,
                                bool *found,
                                struct error *err);
MUST_CHECK int cas_cache_delete(struct cas_store *s,
                                const struct digest *key,
                                struct error *err);
