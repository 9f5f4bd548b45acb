/*
 * Where a build's result goes besides the store.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/solve.h"
#include "cas/descriptor.h"

#include <stddef.h>
#include <stdint.h>

struct build_export {
    const struct build_environment *env;
    const struct build_output *output;
    const struct build_solution *solution;
    const struct descriptor *manifest; /* NULL for local and tar alone */
    const struct digest *config;       /* as the manifest */
    const char *const *names;          /* full references */
    size_t name_count;
    int64_t epoch;
    int64_t started_ns; /* when the build began: what is younger it made itself */
};

MUST_CHECK int build_export(const struct build_export *x, struct error *err);

/* export/image.c: OCI and docker archives, OCI layout directories, registries. */
MUST_CHECK int build_export_archive(const struct build_export *x, struct error *err);
MUST_CHECK int build_export_registry(const struct build_export *x, struct error *err);
/* export/local.c: the files, owned by whoever runs cooper; devices are left out. */
MUST_CHECK int build_export_local(const struct build_export *x, struct error *err);
/* export/tar.c: the files as one deterministic tar. */
MUST_CHECK int build_export_tar(const struct build_export *x, struct error *err);

/* A file that appears at `path` only when everything is written; "-" is standard output,
 * and what is no regular file (a pipe, a device) is written directly. */
struct build_export_file {
    char *path; /* where it will be; NULL: nothing is renamed */
    char *temporary;
    int fd;
};
MUST_CHECK int build_export_file_open(const char *path,
                                      struct build_export_file *f,
                                      struct error *err);
MUST_CHECK int build_export_file_commit(struct build_export_file *f, struct error *err);
void build_export_file_discard(struct build_export_file *f); /* idempotent */
