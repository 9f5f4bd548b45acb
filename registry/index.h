/*
 * Indexes: one name for the images of several platforms. Writing one, and joining images
 * that were built apart, which takes more care: what belongs together must show that it
 * does.
 *
 * Spec: OCI image-spec image-index.md; docker's manifest list, schema version 2.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Stores the index of these entries, in their order. `annotations`: an object or NULL;
 * borrowed. *out is the caller's and bears no platform. The same entries give the same
 * bytes. Errors: ERROR_LIMIT; those of cas_blob_put.
 */
MUST_CHECK int registry_index_put(struct cas_store *store,
                                  const struct descriptor *entries,
                                  size_t count,
                                  const struct doc *annotations,
                                  bool docker_media_types,
                                  struct descriptor *out,
                                  struct error *err);

/* The entries of an index that is joined; zeroed is empty. */
struct registry_join {
    struct registry_join_part {
        struct descriptor entry; /* with platform, but for attestations */
        char *source;            /* as the user named it, for messages */
        struct doc *labels;      /* of the image's config; NULL: none */
        struct doc *annotations; /* of its manifest; NULL: none */
    } * parts;
    size_t count;
    size_t capacity;
};
void registry_join_release(struct registry_join *j); /* idempotent; for CLEANUP */

/*
 * Adds what `root` (in the store, with the configs of its images; layers need not be there)
 * names: one image, or every entry of an index, attestations along with what they attest.
 * The platform of an image without one is that of its config; annotations that root's
 * descriptor has stay with it. One image that comes twice is there once.
 * Errors: ERROR_EXISTS: another image is for the same platform; ERROR_UNSUPPORTED for
 *         artifacts; ERROR_INVALID for an index within an index.
 */
MUST_CHECK int registry_join_add(struct registry_join *j,
                                 struct cas_store *store,
                                 const char *source,
                                 const struct descriptor *root,
                                 struct error *err);

/*
 * Do the images belong together? What says of which release or source they are (labels and
 * annotations org.opencontainers.image.version, revision, source, title) must be the same
 * in all that say it; and so must the kind of document, OCI's or docker's.
 * ERROR_INVALID with both images and what they say.
 */
MUST_CHECK int registry_join_check(const struct registry_join *j, struct error *err);
