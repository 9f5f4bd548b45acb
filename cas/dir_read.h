/*
 * Names and attributes of what is in a directory, as entries of layers.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct cas_dir_names {
    struct view *items; /* sorted bytewise; each ends in NUL */
    size_t count;
    struct cas_arena arena;
};

MUST_CHECK int cas_dir_names_read(int dir_fd, struct cas_dir_names *out, struct error *err);
void cas_dir_names_release(struct cas_dir_names *n);

/* Device 0/0: overlayfs' whiteout. */
bool cas_stat_is_whiteout(const struct stat *st);
/* Everything but path, content, extended attributes and link text. False for sockets, which
 * no layer has. */
bool cas_entry_from_stat(const struct stat *st, struct cas_entry *out);
/* Text of a symlink. */
MUST_CHECK int cas_dir_read_link(int dir_fd,
                                 const char *name,
                                 struct cas_arena *arena,
                                 struct view *out,
                                 struct error *err);
/* Those extended attributes of `name` ("." for the directory) that belong in a layer;
 * sorted. */
MUST_CHECK int cas_dir_read_xattrs(int dir_fd,
                                   const char *name,
                                   struct cas_arena *arena,
                                   struct cas_entry *out,
                                   struct error *err);
/* Are the names, values and their number equal? */
bool cas_xattrs_equal(const struct cas_entry *a, const struct cas_entry *b);
/* Type, mode, owner, device and size (but for directories); not the times. */
bool cas_entry_attr_equal(const struct cas_entry *a, const struct cas_entry *b);
/* Do two files beneath two directories have the same bytes? */
MUST_CHECK int cas_dir_content_equal(int dir_a,
                                     const char *name_a,
                                     int dir_b,
                                     const char *name_b,
                                     bool *equal,
                                     struct error *err);
