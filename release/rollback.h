/*
 * Moving a tag back, or forward again, to exactly what it was: by digest, out of the
 * history. Versions' tags are never moved.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "release/log.h"
#include "release/place.h"
#include "release/tags.h"

#include <stdbool.h>

struct release_rollback {
    struct release_place *place; /* borrowed, as are the texts */
    const char *tag;
    const char *who;
    const char *message; /* or NULL */
    struct release_names tags;
    struct release_log log;
    struct digest origin;         /* where the tag points, or pointed */
    struct release_manifest from; /* that; without bytes if the registry has it no more */
    struct release_manifest to;
    bool is_moved; /* it points to the target already, and the history does not know: a run
                      that did not end moved it; only the entry is missing */
};
void release_rollback_release(struct release_rollback *r); /* idempotent; for CLEANUP */

/*
 * Finds out from where to where, and reads both manifests. `place`, `tag`, `who` and
 * `message` are set. `target` is "@{N}" (NULL: "@{1}", where the tag pointed before), a
 * digest, or a version's tag. Errors: ERROR_NOT_FOUND no such tag, version, entry, or image
 * at the registry; ERROR_INVALID the tag is a version's, or the target malformed.
 */
MUST_CHECK int release_rollback_plan(struct release_rollback *r,
                                     const char *target,
                                     struct error *err);
/* Does the tag point there already, as the history tells? */
bool release_rollback_is_done(const struct release_rollback *r);
/* Checks that the image is whole, moves the tag if it still is where the plan found it, and
 * writes the entry. ERROR_EXISTS if somebody else moved it meanwhile. */
MUST_CHECK int release_rollback_run(struct release_rollback *r, struct error *err);
