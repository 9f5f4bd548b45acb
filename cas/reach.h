/*
 * What a manifest or index needs: a walk over the blobs that are reachable from a
 * descriptor. For cas/: setting refs asks whether all is there, garbage collection what to
 * keep. Spec: OCI image-spec manifest.md, image-index.md.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"

#include <stdbool.h>

/* Called for the target first, then for what it names. *descend is true for manifests and
 * indexes: cleared, what they name is not visited. Returns 0, or -1 to stop with err. */
typedef int cas_reach_fn(void *context,
                         const struct descriptor *d,
                         bool *descend,
                         struct error *err);

/* ERROR_LIMIT for indexes nested deeper than 8; ERROR_INVALID for a malformed manifest. */
MUST_CHECK int cas_reach_walk(struct cas_store *s,
                              const struct descriptor *target,
                              cas_reach_fn *visit,
                              void *context,
                              struct error *err);

/* ERROR_NOT_FOUND if something that `target` needs is not in the store, ERROR_CORRUPT if
 * its size differs. What is found is held (cas/lease.h). Layers that are not to be
 * distributed may be absent. */
MUST_CHECK int cas_reach_check(struct cas_store *s,
                               const struct descriptor *target,
                               struct error *err);
