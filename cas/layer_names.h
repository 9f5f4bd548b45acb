/*
 * The names that a layer's tar has made so far, and the rules for the next one. They are
 * kept so that a hostile or sloppy archive means the same to the index and to the unpacked
 * directory:
 *
 * - a name is clean and stays in the root: absolute names and ".." are refused;
 * - a leading component that is a symlink made by this layer is followed inside the root,
 * as containerd does; a link whose text climbs above the root is refused when something is
 * to be made through it. Symlinks of layers below are not followed: a directory takes their
 * place;
 * - a later entry replaces an earlier one of the same name, but a directory with contents
 * is not replaced by something else, nor a file that another entry links to.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/arena.h"
#include "cas/entry.h"
#include "cas/path_map.h"

#include <stdbool.h>
#include <stddef.h>

/* A directory that only exists because something is beneath it: no entry tells of it. */
#define LAYER_NAME_IMPLIED ((enum cas_entry_type)0)

struct layer_name {
    struct layer_name *next; /* in order of first appearance */
    struct view path;
    enum cas_entry_type type; /* or LAYER_NAME_IMPLIED */
    bool opaque;              /* directories: nothing below shows through */
    bool has_children;
    bool is_linked;                /* a hard link names it */
    struct view target;            /* of symlinks and hard links */
    const struct cas_entry *entry; /* of a directory that has one, or NULL */
};

struct layer_names {
    struct cas_arena arena;
    struct cas_path_map map;
    struct layer_name *first;
    struct layer_name *last;
    size_t count;
    bool links_below; /* a hard link names a file of a layer below */

    struct buf raw_parent; /* what was resolved last: most entries follow their siblings */
    struct buf parent;
    bool parent_known;
    struct buf result;
    struct buf rest;
};

void layer_names_init(struct layer_names *n);
void layer_names_release(struct layer_names *n);

/*
 * The clean path that `raw` means: symlinks in front of the last component are followed.
 * "" is the root. Borrowed until the next call.
 * Errors: ERROR_CORRUPT if it leaves the root or loops; ERROR_LIMIT for overlong names.
 */
MUST_CHECK int layer_names_resolve(struct layer_names *n,
                                   struct view raw,
                                   struct view *path,
                                   struct error *err);
/*
 * Enters a resolved entry. *out is its name, or NULL if the entry has no effect (a whiteout
 * of something that this layer makes). Directories are copied. Errors: ERROR_CORRUPT for
 * what cannot stand together; ERROR_LIMIT.
 */
MUST_CHECK int layer_names_add(struct layer_names *n,
                               const struct cas_entry *e,
                               struct layer_name **out,
                               struct error *err);
/* Marks a directory (a resolved path) as opaque. */
MUST_CHECK int layer_names_set_opaque(struct layer_names *n,
                                      struct view path,
                                      struct error *err);
/*
 * The file that a hard link to `raw` names: the first of its names if this layer has it,
 * else a path for the layers below. Borrowed until the next call.
 */
MUST_CHECK int layer_names_resolve_link(struct layer_names *n,
                                        struct view raw,
                                        struct view *target,
                                        struct error *err);
