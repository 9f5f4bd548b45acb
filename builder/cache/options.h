/*
 * Where a build may look for results of others (--cache-from) and where it leaves its own
 * (--cache-to): plain values that the command line fills in. Texts are borrowed.
 */
#pragma once

#include "builder/output.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <stddef.h>

enum build_cache_type {
    BUILD_CACHE_REGISTRY,
    BUILD_CACHE_LOCAL,  /* an OCI layout directory */
    BUILD_CACHE_INLINE, /* to: within the image's config. From: BUILD_CACHE_REGISTRY reads
                         * it
                         */
};

struct build_cache_from {
    enum build_cache_type type;
    const char *place;    /* reference or directory */
    const char *tag;      /* local: of index.json; NULL: "latest" */
    struct digest digest; /* local: alg NONE: by tag */
};

struct build_cache_to {
    enum build_cache_type type;
    const char *place; /* reference or directory; inline: NULL */
    const char *tag;   /* local: in index.json; NULL: "latest" */
    bool is_max;       /* mode=max: layers of all steps, not of the result alone */
    bool is_index;     /* image-manifest=false: an index that names the layers */
    bool ignores_errors;
    bool has_compression; /* else layers are as the build has them */
    struct build_compression compression;
};
