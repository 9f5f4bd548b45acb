/*
 * What collecting garbage and pruning share, for cas/.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdint.h>
#include <time.h>

/* Things whose stamp (cas/lease.h) is before *limit are held by nobody else, nor, with
 * CAS_GC_SPARE_OWN, by this handle. */
MUST_CHECK int gc_find_limit(struct cas_store *s,
                             enum cas_gc_flags flags,
                             struct timespec *limit,
                             struct error *err);

/* As cas_store_gc; only what was last used before `before` (ns since 1970) unless that is
 * 0.
 */
MUST_CHECK int gc_collect(struct cas_store *s,
                          enum cas_gc_flags flags,
                          int64_t before,
                          struct cas_gc_result *out,
                          struct error *err);
