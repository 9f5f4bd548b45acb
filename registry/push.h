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
#include "cas/layer.h"
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
    /* Asked before `origins` are looked at, from several threads: the repository,
     * or NULL. May be NULL. */
    const struct registry_reference *(*find_origin)(void *context,
                                                    const struct digest *blob);
    /* Told of a blob that could not be had from its origin; several threads. May be NULL.
     */
    void (*on_lost)(void *context, const struct digest *blob);
    void *find_context;
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

/*
 * A push that begins before the image is whole: layers are sent as soon as they are
 * written, by threads of their own, and what is left for the end is the config and the
 * manifest. Neither is there for others to see before: whatever was sent for a build that
 * then fails is at the registry, named by nothing.
 *
 *     new -> layer ... -> finish (once a tag) -> free
 */
struct registry_pusher;

/* Sends nothing yet. Of the reference only the repository counts. `options` may be NULL;
 * what it borrows is borrowed until the end. */
struct registry_pusher *registry_pusher_new(struct registry_client *client,
                                            struct cas_store *store,
                                            const struct registry_reference *repository,
                                            const struct registry_push_options *options);
/*
 * A layer that will be written: registry_push_stream_grown, as the `grown` of a struct
 * cas_layer_tap, begins to send a large one before it is done. The stream is the pusher's.
 */
struct registry_push_stream;
struct registry_push_stream *registry_pusher_stream(struct registry_pusher *p);
void registry_push_stream_grown(struct registry_push_stream *s,
                                const struct cas_blob_writer *blob);

/* Returns at once; any thread. The layer may still be in the making. `is_new`: it was made
 * just now, so that hardly any registry has it, or the image: a small one is sent without
 * asking first, which would cost as much. `stream` (or NULL) is the one that was told of
 * the writing of this very layer. */
void registry_pusher_layer(struct registry_pusher *p,
                           struct cas_layer *layer,
                           bool is_new,
                           struct registry_push_stream *stream);
/* As registry_push, but for what has been sent already; also tells what went wrong with
 * that. May be called again for another tag. No layer may be pending any more. */
MUST_CHECK int registry_pusher_finish(struct registry_pusher *p,
                                      const struct descriptor *root,
                                      const struct registry_reference *reference,
                                      struct digest *out,
                                      struct error *err);
/* Gives up what is under way, and waits for its end. NULL is fine. */
void registry_pusher_free(struct registry_pusher *p);
