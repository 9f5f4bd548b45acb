/*
 * cooper release --annotate: the annotations of a release, in the image's own manifest.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"

/*
 * Stores a copy of what *root names (a manifest or an index of the store) with those of
 * `annotations` (an object of texts) that it lacks, and makes *root name the copy. The same
 * image and annotations give the same digest; with nothing to add, *root stays as it is.
 * ERROR_UNSUPPORTED for docker's manifests.
 */
MUST_CHECK int cli_release_annotate(struct cas_store *store,
                                    const struct doc *annotations,
                                    struct descriptor *root,
                                    struct error *err);
