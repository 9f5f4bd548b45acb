/*
 * PAX extended headers: "LENGTH KEY=VALUE\n" records, as far as a layer has use for them,
 * and the maps of sparse files, which GNU tar keeps in them or beside them. Spec:
 * POSIX.1-2017 pax "pax Extended Header"; GNU tar manual "Storing Sparse Files".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of a sparse file that the archive holds; holes are between the pieces. */
struct tar_piece {
    uint64_t offset;
    uint64_t size;
};

struct tar_sparse {
    struct tar_piece *pieces;
    size_t count;
    size_t capacity;
};

void tar_sparse_add(struct tar_sparse *s, uint64_t offset, uint64_t size);
/* Pieces in order, without overlap, within `size` bytes, `stored` bytes altogether? */
bool tar_sparse_ok(const struct tar_sparse *s, uint64_t size, uint64_t stored);
void tar_sparse_clear(struct tar_sparse *s);

struct tar_pax {
    /* Of path, link and sparse_name `data` is NULL where there is no record. */
    struct view path;
    struct view link;
    struct view sparse_name;
    bool has_size;
    bool has_uid;
    bool has_gid;
    bool has_mtime;
    bool has_sparse_size;
    uint64_t size;
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t sparse_size;
    uint64_t sparse_major; /* 1: the map precedes the content */
    bool sparse_map;       /* `sparse` holds the map of version 0.0 or 0.1 */
    bool sparse_open;      /* an offset waits for its size */
    struct tar_sparse sparse;
    struct cas_xattr *xattrs; /* sorted by name; without duplicates */
    size_t xattr_count;
    size_t xattr_capacity;
};

/* Reads the records of a whole header body, over what `p` holds; texts are borrowed from
 * `body`. ERROR_CORRUPT, ERROR_LIMIT. */
MUST_CHECK int tar_pax_parse(struct tar_pax *p, struct view body, struct error *err);
/* Checks a header body that has no effect on entries (a global header). */
MUST_CHECK int tar_pax_check(struct view body, struct error *err);
/* Empties it, keeping memory. */
void tar_pax_clear(struct tar_pax *p);
void tar_pax_release(struct tar_pax *p);
