/*
 * Images as one tar file: OCI archives (`-o type=oci`, skopeo's oci-archive) and docker
 * archives
 * (`docker save`, `-o type=docker`).
 *
 * Both are written in the layout that containerd writes: oci-layout, index.json, blobs/,
 * for docker manifest.json besides; entries sorted by name, time 0, owner 0: the same
 * images give the same bytes. Reading takes either kind, and the older docker form with
 * ID/layer.tar; input may be a pipe and is hostile: nothing is extracted to a path, every
 * blob is verified.
 *
 * Spec: OCI image-spec image-layout.md, annotations.md; docker image-spec v1.2 "combined
 * image".
 */
#pragma once

#include "base/error.h"
#include "base/event.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/client.h"

#include <stdbool.h>
#include <stddef.h>

enum registry_archive_format { REGISTRY_ARCHIVE_OCI, REGISTRY_ARCHIVE_DOCKER };

/* An image to be written with the names it gets: full references with a tag
 * ("docker.io/library/debian:12"); none is fine. Borrowed. */
struct registry_archive_image {
    const struct descriptor
        *root; /* manifest or index; everything it names is in the store */
    const char *const *names;
    size_t name_count;
    /* Layers that the reader has already: named, but not in the archive. Borrowed. */
    const struct digest *absent;
    size_t absent_count;
};

/* Writes to `fd` (file or pipe) from its position. A docker archive of an index lists, in
 * manifest.json, the image for this machine's platform. ERROR_NOT_FOUND if a blob is
 * missing: checked before the first byte is written. */
MUST_CHECK int registry_archive_write(struct cas_store *store,
                                      const struct registry_archive_image *images,
                                      size_t count,
                                      enum registry_archive_format format,
                                      int fd,
                                      const struct registry_progress *progress,
                                      struct error *err);

/* An image that was found in an archive; `names` are full references, possibly none. */
struct registry_archive_entry {
    struct descriptor root;
    char **names;
    size_t name_count;
};
struct registry_archive_list {
    struct registry_archive_entry *items;
    size_t count;
};
void registry_archive_list_release(struct registry_archive_list *l); /* idempotent */

/*
 * Reads an archive (tar, or tar compressed with gzip or zstd) to its end into the store. No
 * ref is set: the caller does that with `out`. Errors: ERROR_INVALID not an archive of
 * images; ERROR_CORRUPT a blob, config or layer that is not what its name or diffID says,
 * or is missing; ERROR_LIMIT.
 */
MUST_CHECK int registry_archive_read(struct cas_store *store,
                                     int fd,
                                     const struct registry_progress *progress,
                                     struct registry_archive_list *out,
                                     struct error *err);
