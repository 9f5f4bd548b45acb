/*
 * States of failed steps that builds kept (builds/ID/state.json with builds/ID/fs), as
 * garbage collection sees them: the layers that they lie on stay while they are kept, and a
 * collection that takes the cache takes them too.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/gc_mark.h"
#include "cas/store.h"

#include <stdbool.h>
#include <time.h>

#define GC_BUILDS_DIR "builds"
#define GC_STATE_NAME "state.json"
#define GC_STATE_TREE "fs"

/* Marks the layers of the states' stacks ("stacks": [[{"diff_id": D, "blob": {...}}]]) with
 * their blobs. A damaged document keeps nothing. */
MUST_CHECK int gc_kept_mark(struct cas_store *s, struct gc_marks *marks, struct error *err);

/* Removes states that are older than `limit`, or only those that a killed process left
 * half made (`all` false). What a running build or `cooper debug` holds stays. */
MUST_CHECK int gc_kept_sweep(struct cas_store *s,
                             bool all,
                             struct timespec limit,
                             struct error *err);
