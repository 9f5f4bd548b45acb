/*
 * Sources of COPY and ADD with wildcards, which Go's filepath.Match understands: the paths
 * of a tree that one means.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/source_tree.h"

#include <stdbool.h>
#include <stddef.h>

/* Rooted and clean; owned. */
struct build_matches {
    char **paths;
    size_t count;
    size_t capacity;
};
void build_matches_release(struct build_matches *m); /* idempotent */

/* Splits a clean path before its first component with a wildcard: "/a/b*.c/d" -> "/a/",
 * "b*.c/d". Without one the pattern is empty. */
void build_wildcard_split(struct view path, struct view *dir, struct view *pattern);

/* What matches in the directory, in the tree's order; nothing inside of a match is looked
 * for. *found: is there such a directory? Links on the way to it are followed. */
MUST_CHECK int build_wildcard_match(struct build_tree *tree,
                                    struct view dir,
                                    struct view pattern,
                                    bool *found,
                                    struct build_matches *out,
                                    struct error *err);
