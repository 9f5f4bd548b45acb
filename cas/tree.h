/*
 * The file tree that a stack of layers gives, seen through their indexes: paths are
 * resolved (symlinks inside the root, whiteouts, opaque directories, replaced types)
 * without unpacking anything. Only reading a file's bytes unpacks the one layer that holds
 * it.
 *
 * One thread at a time; several trees may share layers.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "cas/entry.h"
#include "cas/layer.h"

#include <stdbool.h>
#include <stddef.h>

struct cas_tree;

/*
 * Hard links are given as the file they name: type, attributes, size and content are that
 * file's, the path is the link's own. `target` of a CAS_ENTRY_FILE then is the path of the
 * file if both are names of one inode in this tree, and empty if not (or for the first
 * name); one who writes the entry as a file of its own clears it. A link whose file no
 * layer has stays CAS_ENTRY_HARDLINK.
 */
struct cas_tree_entry {
    struct cas_entry entry; /* borrows from the layers' indexes or the tree */
    size_t layer;           /* which of the layers holds it */
};

/* Takes references to the layers, bottom first. Indexes are loaded when first needed. */
struct cas_tree *cas_tree_new(struct cas_layer *const *layers, size_t count);
void cas_tree_free(struct cas_tree *t);
void cas_tree_freep(struct cas_tree **t);

/* One of the layers it was made of; borrowed. */
struct cas_layer *cas_tree_layer(const struct cas_tree *t, size_t i);

enum cas_tree_flags {
    CAS_TREE_FOLLOW = 0,   /* the last component's symlink too */
    CAS_TREE_NOFOLLOW = 1, /* only those of the leading components */
};

/* Resolves `path` as within the root: ".." stops at it, absolute links start from it.
 * *found false: it does not exist. `resolved` (may be NULL) receives the malloc'ed real
 * path, also of something that does not exist yet (the existing part resolved, the rest as
 * given). More than LIMIT_SYMLINKS links: ERROR_INVALID. The root always exists. */
MUST_CHECK int cas_tree_find(struct cas_tree *t,
                             struct view path,
                             enum cas_tree_flags flags,
                             bool *found,
                             struct cas_tree_entry *out,
                             char **resolved,
                             struct error *err);

/* Visits `path` (a resolved path) and everything beneath, in order of entries, whiteouts
 * applied. `visit` returns 1 to go on, 0 to skip beneath a directory, -1 to stop with err.
 */
typedef int cas_tree_visit_fn(void *context,
                              const struct cas_tree_entry *e,
                              struct error *err);
MUST_CHECK int cas_tree_walk(struct cas_tree *t,
                             struct view path,
                             cas_tree_visit_fn *visit,
                             void *context,
                             struct error *err);

/* The bytes of a file (hard links resolved): a read-only descriptor. */
MUST_CHECK int cas_tree_open(struct cas_tree *t,
                             const struct cas_tree_entry *e,
                             struct error *err);
/* A whole small file by path, following links; *found false if absent or no regular file.
 */
MUST_CHECK int cas_tree_read(
    struct cas_tree *t, struct view path, struct buf *out, bool *found, struct error *err);
