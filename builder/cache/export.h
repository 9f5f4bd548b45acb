/*
 * Writing what a build knows for others to read: --cache-to.
 *
 *     build_run: new (takes note of steps, layers, base images) -> result, tags
 *     then, when all that is told to the user: write -> free
 *
 * What is kept is values only, so the plan and the solution may be gone by then. Every step
 * whose outcome is known is recorded; its layer goes along for mode=max, or if the result
 * consists of it.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/plan.h"
#include "builder/solve.h"

#include <stddef.h>

struct build_cache_export;

/* NULL where the request has no cache to write but an inline one. `solutions`: one a plan;
 * `names`: the tags. */
struct build_cache_export *build_cache_export_new(const struct build_environment *env,
                                                  const struct build_request *request,
                                                  const struct build_plans *plans,
                                                  const struct build_solution *solutions,
                                                  const char *const *names,
                                                  size_t name_count);
void build_cache_export_free(struct build_cache_export *x); /* NULL is fine */

/* The member of an image's config for type=inline, or NULL if the request has none.
 * `diff_ids` and `blobs`: the layers that the image has. Times of steps are at most
 * `epoch` (if >= 0), so that the config does not depend on when they ran. */
struct doc *build_cache_inline(const struct build_environment *env,
                               const struct build_request *request,
                               const struct build_solution *solution,
                               const struct digest *diff_ids,
                               const struct digest *blobs,
                               size_t count,
                               int64_t epoch);

/* For builder/cache/export*.c: writes one cache. */
struct build_cache_files;
MUST_CHECK int build_cache_write_local(const struct build_environment *env,
                                       const struct build_cache_to *to,
                                       const struct build_cache_files *files,
                                       struct error *err);
