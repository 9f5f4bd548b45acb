/*
 * The store: an OCI image layout with blobs, beside it unpacked layers, layer indexes, stat
 * files and metadata (SQLite). See the header of each for what it keeps:
 *
 *     cas/blob.h     blobs/ALG/HEX, ingest/
 *     cas/ref.h      names, their history, index.json
 *     cas/record.h   layer records and build cache
 *     cas/layer.h    making layers;  cas/index.h, cas/tree.h reading what is in them
 *     cas/snapshot.h layers/ID: unpacked layers, and mounts made of them
 *     cas/usage.h    what takes up room;  cas/prune.h, cas/budget.h keep it small
 *     cas/fsck.h     whether all is whole
 *
 * Many processes, also in different pid namespaces, share one store. Opening takes a lease
 * (leases/ID, held by flock): while it is held nothing that this handle saw or made is
 * collected. A handle may be shared between threads.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

struct cas_store;

enum cas_store_open_flags {
    CAS_STORE_OPEN_DEFAULT = 0,
    CAS_STORE_OPEN_NO_CREATE = 1, /* ERROR_NOT_FOUND where there is none */
};

/* The path that is used without an explicit one: $COOPER_ROOT, else /var/lib/cooper for the
 * real root, else $XDG_DATA_HOME/cooper, else ~/.local/share/cooper. malloc'ed. `real_uid`
 * is the user's id outside of any user namespace that we made. NULL for a user without a
 * home. */
char *cas_store_default_path(unsigned real_uid);

/* Opens or creates. Clears what crashed processes left (ingest, leases), mends index.json.
 * On a read-only file system what is there can be read: see cas_store_is_read_only.
 * Errors: ERROR_UNSUPPORTED on a network file system or for a store of a newer version;
 *         ERROR_DENIED for a store of another user; ERROR_INVALID for a directory that is
 *         neither empty nor a store; ERROR_CORRUPT if meta.db is damaged.
 * The handle must not be shared with child processes that outlive it. */
MUST_CHECK struct cas_store *cas_store_open(const char *path,
                                            enum cas_store_open_flags flags,
                                            struct error *err);
void cas_store_close(struct cas_store *s); /* NULL is fine */
void cas_store_closep(struct cas_store **s);

const char *cas_store_path(const struct cas_store *s); /* absolute; borrowed */
int cas_store_fd(const struct cas_store *s);           /* directory descriptor; borrowed */
/* It is on a read-only file system: one can look, and what would write fails. */
bool cas_store_is_read_only(const struct cas_store *s);

/* Everything written before is on disk after this: blobs, renames, database. Called once by
 * a build before its ref becomes visible. */
MUST_CHECK int cas_store_sync(struct cas_store *s, struct error *err);

enum cas_gc_flags {
    CAS_GC_DEFAULT = 0,
    CAS_GC_KEEP_CACHE = 1, /* what records of the build cache name stays */
    CAS_GC_SPARE_OWN = 2,  /* and so does what this handle made or found */
};

/* Bytes are what the file system counts (cas/disk_size.h). */
struct cas_gc_result {
    unsigned long blobs;
    unsigned long layers; /* unpacked ones */
    unsigned long long bytes;
    unsigned long long cached_bytes; /* stay for the build cache alone */
};
/* Removes what no ref, no kept cache record and no other process's lease needs. Decides and
 * unlinks under one lock; with other leases held only things older than their start are
 * taken. */
MUST_CHECK int cas_store_gc(struct cas_store *s,
                            enum cas_gc_flags flags,
                            struct cas_gc_result *out,
                            struct error *err);
