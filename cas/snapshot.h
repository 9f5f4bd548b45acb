/*
 * Snapshots: a writable root file system for one step, made of a stack of layers, and the
 * layer of what the step changed. Two drivers behind one interface: overlay, and plain
 * copies where overlay cannot be had.
 *
 *     new -> (the sandbox mounts it and runs the step) -> commit or discard
 *
 * The snapshot does not mount: it says what to mount (descriptors), and the sandbox mounts
 * it inside the step's own mount namespace, so that no mount is ever visible or left over.
 * One thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>

enum cas_snapshot_driver { CAS_SNAPSHOT_AUTO = 0, CAS_SNAPSHOT_OVERLAY, CAS_SNAPSHOT_COPY };

struct cas_owners;
struct cas_snapshot;

/* Unpacks what is not unpacked yet and prepares the writable part beneath the store. */
MUST_CHECK struct cas_snapshot *cas_snapshot_new(struct cas_store *s,
                                                 struct cas_layer *const *layers,
                                                 size_t count,
                                                 enum cas_snapshot_driver driver,
                                                 struct error *err);

/* What to mount as the root. Descriptors and paths are borrowed from the snapshot. For
 * CAS_SNAPSHOT_COPY, and for an overlay without any layer, only `upper_fd` counts: it is
 * itself the root, to be bind-mounted. Overlay is mounted with
 * index=off,metacopy=off,redirect_dir=off,xino=off, volatile, and userxattr in a user
 * namespace (where the kernel takes redirect_dir=nofollow only, not off). Lower directories
 * are bottom first. The descriptors belong to the mount namespace of the process that made
 * the snapshot: in another one (a copy made by CLONE_NEWNS as well) overlayfs refuses them
 * as upper or lower directories with EINVAL. So fsmount(2) before, and move_mount(2) into
 * the step's. */
struct cas_snapshot_mount {
    bool overlay;
    bool userxattr;
    const int *lower_fds;
    size_t lower_count;
    int upper_fd;
    int work_fd;
    struct cas_owners *owners; /* where steps shall record owners (owner.h), else NULL */
};
struct cas_snapshot_mount cas_snapshot_mount(const struct cas_snapshot *snap);

/* Names that the sandbox made in the root only to mount over them (relative paths,
 * "etc/resolv.conf"): left out of the layer if they are still empty and unchanged. Copied.
 */
void cas_snapshot_add_stub(struct cas_snapshot *snap, const char *path);

/*
 * Turns what the step changed into a layer. The returned handle can be stacked at once for
 * the next step's snapshot (the upper directory itself becomes the unpacked layer, by
 * rename when its digest is known), while hashing and compression go on in options->pool;
 * cas_layer_wait tells when it is published. Nothing changed: *changed is false and NULL is
 * returned without an error (err stays empty). Files that were copied up but not changed,
 * and stubs, are not part of the layer. Ownership: consumes `snap`, also on failure.
 */
MUST_CHECK struct cas_layer *cas_snapshot_commit(struct cas_snapshot *snap,
                                                 const struct cas_layer_options *options,
                                                 bool *changed,
                                                 struct error *err);
/*
 * Keeps the files as they are now at `path` (relative to the store; its parent exists,
 * nothing is there): the writable part alone for overlay, everything for plain copies.
 * *form tells what it is, for cas_snapshot_reopen; malloc'ed. By rename: it costs nothing.
 * Ownership: consumes `snap`, also on failure.
 */
MUST_CHECK int cas_snapshot_keep(struct cas_snapshot *snap,
                                 const char *path,
                                 char **form,
                                 struct error *err);
/*
 * A snapshot of what was kept, on the same layers. Where it was kept by overlay, what
 * changes from here on is thrown away with the snapshot; plain copies are opened as they
 * are, and keep the changes. Errors: ERROR_UNSUPPORTED if this process cannot use the form
 * (other user, other kind of user namespace).
 */
MUST_CHECK struct cas_snapshot *cas_snapshot_reopen(struct cas_store *s,
                                                    struct cas_layer *const *layers,
                                                    size_t count,
                                                    const char *path,
                                                    const char *form,
                                                    struct error *err);
/* Throws the changes away. NULL is fine. */
void cas_snapshot_discard(struct cas_snapshot *snap);
void cas_snapshot_discardp(struct cas_snapshot **snap);
