/*
 * Directories of unpacked layers in the store:
 *
 *     layers/d-sha256-HEX-FORM/      by diffID: the layer alone decides what is in it
 *     layers/c-sha256-HEX-FORM/      by chainID: attributes of parents came from below
 *         fs/      the lower directory for overlayfs
 *         meta     "cooper-layer 1\nboot ID\nroot ...\n"
 *
 *         owners   what owner.h records of symlinks; only of form "r-MAP", if there are any
 *
 * FORM tells how overlayfs' attributes and owners are stored: "t" trusted.overlay.* and the
 * real owners, "u-MAP" user.overlay.* and owners as seen through the user namespace whose
 * id maps hash to MAP, "r-MAP" user.overlay.* and recorded owners.
 *
 * They are not synced: `meta` carries the id of the boot during which the directory was
 * made, and one of an earlier boot is not believed but made again from the blob.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/layer_priv.h"
#include "cas/store.h"

#include <stdbool.h>

struct cas_layer_form {
    bool userxattr;
    bool recorded; /* owners */
    char text[16];
};

/* The form that this process makes and reads. */
MUST_CHECK int cas_layer_form(struct cas_layer_form *out, struct error *err);
/* "trusted.overlay.opaque" or "user.overlay.opaque". */
const char *cas_layer_form_opaque(const struct cas_layer_form *form);

/* "layers/...", malloc'ed. */
char *cas_layer_dir_path(const struct cas_layer_form *form,
                         const struct digest *id,
                         bool is_chain);
/* Is it one that cas_layer_dir_path made of a diffID? */
bool cas_layer_dir_is_for_any_chain(const char *path);
/* Opens fs/ of an unpacked layer and holds it (cas/lease.h). Absent, or of an earlier boot
 * (it is removed then): *found is false. *out gets descriptor and root, and takes a copy of
 * `path` as its name. */
MUST_CHECK int cas_layer_dir_open(struct cas_store *s,
                                  const char *path,
                                  bool *found,
                                  struct cas_layer_unpacked_dir *out,
                                  struct error *err);
/* Writes `meta` into a scratch directory that is about to be published. */
MUST_CHECK int cas_layer_dir_mark(int scratch_fd,
                                  const struct cas_layer_root *root,
                                  struct error *err);
/* Was the directory (layers/ID) made during this boot, and is its `meta` whole? */
bool cas_layer_dir_is_current(int dir_fd);
/* OCI config.md "Layer ChainID": of the layer with this diffID on the chain `below` (NULL:
 * it is the first). */
struct digest cas_layer_chain_id(const struct digest *below, const struct digest *diff_id);
