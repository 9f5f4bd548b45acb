/*
 * Reading images out of an OCI image layout directory, as `--build-context
 * name=oci-layout://PATH[:TAG][@DIGEST]` names them. Its files are outside input: they are
 * opened beneath the directory, and every byte is verified on its way into the store.
 *
 * Spec: OCI image-spec image-layout.md; buildx for the meaning of TAG.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/image.h"
#include "registry/platform.h"

#include <stdbool.h>

/* "oci-layout://PATH[:TAG][@DIGEST]", also with "oci-layout:" alone. Owns its texts. */
struct registry_layout_name {
    char *path;
    char *tag;            /* NULL: none was given */
    struct digest digest; /* alg DIGEST_NONE: none was given */
};
MUST_CHECK int registry_layout_name_parse(struct view text,
                                          struct registry_layout_name *out,
                                          struct error *err);
void registry_layout_name_release(struct registry_layout_name *n); /* idempotent */

struct registry_layout;

/* May be shared between threads. ERROR_INVALID if the directory is no layout of version 1.
 */
MUST_CHECK struct registry_layout *registry_layout_open(const char *path,
                                                        struct error *err);
void registry_layout_close(struct registry_layout *l); /* NULL is fine */
void registry_layout_closep(struct registry_layout **l);

/* The entry of index.json: by digest if given; else the one with that tag ("latest" if
 * NULL) as its org.opencontainers.image.ref.name; else the only one, unless it is one of
 * another name than was asked for. ERROR_NOT_FOUND lists what there is. */
MUST_CHECK int registry_layout_resolve(struct registry_layout *l,
                                       const char *tag,
                                       const struct digest *digest,
                                       struct descriptor *out,
                                       struct error *err);

/* Copies index, manifest and config of the image (and the layers unless `lazy`) into the
 * store. */
MUST_CHECK int registry_layout_load(struct registry_layout *l,
                                    struct cas_store *store,
                                    const struct descriptor *root,
                                    const struct registry_platform *platform,
                                    bool lazy,
                                    struct registry_image *out,
                                    struct error *err);

/* The blob as a file of the right size, for reading; its content is not looked at.
 * ERROR_NOT_FOUND; ERROR_CORRUPT. */
MUST_CHECK int registry_layout_open_blob(const struct registry_layout *l,
                                         const struct descriptor *blob,
                                         struct error *err);
/* What index.json says; borrowed. */
const struct doc *registry_layout_index(const struct registry_layout *l);

/* Is there a file of that name and size? What is in it is not looked at. */
MUST_CHECK int registry_layout_has_blob(const struct registry_layout *l,
                                        const struct descriptor *blob,
                                        bool *found,
                                        struct error *err);
/* Copies one blob into the store unless it is there. */
MUST_CHECK int registry_layout_fetch_blob(struct registry_layout *l,
                                          struct cas_store *store,
                                          const struct descriptor *blob,
                                          struct error *err);

/*
 * Writing one. The directory is made where there is none; what is there stays. Blobs appear
 * whole or not at all; index.json is replaced under a lock of the directory, by whoever of
 * several processes has it. May be shared between threads.
 */
struct registry_layout_writer;

/* ERROR_INVALID for a directory that is neither empty nor a layout of version 1. */
MUST_CHECK struct registry_layout_writer *registry_layout_writer_open(const char *path,
                                                                      struct error *err);
void registry_layout_writer_close(struct registry_layout_writer *w); /* NULL is fine */
/* Is the blob there, in its full size? */
MUST_CHECK int registry_layout_writer_has(struct registry_layout_writer *w,
                                          const struct descriptor *blob,
                                          bool *found,
                                          struct error *err);
/* A file for a blob's bytes; the caller's, who writes them and gives it back whole: it is
 * verified, and takes its name. `name` (malloc'ed) is what it is called meanwhile. */
MUST_CHECK int registry_layout_writer_create(struct registry_layout_writer *w,
                                             char **name,
                                             struct error *err);
/* Reads the file once more, as only what lies there counts. Consumes neither. */
MUST_CHECK int registry_layout_writer_publish(struct registry_layout_writer *w,
                                              int fd,
                                              const char *name,
                                              const struct descriptor *blob,
                                              struct error *err);
/* Removes a file that was not published. */
void registry_layout_writer_discard(struct registry_layout_writer *w, const char *name);
/* Lists a manifest in index.json, under this tag, which no other entry keeps, or (NULL)
 * without one. */
MUST_CHECK int registry_layout_writer_list(struct registry_layout_writer *w,
                                           const struct descriptor *root,
                                           const char *tag,
                                           struct error *err);
