/*
 * The bytes of many files of a tree, without unpacking: one pass over the blob of each
 * layer that holds one of them, up to the last one. For looking into an image (package
 * databases), where unpacking would cost its whole size on disk.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/tree.h"

#include <stddef.h>

/* A piece of file `which`, in order; what a file has comes together, before the next one's.
 * An empty piece is its end: it was whole, and has its digest. */
typedef int cas_tree_extract_fn(void *context,
                                size_t which,
                                struct view piece,
                                struct error *err);

/*
 * `files` are entries of this tree as cas_tree_find and cas_tree_walk give them, of type
 * CAS_ENTRY_FILE. They come in the order in which layers and tars have them. Layers that
 * the store lacks are fetched.
 * Errors: ERROR_UNSUPPORTED for a sparse file, whose bytes the tar does not have in one
 *         piece; ERROR_CORRUPT; those of `give`, the store and the fetch.
 */
MUST_CHECK int cas_tree_extract(struct cas_tree *t,
                                const struct cas_tree_entry *files,
                                size_t count,
                                cas_tree_extract_fn *give,
                                void *context,
                                struct error *err);
