/*
 * A cache as it is about to be written: blobs of the store, and the manifest that names
 * them. For builder/cache/export*.c.
 */
#pragma once

#include "base/doc.h"
#include "builder/cache/export.h"
#include "cas/descriptor.h"

struct build_cache_files {
    struct descriptor *layers;
    size_t layer_count;
    struct descriptor config;
    struct descriptor manifest; /* that of an image, also if `index` is set */
    struct descriptor index;    /* image-manifest=false; media type NULL: none */
};
