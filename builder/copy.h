/*
 * The copier: COPY and ADD into a delta, with the semantics of BuildKit's file operations.
 * Nothing is written: the delta becomes a layer afterwards, straight from the sources.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/archive.h"
#include "builder/delta.h"
#include "builder/graph.h"
#include "builder/source_tree.h"

/* One source of an instruction, with the tree that it is taken from. */
struct build_copy_request {
    const struct build_copy_op *op;
    const struct build_copy_source *source;
    struct build_tree *tree;
    bool has_owner; /* uid, gid: --chown looked up */
    uint32_t uid;
    uint32_t gid;
    struct build_archive_spool *spool; /* where unpacked archives' bytes go */
    bool *no_match; /* set if a wildcard matched nothing where it looks; or NULL */
};

/*
 * Applies one source to the delta.
 * Errors: ERROR_NOT_FOUND if the source does not exist; ERROR_INVALID for a file over a
 *         directory and the like; what the trees report.
 */
MUST_CHECK int build_copy_apply(struct build_delta *delta,
                                const struct build_copy_request *request,
                                struct error *err);
