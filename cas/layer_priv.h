/*
 * The inside of layer handles, for cas/ and its tests: constructors for layers that are
 * finished and for those that are still being written, and what unpacking and snapshots
 * keep in a handle.
 *
 *     pending --cas_layer_finish--> ready
 *        \-----cas_layer_fail-----> failed
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/index.h"
#include "cas/layer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* --- Constructors --- */

/* A layer whose blob and layer record are published: what cas_layer_write returns. The
 * digests and the descriptor are copied. `index` (may be NULL: opened when first needed) is
 * consumed. */
struct cas_layer *cas_layer_new_ready(struct cas_store *s,
                                      const struct digest *diff_id,
                                      const struct descriptor *blob,
                                      struct cas_index *index);

/* A layer that somebody is writing: diffID and blob come with cas_layer_finish. */
struct cas_layer *cas_layer_new_pending(struct cas_store *s);
/* Copies; wakes everyone who waits. Once only. */
void cas_layer_finish(struct cas_layer *l,
                      const struct digest *diff_id,
                      const struct descriptor *blob);
/* Moves the error in; everyone who waits gets a copy of it. Once only. */
void cas_layer_fail(struct cas_layer *l, struct error *err);

/* The thread that finishes a pending layer. It holds no reference: the last unref sets the
 * flag of cas_layer_cancel_flag and joins it. Call before the handle is given to anyone. */
MUST_CHECK int cas_layer_start(struct cas_layer *l,
                               void *(*run)(void *),
                               void *arg,
                               struct error *err);
/* For cas_layer_options.cancel; lives as long as the handle. */
const bool *cas_layer_cancel_flag(const struct cas_layer *l);

/* --- What others of cas/ need to know of a handle --- */

struct cas_store *cas_layer_store(const struct cas_layer *l);
/* As cas_layer_require_blob, and lets somebody follow a fetch. Says `begin` and `grown`,
 * not `end`. */
MUST_CHECK int cas_layer_bring_blob(struct cas_layer *l,
                                    struct cas_arrival *arrival,
                                    struct error *err);

/* What is known of the layer's root directory, when the layer says anything of it. */
struct cas_layer_root {
    bool known;
    bool opaque; /* it hides all layers below */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
};

/*
 * The unpacked directory that the handle remembers: its name in layers/ ("" for a directory
 * that belongs to a pending layer and has no name yet) and a descriptor of it.
 */
struct cas_layer_unpacked_dir {
    int fd; /* -1: not unpacked as far as the handle knows */
    char *name;
    struct cas_layer_root root;
};

/* Serialises the unpacking of one layer within the process; held while `dir` is used. */
struct cas_layer_unpacked_dir *cas_layer_lock_dir(struct cas_layer *l);
void cas_layer_unlock_dir(struct cas_layer *l);

/* A directory beneath the store (ingest/NAME; malloc'ed, consumed) that is removed when the
 * handle goes: an upper directory that could not be published because the layer was already
 * unpacked by others. */
void cas_layer_keep_scratch(struct cas_layer *l, char *path);
