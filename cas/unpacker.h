/*
 * The hands of unpacking: entries and bytes of one layer become files beneath a scratch
 * directory in the form that overlayfs reads, later published in layers/.
 *
 *     new -> { entry -> data ... } ... -> finish -> publish
 *
 *     ingest/LEASE.N/          layers/NAME/
 *         fs/   the layer  ->      fs/
 *                                  meta   see layer_dir.h
 *
 * Paths are those of entry.h, clean and free of symlinks as layer_names gives them; still
 * every lookup is done beneath the directory and follows no symlink. Whiteouts are 0/0
 * devices that share one inode; opaque directories carry overlay's attribute. Directories
 * get their owner, mode and times at the end, so that what they say cannot hinder the
 * unpacking. One thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"
#include "cas/entry.h"
#include "cas/layer.h"
#include "cas/path_map.h"
#include "cas/store.h"
#include "cas/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cas_owners;
struct cas_unpacker;

/* Into a scratch directory of the store. */
MUST_CHECK struct cas_unpacker *cas_unpacker_new(struct cas_store *s, struct error *err);
/* Into a directory of the caller's (borrowed) as plain files; whiteouts and opaque marks
 * are left out. With `owners` (borrowed) these are recorded. Ends with cas_unpacker_finish.
 */
struct cas_unpacker *cas_unpacker_new_plain(int dir_fd, struct cas_owners *owners);
/* From now on only the files whose paths are in the map (borrowed) are made, and nothing
 * else; NULL: everything again. */
void cas_unpacker_only(struct cas_unpacker *u, const struct cas_path_map *files);
/* Removes what was not published. NULL is fine. */
void cas_unpacker_free(struct cas_unpacker *u);
void cas_unpacker_freep(struct cas_unpacker **u);

/* Makes an entry; one of the same path made before is replaced (a directory is kept). */
MUST_CHECK int cas_unpacker_entry(struct cas_unpacker *u,
                                  const struct cas_entry *e,
                                  struct error *err);
/* Bytes of the file entered last. What is left out is a hole. */
MUST_CHECK int cas_unpacker_data(struct cas_unpacker *u,
                                 uint64_t offset,
                                 struct view data,
                                 struct error *err);
/* The same from a descriptor, from its start: as many bytes as the entry has. */
MUST_CHECK int cas_unpacker_copy(struct cas_unpacker *u, int fd, struct error *err);

/*
 * Completes files and directories. `below` (may be NULL: then parents must not be missing)
 * is the tree of the layers below, where parents that have no entry get their attributes
 * and hard links that lead out of this layer their file.
 */
MUST_CHECK int cas_unpacker_finish(struct cas_unpacker *u,
                                   struct cas_tree *below,
                                   struct error *err);
/* Did it need nothing of the layers below? After finish. */
bool cas_unpacker_is_self_contained(const struct cas_unpacker *u);

/*
 * Publishes a finished layer in layers/ (see layer_dir.h for the name): if it is there
 * already, that one counts. `chain_id` is used if it is not self-contained.
 */
MUST_CHECK int cas_unpacker_publish(struct cas_unpacker *u,
                                    const struct digest *diff_id,
                                    const struct digest *chain_id,
                                    struct error *err);
