/*
 * A pull parser for tar: v7, ustar, PAX, GNU and star headers as they are found in layers.
 * It does no I/O and interprets no names; what an entry means for a layer is layer_names'
 * and layer_scan's business.
 *
 *     for (;;) {
 *         tar_reader_step(r, &event, err)
 *         TAR_MORE_INPUT: tar_reader_feed(r, bytes) or tar_reader_end_input(r)
 *         TAR_ENTRY:      tar_reader_entry(r), valid until the next step
 *         TAR_DATA:       tar_reader_data(r, &offset), a piece of the entry's content;
 *                         what is skipped between pieces, and at the end up to the entry's
 *                         size, is a hole of zeros
 *         TAR_END:        the end mark; what follows it in the input has no meaning
 *     }
 *
 * Nothing is believed: check sums are verified, numbers are held against their range, names
 * and extensions against base/limits.h; an archive that ends in the middle of something is
 * ERROR_CORRUPT. Memory is bounded by LIMIT_TAR_EXTENSION.
 *
 * Spec: POSIX.1-2017 pax "pax Interchange Format", "ustar Interchange Format"; GNU tar
 * manual "Basic Tar Format", "Storing Sparse Files".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/entry.h"

#include <stddef.h>
#include <stdint.h>

enum tar_event { TAR_MORE_INPUT, TAR_ENTRY, TAR_DATA, TAR_END };

enum tar_type {
    TAR_FILE = '0',
    TAR_HARDLINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR = '3',
    TAR_BLOCK = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6',
};

struct tar_entry {
    struct view path; /* as written; no NUL inside, not empty */
    struct view link; /* as written, of links; no NUL inside */
    enum tar_type type;
    uint32_t mode; /* 07777 */
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    uint64_t size; /* of the content, holes included; 0 for all but files */
    int64_t mtime_s;
    uint32_t mtime_ns;
    const struct cas_xattr *xattrs; /* sorted by name, no duplicates */
    size_t xattr_count;
};

/* One thread at a time. */
struct tar_reader;
struct tar_reader *tar_reader_new(void);
void tar_reader_free(struct tar_reader *r); /* NULL is fine */
void tar_reader_freep(struct tar_reader **r);

/* Gives the next input, after TAR_MORE_INPUT only: borrowed until the next TAR_MORE_INPUT.
 */
void tar_reader_feed(struct tar_reader *r, struct view input);
/* There is no more input. */
void tar_reader_end_input(struct tar_reader *r);

/* After an error the reader can only be freed.
 * Errors: ERROR_CORRUPT (format, check sum, early end), ERROR_LIMIT (names, extensions,
 * sizes), ERROR_UNSUPPORTED (types that no file system has). */
MUST_CHECK int tar_reader_step(struct tar_reader *r,
                               enum tar_event *event,
                               struct error *err);
const struct tar_entry *tar_reader_entry(const struct tar_reader *r);
/* The piece of content after TAR_DATA, borrowed from the input, and where it belongs. */
struct view tar_reader_data(const struct tar_reader *r, uint64_t *offset);
/* Bytes of the archive consumed so far: after TAR_ENTRY, where the content begins. */
uint64_t tar_reader_offset(const struct tar_reader *r);
