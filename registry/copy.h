/*
 * Copying an image from one place to another: registries, layouts, archives, the store, in
 * any combination.
 *
 * Bytes go straight through: what comes from a registry is sent on while it arrives, and
 * nothing is kept (archives, which have to be read or written in one order, lie in a
 * directory of their own meanwhile). Blobs that the target has are not moved; between
 * repositories of one registry they are mounted. Everything is verified on its way, and
 * manifests come last, so that a target never names what it does not have.
 *
 * Documents are copied byte for byte: digests stay.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/client.h"
#include "registry/location.h"
#include "registry/platform.h"

#include <stdbool.h>
#include <stdint.h>

struct registry_copy_options {
    const struct registry_platform *platform; /* NULL: this machine's */
    bool all_platforms; /* an index as it is, in place of its manifest for the platform */
    bool referrers;     /* what refers to the image, and to that, as well */
    struct cas_store *store; /* may be NULL where neither place is the store */
    struct registry_progress progress;
};

struct registry_copy_result {
    struct descriptor root; /* what the target has now */
    unsigned referrers;     /* of it and what it names */
    unsigned moved;         /* blobs whose bytes went through here */
    unsigned mounted;
    unsigned present;
    uint64_t moved_size;
};
void registry_copy_result_release(struct registry_copy_result *r); /* idempotent; CLEANUP */

/*
 * `options` may be NULL. A target with a digest must be that of what is copied. Into the
 * store, the reference is made to point to it.
 * Errors: ERROR_NOT_FOUND image, platform or a blob; ERROR_DENIED; ERROR_CORRUPT;
 * ERROR_NETWORK; ERROR_INVALID, ERROR_UNSUPPORTED for places that cannot be used so.
 */
MUST_CHECK int registry_copy(struct registry_client *c,
                             const struct registry_location *from,
                             const struct registry_location *to,
                             const struct registry_copy_options *options,
                             struct registry_copy_result *out,
                             struct error *err);
