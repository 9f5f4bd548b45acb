/*
 * How stock is taken, in three parts, for cas/usage*.c: what is on the disk
 * (usage_files.c), what meta.db names (usage_records.c), and who needs what (usage.c).
 */
#pragma once

#include "cas/disk_size.h"
#include "cas/usage.h"

#include <sys/stat.h>

struct usage_reader {
    struct cas_store *store;
    struct cas_usage *out;
    struct cas_disk_links *links;
    size_t file_capacity;
    size_t item_capacity;
    struct usage_tree *trees; /* still to be measured */
    size_t tree_count;
    size_t tree_capacity;
};

static inline int64_t usage_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A new item, zeroed but for its kind; valid until the next. */
struct cas_usage_item *usage_add_item(struct usage_reader *r, enum cas_usage_kind kind);
void usage_add_name(struct cas_usage_item *item, char *owned);

/* Everything on the disk: files, items that are trees, totals of the rest. Sorts files. */
MUST_CHECK int usage_read_disk(struct usage_reader *r, struct error *err);
/* The first file of the class with that digest, or out->file_count. */
size_t usage_find_file(const struct cas_usage *u,
                       enum cas_usage_file_class class,
                       const struct digest *digest);

/* What is needed, gathered for one item; digests of blobs, diffIDs or chainIDs. */
struct usage_needs {
    size_t *files;
    size_t count;
    size_t capacity;
};
void usage_needs_blob(struct usage_needs *n,
                      const struct cas_usage *u,
                      const struct digest *blob);
/* Its index and its unpacked forms. */
void usage_needs_layer(struct usage_needs *n,
                       const struct cas_usage *u,
                       const struct digest *id);
/* Moves what was gathered into the item, each file once. */
void usage_needs_give(struct usage_needs *n, struct cas_usage_item *item);

/* The records of the build cache, as items with needs. */
MUST_CHECK int usage_read_records(struct usage_reader *r, struct error *err);
