/*
 * What a manifest or index needs: a walk over the blobs that are reachable from a
 * descriptor. For cas/: setting refs asks whether all is there, garbage collection what to
 * keep. Spec: OCI image-spec manifest.md, image-index.md.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/digest_set.h"
#include "cas/store.h"

#include <stdbool.h>

/* Called for the target first, then for what it names. *descend is true for manifests and
 * indexes: cleared, what they name is not visited. Returns 0, or -1 to stop with err. */
typedef int cas_reach_fn(void *context,
                         const struct descriptor *d,
                         bool *descend,
                         struct error *err);

enum cas_reach_flags {
    CAS_REACH_HOLD = 0, /* the documents that are read count as used (cas/lease.h) */
    CAS_REACH_PEEK = 1, /* they do not: for those who only take stock */
};

/* What a manifest was pushed without (cas/sparse.h) is visited if it is there by now and is
 * what the manifest takes it for. ERROR_LIMIT for indexes nested deeper than 8;
 * ERROR_INVALID for a malformed manifest. */
MUST_CHECK int cas_reach_walk(struct cas_store *s,
                              const struct descriptor *target,
                              enum cas_reach_flags flags,
                              cas_reach_fn *visit,
                              void *context,
                              struct error *err);

/* Called for each layer of an image's config, the lowest first. */
typedef void cas_reach_layer_fn(void *context,
                                const struct digest *diff_id,
                                const struct digest *chain_id);
/* The layers of a config, as far as it can be read; none if `d` is no image's config. Does
 * not count as use. Spec: OCI image-spec config.md "Layer ChainID". */
void cas_reach_layers(struct cas_store *s,
                      const struct descriptor *d,
                      cas_reach_layer_fn *visit,
                      void *context);

/* Layers of this media type are not distributed: images are whole without them. */
bool cas_reach_may_be_absent(const char *media_type);

/* ERROR_NOT_FOUND if something that `target` needs is not in the store, ERROR_CORRUPT if
 * its size differs. What is found is held (cas/lease.h). Layers that are not to be
 * distributed may be absent. */
MUST_CHECK int cas_reach_check(struct cas_store *s,
                               const struct descriptor *target,
                               struct error *err);
/* The same, but what `target` itself names of `absent` is not asked for. */
MUST_CHECK int cas_reach_check_but(struct cas_store *s,
                                   const struct descriptor *target,
                                   const struct digest_set *absent,
                                   struct error *err);
