/*
 * Directories of RUN --mount=type=cache: mounts/ID of the store, shared between builds and
 * processes as the mount asks.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/graph.h"
#include "cas/layer.h"
#include "cas/store.h"

/* A cache directory that is held; the lock, if there is one, goes with it. */
struct build_cache_mount {
    int dir_fd;
    int lock_fd; /* -1: shared */
};

/*
 * Opens the directory, making it if need be with the mount's owner and mode and the content of
 * `source` in `layers` (the mount's from=; count 0: empty). locked waits until no other step has
 * it; private takes another directory instead. `cancel` ends the waiting.
 */
MUST_CHECK int build_cache_mount_open(struct cas_store *s,
                                      const struct build_mount *m,
                                      struct cas_layer *const *layers,
                                      size_t count,
                                      const bool *cancel,
                                      struct build_cache_mount *out,
                                      struct error *err);
void build_cache_mount_close(struct build_cache_mount *m);
