/*
 * The delta: a layer while COPY, ADD or WORKDIR makes it, over the tree of the layers
 * below. It knows what stands at each path now, creates and replaces, and gives at the end
 * the sorted entries of the layer, parents included, for cas_layer_write.
 *
 * Nothing is unpacked and nothing copied: a file is an entry and the place where its bytes
 * are. Paths are relative and resolved (see build_delta_resolve). One thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/source_tree.h"
#include "cas/entry.h"
#include "cas/layer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build_delta;

/* `below` is the tree of the layers below, borrowed; NULL: nothing is there. */
struct build_delta *build_delta_new(struct build_tree *below);
/* Times will be clamped, as those of the steps below were: what is the same then is no
 * change. Negative, the default: they will not. */
void build_delta_set_epoch(struct build_delta *d, int64_t epoch);
void build_delta_free(struct build_delta *d);
void build_delta_freep(struct build_delta **d);

/* What is at the path now; *out borrows until the next change. */
MUST_CHECK int build_delta_find(struct build_delta *d,
                                struct view path,
                                bool *found,
                                struct cas_entry *out,
                                struct error *err);
/* Resolves inside the root, following every symlink, also to what does not exist.
 * malloc'ed. */
MUST_CHECK char *build_delta_resolve(struct build_delta *d,
                                     struct view path,
                                     struct error *err);

/* Creates what is missing of the (resolved) directory, with that mode and owner.
 * ERROR_INVALID if something of it is no directory. */
MUST_CHECK int build_delta_mkdir_all(struct build_delta *d,
                                     struct view path,
                                     uint32_t mode,
                                     uint32_t uid,
                                     uint32_t gid,
                                     struct error *err);

/* Where a file's bytes are: a place in a tree, or memory. */
struct build_delta_content {
    struct build_tree *tree; /* NULL: memory */
    struct build_tree_place place;
    struct view memory;
};

/* Puts an entry at its path, replacing what is there. Texts and attributes are copied.
 * `content` is for files. The parent must exist. */
void build_delta_put(struct build_delta *d,
                     const struct cas_entry *e,
                     const struct build_delta_content *content);
/* Makes `path` a second name of the file at `target`, both in the delta. */
MUST_CHECK int build_delta_link(struct build_delta *d,
                                struct view path,
                                struct view target,
                                struct error *err);
/* Changes the attributes (not the type) of what is there; it becomes part of the layer. */
MUST_CHECK int build_delta_change(struct build_delta *d,
                                  const struct cas_entry *e,
                                  struct error *err);
/* Removes the path and all beneath from the delta, and hides what is below. */
MUST_CHECK int build_delta_remove(struct build_delta *d,
                                  struct view path,
                                  struct error *err);

/* Ends the making: entries sorted, parents added with the attributes they have below, links
 * after what they link to. The entries borrow from the delta. */
MUST_CHECK int build_delta_finish(struct build_delta *d,
                                  struct cas_entry **entries,
                                  size_t *count,
                                  struct error *err);
/* For cas_layer_write, after build_delta_finish; context is the delta. Thread-safe if the
 * trees' open is. */
int build_delta_content(void *context,
                        size_t i,
                        struct cas_content *out,
                        struct error *err);
/* Where entry i of the finished delta has its bytes; NULL for what is no file. */
const struct build_delta_content *build_delta_content_at(const struct build_delta *d,
                                                         size_t i);
