/*
 * The pipeline of a layer being written, block by block:
 *
 *     fill --+--> hash of the tar      (in order)  -> diffID     (any order, unless asked)
 *            +--> hash of spans        (in order)  -> digests of large files
 *            +--> unpack, if asked for (in order)  -> files
 *            +--> compress             (any order) --> write, hash (in order) -> blob
 *
 * Whoever takes part claims the next thing that can be done, does it, and looks again: the
 * thread that called, and jobs that it put into the pool for those workers that have
 * nothing else to do. The caller waits for nobody who has not begun, so it does not matter
 * whether it is a worker of that pool itself, or whether the pool ever gets to the jobs.
 *
 * Memory is bounded by the number of blocks under way. For cas/layer_write.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/blob.h"
#include "cas/layer.h"
#include "cas/layer_feed.h"
#include "cas/layer_fill.h"
#include "cas/layer_plan.h"

#include <stdint.h>

struct layer_pipe_result {
    struct digest diff_id; /* alg NONE where the blob is the tar: its digest is the same */
    uint64_t *points;      /* of each block: where it begins in the blob; free() */
};

/* Runs it all; everything is borrowed. `feed` may be NULL. The blob is then complete but
 * not sealed, the unpacker has everything but is not finished. Errors: ERROR_CANCELLED;
 * those of filling, writing and unpacking: the first counts. */
MUST_CHECK int layer_pipe_run(const struct layer_plan *plan,
                              struct layer_fill *fill,
                              struct cas_blob_writer *blob,
                              const struct layer_feed *feed,
                              const struct cas_layer_options *options,
                              struct layer_pipe_result *out,
                              struct error *err);
