/*
 * The planner: a Dockerfile and a request become a graph and the config of the image; for
 * several platforms one graph and a config for each. What is said alike for two of them
 * (stages of $BUILDPLATFORM) is there twice: the solver finds that it is the same.
 * It expands variables, follows stages, applies ONBUILD triggers and checks arguments, as
 * BuildKit's dockerfile2llb does; it reads image configs but no layer.
 * Spec: Dockerfile reference 1.26.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/config.h"
#include "builder/graph.h"
#include "builder/inputs.h"
#include "registry/platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A stage of the Dockerfile, as the target needs it. */
struct build_plan_stage {
    bool is_needed;
    const struct build_image *image; /* its base image, if it has one; the graph's */
};

struct build_plan {
    struct build_node
        *result; /* in the graph of the plans; NULL: an image without layers */
    struct build_config config;
    struct registry_platform platform;
    int64_t epoch;                /* SOURCE_DATE_EPOCH or negative */
    struct dockerfile **triggers; /* trees of ONBUILD triggers: nodes borrow their texts */
    size_t trigger_count;
    size_t trigger_capacity;
    struct build_plan_stage *stages; /* in the order of the file; NULL after an error */
};

struct build_plans {
    struct build_graph graph;
    struct build_plan *items; /* one a platform, as the request has them */
    size_t count;             /* at least 1 but after an error */
};

/* ERROR_INVALID with the position in the Dockerfile; *out is the caller's in any case, and
 * borrows from `file` and `inputs`. */
MUST_CHECK int build_plans_make(const struct build_environment *env,
                                const struct build_request *request,
                                struct build_inputs *inputs,
                                const struct dockerfile *file,
                                struct build_plans *out,
                                struct error *err);
void build_plans_release(struct build_plans *p); /* idempotent */
/* Is there anything to solve? Images without layers have no nodes. */
bool build_plans_have_result(const struct build_plans *p);
