/*
 * Layers merged through their indexes: what a name in a directory is, top layer first.
 * Paths here are real ones; symlinks are cas/tree.c's business.
 *
 * A directory is a node that knows, for each layer, which range of the index is beneath it:
 *
 *     layer 2   [ etc  etc/passwd | var/lib  ... ]        "etc": spans {2: 1..2, 1: empty,
 *     layer 1   [ bin  bin/sh     | ...          ]                      0: 4..9}
 *     layer 0   [ bin  ...  etc  etc/group ...   ]        floor: 0
 *
 * so that a child is found by a binary search in each range. Layers below `floor` do not
 * show through: something above is opaque, a whiteout or no directory. Nodes of directories
 * that were asked for are kept.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/arena.h"
#include "cas/index.h"
#include "cas/path_map.h"
#include "cas/tree.h"

#include <stdbool.h>
#include <stddef.h>

struct tree_span {
    size_t begin;
    size_t end;
};

struct tree_node {
    struct cas_tree_entry self;
    size_t floor;
    struct tree_span *spans; /* one a layer */
};

struct tree_layers {
    const struct cas_index **items; /* bottom first */
    size_t count;
    struct cas_arena arena;
    struct cas_path_map dirs;
    struct tree_node *root;
    struct tree_node *probe; /* what a look-up fills */
};

/* Copies the array; the indexes are borrowed. */
void tree_layers_init(struct tree_layers *t,
                      const struct cas_index *const *items,
                      size_t count);
void tree_layers_release(struct tree_layers *t); /* fine for one that was never set up */

const struct tree_node *tree_layers_root(const struct tree_layers *t);
/* The directory at a real path, or NULL if there is none. */
const struct tree_node *tree_layers_dir(struct tree_layers *t, struct view path);
/* The entry at `path`, a child of `dir`; hard links are resolved as cas/tree.h says. */
bool tree_layers_child(struct tree_layers *t,
                       const struct tree_node *dir,
                       struct view path,
                       struct cas_tree_entry *out);
/* cas_tree_walk. */
MUST_CHECK int tree_layers_walk(struct tree_layers *t,
                                struct view path,
                                cas_tree_visit_fn *visit,
                                void *context,
                                struct error *err);
