/*
 * The body of a store's handle, for cas/ and its tests.
 */
#pragma once

#include "base/doc.h"
#include "cas/descriptor.h"
#include "cas/lease.h"
#include "cas/meta.h"
#include "cas/store.h"

#include <stdatomic.h>

struct cas_store {
    char *path; /* absolute */
    int fd;     /* the directory */
    bool read_only;
    struct cas_lease *lease; /* NULL: read-only */
    struct cas_meta *meta;
    atomic_ulong ingest_count; /* makes names in ingest/ unique within the lease */
    atomic_ullong written;     /* bytes that went into ingest/ (cas/budget.h) */
    atomic_ullong allowed;     /* so many may; 0: any number */
    struct cas_limit *limit;   /* who knows how many may; NULL: there is none */
    atomic_bool grew;          /* trees were published, whose size nobody knows */
    atomic_uint index_waiters; /* threads that wait for the lock of index.json */
    atomic_uint index_behind;  /* changes of refs that it does not show yet */
};

/* "blobs/ALG/HEX". */
struct cas_blob_path {
    char text[32 + 2 * DIGEST_BYTES_MAX];
};
struct cas_blob_path cas_blob_path(const struct digest *d);

/* As cas_blob_open and cas_blob_read_doc, for those who only take stock: the blob does not
 * count as used, and may vanish. */
MUST_CHECK int cas_blob_peek(struct cas_store *s,
                             const struct digest *d,
                             struct error *err);
MUST_CHECK struct doc *cas_blob_peek_doc(struct cas_store *s,
                                         const struct descriptor *d,
                                         size_t max,
                                         struct error *err);

/* fsyncs the directories of the blobs, whoever renamed into them. */
MUST_CHECK int cas_blob_sync_dirs(struct cas_store *s, struct error *err);
