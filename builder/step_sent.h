/*
 * What docker would have been sent of a build context.
 *
 * A docker client sends those parts of a directory alone that some step of the build names.
 * A wildcard that matches nothing copies nothing; but where no step takes any part of the
 * directory that it looks into, that directory has not come either, and docker says that it
 * does not exist. A Dockerfile is to mean the same here, so that it is an error here too.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/graph.h"
#include "builder/solve_priv.h"

#include <stdbool.h>

/* Does any step of the build take a part of `dir`, a clean rooted directory of the source's
 * context? True also where a context comes as a whole (archives, git). */
MUST_CHECK int step_sent_has(const struct solver *s,
                             const struct build_copy_source *source,
                             struct view dir,
                             bool *sent,
                             struct error *err);
