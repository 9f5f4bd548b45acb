/*
 * The door between builder/archive.c and the module libcooper-archive.so, which is all that
 * knows libarchive (which loads libxml2, ICU and more: 2 ms, a quarter of a cached build).
 * See base/module.h. It reads; what an entry means is decided on this side.
 */
#pragma once

#include "base/error.h"
#include "base/view.h"
#include "cas/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_ARCHIVE_MODULE_FILE    "libcooper-archive.so"
#define BUILD_ARCHIVE_MODULE_SYMBOL  "build_archive_libarchive_module"
#define BUILD_ARCHIVE_MODULE_VERSION 2u

struct build_archive_reader;

/* Where an archive's bytes come from: gzip and zstd are undone already (and verified, which
 * libarchive does not do for gzip). */
struct build_archive_source {
    /* Up to `size` bytes; *got 0: the end. */
    int (*read)(void *context, void *data, size_t size, size_t *got, struct error *err);
    void *context;
};

/* An entry as the archive has it: nothing was checked. Texts and attributes belong to the
 * reader, until its next entry. */
struct build_archive_entry {
    const char *path;         /* or NULL */
    const char *hardlink;     /* what it links to, or NULL */
    const char *symlink;      /* or NULL */
    enum cas_entry_type type; /* 0: of a kind that no layer has */
    uint32_t mode;            /* permissions, 07777 */
    int64_t uid;
    int64_t gid;
    int64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    const struct cas_xattr *xattrs;
    size_t xattr_count;
};

struct build_archive_module {
    unsigned version;
    /* Is it a tar, possibly compressed? */
    bool (*is_tar)(const struct build_archive_source *source);
    /* Reads from where the source stands, which is copied. NULL with ERROR_CORRUPT. */
    struct build_archive_reader *(*reader_new)(const struct build_archive_source *source,
                                               struct error *err);
    void (*reader_free)(struct build_archive_reader *r);
    /* *end: there is no further entry. ERROR_CORRUPT. */
    int (*next)(struct build_archive_reader *r,
                bool *end,
                struct build_archive_entry *out,
                struct error *err);
    /* The next piece of the entry's content and where in it that lies (holes are left
     * out); it belongs to the reader, until the next call. ERROR_CORRUPT. */
    int (*content)(struct build_archive_reader *r,
                   bool *end,
                   struct view *data,
                   int64_t *at,
                   struct error *err);
};
