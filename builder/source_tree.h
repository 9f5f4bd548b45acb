/*
 * A read-only file tree that COPY takes files from: a build context, the layers of a stage,
 * or one text file. One interface, so that the copier knows nothing of where bytes come
 * from.
 *
 * Paths are relative to the root without a leading slash, "" is the root. Entries borrow
 * from the tree and stay valid as long as it does.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/entry.h"
#include "cas/layer.h"
#include "cas/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a tree has a file's bytes; private to the tree. Small, for there are many. */
struct build_tree_place {
    const void *origin; /* a context's node */
    uint64_t at;        /* which layer, or an offset */
    struct view path;   /* by which the bytes are opened */
    uint64_t size;
};

struct build_tree_entry {
    struct cas_entry
        entry;            /* type HARDLINK never appears: links are files that share a key.
                             `content` is set where the tree knows it without reading */
    uint64_t link_key[2]; /* equal for names of one file; 0, 0: the only name */
    struct build_tree_place place;
};

typedef int build_tree_visit_fn(void *context,
                                const struct build_tree_entry *e,
                                struct error *err);

struct build_tree {
    void *self;
    bool is_beneath; /* climbing above the root is an error, not the root again */
    /* Looks one resolved path up; its last component is not followed. */
    int (*find)(void *self,
                struct view path,
                bool *found,
                struct build_tree_entry *out,
                struct error *err);
    /* Visits the path and all beneath in order; the visitor's 0 skips a directory's inside.
     */
    int (*walk)(void *self,
                struct view path,
                build_tree_visit_fn *visit,
                void *context,
                struct error *err);
    int (*open)(void *self,
                const struct build_tree_place *place,
                struct cas_content *out,
                struct error *err);
    /* SHA-256 of the bytes of a file whose entry does not tell it; may read them. NULL for
     * trees whose entries always do. */
    int (*digest)(void *self,
                  const struct build_tree_place *place,
                  struct digest *out,
                  struct error *err);
};

/* Resolves `path` inside the root, following every symlink (the last one only if `follow`).
 * `resolved` gets the malloc'ed real path, also where (part of) it does not exist.
 * ERROR_INVALID for what climbs out of a tree that is_beneath. */
MUST_CHECK int build_tree_resolve(const struct build_tree *t,
                                  struct view path,
                                  bool follow,
                                  bool *found,
                                  struct build_tree_entry *out,
                                  char **resolved,
                                  struct error *err);

/* The tree of a stack of layers. */
struct build_layer_tree;
struct build_layer_tree *build_layer_tree_new(struct cas_layer *const *layers,
                                              size_t count);
void build_layer_tree_free(struct build_layer_tree *t);
struct build_tree *build_layer_tree_tree(struct build_layer_tree *t);
struct cas_tree *build_layer_tree_cas(struct build_layer_tree *t);

/* A tree of one file "NAME" with mode 0644 and that text (borrowed). */
struct build_text_tree;
struct build_text_tree *build_text_tree_new(const char *name, struct view text);
void build_text_tree_free(struct build_text_tree *t);
struct build_tree *build_text_tree_tree(struct build_text_tree *t);
