/*
 * One cache of --cache-from, read: its bundle, and the descriptors of the blobs that hold
 * the layers.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/cache/bundle.h"
#include "builder/cache/options.h"
#include "cas/descriptor.h"
#include "registry/layout.h"
#include "registry/platform.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <stddef.h>

struct build_cache_source {
    const struct build_environment *env; /* borrowed */
    char *name;                          /* as typed */
    struct registry_reference ref;       /* registries; host NULL otherwise */
    struct registry_layout *layout;      /* directories */
    struct build_bundle *bundle;
    struct descriptor *layers; /* of the manifest, sorted by digest */
    size_t layer_count;
};

/*
 * Reads manifest and config into the store, and the bundle out of them: of a cache
 * reference, or of an image (for `platform`) that carries an inline cache. *out is the
 * caller's also after a failure, and then has no bundle. Errors: ERROR_NOT_FOUND;
 * ERROR_UNSUPPORTED for what is no cache of ours; ERROR_INVALID, ERROR_CORRUPT, ERROR_LIMIT
 * for what is not as it should be; ERROR_NETWORK, ...
 */
MUST_CHECK int build_cache_source_open(const struct build_environment *env,
                                       const struct build_cache_from *from,
                                       const struct registry_platform *platform,
                                       struct build_cache_source *out,
                                       struct error *err);
void build_cache_source_release(struct build_cache_source *s); /* idempotent */

/* The manifest's descriptor of a blob; NULL: it has none. Borrowed. */
const struct descriptor *build_cache_source_blob(const struct build_cache_source *s,
                                                 const struct digest *digest);
/* Is the blob there? Asked of the registry; of a directory the file is looked for. */
MUST_CHECK int build_cache_source_has(const struct build_cache_source *s,
                                      const struct descriptor *blob,
                                      bool *found,
                                      struct error *err);
/* Brings it into the store, verified. */
MUST_CHECK int build_cache_source_fetch(const struct build_cache_source *s,
                                        const struct descriptor *blob,
                                        struct error *err);
