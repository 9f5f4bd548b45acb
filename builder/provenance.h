/*
 * How an image was built, so that it can be built again: recorded with each image in the
 * store, as provenance/HEX under the digest of its manifest or index, until that goes.
 *
 * The document is an in-toto statement with a SLSA provenance; what only cooper needs to
 * repeat the build stands in buildDefinition.externalParameters. It knows the values of
 * build arguments (as the image's history does), but no secret, no proxy and no password of
 * a URL.
 *
 *     {"_type": "https://in-toto.io/Statement/v1",
 *      "subject": [{"name": "docker.io/library/app:1", "digest": {"sha256": HEX}}],
 *      "predicateType": "https://slsa.dev/provenance/v1",
 *      "predicate": {
 *        "buildDefinition": {
 *          "buildType": BUILD_PROVENANCE_TYPE,
 *          "externalParameters": {"context":.., "dockerfile":.., "dockerfileText":.., ...},
 *          "resolvedDependencies": [{"uri": "docker-image://NAME", "digest": {..}}, ...]},
 *        "runDetails": {"builder": {"id": "cooper", "version": {..}},
 *          "metadata": {"invocationId": the build's, "finishedOn": ..},
 *          "byproducts": [{"name": "[2/3] RUN make", "digest": {"sha256": outcome}},
 * ...]}}}
 *
 * A step's outcome is the digest of what its layer changes, without times: of a COPY it
 * tells of the context's files, of a RUN whether it gave the same again.
 * Spec: in-toto Statement v1; SLSA provenance v1.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/inputs.h"
#include "builder/plan.h"
#include "builder/solve.h"

#define BUILD_PROVENANCE_TYPE "urn:cooper:build:1"

/* Everything is borrowed. */
struct build_provenance {
    const struct build_environment *env;
    const struct build_request *request;
    struct build_inputs *inputs;
    struct view dockerfile; /* its text */
    const struct build_plans *plans;
    const struct build_solution *solutions;
    const struct build_result *result;
    const char *const *names; /* of the image */
    size_t name_count;
};

/* Records it. An image without a record is as good as any: what fails is passed over. */
void build_provenance_keep(const struct build_provenance *p);

/* The record of an image. Errors: ERROR_NOT_FOUND: it was not built here; ERROR_CORRUPT. */
MUST_CHECK struct doc *build_provenance_find(struct cas_store *store,
                                             const struct digest *image,
                                             struct error *err);

/* The first step whose outcome was another one in `after`; NULL: none, or not known.
 * Borrowed. */
const char *build_provenance_first_change(const struct doc *before,
                                          const struct doc *after);
