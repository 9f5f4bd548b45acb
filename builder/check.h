/*
 * The checks of parser/check/ with what lies outside of the Dockerfile: build arguments,
 * .dockerignore and the names in the context, the environment and platform of base images
 * as far as the plan or the store knows them. Nothing is fetched.
 *
 * Spec: docs.docker.com/reference/build-checks.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "parser/check/check.h"

#include <stdbool.h>
#include <stddef.h>

struct build_inputs;
struct build_plan;
struct dockerfile;

struct build_check_options {
    const struct build_environment *env; /* its store may be NULL: then no image is known */
    const struct build_request *request;
    struct build_inputs *inputs;
    const struct dockerfile *file;
    const struct build_plan *plan; /* for the first platform, if it was made: only the
                                      stages it needs are checked; NULL: those of
                                      request->target, or all */
    bool extra;                    /* the rules beyond BuildKit's too */
    void (*on_finding)(void *context, const struct dockerfile_finding *finding);
    void *context;
};

/*
 * Checks the file; *count gets the number of findings (may be NULL).
 * Errors: ERROR_INVALID for a malformed `# check=` or .dockerignore; ERROR_FAILED if there
 * are findings and the file says error=true: what was found is told before.
 */
MUST_CHECK int build_check(const struct build_check_options *options,
                           size_t *count,
                           struct error *err);
