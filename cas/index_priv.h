/*
 * The file format of a layer's index, for cas/index*.c and its tests.
 *
 * Little-endian, every section at a multiple of 8, in this order without gaps but padding:
 *
 *     +-----------+---------+--------+----------+---------------------+
 *     | header    | entries | xattrs | restarts | bytes               |
 *     | 192 bytes | n * 112 | n * 16 | n * 8    | names, values, files|
 *     +-----------+---------+--------+----------+---------------------+
 *
 * Entries are sorted by path; what they refer to lies in `bytes` at an offset from the
 * section's beginning. Nothing that is read is believed: the header's sizes must add up to
 * the file's, the CRC-32 must be right, and each
 * reference must lie within its section; else there is no index, and it is made again from
 * the blob.
 */
#pragma once

#include "base/view.h"
#include "cas/entry.h"
#include "cas/index.h"

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INDEX_MAGIC "cooperix"
/* Raised with every change of the format, or of what the content key covers. */
#define INDEX_VERSION 1u

enum index_header_field {
    INDEX_HEADER_MAGIC = 0,          /* 8 bytes */
    INDEX_HEADER_VERSION = 8,        /* u32 */
    INDEX_HEADER_SUM = 12,           /* u32: CRC-32 of everything behind it */
    INDEX_HEADER_FLAGS = 16,         /* u32: enum index_flags */
    INDEX_HEADER_BLOCK_SIZE = 20,    /* u32: of the restarts */
    INDEX_HEADER_FILE_SIZE = 24,     /* u64 */
    INDEX_HEADER_ENTRY_COUNT = 32,   /* u64 */
    INDEX_HEADER_XATTR_COUNT = 40,   /* u64 */
    INDEX_HEADER_RESTART_COUNT = 48, /* u64 */
    INDEX_HEADER_BYTES_SIZE = 56,    /* u64 */
    INDEX_HEADER_TAR_SIZE = 64,      /* u64 */
    INDEX_HEADER_DIFF_ID = 72,       /* 32 bytes: SHA-256, or the first of SHA-512 */
    INDEX_HEADER_CONTENT_KEY = 104,  /* 32 bytes: SHA-256 */
    INDEX_HEADER_BLOB = 136,         /* 32 bytes: SHA-256 of the restarts' blob */
    INDEX_HEADER_SIZE = 192,
};

enum index_flags {
    INDEX_SELF_CONTAINED = 1,
    INDEX_HAS_RESTARTS = 2,
};

enum index_entry_field {
    INDEX_ENTRY_PATH = 0,         /* u32 offset in bytes */
    INDEX_ENTRY_PATH_SIZE = 4,    /* u16 */
    INDEX_ENTRY_TYPE = 6,         /* u8: enum cas_entry_type */
    INDEX_ENTRY_FLAGS = 7,        /* u8: enum index_entry_flags */
    INDEX_ENTRY_MODE = 8,         /* u32 */
    INDEX_ENTRY_UID = 12,         /* u32 */
    INDEX_ENTRY_GID = 16,         /* u32 */
    INDEX_ENTRY_MAJOR = 20,       /* u32 */
    INDEX_ENTRY_MINOR = 24,       /* u32 */
    INDEX_ENTRY_MTIME_NS = 28,    /* u32 */
    INDEX_ENTRY_MTIME_S = 32,     /* i64 */
    INDEX_ENTRY_FILE_SIZE = 40,   /* u64 */
    INDEX_ENTRY_OFFSET = 48,      /* u64: of the content in the tar */
    INDEX_ENTRY_TARGET = 56,      /* u32 offset in bytes */
    INDEX_ENTRY_TARGET_SIZE = 60, /* u32 */
    INDEX_ENTRY_XATTRS = 64,      /* u32: the first */
    INDEX_ENTRY_XATTR_COUNT = 68, /* u32 */
    INDEX_ENTRY_INLINE = 72,      /* u32 offset in bytes */
    INDEX_ENTRY_INLINE_SIZE = 76, /* u32 */
    INDEX_ENTRY_CONTENT = 80,     /* 32 bytes: SHA-256 */
    INDEX_ENTRY_SIZE = 112,
};

enum index_entry_flags {
    INDEX_ENTRY_OPAQUE = 1,
    INDEX_ENTRY_HAS_CONTENT = 2,
};

/* An xattr: four u32: offset and size of the name, offset and size of the value. */
#define INDEX_XATTR_SIZE   ((size_t)16)
#define INDEX_RESTART_SIZE ((size_t)8)

static inline size_t index_padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* `size` bytes, at most 8; a constant, so that it becomes one load or store. */
static inline uint64_t index_get(const void *at, size_t size)
{
    uint64_t v = 0;

    memcpy(&v, at, size);
    return le64toh(v);
}

static inline void index_put(void *at, size_t size, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, size);
}

/* "index/ALG/HEX". */
struct index_path {
    char text[sizeof "index/sha512/" + sizeof(struct digest_text)];
};
struct index_path index_path(const struct digest *diff_id);

/* An index over bytes in memory, which must be those of a file (mmapped; consumed, also on
 * failure: munmapped). NULL: damaged, of another version or another layer; err says what.
 */
MUST_CHECK struct cas_index *index_from_map(void *map,
                                            size_t size,
                                            const struct digest *diff_id,
                                            struct error *err);

/* --- Writing --- */

/* What an index is made of. Everything is borrowed. */
struct index_source {
    const struct cas_entry *entries; /* sorted, no path twice */
    size_t count;
    const uint64_t *offsets;    /* of each; NULL: all 0 */
    const struct view *inlines; /* of each; NULL: none */
    const struct digest *diff_id;
    uint64_t tar_size;
    struct cas_index_restarts restarts;
    const uint64_t *points; /* restarts.count */
};

/* Writes and publishes. Errors: ERROR_LIMIT (an index holds 4 GiB of names), ERROR_SYSTEM.
 */
MUST_CHECK int index_publish(struct cas_store *s,
                             const struct index_source *source,
                             struct error *err);

/* The digest of entries without times; sorted, no path twice. */
struct digest index_content_key(const struct cas_entry *entries, size_t count);

/* cas_index_is_self_contained of these entries; sorted, no path twice. */
bool index_self_contained(const struct cas_entry *entries, size_t count);

/* Small files that are kept inline. */
bool index_wants_inline(const struct cas_entry *e);
