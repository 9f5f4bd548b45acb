/*
 * Recorded owners: where only one id can be had, every file really belongs to the user, and
 * what it shall belong to in the image is written beside it.
 *
 *     files, directories   the extended attribute user.cooper.owner of the inode, which
 *                          renames, links and overlayfs' copying up keep
 *     everything else      a table, as user.* attributes are refused there: symlinks,
 * pipes, what this process may not write to, and whatever lies on a file system without
 * attributes
 *
 * The table knows an inode by its number and time of birth, as numbers are used again. That
 * of an unpacked layer lies beside its files (layer_dir.h); a snapshot joins those of its
 * layers. What has no record belongs to 0:0.
 *
 * Devices cannot be made there either: an empty file stands in for one, and the record says
 * which device it is.
 *
 *     user.cooper.owner    "UID GID", "UID GID c MAJOR MINOR", "UID GID b MAJOR MINOR"
 *     owners               "cooper-owners 1\n", lines "INO SECONDS NANOSECONDS UID GID\n"
 *
 * A file is named as a directory and a name in it, which is not followed; or, with the name
 * "", as the file that the descriptor is open on, O_PATH or not. Failure is -1 with errno
 * set, as these run once a system call of a step. Any thread.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/entry.h"

#include <stdbool.h>
#include <stdint.h>

#define CAS_OWNER_XATTR "user.cooper.owner"

struct cas_owner {
    uint32_t uid;
    uint32_t gid;
    enum cas_entry_type device; /* CAS_ENTRY_CHAR or _BLOCK; 0: none */
    uint32_t rdev_major;
    uint32_t rdev_minor;
};

/* What the table knows an inode by. */
struct cas_owner_key {
    uint64_t ino;
    int64_t born_s;
    uint32_t born_ns;
};

struct cas_owners;

/* Are owners recorded: may this process give no file away, or does its user namespace map
 * one id only? Reads two small files. */
bool cas_owners_are_recorded(void);

struct cas_owners *cas_owners_new(void);
void cas_owners_free(struct cas_owners *t); /* NULL is fine */
void cas_owners_freep(struct cas_owners **t);

/* Without a record: *found is false, and *out is 0:0. */
MUST_CHECK int cas_owner_read(
    struct cas_owners *t, int dir_fd, const char *name, struct cas_owner *out, bool *found);
/* 0:0 and no device takes the record away. */
MUST_CHECK int cas_owner_write(struct cas_owners *t,
                               int dir_fd,
                               const char *name,
                               const struct cas_owner *owner);
/* Puts owner and device of an entry where it has a record; what has none and belongs to
 * this process gets 0:0. */
MUST_CHECK int cas_owner_apply(struct cas_owners *t,
                               int dir_fd,
                               const char *name,
                               struct cas_entry *e);

/* The key of a file. */
MUST_CHECK int cas_owner_key(int dir_fd, const char *name, struct cas_owner_key *out);
/* The table alone: for an inode that is seen under two numbers (overlayfs shows some files
 * under the number of the layer below). */
void cas_owners_put(struct cas_owners *t,
                    const struct cas_owner_key *key,
                    const struct cas_owner *owner);
bool cas_owners_find(struct cas_owners *t,
                     const struct cas_owner_key *key,
                     struct cas_owner *out);
bool cas_owners_is_empty(struct cas_owners *t);

/* The value of the attribute; for tests and fuzzing. False: it is none. */
bool cas_owner_parse(struct view text, struct cas_owner *out);

/* Adds the table that lies in the directory of an unpacked layer, given its fs/. None: adds
 * nothing. */
MUST_CHECK int cas_owners_load(struct cas_owners *t, int fs_fd, struct error *err);
/* Writes it there, given the directory that fs/ is in; an empty one is not written. */
MUST_CHECK int cas_owners_save(struct cas_owners *t, int scratch_fd, struct error *err);
