/*
 * The inside of snapshots, for cas/snapshot*.c: the common part, and the two drivers' ways
 * to prepare and to tell what changed.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/arena.h"
#include "cas/layer_dir.h"
#include "cas/owner.h"
#include "cas/path_map.h"
#include "cas/scratch.h"
#include "cas/snapshot.h"

#include <sys/types.h>
#include <time.h>

/* What a directory is known by. */
struct cas_snapshot_inode {
    dev_t dev;
    ino_t ino;
};

struct cas_snapshot {
    struct cas_store *store;
    struct cas_layer **layers; /* references; bottom first */
    size_t count;
    struct cas_layer_form form;
    bool overlay;              /* false: plain copies */
    struct cas_owners *owners; /* where they are recorded: of the layers and the step */
    struct cas_owners *kept;   /* those that go with the new layer */

    struct cas_scratch scratch; /* ingest/LEASE.N/ with fs/ and, for overlay, work/ */
    int upper_fd;
    int work_fd;
    int *lower_fds;
    struct cas_snapshot_inode *lower_inodes; /* of lower_fds */
    size_t lower_count;
    int over_fd;            /* a kept writable part, lying on the layers; -1: none */
    struct timespec copied; /* plain copies: when the last file of ours was made */

    struct cas_arena arena;
    struct cas_path_map stubs;
};

/* Opens the unpacked layers, bottom first; sets the root's attributes. */
MUST_CHECK int snapshot_overlay_prepare(struct cas_snapshot *snap, struct error *err);
MUST_CHECK int snapshot_overlay_changes(struct cas_snapshot *snap,
                                        int64_t epoch,
                                        struct cas_entry_list *out,
                                        struct error *err);
/* Can the kernel mount overlayfs for us, with its attributes on the store's file system? */
bool snapshot_overlay_usable(const struct cas_snapshot *snap);

MUST_CHECK int snapshot_copy_prepare(struct cas_snapshot *snap, struct error *err);
MUST_CHECK int snapshot_copy_changes(struct cas_snapshot *snap,
                                     struct cas_entry_list *out,
                                     struct error *err);

/* Turns `changes` (consumed) into a pending layer and starts writing it. Takes what it
 * needs from the snapshot: its scratch directory. */
MUST_CHECK struct cas_layer *snapshot_write(struct cas_snapshot *snap,
                                            struct cas_entry_list *changes,
                                            const struct cas_layer_options *options,
                                            struct error *err);
