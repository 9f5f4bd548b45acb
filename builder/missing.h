/*
 * Why a source of COPY or ADD is not there, for the error message: what .dockerignore
 * leaves out, links that lead to nothing, and the nearest paths that there are.
 */
#pragma once

#include "base/buf.h"
#include "base/view.h"
#include "builder/context.h"
#include "builder/source_tree.h"

/*
 * Appends to `out` what is known of `path` (clean, with or without a leading slash), which
 * the tree does not have: "; did you mean /src/app.c?", or nothing. `context` is NULL for
 * the tree of a stage. Looks at a bounded number of paths; never fails.
 */
void build_missing_explain(const struct build_tree *tree,
                           struct build_context *context,
                           struct view path,
                           struct buf *out);
