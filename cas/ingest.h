/*
 * Ingests: things being made in ingest/, invisible until they are published by rename.
 * Their names begin with the lease's, so that what a killed process leaves is removed when
 * the store is opened next. For cas/; blobs are written through cas/blob.h.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stddef.h>
#include <stdint.h>

/* A new name below the store, "ingest/LEASE.NUMBER", where the caller may make a file or a
 * directory of its own; malloc'ed. Thread-safe. */
char *cas_ingest_name(struct cas_store *s);

/* A file being written. One thread at a time. */
struct cas_ingest;

MUST_CHECK struct cas_ingest *cas_ingest_new(struct cas_store *s, struct error *err);
MUST_CHECK int cas_ingest_write(struct cas_ingest *g,
                                const void *data,
                                size_t size,
                                struct error *err);
/*
 * The other way to fill it, for bytes that come in any order: so many more are to be kept,
 * and the descriptor (borrowed) is there to be written and read at any place, by any
 * thread. They count from when `took` says that they follow what was taken before.
 */
MUST_CHECK int cas_ingest_reserve(struct cas_ingest *g, uint64_t size, struct error *err);
void cas_ingest_took(struct cas_ingest *g, uint64_t size);
uint64_t cas_ingest_size(const struct cas_ingest *g);
/* A read-only descriptor of what was written so far; the caller's. */
MUST_CHECK int cas_ingest_reader(const struct cas_ingest *g, struct error *err);
/*
 * Makes the file visible under `path` (relative to the store), replacing what is there:
 * synced first, so that after a power failure it is whole or absent; the rename itself is
 * made durable by cas_store_sync. Ownership: consumes `g`, also on failure; then nothing is
 * visible.
 */
MUST_CHECK int cas_ingest_publish(struct cas_ingest *g,
                                  const char *path,
                                  struct error *err);
/* The same without syncing: for caches that carry checks of their own, where losing or
 * damaging the file in a power failure does no harm. */
MUST_CHECK int cas_ingest_publish_unsynced(struct cas_ingest *g,
                                           const char *path,
                                           struct error *err);
/* Throws away. NULL is fine. */
void cas_ingest_abort(struct cas_ingest *g);
void cas_ingest_abortp(struct cas_ingest **g);
