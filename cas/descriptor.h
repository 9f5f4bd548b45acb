/*
 * A descriptor names content by media type, digest and size.
 * Spec: OCI image-spec descriptor.md. Owns its strings and documents.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "cas/digest.h"

#include <stdint.h>

#define MEDIA_OCI_INDEX         "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST      "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG        "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER         "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP    "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_LAYER_ZSTD    "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_DOCKER_INDEX      "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST   "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG     "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

struct descriptor {
    char *media_type;
    struct digest digest;
    uint64_t size;
    struct doc *annotations; /* object or NULL */
    struct doc *platform;    /* object or NULL: image-index.md "platform" */
    char *artifact_type;     /* or NULL */
};

void descriptor_init(struct descriptor *d,
                     const char *media_type,
                     const struct digest *digest,
                     uint64_t size);
void descriptor_copy(struct descriptor *to, const struct descriptor *from);
void descriptor_release(struct descriptor *d); /* idempotent; usable with CLEANUP */
/* Reads one from a document; strict about mediaType, digest, size (0 .. 2^63-1). */
MUST_CHECK int descriptor_parse(const struct doc *doc,
                                struct descriptor *out,
                                struct error *err);
/* The document in the specification's member order: mediaType, digest, size, ... */
struct doc *descriptor_doc(const struct descriptor *d);
