/*
 * From what the steps gave to everything that was asked for: the image in each form that an
 * output wants, the outputs in their order, and at the end the names in the store.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/export/ahead.h"
#include "builder/plan.h"
#include "builder/solve.h"

#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed. */
struct build_publish {
    const struct build_environment *env;
    const struct build_request *request;
    const struct build_plans *plans;
    const struct build_solution *solutions; /* one a plan */
    struct build_ahead *ahead;              /* or NULL */
    const char *const *names;               /* the tags as full references */
    size_t name_count;
};

/* What can be told of the outputs before anything has run. ERROR_INVALID, ERROR_USAGE. */
MUST_CHECK int build_publish_check(const struct build_environment *env,
                                   const struct build_request *request,
                                   const struct build_plans *plans,
                                   size_t name_count,
                                   struct error *err);

/* The tags move only when every output succeeded. */
MUST_CHECK int build_publish(const struct build_publish *p,
                             struct build_result *out,
                             struct error *err);
