/*
 * The body of a store's handle, for cas/ and its tests.
 */
#pragma once

#include "cas/lease.h"
#include "cas/meta.h"
#include "cas/store.h"

#include <stdatomic.h>

struct cas_store {
    char *path; /* absolute */
    int fd;     /* the directory */
    struct cas_lease *lease;
    struct cas_meta *meta;
    atomic_ulong ingest_count; /* makes names in ingest/ unique within the lease */
};

/* "blobs/ALG/HEX". */
struct cas_blob_path {
    char text[32 + 2 * DIGEST_BYTES_MAX];
};
struct cas_blob_path cas_blob_path(const struct digest *d);

/* fsyncs the directories of the blobs, whoever renamed into them. */
MUST_CHECK int cas_blob_sync_dirs(struct cas_store *s, struct error *err);
