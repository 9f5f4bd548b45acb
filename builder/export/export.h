/*
 * Where a build's result goes besides the store.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/export/ahead.h"
#include "builder/plan.h"
#include "builder/solve.h"
#include "cas/descriptor.h"

#include <stddef.h>
#include <stdint.h>

struct build_export {
    const struct build_environment *env;
    const struct build_output *output;
    const struct build_plans *plans;
    const struct build_solution *solutions; /* one a plan */
    const struct descriptor *root; /* the image or index as the output wants it; or NULL */
    struct build_ahead *ahead;     /* what is pushed; for registries */
    const char *const *names;      /* full references */
    size_t name_count;
    int64_t epoch;
    const bool *cancel;
};

/* The names that an output gives the image: its own, or else the build's. */
struct build_names {
    char **items; /* full references */
    size_t count;
    size_t capacity;
};
/* The directory that a platform's files are below: "linux_amd64" where the output keeps
 * platforms apart (platform-split, or there are several); else NULL. malloc'ed. */
char *build_platform_dir(const struct build_export *x, size_t plan);

MUST_CHECK int build_names_of(const struct build_output *output,
                              const char *const *names,
                              size_t name_count,
                              struct build_names *out,
                              struct error *err);
void build_names_release(struct build_names *n); /* idempotent */

MUST_CHECK int build_export(const struct build_export *x, struct error *err);

/* export/image.c: OCI and docker archives, OCI layout directories. */
MUST_CHECK int build_export_archive(const struct build_export *x, struct error *err);
/* export/registry.c */
MUST_CHECK int build_export_registry(const struct build_export *x, struct error *err);
/* export/load.c: a docker, podman or containerd of this machine. */
#define BUILD_LOAD_NEEDS_NAME                                                              \
    "containerd has no images without a name: give the image a name with -t NAME"
MUST_CHECK int build_export_load(const struct build_export *x, struct error *err);
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

/* A blob of the store into the image layout in directory `layout`. It replaces what is
 * there: what others left who were killed may be half a blob. */
MUST_CHECK int build_export_blob(struct cas_store *store,
                                 const char *layout,
                                 const struct digest *d,
                                 struct error *err);
