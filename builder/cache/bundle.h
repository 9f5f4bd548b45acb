/*
 * Records on their way between machines: what a cache reference's config holds, or the
 * member of an image's config that carries an inline cache.
 *
 *     {"version": 1, "keys": "cooper-key-2",
 *      "records": [{"operation": D, ... as builder/cache/record.h}],
 *      "layers":  [{"diff_id": D, "blob": D, "maker": "1 isal 2.30.0 1"}],
 *      "images":  [{"name": "docker.io/library/debian:12", "platform": "linux/amd64",
 *                   "root": descriptor, "documents": ["{...}", ...]}]}
 *
 * `layers` says in which blobs of the manifest the records' layers are. `images` has index,
 * manifest and config of base images, byte for byte, so that one who cannot ask their
 * registry can still find what was built upon them.
 *
 * A bundle is hostile until it was parsed: counts are bounded by the document's size
 * (LIMIT_CACHE_SIZE), nothing in it is believed but digests, and those are verified by
 * whoever fetches what they name. What a record says came of a step is believed: who may
 * write a cache may decide what those who read it build.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/cache/record.h"
#include "cas/descriptor.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <stddef.h>

/* In the config of an image: the inline cache. */
#define BUILD_BUNDLE_MEMBER "cooper.cache.v1"
/* Of a cache reference's config. */
#define BUILD_BUNDLE_MEDIA_TYPE "application/vnd.cooper.cache.v1+json"

struct build_bundle_record {
    struct digest operation;
    struct build_record record;
};

struct build_bundle_layer {
    struct digest diff_id;
    struct digest blob;
    char *maker; /* NULL: not known */
};

struct build_bundle_image {
    char *name;
    char *platform;
    struct descriptor root;
    char **documents;
    size_t document_count;
};

struct build_bundle {
    struct build_bundle_record *records;
    size_t record_count, record_capacity;
    struct build_bundle_layer *layers;
    size_t layer_count, layer_capacity;
    struct build_bundle_image *images;
    size_t image_count, image_capacity;
    struct build_bundle_key *keys; /* sorted; NULL before build_bundle_sort */
    size_t key_count;
};

struct build_bundle *build_bundle_new(void);
void build_bundle_free(struct build_bundle *b); /* NULL is fine */
void build_bundle_freep(struct build_bundle **b);

/* All copy. */
void build_bundle_add_record(struct build_bundle *b,
                             const struct digest *operation,
                             const struct build_record *r);
/* A blob that is there already is not added twice. */
void build_bundle_add_layer(struct build_bundle *b,
                            const struct digest *diff_id,
                            const struct digest *blob,
                            const char *maker);
struct build_bundle_image *build_bundle_add_image(struct build_bundle *b,
                                                  const char *name,
                                                  const char *platform,
                                                  const struct descriptor *root);
void build_bundle_add_document(struct build_bundle_image *image, struct view text);

struct doc *build_bundle_doc(const struct build_bundle *b);
/* Errors: ERROR_UNSUPPORTED for another version, or keys made by another version of cooper;
 *         ERROR_INVALID for anything that is not as said above. */
MUST_CHECK struct build_bundle *build_bundle_parse(const struct doc *doc,
                                                   struct error *err);

/* In a parsed bundle; the record under one of its keys, or NULL. Borrowed. */
const struct build_bundle_record *build_bundle_find(const struct build_bundle *b,
                                                    const struct digest *key);
/* Is there any record of this operation? */
bool build_bundle_has_operation(const struct build_bundle *b,
                                const struct digest *operation);
/* The next blob of the layer after `last` (NULL: the first), or NULL. Borrowed. */
const struct build_bundle_layer *build_bundle_layer(const struct build_bundle *b,
                                                    const struct digest *diff_id,
                                                    const struct build_bundle_layer *last);
