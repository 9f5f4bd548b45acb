/*
 * One pass over a layer's blob: it is decompressed, its tar is read and interpreted as a
 * layer (names cleaned, whiteouts recognised, hostile entries refused), the diffID is
 * verified, the index is made and, if wanted, the files are unpacked from the same bytes. A
 * blob that is not in the store yet is fetched, and read while it arrives.
 *
 * Nothing is visible of a layer that turned out bad: the index is published, and the caller
 * may publish what was unpacked, only after the whole of it was read and had its diffID.
 *
 * Refused (ERROR_CORRUPT): names that leave the root ("..", absolute, through a symlink
 * that climbs out of it), overlay attributes, 0/0 devices, a file where a directory must
 * be. Spec: OCI image-spec layer.md "Change Types", "Whiteouts"; config.md "Layer DiffID".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"

struct cas_unpacker;

enum cas_layer_scan_flags {
    CAS_LAYER_SCAN_INDEX = 0,    /* make the index and publish it */
    CAS_LAYER_SCAN_NO_INDEX = 1, /* it is there already */
};

/* `unpacker` (may be NULL) receives the entries and content of files. */
MUST_CHECK int cas_layer_scan(struct cas_layer *l,
                              struct cas_unpacker *unpacker,
                              enum cas_layer_scan_flags flags,
                              struct error *err);
