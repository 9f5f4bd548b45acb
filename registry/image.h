/*
 * An image as its manifest tells it: what a reference points to (an index or the manifest
 * itself), the manifest of one platform, its config, its layers in order.
 *
 * Reading one checks everything that the specification demands of the documents, before any
 * of it is used: media types, digests, sizes, number of layers. Docker's schema 1 is
 * refused by name.
 *
 * Spec: OCI image-spec manifest.md, image-index.md; docker's image manifest V2 schema 2.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/platform.h"

#include <stdbool.h>
#include <stddef.h>

struct registry_image {
    struct descriptor root;     /* what the reference names: index or manifest */
    struct descriptor manifest; /* equal to root if that is no index */
    struct descriptor config;
    struct descriptor *layers; /* bottom first */
    size_t layer_count;
};

void registry_image_release(struct registry_image *image); /* idempotent; for CLEANUP */

bool registry_media_is_index(const char *media_type);
bool registry_media_is_manifest(const char *media_type);

/*
 * Reads the image that `root` names out of the store: only manifest (and index) must be
 * there; config and layers need not. `platform` NULL means this machine's; a root that is a
 * manifest is taken whatever its platform. Attestation manifests in an index are never
 * chosen. Errors: ERROR_NOT_FOUND if a document is not in the store or no entry fits the
 * platform (the message lists those there are); ERROR_UNSUPPORTED for schema 1 and
 * artifacts.
 */
MUST_CHECK int registry_image_load(struct cas_store *store,
                                   const struct descriptor *root,
                                   const struct registry_platform *platform,
                                   struct registry_image *out,
                                   struct error *err);

/* Config and layers out of a parsed manifest, of an artifact too: fills those fields of
 * *out and leaves `root` and `manifest` alone. After a failure *out still is to be
 * released. */
MUST_CHECK int registry_image_parse(const struct doc *manifest,
                                    struct registry_image *out,
                                    struct error *err);
/* ERROR_UNSUPPORTED for an artifact, whose config is no image config. */
MUST_CHECK int registry_image_check(const struct registry_image *image, struct error *err);

/* The entry of an index that serves `platform` best. `out` becomes the caller's. */
MUST_CHECK int registry_index_choose(const struct doc *index,
                                     const struct registry_platform *platform,
                                     struct descriptor *out,
                                     struct error *err);

/* The media type that a manifest or index has: that of the document, `hint` (may be NULL)
 * where it has none. NULL with ERROR_INVALID or ERROR_UNSUPPORTED. Borrowed from the
 * document, `hint` or static. */
MUST_CHECK const char *registry_manifest_media_type(const struct doc *manifest,
                                                    const char *hint,
                                                    struct error *err);
