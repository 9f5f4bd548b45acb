/*
 * Which file got which name first: files with several names are written once, and their
 * other names as links to the first. A hash table from a file's key (see struct
 * build_tree_entry) to a path. One thread at a time.
 */
#pragma once

#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

struct build_link_names {
    struct build_link_name {
        uint64_t key[2]; /* 0, 0: free */
        char *path;
    } * slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
};

/* The first path of that file; NULL if there was none, or for the key 0, 0. Borrowed. */
const char *build_link_names_find(const struct build_link_names *l, const uint64_t key[2]);
/* Remembers a path for a key that was not found; the key 0, 0 is passed over. */
void build_link_names_add(struct build_link_names *l,
                          const uint64_t key[2],
                          struct view path);
void build_link_names_release(struct build_link_names *l); /* idempotent; then empty */
