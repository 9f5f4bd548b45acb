/*
 * The solver: works off the nodes that the target needs, several at once, each from the
 * cache where it can. One thread (the caller's) owns the graph; workers own one node at a
 * time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/cache/record.h"
#include "builder/explain.h"
#include "builder/plan.h"
#include "cas/layer.h"

#include <stddef.h>
#include <stdint.h>

/* A step whose outcome is known, whether it ran, was cached, or was not even needed. */
struct build_solved {
    const struct build_node *node; /* the plans' */
    struct digest operation;
    struct build_record record; /* all keys that are known; one layer, or none */
    struct descriptor blob;     /* of the layer; media type NULL: not at hand */
    bool is_in_result;          /* one of the result's own layers */
    bool is_foreign;            /* found in another cache than the store */
};

/* What came out: the stack of the target's layers with, for those that this build's steps
 * made or found, when they were made. */
struct build_solution {
    struct cas_layer **layers; /* owned references */
    int64_t *created;          /* ns since the epoch; -1: the base image's */
    size_t count;
    unsigned steps;
    unsigned steps_cached;
    struct build_solved *solved; /* in the graph's order */
    size_t solved_count;
};

/* *out: one for each plan; steps are counted for all of them together, and `solved` is the
 * same in all but for what is in the result. After a failure there is nothing in them.
 * Every layer of the solutions is published when this returns. ERROR_FAILED with the
 * position of the step that failed; records of steps that succeeded are kept all the same.
 */
MUST_CHECK int build_solve(const struct build_environment *env,
                           const struct build_request *request,
                           const struct build_plans *plans,
                           struct build_solution *out,
                           struct error *err);
void build_solution_release(struct build_solution *s);

/* What build_solve would do. Runs nothing and asks no registry. */
MUST_CHECK int build_solve_explain(const struct build_environment *env,
                                   const struct build_request *request,
                                   const struct build_plans *plans,
                                   struct build_explanation *out,
                                   struct error *err);
