/*
 * The walk through an image that is somewhere else: documents first, choosing the platform,
 * then what they name. Pulling from a registry and reading a layout differ in the source
 * only.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"
#include "registry/image.h"
#include "registry/platform.h"
#include "registry/store_blob.h"

#include <stdbool.h>

struct registry_walk {
    const struct registry_source *source;
    struct cas_store *store;
    const struct registry_platform *platform; /* NULL: this machine's */
    bool lazy;                                /* no layers */
    bool all_platforms;
};

/* Brings what `root` names into the store. Consumes nothing; *out becomes the caller's. */
MUST_CHECK int registry_walk_image(const struct registry_walk *walk,
                                   const struct descriptor *root,
                                   struct registry_image *out,
                                   struct error *err);
