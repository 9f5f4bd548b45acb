/*
 * The state of an unpacker and what its parts do for each other: directories
 * (unpacker_dir.c), files (unpacker_file.c), links, devices and whiteouts
 * (unpacker_link.c). For cas/unpacker*.c only.
 */
#pragma once

#include "base/buf.h"
#include "cas/arena.h"
#include "cas/layer_dir.h"
#include "cas/owner.h"
#include "cas/path_map.h"
#include "cas/scratch.h"
#include "cas/tree.h"
#include "cas/unpacker.h"

#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>

#define UNPACK_RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
/* In the scratch directory, beside fs/: the inode of all whiteouts. */
#define UNPACK_WHITEOUT "whiteout"

/* A directory that was made; `entry` is kept until the end. */
struct unpack_dir {
    bool has_entry;
    bool gone; /* something else took its place */
    struct cas_entry entry;
};

struct cas_unpacker {
    struct cas_scratch scratch;
    int root_fd;
    bool plain;
    struct cas_layer_form form;
    struct cas_owners *owners; /* where they are recorded, else NULL */
    bool keeps_owners;         /* it is this unpacker's own */

    struct cas_arena arena;
    struct cas_path_map dir_map;
    struct unpack_dir **dirs;
    size_t dir_count;
    size_t dir_capacity;
    struct cas_entry_list links_below;
    struct cas_layer_root root;
    bool self_contained;
    bool has_whiteout;

    struct buf path; /* of the entry at hand, its parent cut off with a NUL */
    struct buf target;
    struct buf parent; /* whose descriptor is parent_fd */
    int parent_fd;

    const struct cas_path_map *only; /* NULL: everything */
    bool skipping;                   /* the file at hand is not wanted */

    int file_fd; /* of the file whose bytes come; -1: none */
    struct cas_arena file_texts;
    struct cas_entry file;
    uint64_t file_end; /* bytes up to which it was written */
};

/* The parent's descriptor (borrowed until the next call) and the last component of the
 * entry's path; missing parents are made. */
int unpack_open_parent(struct cas_unpacker *u,
                       struct view path,
                       const char **name,
                       struct error *err);
/* Closes the descriptor that is kept for the next entry. */
void unpack_forget_parent(struct cas_unpacker *u);
/* Cuts the path at its last slash: *name is the last component, the result its parent. */
const char *unpack_split_path(struct buf *path, const char **name);
/* An entry of the same name came before: it makes room. */
int unpack_clear_name(struct cas_unpacker *u,
                      int dir_fd,
                      const char *name,
                      struct view path,
                      struct error *err);
/* Attributes of all directories, children before parents; implied ones are as in `below`
 * (which may be NULL). */
int unpack_finish_dirs(struct cas_unpacker *u, struct cas_tree *below, struct error *err);
/* Completes the file whose bytes came last, if there is one. */
int unpack_end_file(struct cas_unpacker *u, struct error *err);

/* Entries of each type. A file's bytes follow. */
int unpack_make_dir(struct cas_unpacker *u, const struct cas_entry *e, struct error *err);
int unpack_make_file(struct cas_unpacker *u, const struct cas_entry *e, struct error *err);
int unpack_make_symlink(struct cas_unpacker *u,
                        const struct cas_entry *e,
                        struct error *err);
int unpack_make_node(struct cas_unpacker *u, const struct cas_entry *e, struct error *err);
int unpack_make_whiteout(struct cas_unpacker *u,
                         const struct cas_entry *e,
                         struct error *err);
int unpack_make_hardlink(struct cas_unpacker *u,
                         const struct cas_entry *e,
                         struct error *err);
