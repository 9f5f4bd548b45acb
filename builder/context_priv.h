/*
 * What a build context is made of. For builder/context*.c only.
 */
#pragma once

#include "builder/context.h"
#include "builder/context_dir.h"
#include "builder/context_tar.h"
#include "cas/statcache.h"

struct build_context {
    struct build_tree tree;
    struct cas_statcache *cache;
    struct dockerfile_ignore *ignore;
    char *path;
    struct context_dir dir;
    bool is_checkout;
    struct build_context_checkout checkout;
    struct context_tar *tar; /* instead of cache and dir; or NULL */
};
