/*
 * What is in the store and what it takes up, as the file system counts (cas/disk_size.h):
 * for telling people (df), and for choosing what goes (cas/prune.h). Looking does not count
 * as use.
 *
 * Files (blobs, indexes, unpacked layers) belong to items (images, records of the build
 * cache) that need them, one file to any number of items. Other items are trees of their
 * own. When something was last used is what leases know (cas/lease.h): the stamp of the
 * files; so finding a record in the cache needs no note of its own.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cas_usage_kind {
    CAS_USAGE_IMAGE,    /* items: images with names; files: blobs that they need */
    CAS_USAGE_CACHE,    /* items: records of the build cache; blobs that only they need */
    CAS_USAGE_DANGLING, /* no items; blobs that nothing names */
    CAS_USAGE_LAYER,    /* layers/ID */
    CAS_USAGE_INDEX,    /* no items; index/ALG/HEX */
    CAS_USAGE_MOUNT,    /* mounts/ID: RUN --mount=type=cache */
    CAS_USAGE_SOURCE,   /* git/ID */
    CAS_USAGE_BUILD,    /* builds/ID: logs and failed states */
    CAS_USAGE_STAT,     /* stat/ID, steps/ID, uploads/ID */
    CAS_USAGE_INGEST, /* no items; ingest/: what is being made, or was when it was killed */
    CAS_USAGE_META,   /* no items; meta.db, index.json, leases, the directories */
    CAS_USAGE_OTHER,  /* no items; what cooper did not make */
    CAS_USAGE_KINDS
};

/* "image", "regular", "internal", "exec.cachemount", ...: buildx's words where it has the
 * thing. */
const char *cas_usage_type(enum cas_usage_kind kind);

enum cas_usage_file_class { CAS_USAGE_BLOB, CAS_USAGE_INDEX_FILE, CAS_USAGE_UNPACKED };

struct cas_usage_file {
    enum cas_usage_file_class class;
    struct digest digest; /* an unpacked layer's or an index's: diffID or chainID */
    char *path;           /* of an unpacked layer; else NULL */
    uint64_t size;
    int64_t used;   /* ns since 1970 */
    size_t images;  /* that need it */
    size_t records; /* that need it */
};

struct cas_usage_item {
    enum cas_usage_kind kind;
    struct digest id; /* image: of its manifest or index; record: its key; else not set */
    char **names;     /* image: its refs; else the path within the store; sorted */
    size_t name_count;
    uint64_t size;   /* with everything that it needs */
    uint64_t unique; /* of that, what no other item of any kind needs; an image: no other
                        image */
    int64_t created; /* ns since 1970, both */
    int64_t used;
    bool shared;         /* a record: images need something of it, too */
    bool in_use;         /* by a process that runs */
    struct digest *keys; /* a record's, in meta.db: it is found under several */
    size_t key_count;
    size_t *files; /* what it needs, in cas_usage.files */
    size_t file_count;
};

struct cas_usage_total {
    uint64_t size;
    uint64_t reclaimable; /* of that, what pruning all could remove now */
    size_t count;
};

struct cas_usage {
    uint64_t size; /* of the whole store */
    struct cas_usage_total kinds[CAS_USAGE_KINDS];
    struct cas_usage_item *items;
    size_t count;
    struct cas_usage_file *files; /* sorted by class and digest */
    size_t file_count;
    int64_t limit; /* what was used at or after it may be held by another process */
    int64_t own;   /* ... by this handle */
};

/* A damaged image is listed with what can be read of it. */
MUST_CHECK int cas_usage_read(struct cas_store *s,
                              struct cas_usage *out,
                              struct error *err);
void cas_usage_release(struct cas_usage *u); /* idempotent */
