/*
 * A directory of this machine as the entries of a layer: owners, modes, times, links,
 * devices and extended attributes as they are; sockets are left out; other file systems
 * that are mounted below are not entered. The root itself is no entry, as in layers of
 * builds: it is 0755 and root's in every image. For builder/import.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/entry.h"
#include "cas/layer.h"

#include <stddef.h>

struct import_tree;

/* Reads the whole tree beneath `root_fd` (borrowed), which nobody else should be changing.
 */
MUST_CHECK struct import_tree *import_tree_read(int root_fd, struct error *err);
void import_tree_free(struct import_tree *t); /* NULL is fine */
void import_tree_freep(struct import_tree **t);
/* Sorted, for cas_layer_write; borrowed. */
struct cas_entry *import_tree_entries(struct import_tree *t, size_t *count);
/* For cas_layer_write, with the tree as context. Thread-safe. */
int import_tree_content(void *context,
                        size_t i,
                        struct cas_content *out,
                        struct error *err);
