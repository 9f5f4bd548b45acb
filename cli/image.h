/*
 * Images of the store, as users name them: by reference, by reference with digest, by ID or
 * the beginning of one. The ID of an image is the digest of its manifest (or index), as in
 * docker with the containerd image store: the digest that a registry knows it by.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/ref.h"
#include "cas/store.h"
#include "registry/image.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <stdint.h>

struct cli_image {
    char *name; /* the ref's full name; NULL if it was found by ID alone */
    struct registry_image image;
    struct doc *config; /* the whole config document */
};

void cli_image_release(struct cli_image *i); /* idempotent; usable with CLEANUP */

/*
 * What does `text` name? A ref goes before an ID. *name gets the ref's full name,
 * malloc'ed, or NULL if it was found by ID alone. Errors: ERROR_NOT_FOUND; ERROR_INVALID if
 * the beginning of an ID fits several images.
 */
MUST_CHECK int cli_image_resolve(struct cas_store *store,
                                 const char *text,
                                 char **name,
                                 struct descriptor *out,
                                 struct error *err);
/* Reads manifest and config, of an index those for this machine or else of its first image.
 * `name` may be NULL; copied. */
MUST_CHECK int cli_image_load(struct cas_store *store,
                              const char *name,
                              const struct descriptor *root,
                              struct cli_image *out,
                              struct error *err);
/* The same of the image for a platform: ERROR_NOT_FOUND if an index has none. */
MUST_CHECK int cli_image_load_for(struct cas_store *store,
                                  const char *name,
                                  const struct descriptor *root,
                                  const struct registry_platform *platform,
                                  struct cli_image *out,
                                  struct error *err);
/* cli_image_resolve and cli_image_load. */
MUST_CHECK int cli_image_find(struct cas_store *store,
                              const char *text,
                              struct cli_image *out,
                              struct error *err);

/* Bytes of manifest, config and layers as the store (and a registry) keeps them. */
uint64_t cli_image_size(const struct cli_image *i);
/* The full names of all refs that point to this root, by name; each and the array
 * malloc'ed. */
MUST_CHECK int cli_image_names(struct cas_store *store,
                               const struct digest *root,
                               char ***names,
                               size_t *count,
                               struct error *err);
void cli_image_names_free(char **names, size_t count);
