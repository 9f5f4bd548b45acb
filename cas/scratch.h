/*
 * Scratch directories: trees in the making, in ingest/ under the name that lease and
 * counter give, so that whoever clears up after a crash knows whose they were. Published by
 * renaming into layers/, or removed.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdbool.h>

struct cas_scratch {
    struct cas_store *store;
    char *path; /* "ingest/LEASE.NUMBER", relative to the store; NULL: none */
    int fd;     /* the directory */
};

#define CAS_SCRATCH_INIT                                                                   \
    {                                                                                      \
        NULL, NULL, -1                                                                     \
    }

MUST_CHECK int cas_scratch_open(struct cas_scratch *x,
                                struct cas_store *s,
                                struct error *err);
/* Closes, and removes the tree if it is still there. Idempotent, for CLEANUP. A tree that
 * cannot be removed is left to the clean-up of the lease. */
void cas_scratch_removep(struct cas_scratch *x);
/* Moves it out, leaving nothing to remove. */
struct cas_scratch cas_scratch_take(struct cas_scratch *x);
/*
 * Renames the tree to `path` (relative to the store). *published false: a tree of that name
 * is there already; the scratch stays. Otherwise its descriptor stays open and its path is
 * given up.
 */
MUST_CHECK int cas_scratch_publish(struct cas_scratch *x,
                                   const char *path,
                                   bool *published,
                                   struct error *err);
