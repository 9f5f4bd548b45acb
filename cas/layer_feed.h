/*
 * Feeds an unpacker from the blocks of a layer that is being written, so that one reading
 * of the files makes both the blob and the unpacked directory. For cas/layer_write.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer_plan.h"
#include "cas/unpacker.h"

#include <stddef.h>

struct layer_feed {
    const struct layer_plan *plan; /* borrowed, as is the unpacker */
    struct cas_unpacker *unpacker;
};

/* Makes the entries that begin in block `b`, which was made as `data`, and gives the files
 * their bytes. Blocks come in order, one thread at a time. Errors: those of the unpacker.
 */
MUST_CHECK int layer_feed_block(const struct layer_feed *f,
                                size_t b,
                                const char *data,
                                struct error *err);
