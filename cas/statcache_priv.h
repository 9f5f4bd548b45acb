/*
 * The stat cache's file and handle, for cas/statcache*.c.
 */
#pragma once

#include "base/limits.h"
#include "cas/statcache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * The file, in the byte order of the machine (a cache never travels):
 *
 *     header | entries, by path in the order of cas/entry.h | paths, without separators
 *
 * Each entry has a check over itself and its path, so that opening costs nothing and damage
 * is found where it would do harm.
 */
struct statcache_header {
    uint64_t magic; /* also tells the byte order, and the layout of what follows */
    uint64_t count;
    uint64_t paths_size;
    uint64_t check;
};

struct statcache_record {
    uint64_t check;
    struct cas_file_stamp stamp;
    uint32_t path_offset;
    uint16_t path_size;
    uint16_t age; /* saves since it was last asked for */
    uint8_t sha256[32];
};

_Static_assert(sizeof(struct statcache_record) == 96,
               "no padding: the check covers all bytes");

#define STATCACHE_MAGIC     0x0001657461747363ULL /* "cstate", version 1 */
#define STATCACHE_COUNT_MAX ((uint64_t)LIMIT_LAYER_ENTRIES)

/* What was put, until it is saved: the record's path is on its own. */
struct statcache_fresh {
    struct statcache_record record;
    char *path;
    size_t serial; /* in the order of putting */
};

struct cas_statcache {
    struct cas_store *store; /* borrowed */
    char *path;              /* "stat/ID" */
    struct timespec opened;

    /* The mapped file; immutable. */
    const char *map;
    size_t map_size;
    const struct statcache_record *records;
    size_t count;
    const char *paths;

    /* Hints and marks that several finders may set at once. */
    atomic_size_t next;
    unsigned char *seen; /* one a record; accessed atomically */

    pthread_mutex_t lock; /* guards what follows */
    struct statcache_fresh *fresh;
    size_t fresh_count;
    size_t fresh_capacity;
    char **scanned;
    size_t scanned_count;
    size_t scanned_capacity;
};

uint64_t statcache_header_check(const struct statcache_header *h);
/* Is the record of this path undamaged? */
bool statcache_record_is_whole(const struct statcache_record *r, struct view path);
/* What its check has to be. */
uint64_t statcache_record_check(const struct statcache_record *r, struct view path);
/* The path of a mapped record; "" if it lies outside of the file. */
struct view statcache_record_path(const struct cas_statcache *c, size_t i);
