/*
 * Assembling the image: config with history and diffIDs, manifest, both stored.
 * Spec: OCI image-spec config.md, manifest.md.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/plan.h"
#include "builder/solve.h"
#include "cas/descriptor.h"
#include "cas/digest.h"

/* Fetches layers of base images that are not here yet, so that the stored image is
 * complete. *manifest and *config are the caller's. */
MUST_CHECK int build_image_make(const struct build_environment *env,
                                const struct build_request *request,
                                const struct build_plan *plan,
                                const struct build_solution *solution,
                                struct descriptor *manifest,
                                struct digest *config,
                                struct error *err);
