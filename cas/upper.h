/*
 * What changed in an overlay's upper directory: a walk beside the lower directories that
 * were mounted below it gives the entries of a layer, and leaves in the directory just
 * these.
 *
 * Taken out, from the list and from disk: files that were copied up but are what they were
 * below (attributes and content), directories without a change in or beneath them,
 * whiteouts of what does not exist, sockets, stubs that are still empty. Times of
 * directories that only lost such things are put back. Hard links are recognised by inode
 * within the directory. The root itself is no entry.
 *
 * Of extended attributes security.capability, ACLs and user.* count; overlayfs' own never
 * leave the directory.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/arena.h"
#include "cas/path_map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cas_owners;

struct cas_upper_options {
    const int *lower_fds; /* bottom first, as in struct cas_snapshot_mount */
    size_t lower_count;
    const struct cas_path_map *stubs; /* NULL: none */
    const char *opaque_xattr;
    int64_t epoch; /* later times become this, in the list and on disk; < 0: none */
    struct cas_owners *owners; /* where they are recorded (owner.h), else NULL */
    struct cas_owners *kept;   /* gets those of the table that the directory's files have */
};

/* Appends to `out`, in the order of entries. Nobody else may use the directory meanwhile.
 * ERROR_UNSUPPORTED: a directory was renamed by redirection. */
MUST_CHECK int cas_upper_read(int upper_fd,
                              const struct cas_upper_options *options,
                              struct cas_entry_list *out,
                              struct error *err);
