/*
 * One entry of a layer: a file, directory, link, device or whiteout with its attributes.
 * A value that borrows its texts; who gives it out says for how long they live.
 *
 * Paths are relative to the root, clean, without a leading slash; "" is the root itself.
 * The order of entries is component-wise bytewise ('/' sorts before every other byte), so a
 * directory is followed at once by everything beneath it.
 * Spec: OCI image-spec layer.md "File Types", "File Attributes", "Whiteouts".
 */
#pragma once

#include "base/view.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum cas_entry_type {
    CAS_ENTRY_FILE = 1,
    CAS_ENTRY_DIR,
    CAS_ENTRY_SYMLINK,
    CAS_ENTRY_HARDLINK, /* target: path of an earlier entry of the same layer, or of a file
                           in the layers below (foreign layers only) */
    CAS_ENTRY_CHAR,
    CAS_ENTRY_BLOCK,
    CAS_ENTRY_FIFO,
    CAS_ENTRY_WHITEOUT, /* `path` is the removed path, not ".wh.NAME" */
};

struct cas_xattr {
    struct view name;
    struct view value;
};

struct cas_entry {
    struct view path;
    enum cas_entry_type type;
    uint32_t mode; /* permission bits and setuid, setgid, sticky: 07777 */
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    bool opaque; /* a directory that hides everything below it in lower layers */
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    struct view target;             /* symlink text or hard link's path */
    const struct cas_xattr *xattrs; /* sorted by name */
    size_t xattr_count;
    struct digest content; /* SHA-256 of a file's bytes; alg NONE where unknown */
};

/* Of a file's mode; 0 for a socket, which means nothing without its process. */
enum cas_entry_type cas_entry_type_of(mode_t mode);
/* The order described above: < 0, 0, > 0. */
int cas_entry_path_compare(struct view a, struct view b);
/* "file", "directory", "symlink", "hard link", "char device", "block device", "fifo",
 * "whiteout". */
const char *cas_entry_type_name(enum cas_entry_type type);
