/*
 * Checking the whole store: every blob against its digest, every record and ref against the
 * blobs, index.json against the refs, every index, and every unpacked layer against its
 * index. Looking does not count as use; blobs, indexes and layers are read on all
 * processors, beside whoever works on the store.
 *
 * What can be made again is repaired by taking it away: damaged blobs (they are fetched or
 * built again), records, indexes, unpacked layers; index.json is written anew. A ref that
 * lost a blob cannot be repaired here: the report names it and says what to do. Files that
 * cooper did not make are named and never touched.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cas_fsck_kind {
    CAS_FSCK_DATABASE,     /* meta.db itself */
    CAS_FSCK_BLOB,         /* blobs/ALG/HEX */
    CAS_FSCK_REF,          /* a name of an image */
    CAS_FSCK_INDEX_JSON,   /* index.json */
    CAS_FSCK_LAYER_RECORD, /* diffID -> blob */
    CAS_FSCK_CACHE_RECORD,
    CAS_FSCK_INDEX,    /* index/ALG/HEX */
    CAS_FSCK_UNPACKED, /* layers/ID */
    CAS_FSCK_LEFTOVER, /* in ingest/ and leases/, of processes that are gone */
    CAS_FSCK_UNKNOWN,  /* not of cooper's making; no damage */
    CAS_FSCK_KINDS
};
/* "blob", "image", "unpacked layer", ... */
const char *cas_fsck_kind_name(enum cas_fsck_kind kind);

struct cas_fsck_problem {
    enum cas_fsck_kind kind;
    char *what;    /* a path within the store, the name of an image, a digest */
    char *why;     /* one line */
    char *advice;  /* what to do, or NULL */
    bool harmless; /* nothing depends on it: exit code and `whole` do not count it */
    bool repaired;
};

struct cas_fsck_report {
    struct cas_fsck_problem *problems; /* by kind, then by what */
    size_t count;
    size_t checked[CAS_FSCK_KINDS];
    uint64_t bytes; /* of blobs that were read */
    bool whole;     /* nothing is wrong that was not repaired */
};

struct cas_fsck_options {
    bool repair;
    bool full; /* also the diffID of each layer, and the bytes of unpacked files */
    /* Asked now and then; true ends the checking with ERROR_CANCELLED. NULL: never. */
    bool (*stop)(void *context);
    void *stop_context;
};

/* Finding damage is success; errors are of the checking itself. */
MUST_CHECK int cas_fsck_run(struct cas_store *s,
                            const struct cas_fsck_options *options,
                            struct cas_fsck_report *out,
                            struct error *err);
void cas_fsck_report_release(struct cas_fsck_report *r); /* idempotent */
