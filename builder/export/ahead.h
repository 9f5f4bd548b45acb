/*
 * What a build pushes, begun beside its steps: as soon as it is certain that the image is a
 * new one (a step of its own had to run), its layers are sent to every registry that it
 * goes to, each when it is written. Where everything is cached nothing is sent before the
 * registry was asked for the image as a whole.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/plan.h"
#include "builder/solve.h"
#include "registry/push.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <stddef.h>

struct build_ahead;

/* NULL without an error: nothing is pushed. `names` are the build's tags; everything is
 * borrowed until the end. Fails for an output whose name is none. */
MUST_CHECK int build_ahead_new(const struct build_environment *env,
                               const struct build_request *request,
                               const struct build_plans *plans,
                               const char *const *names,
                               size_t name_count,
                               struct build_ahead **out,
                               struct error *err);
/* Gives up what is under way. NULL is fine. Before the layers' plan goes. */
void build_ahead_free(struct build_ahead *a);

/* For struct build_environment: told of the layers of the result. */
const struct build_layer_watch *build_ahead_watch(struct build_ahead *a);

/* The push to the reference's repository, with whatever was sent already; borrowed. */
struct registry_pusher *build_ahead_pusher(struct build_ahead *a,
                                           const struct registry_reference *ref);
/* Where layers of base images came from. */
const struct registry_origin *build_ahead_origins(const struct build_ahead *a,
                                                  size_t *count);
