/*
 * The state of a failed step as an image: of a RUN the files as it left them, and a config
 * that starts the same command in the same place; of COPY, ADD and WORKDIR the files that
 * they were to change, and a shell. `--on-failure image=NAME`.
 *
 * Build arguments whose name says that they are secret are left out of the environment: an
 * image travels.
 * Spec: OCI image-spec config.md, manifest.md.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/graph.h"
#include "cas/layer.h"
#include "registry/platform.h"

#include <stddef.h>
#include <stdint.h>

struct build_failed_image {
    const struct build_node *node; /* with a command: see build_node_command */
    const struct registry_platform *platform;
    struct cas_layer *const *layers; /* the last one holds what the step did, if anything */
    size_t count;
    const char *name; /* as typed */
    int64_t time_ns;
};

/* Stores the image and points the name at it. */
MUST_CHECK int build_failed_image_make(const struct build_environment *env,
                                       const struct build_failed_image *image,
                                       struct error *err);
