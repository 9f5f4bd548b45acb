/*
 * What an image's config and the command line say together: arguments, environment, mounts.
 * Spec: OCI image-spec conversion.md; docker run for what goes before what. For
 * builder/run.c.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/run.h"
#include "builder/sandbox/sandbox.h"

#include <stddef.h>

/* A NULL-terminated list of owned texts. */
struct run_texts {
    char **items;
    size_t count;
    size_t capacity;
};
void run_texts_release(struct run_texts *t);
const char *const *run_texts_list(const struct run_texts *t);

/* Entrypoint and Cmd. ERROR_INVALID if there is nothing to run. */
MUST_CHECK int run_spec_argv(const struct doc *config,
                             const struct build_run_options *options,
                             struct run_texts *out,
                             struct error *err);
/* The image's variables, those that every container has, and the command line's. */
void run_spec_env(const struct doc *config,
                  const struct build_run_options *options,
                  const char *home,
                  const char *hostname,
                  struct run_texts *out);

struct run_mounts {
    struct sandbox_mount *items; /* sources are open descriptors; targets owned */
    size_t count;
};
void run_mounts_release(struct run_mounts *m);
/* Volumes and tmpfs. ERROR_NOT_FOUND names a source that is not there. */
MUST_CHECK int run_spec_mounts(const struct build_run_options *options,
                               struct run_mounts *out,
                               struct error *err);
