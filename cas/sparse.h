/*
 * Sparse manifests: what was pushed to the embedded registry although something that it
 * names was not there. An index whose images for other platforms nobody copied keeps its
 * digest so, and its signatures. For cas/ and cas/repository.c.
 *
 * For each repository it is kept which digests a manifest named in vain, so that nobody
 * takes them for lost (cas_reach_walk), and nobody sees through the manifest what others
 * pushed elsewhere. A manifest that was deleted there is as good as never pushed for the
 * indexes that name it. What comes later is kept for it, but never was checked with it:
 * only when the manifest is pushed once more does it count as whole. Spec: OCI
 * distribution-spec "Push".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/digest_set.h"
#include "cas/meta.h"
#include "cas/store.h"

#include <stddef.h>

/* What the manifest names in vain in the repository; NULL: in any. Added to *out. */
MUST_CHECK int cas_sparse_find(struct cas_store *s,
                               const char *repository,
                               const struct digest *manifest,
                               struct digest_set *out,
                               struct error *err);

/* The repository's row is there. */
MUST_CHECK int cas_sparse_add_locked(struct cas_meta *m,
                                     const char *repository,
                                     const struct digest *manifest,
                                     const struct digest *absent,
                                     struct error *err);
/* The same of several, in the place of what was said before of this manifest. */
MUST_CHECK int cas_sparse_set_locked(struct cas_meta *m,
                                     const char *repository,
                                     const struct digest *manifest,
                                     const struct digest *absent,
                                     size_t count,
                                     struct error *err);
/* The manifest is gone, everywhere. */
MUST_CHECK int cas_sparse_forget_locked(struct cas_meta *m,
                                        const struct digest *manifest,
                                        struct error *err);
