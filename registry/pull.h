/*
 * From a registry into the store.
 *
 * A pull resolves the reference to an index or manifest, chooses the platform's manifest,
 * and stores index, manifest and config; layers are fetched too (in parallel), or later one
 * by one when somebody needs their bytes. Everything is verified, size and digest, before
 * it becomes visible; a failed pull leaves at most complete, verified blobs that garbage
 * collection takes. No ref is set: naming the result is the caller's business (cas/ref.h).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/arrival.h"
#include "cas/store.h"
#include "registry/client.h"
#include "registry/image.h"
#include "registry/platform.h"
#include "registry/reference.h"

struct registry_pull_options {
    bool lazy;          /* manifest and config only; layers by registry_fetch_blob */
    bool all_platforms; /* everything that the index names, layers included unless lazy */
    struct registry_progress progress;
};

/*
 * `platform` NULL: this machine's. `options` may be NULL. On success `out` is the caller's:
 * out->root is what the reference named, out->manifest the platform's. Blobs that the store
 * has are not asked for; a reference with a digest whose documents are in the store makes
 * no request. Errors: ERROR_NOT_FOUND (image or platform), ERROR_DENIED, ERROR_CORRUPT,
 * ERROR_NETWORK, ERROR_UNSUPPORTED (schema 1).
 */
MUST_CHECK int registry_pull(struct registry_client *client,
                             struct cas_store *store,
                             const struct registry_reference *reference,
                             const struct registry_platform *platform,
                             const struct registry_pull_options *options,
                             struct registry_image *out,
                             struct error *err);

/* One request: what does the reference point to now? For --pull and pinning. */
MUST_CHECK int registry_resolve(struct registry_client *client,
                                const struct registry_reference *reference,
                                struct descriptor *out,
                                struct error *err);

/* Fetches one blob (a layer) from the reference's repository unless the store has it. Two
 * threads may ask for the same one. */
MUST_CHECK int registry_fetch_blob(struct registry_client *client,
                                   struct cas_store *store,
                                   const struct registry_reference *repository,
                                   const struct descriptor *blob,
                                   const struct registry_progress *progress,
                                   struct error *err);

/* The same, and lets somebody read the blob while it arrives (NULL: nobody): see
 * cas/arrival.h. The end is for the caller to tell. */
MUST_CHECK int registry_fetch_followed(struct registry_client *client,
                                       struct cas_store *store,
                                       const struct registry_reference *repository,
                                       const struct descriptor *blob,
                                       struct cas_arrival *arrival,
                                       const struct registry_progress *progress,
                                       struct error *err);

/* The same for all layers of an image, in parallel. */
MUST_CHECK int registry_fetch_layers(struct registry_client *client,
                                     struct cas_store *store,
                                     const struct registry_reference *repository,
                                     const struct registry_image *image,
                                     const struct registry_progress *progress,
                                     struct error *err);
