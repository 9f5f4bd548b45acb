/*
 * An image where it is, to be looked at and not fetched: in a registry, a layout, an
 * archive or a store. One thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"
#include "registry/client.h"
#include "registry/location.h"

struct registry_place;

/* `l`, `c` and `store` (needed for a place in a store only) are borrowed. */
MUST_CHECK struct registry_place *registry_place_open(struct registry_client *c,
                                                      struct cas_store *store,
                                                      const struct registry_location *l,
                                                      struct error *err);
void registry_place_close(struct registry_place *p); /* NULL is fine */
void registry_place_closep(struct registry_place **p);

/* The manifest or index that the location names: its bytes appended to `out`, verified, and
 * what it is (the caller's). ERROR_NOT_FOUND. */
MUST_CHECK int registry_place_root(struct registry_place *p,
                                   struct buf *out,
                                   struct descriptor *desc,
                                   struct error *err);
/* Another one that is there. */
MUST_CHECK int registry_place_manifest(struct registry_place *p,
                                       const struct descriptor *desc,
                                       struct buf *out,
                                       struct error *err);
/* As registry_blob_get. */
MUST_CHECK int registry_place_blob(struct registry_place *p,
                                   const struct descriptor *desc,
                                   const struct registry_blob_sink *sink,
                                   struct error *err);
