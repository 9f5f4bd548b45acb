/*
 * Where an image is, or is to be, as the arguments of `cooper copy` name it:
 *
 *     [docker://]REPOSITORY[:TAG][@DIGEST]      a registry
 *     oci-layout://PATH[:TAG][@DIGEST]          a directory; also oci:PATH[:TAG][@DIGEST]
 *     oci-archive:PATH[:NAME]                   a tar file
 *     docker-archive:PATH[:NAME]                a tar file as `docker save` writes it
 *     store:NAME                                the store: a reference, or ALGORITHM:HEX
 *
 * Of an archive, NAME is a tag or a whole reference. A value that owns its texts.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "registry/reference.h"

enum registry_location_kind {
    REGISTRY_LOCATION_REGISTRY,
    REGISTRY_LOCATION_LAYOUT,
    REGISTRY_LOCATION_OCI_ARCHIVE,
    REGISTRY_LOCATION_DOCKER_ARCHIVE,
    REGISTRY_LOCATION_STORE,
};

struct registry_location {
    enum registry_location_kind kind;
    struct registry_reference
        reference;        /* of a registry and, unless by digest, the store */
    char *path;           /* of layouts and archives */
    char *name;           /* tag of a layout, NAME of an archive; or NULL */
    struct digest digest; /* of a layout and the store; may not be set */
};

/* References get the default tag where they have neither tag nor digest. ERROR_INVALID. */
MUST_CHECK int registry_location_parse(struct view text,
                                       struct registry_location *out,
                                       struct error *err);
/* A registry's. */
void registry_location_init(struct registry_location *l,
                            const struct registry_reference *reference);
void registry_location_release(struct registry_location *l); /* idempotent; for CLEANUP */
/* As it would be typed; malloc'ed. */
char *registry_location_text(const struct registry_location *l);
