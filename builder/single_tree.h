/*
 * A tree of one file in its root: what is ADDed from a URL, a here-document, a Dockerfile's
 * text. For the `find` and `walk` of its owner, who knows the file.
 */
#pragma once

#include "builder/source_tree.h"

/* As build_tree's find: `file` or the root. */
void build_single_find(const struct build_tree_entry *file,
                       struct view path,
                       bool *found,
                       struct build_tree_entry *out);
/* As build_tree's walk: from the root, or from the file alone. */
MUST_CHECK int build_single_walk(const struct build_tree_entry *file,
                                 struct view path,
                                 build_tree_visit_fn *visit,
                                 void *context,
                                 struct error *err);
