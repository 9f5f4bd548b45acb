/*
 * The image that is to be started: found in the store or pulled, with handles to its
 * layers. For builder/run.c.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cas/layer.h"
#include "registry/image.h"
#include "registry/reference.h"

#include <stddef.h>

struct run_image {
    const struct build_environment *env;
    struct registry_image image;
    struct registry_reference reference; /* host NULL: known by digest only */
    struct doc *config;
    struct cas_layer **layers; /* bottom first; layers that the store lacks are fetched */
    size_t layer_count;
    char *pulled; /* the name to be kept under, of an image that was not here; or NULL */
};

/* `name` is a reference or a manifest's whole digest. A reference that the store has is
 * used as it is. The struct must stay where it is while layers are in use. */
MUST_CHECK int run_image_open(const struct build_environment *env,
                              const char *name,
                              struct run_image *out,
                              struct error *err);
/* Once the layers are unpacked: whatever else belongs to an image that was not here is
 * fetched, and it gets its name in the store. */
MUST_CHECK int run_image_keep(struct run_image *i, struct error *err);
void run_image_release(struct run_image *i); /* idempotent */
