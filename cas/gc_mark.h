/*
 * What garbage collection keeps: the digests of everything that refs and cache records
 * need.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest_set.h"
#include "cas/store.h"

#include <time.h>

struct gc_marks {
    struct digest_set reached; /* blobs that refs need */
    struct digest_set blobs;   /* blobs that refs or cache records need */
    struct digest_set layers;  /* diffIDs and chainIDs, under index/ and layers/ */
};

void gc_marks_release(struct gc_marks *marks); /* idempotent; usable with CLEANUP */

/*
 * Marks what every ref and every record of the build cache reaches, and what manifests need
 * that somebody holds (made or found at or after `limit`, see cas/lease.h): who builds on
 * an image, or pushes one, reads its manifest first and its layers when it needs them, and
 * the name may be removed meanwhile. A cache record keeps what its document names, as text
 * anywhere in it, by blob's digest or diffID. Errors: ERROR_CORRUPT if the manifest of a
 * ref is damaged: what it needs cannot be known, so nothing may be collected until the ref
 * is removed.
 */
MUST_CHECK int gc_mark(struct cas_store *s,
                       struct timespec limit,
                       struct gc_marks *marks,
                       struct error *err);
