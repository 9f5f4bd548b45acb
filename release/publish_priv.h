/*
 * The parts of publishing, for release/publish*.c.
 *
 *     publish.c          the order of things, the history's entry
 *     publish_plan.c     what is to be done
 *     publish_version.c  the version's tag
 *     publish_moves.c    the moving tags
 */
#pragma once

#include "release/publish.h"

/* Says that the version is `now` already. Returns -1. */
int release_refuse_other(const struct release_request *r,
                         const struct digest *now,
                         struct error *err);

MUST_CHECK int release_publish_version(const struct release_request *r,
                                       struct release_plan *plan,
                                       const struct release_manifest *m,
                                       struct error *err);
MUST_CHECK int release_publish_moves(const struct release_request *r,
                                     struct release_plan *plan,
                                     const struct release_manifest *m,
                                     struct error *err);
