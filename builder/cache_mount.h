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

/* A cache directory that is held, with its lock. */
struct build_cache_mount {
    int dir_fd;  /* what is mounted: the directory, or what lies at `source` in it */
    int root_fd; /* the directory */
    int lock_fd;
};

#define BUILD_CACHE_MOUNT_NONE                                                             \
    (struct build_cache_mount)                                                             \
    {                                                                                      \
        .dir_fd = -1, .root_fd = -1, .lock_fd = -1                                         \
    }

/* The name that mounts of the same directories share: their id, owner, mode and starting
 * content. malloc'ed. */
char *build_cache_mount_name(const struct build_mount *m,
                             struct cas_layer *const *layers,
                             size_t count);

/* Asked now and then while one waits for a lock. */
struct build_cache_wait {
    bool (*is_cancelled)(void *context);
    void *context;
};

/*
 * Opens the directory, making it if need be: empty, with the mount's owner and mode, or
 * with all that `layers` hold (the mount's from=, written; count 0: nothing). Each name has
 * one directory, and more while steps cannot have the same: those that share use one
 * together, locked waits until no other step has it, private takes another instead. One who
 * opens several opens them in the order of their names, or two may wait for each other.
 */
MUST_CHECK int build_cache_mount_open(struct cas_store *s,
                                      const struct build_mount *m,
                                      struct cas_layer *const *layers,
                                      size_t count,
                                      const struct build_cache_wait *wait,
                                      struct build_cache_mount *out,
                                      struct error *err);
/* The same directory, and its lock, once more: for two mounts of it in one step. */
MUST_CHECK int build_cache_mount_share(const struct build_cache_mount *from,
                                       const struct build_mount *m,
                                       struct build_cache_mount *out,
                                       struct error *err);
void build_cache_mount_close(struct build_cache_mount *m);
