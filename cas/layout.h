/*
 * The files that make the store a valid OCI image layout: oci-layout and index.json.
 *
 * index.json mirrors the refs of meta.db. It carries the generation of the refs that it was
 * made from, as annotation cooper.store.generation, so that one look at its first bytes
 * tells whether a crash came between the database's commit and its renewal. Each ref is a
 * descriptor with the whole name as org.opencontainers.image.ref.name: tools that cut at
 * the first colon after the path, as skopeo does, take
 * `oci:STORE:docker.io/library/debian:12`. (skopeo's own rule for names allows no "__";
 * such refs can be read by digest only.) Other tools may read the layout, not write it:
 * what they add to index.json is gone with the next ref.
 *
 * Spec: OCI image-spec image-layout.md.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/ref.h"

#include <stdint.h>

/* Makes what is missing of the directories. */
MUST_CHECK int cas_layout_make_dirs(int store_fd, struct error *err);
/* Writes oci-layout: the sign that everything else is there. The caller holds the lock
 * .create. */
MUST_CHECK int cas_layout_seal(int store_fd, struct error *err);
/* Is it there, and of a version that we know (else ERROR_UNSUPPORTED)? */
MUST_CHECK int cas_layout_is_sealed(int store_fd, bool *sealed, struct error *err);

/* Of the refs in index.json; -1 if the file is missing or was not written by us. */
MUST_CHECK int cas_layout_generation(int store_fd, int64_t *generation, struct error *err);
/* Replaces index.json: old or new at any moment, also after a power failure. The caller
 * holds the lock .index. */
MUST_CHECK int cas_layout_write_index(int store_fd,
                                      int64_t generation,
                                      const struct cas_ref_list *refs,
                                      struct error *err);
/* The named descriptors of index.json, by order of appearance. */
MUST_CHECK int cas_layout_read_index(int store_fd,
                                     struct cas_ref_list *out,
                                     struct error *err);
