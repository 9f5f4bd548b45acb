/*
 * The state of a reader of tar archives, and what its parts do for each other: the machine
 * (tar_read.c), the fields of headers (tar_header.c), sparse files (tar_sparse.c). For
 * these only. Spec: POSIX.1-2017 pax, ustar; GNU tar manual, "Basic Tar Format".
 */
#pragma once

#include "base/buf.h"
#include "cas/tar_number.h"
#include "cas/tar_pax.h"
#include "cas/tar_read.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Where the fields of a header block are.
 *
 *     0     100  108 116 124  136   148 156 157      257   263 265 297 329 337 345      500
 *     name  mode uid gid size mtime sum typ linkname magic ver ... ... maj min prefix   pad
 *
 * GNU's form has other things where the prefix is: of interest for sparse files (type 'S')
 * are four pieces at 386, "more follow" at 482 and the real size at 483. star's has a
 * prefix of 131 bytes and "tar" at 508.
 */
struct tar_field {
    size_t offset;
    size_t size;
};

static const struct tar_field tar_field_name = {0, 100};
static const struct tar_field tar_field_mode = {100, 8};
static const struct tar_field tar_field_uid = {108, 8};
static const struct tar_field tar_field_gid = {116, 8};
static const struct tar_field tar_field_size = {124, 12};
static const struct tar_field tar_field_mtime = {136, 12};
static const struct tar_field tar_field_link = {157, 100};
static const struct tar_field tar_field_major = {329, 8};
static const struct tar_field tar_field_minor = {337, 8};
static const struct tar_field tar_field_prefix = {345, 155};
static const struct tar_field tar_field_prefix_star = {345, 131};
static const struct tar_field tar_field_real_size = {483, 12};

enum { TYPE_OFFSET = 156, MAGIC_OFFSET = 257, STAR_OFFSET = 508 };
enum { GNU_PIECES_OFFSET = 386, GNU_PIECES = 4, GNU_MORE_OFFSET = 482 };
enum { GNU_MORE_PIECES = 21, GNU_MORE_MORE_OFFSET = 504, GNU_NUMBER_SIZE = 12 };

enum tar_format { FORMAT_V7, FORMAT_USTAR, FORMAT_STAR, FORMAT_GNU };

/* What the reader waits for, and what follows. */
enum tar_state {
    READ_HEADER,    /* a block -> READ_EXTENSION, READ_GNU_MAP, READ_PAX_MAP, SEND_ENTRY,
                       END_MARK */
    READ_EXTENSION, /* the body of a PAX header or GNU long name -> SKIP_PADDING */
    READ_GNU_MAP,   /* a block with more pieces of a sparse file -> itself, SEND_ENTRY */
    READ_PAX_MAP,   /* blocks with a sparse map as text -> itself, SEND_ENTRY */
    SEND_ENTRY,     /* nothing -> READ_DATA */
    READ_DATA,      /* content -> itself, SKIP_PADDING */
    SKIP_PADDING,   /* bytes up to the next block -> READ_HEADER */
    READ_END_MARK,  /* the second block of zeros -> ENDED */
    ENDED,
};

enum tar_outcome { TAR_GO_ON, TAR_NEED_INPUT, TAR_EVENT, TAR_FAILED };

struct tar_reader {
    enum tar_state state;
    struct view input;
    bool input_ended;
    uint64_t consumed;

    uint8_t block[TAR_BLOCK_SIZE];
    size_t block_have;

    char extension_type; /* of READ_EXTENSION */
    uint64_t extension_left;
    struct buf extension;
    struct buf pax_body;
    struct buf long_name;
    struct buf long_link;
    struct tar_pax pax;
    bool extended; /* an extension waits for its entry */

    struct tar_entry entry;
    struct buf path; /* "prefix/name" and the link's name of a plain header */
    struct buf link;
    uint64_t stored; /* content bytes of the entry that are still to come in the archive */
    uint64_t padding;

    bool sparse;
    struct tar_sparse map;
    size_t piece;      /* of `map`, being read */
    uint64_t position; /* within the content (plain) or the piece (sparse) */
    struct buf map_text;
    uint64_t map_lines;

    struct view data;
    uint64_t data_offset;
};

/* tar_read.c */
/* ERROR_CORRUPT that says what is wrong with the archive. */
enum tar_outcome tar_corrupt(struct error *err, const char *what);
/* Does the block at hand have all its bytes? Takes what the input has of them. */
bool tar_collect_block(struct tar_reader *r);

/* tar_header.c: of the block at hand */
/* False: not a number, or out of range. */
bool tar_field_number(const struct tar_reader *r, struct tar_field f, int64_t *out);
enum tar_format tar_format_of(const struct tar_reader *r);
struct view tar_header_path(struct tar_reader *r, enum tar_format format);
struct view tar_header_link(struct tar_reader *r);
/* The first that is there, of a PAX record, a GNU long name, and the header. */
struct view tar_pick_text(struct view pax, const struct buf *gnu, struct view header);
/* Mode, owner, time and device, where PAX records have not set them. */
bool tar_parse_attributes(struct tar_reader *r, enum tar_format format);
/* Refuses what no name can be: an embedded NUL, or too long. */
int tar_check_texts(const struct tar_entry *e, struct error *err);
/* False: of no known type. */
bool tar_entry_type(char flag, struct view path, enum tar_type *out);

/* tar_sparse.c */
enum tar_outcome tar_begin_gnu_sparse(struct tar_reader *r, struct error *err);
enum tar_outcome tar_begin_pax_sparse(struct tar_reader *r, struct error *err);
enum tar_outcome tar_read_gnu_map(struct tar_reader *r, struct error *err);
enum tar_outcome tar_read_pax_map(struct tar_reader *r, struct error *err);
