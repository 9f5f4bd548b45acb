/*
 * A root file system (a tar in any compression libarchive reads, or a directory) becomes an
 * image of one layer.
 */
#pragma once

#include "base/error.h"
#include "base/event.h"
#include "builder/build.h"
#include "cas/descriptor.h"
#include "cas/store.h"

struct build_import_options {
    const char *source;         /* path; "-" for standard input (a tar) */
    const char *platform;       /* NULL: this machine's */
    const char *message;        /* history comment */
    const char *const *changes; /* --change: Dockerfile instructions for the config */
    size_t change_count;
    int64_t epoch; /* as in build_request */
    enum cas_compression compression;
    const bool *cancel; /* set by a signal handler; NULL: never */
};

/* Stores the image; the caller points a ref at *out. */
MUST_CHECK int build_import(const struct build_environment *env,
                            const struct build_import_options *options,
                            struct descriptor *out,
                            struct error *err);
