/*
 * Assembling the image: config with history and diffIDs, manifest, both stored. One build
 * may give an image in several forms: with other compressions, types, annotations.
 * Spec: OCI image-spec config.md, manifest.md.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/pool.h"
#include "builder/build.h"
#include "builder/plan.h"
#include "builder/reshape.h"
#include "builder/solve.h"
#include "cas/descriptor.h"
#include "cas/digest.h"

/* What an image is made of; everything is borrowed. */
struct build_image_source {
    const struct build_environment *env;
    const struct build_request *request;
    const struct build_plan *plan;
    const struct build_solution *solution; /* what the steps gave */
    const struct build_shape *shape;       /* its layers as they go out */
    struct pool *pool;                     /* compresses */
    bool may_lack_layers;                  /* those that are not here stay where they are */
};

/* How an image looks; texts are borrowed. */
struct build_image_form {
    struct build_compression compression;
    bool docker_media_types;
    bool keeps_nondistributable;
    const struct build_annotation *annotations; /* besides the request's */
    size_t annotation_count;
};
bool build_image_form_eq(const struct build_image_form *a,
                         const struct build_image_form *b);

struct build_image_made {
    struct build_image_form form;
    struct descriptor manifest;
    struct digest config;
};
void build_image_made_release(struct build_image_made *m); /* idempotent */

/*
 * The image of one platform. Fetches layers of base images that are not here yet, so that
 * the stored image is complete, and compresses anew what the form wants otherwise. Errors:
 * ERROR_UNSUPPORTED for a layer that the form has no type for.
 */
MUST_CHECK int build_image_make(const struct build_image_source *from,
                                const struct build_image_form *form,
                                struct build_image_made *out,
                                struct error *err);

/* The index of a build's images, which have one form. *out is the caller's. */
MUST_CHECK int build_image_index(struct cas_store *store,
                                 const struct build_request *request,
                                 const struct build_image_made *images,
                                 size_t count,
                                 struct descriptor *out,
                                 struct error *err);
