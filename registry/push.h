/*
 * From the store to a registry.
 *
 * Blobs go first, in parallel: asked for, mounted from another repository, or uploaded;
 * then the config; then the manifest, whose digest the registry has to confirm; of an index
 * first every manifest it names. A tag that already points to the digest costs one request.
 * What the registry has is asked, never remembered: a registry may have been emptied
 * meanwhile.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/digest.h"
#include "cas/store.h"
#include "registry/client.h"
#include "registry/reference.h"

#include <stddef.h>
#include <stdint.h>

/* Another repository that is known to hold a blob: the base image's, for its layers. If it
 * is on the same registry the blob is mounted; if the store lacks the blob it is fetched
 * from there. */
struct registry_origin {
    struct digest digest;
    const struct registry_reference *repository; /* borrowed */
};

struct registry_push_options {
    const struct registry_origin *origins;
    size_t origin_count;
    /* Blobs that were made just now, so that hardly any registry has them: small ones are
     * sent without asking first, which would cost as much. Borrowed. */
    const struct digest *made;
    size_t made_count;
    uint64_t chunk_size; /* 0: one request a blob */
    struct registry_progress progress;
};

/*
 * Pushes what `root` (manifest or index in the store) names to the reference: under its tag
 * ("latest" where it has neither tag nor digest), or by digest alone. `options` may be
 * NULL. *out gets the digest that the registry confirmed. Errors: ERROR_NOT_FOUND a blob is
 * neither in the store nor at its origin; ERROR_DENIED; ERROR_CORRUPT the registry
 * confirmed another digest; ERROR_NETWORK.
 */
MUST_CHECK int registry_push(struct registry_client *client,
                             struct cas_store *store,
                             const struct descriptor *root,
                             const struct registry_reference *reference,
                             const struct registry_push_options *options,
                             struct digest *out,
                             struct error *err);
