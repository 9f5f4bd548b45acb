/*
 * Putting into the store what came from outside: verified against a descriptor, visible
 * only when whole.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/descriptor.h"
#include "cas/store.h"

/* Bytes in memory that must have the descriptor's digest and size. */
MUST_CHECK int registry_store_bytes(struct cas_store *store,
                                    const struct descriptor *desc,
                                    struct view bytes,
                                    struct error *err);
/* Reads `fd` to its end. */
MUST_CHECK int registry_store_fd(struct cas_store *store,
                                 const struct descriptor *desc,
                                 int fd,
                                 struct error *err);

/* Two descriptors of the same content: the documents inside one may be hostile, and a size
 * that disagrees is found before a byte is read. */
MUST_CHECK int registry_store_has(struct cas_store *store,
                                  const struct descriptor *desc,
                                  bool *found,
                                  struct error *err);

/*
 * Where the documents and blobs of an image come from, as the walk through index, manifest,
 * config and layers sees it: a registry, a layout. `fetch` brings one blob into the store
 * unless it is there; it may be called from several threads.
 */
struct registry_source {
    int (*fetch)(void *context,
                 struct cas_store *store,
                 const struct descriptor *blob,
                 struct error *err);
    void *context;
    unsigned parallel; /* blobs at once */
};

/* Fetches what `n` descriptors name, in parallel, each once. The first failure ends it. */
MUST_CHECK int registry_source_fetch_all(const struct registry_source *source,
                                         struct cas_store *store,
                                         const struct descriptor *const *blobs,
                                         size_t n,
                                         struct error *err);
