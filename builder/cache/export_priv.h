/*
 * A cache as it is about to be written: blobs of the store, and the manifest that names
 * them. For builder/cache/export*.c.
 */
#pragma once

#include "builder/cache/bundle.h"
#include "builder/cache/export.h"
#include "builder/cache/record.h"
#include "cas/descriptor.h"
#include "registry/reference.h"

#include <stdbool.h>

struct build_cache_files {
    struct descriptor *layers;
    size_t layer_count;
    size_t left_out; /* layers that the manifest has no room for */
    struct descriptor config;
    struct descriptor manifest; /* that of an image, also if `index` is set */
    struct descriptor index;    /* image-manifest=false; media type NULL: none */
};

/* A blob that may go along, and where it can be had if the store has not got it. */
struct kept_layer {
    struct digest diff_id;
    struct descriptor blob;
    char *maker;                      /* or NULL */
    struct registry_reference origin; /* host NULL: none */
    bool is_in_result;
    bool is_base;
};

struct kept_record {
    struct digest operation;
    struct build_record record;
    bool is_in_result;
};

struct build_cache_export {
    struct registry_reference *pushed; /* where the image was just pushed to */
    size_t pushed_count;
    struct kept_record *records;
    size_t record_count;
    struct kept_layer *layers; /* one a blob; the result's first */
    size_t layer_count, layer_capacity;
    struct build_bundle *images; /* only its images */
};

/* The layer that has this blob; NULL: none. */
const struct kept_layer *build_cache_kept(const struct build_cache_export *x,
                                          const struct digest *blob);
/* Who made the blob, as the store or another cache has it; malloc'ed, or NULL. */
char *build_cache_maker_of(const struct build_environment *env,
                           const struct descriptor *blob);
