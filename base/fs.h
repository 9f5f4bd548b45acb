/*
 * Files and safe paths. In trees that we do not trust (contexts, root file systems,
 * unpacked layers) every lookup goes through openat2 beneath a directory descriptor:
 * fs_open_in_root gives symlinks the meaning they have inside the image; fs_open_beneath
 * makes leaving the tree an error. To change something, open its parent that way and act on
 * one final name with AT_SYMLINK_NOFOLLOW.
 *
 * Descriptors returned are close-on-exec and the caller's. Thread-safe.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Closes *fd if >= 0 and sets it to -1; keeps errno. For CLEANUP. */
void fd_closep(int *fd);
/* Moves the descriptor out: returns it and leaves -1. */
int fd_take(int *fd);

/* openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. `path` may be absolute: "/" is
 * root_fd. Retries when a rename elsewhere raced the lookup. */
MUST_CHECK int fs_open_in_root(
    int root_fd, const char *path, int flags, mode_t mode, struct error *err);
/* openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS; `path` is relative. */
MUST_CHECK int fs_open_beneath(
    int root_fd, const char *path, int flags, mode_t mode, struct error *err);
/* As fs_open_beneath, and no component may be a symlink (RESOLVE_NO_SYMLINKS). */
MUST_CHECK int fs_open_nofollow(
    int root_fd, const char *path, int flags, mode_t mode, struct error *err);
/* The kernel's openat2 without an error value, for hot loops: a descriptor or -1 and errno.
 */
int fs_openat2(int root_fd, const char *path, int flags, mode_t mode, uint64_t resolve);

/* openat(2) for paths that the user typed. dir_fd may be AT_FDCWD. */
MUST_CHECK int fs_open_at(
    int dir_fd, const char *path, int flags, mode_t mode, struct error *err);

/* Reads to the end, appending to `out`; ERROR_LIMIT past the buffer's maximum. */
MUST_CHECK int fs_read_all(int fd, struct buf *out, struct error *err);
/* Opens, reads and closes a whole file. */
MUST_CHECK int fs_read_file_at(int dir_fd,
                               const char *path,
                               struct buf *out,
                               struct error *err);
/* Writes everything, through short writes and EINTR. */
MUST_CHECK int fs_write_all(int fd, const void *data, size_t size, struct error *err);
/* The same at a place, whatever the descriptor's own is. */
MUST_CHECK int fs_write_all_at(
    int fd, const void *data, size_t size, uint64_t offset, struct error *err);
/* Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the
 * directory. */
MUST_CHECK int fs_replace_file_at(
    int dir_fd, const char *path, struct view data, mode_t mode, struct error *err);

/* mkdir -p for a path that the user or we chose (not beneath an untrusted root). */
MUST_CHECK int fs_mkdir_all_at(int dir_fd,
                               const char *path,
                               mode_t mode,
                               struct error *err);
/* rm -rf of `path`, whose parents are ours (symlinks in them are followed); below, symlinks
 * are never followed nor mounts crossed, and directories without permission are made
 * writable first. Absent is fine. */
MUST_CHECK int fs_remove_tree_at(int dir_fd, const char *path, struct error *err);
/* The link's target, any length; malloc'ed, NULL on failure. */
MUST_CHECK char *fs_readlink_at(int dir_fd, const char *name, struct error *err);
MUST_CHECK int fs_sync(int fd, const char *what, struct error *err); /* fsync */

/* Has this process a capability (linux/capability.h) in effect, in its own user namespace?
 */
bool fs_capable(unsigned capability);

/* Extended attributes of a descriptor that may be O_PATH (through /proc/self/fd). Names are
 * a malloc'ed NUL-separated list in *names with *size bytes. */
MUST_CHECK int fs_list_xattrs(int fd, char **names, size_t *size, struct error *err);
MUST_CHECK int fs_get_xattr(int fd, const char *name, struct buf *out, struct error *err);

/* --- Paths as text; no file system is touched. Functions that return a C string end their
 * arguments at the first NUL. --- */

/* Go's path.Clean: "a//b/../c/." -> "a/c"; "" -> "."; "/.." -> "/". Appends to `out`. */
void path_clean(struct view path, struct buf *out);
/* malloc'ed path_clean of "/" + path: always absolute, ".." cannot climb above the root. */
char *path_clean_rooted(struct view path);
/* malloc'ed clean join: absolute `b` replaces `a`. */
char *path_join(struct view a, struct view b);
/* The last component ("/" for the root), and everything before it. */
struct view path_base(struct view path);
struct view path_dir(struct view path);
/* Is `path` equal to or below `prefix` (both clean)? */
bool path_has_prefix(struct view path, struct view prefix);
