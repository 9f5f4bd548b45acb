/*
 * Unpacking layers for overlayfs and for plain copies, by code that assumes an attacker
 * wrote the tar: everything happens beneath a directory descriptor, nothing follows a
 * symlink out of the root, overlay attributes and 0/0 character devices in the tar are
 * refused. Spec: OCI image-spec layer.md "Applying Changesets".
 */
#pragma once

#include "base/error.h"
#include "cas/layer.h"

#include <stddef.h>

/*
 * Makes sure that layers[which] is unpacked in the store's layers/ID and opens that
 * directory (the caller's descriptor). The ID is the diffID's if the layer is
 * self-contained, else the chainID's of layers[0..which], with the attributes of missing
 * parents taken from the layers below. Published by rename; two processes may race. In
 * `form` of this process: root uses trusted.overlay.*, a user namespace user.overlay.*.
 */
MUST_CHECK int cas_layer_unpacked(struct cas_layer *const *layers,
                                  size_t which,
                                  struct error *err);

/*
 * The same for all layers of a stack, without opening them: those that are missing are
 * unpacked several at a time, each while its blob arrives. The first failure is told, and
 * ends what has not begun.
 */
MUST_CHECK int cas_layers_unpack(struct cas_layer *const *layers,
                                 size_t count,
                                 struct error *err);

struct cas_owners;

/* Applies a stack of layers to an empty directory as plain files (whiteouts applied, not
 * kept): the plain-copy snapshot driver, `-o type=local`. With `owners` these are recorded
 * (owner.h), else real. */
MUST_CHECK int cas_unpack_merged(struct cas_layer *const *layers,
                                 size_t count,
                                 int dir_fd,
                                 struct cas_owners *owners,
                                 struct error *err);
