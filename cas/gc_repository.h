/*
 * What garbage collection keeps for the repositories of the embedded registry
 * (cas/repository.h), and how membership ends with the content. For cas/.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest_set.h"
#include "cas/reach.h"
#include "cas/store.h"

/*
 * Marks in `reached` what was pushed within the last CAS_REPOSITORY_GRACE_S, and manifests
 * whose subject is marked, with what these need: `visit` (with `context`) is called as by
 * cas_reach_walk, and marks. To be called when all that refs need is marked. What a damaged
 * manifest needs cannot be known; it is kept itself.
 */
MUST_CHECK int gc_repository_mark(struct cas_store *s,
                                  struct digest_set *reached,
                                  cas_reach_fn *visit,
                                  void *context,
                                  struct error *err);

/* Forgets members whose content is gone. */
MUST_CHECK int gc_repository_forget(struct cas_store *s, struct error *err);
