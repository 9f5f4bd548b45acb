/*
 * What the pass over an archive's tar leaves behind: documents in memory, and for every
 * file that may be a blob where it is in the store.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/archive.h"
#include "registry/client_priv.h"

#include <stdbool.h>
#include <stddef.h>

struct registry_archive_file {
    char *path;           /* clean, without a leading slash */
    char *link;           /* the same, of what it is a link to; NULL: a file */
    struct digest digest; /* in the store */
    uint64_t size;
};

struct registry_archive_scan {
    struct cas_store *store;
    struct registry_archive_file *files;
    size_t count;
    size_t capacity;
    struct doc *index;    /* index.json, or NULL */
    struct doc *manifest; /* manifest.json, or NULL */
};

void registry_archive_scan_release(struct registry_archive_scan *s);

/* Reads the tar to its end. */
MUST_CHECK int registry_archive_scan_fd(struct registry_archive_scan *s,
                                        int fd,
                                        const struct registry_progress *progress,
                                        struct error *err);
/* The file of this name, links followed; NULL if there is none. */
const struct registry_archive_file *registry_archive_find(
    const struct registry_archive_scan *s, const char *path);

/* The images that the documents name, every blob of theirs checked. */
MUST_CHECK int registry_archive_oci_images(const struct registry_archive_scan *s,
                                           struct registry_archive_list *out,
                                           struct error *err);
MUST_CHECK int registry_archive_docker_images(const struct registry_archive_scan *s,
                                              struct registry_archive_list *out,
                                              struct error *err);

/* Adds an image, or only the name (may be NULL) to an image that is listed already. Copies.
 */
void registry_archive_list_add(struct registry_archive_list *l,
                               const struct descriptor *root,
                               const char *name);
