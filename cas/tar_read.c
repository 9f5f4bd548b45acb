#include "cas/tar_read.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/tar_number.h"
#include "cas/tar_pax.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
struct field {
    size_t offset;
    size_t size;
};

static const struct field field_name = {0, 100};
static const struct field field_mode = {100, 8};
static const struct field field_uid = {108, 8};
static const struct field field_gid = {116, 8};
static const struct field field_size = {124, 12};
static const struct field field_mtime = {136, 12};
static const struct field field_link = {157, 100};
static const struct field field_major = {329, 8};
static const struct field field_minor = {337, 8};
static const struct field field_prefix = {345, 155};
static const struct field field_prefix_star = {345, 131};
static const struct field field_real_size = {483, 12};

enum { TYPE_OFFSET = 156, MAGIC_OFFSET = 257, STAR_OFFSET = 508 };
enum { GNU_PIECES_OFFSET = 386, GNU_PIECES = 4, GNU_MORE_OFFSET = 482 };
enum { GNU_MORE_PIECES = 21, GNU_MORE_MORE_OFFSET = 504, GNU_NUMBER_SIZE = 12 };

enum format { FORMAT_V7, FORMAT_USTAR, FORMAT_STAR, FORMAT_GNU };

/* What the reader waits for, and what follows. */
enum state {
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

enum outcome { GO_ON, NEED_INPUT, EVENT, FAILED };

struct tar_reader {
    enum state state;
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

struct tar_reader *tar_reader_new(void)
{
    struct tar_reader *r = base_alloc(sizeof *r);

    buf_init(&r->extension, LIMIT_TAR_EXTENSION);
    buf_init(&r->pax_body, LIMIT_TAR_EXTENSION);
    buf_init(&r->long_name, LIMIT_TAR_EXTENSION);
    buf_init(&r->long_link, LIMIT_TAR_EXTENSION);
    buf_init(&r->path, LIMIT_PATH_SIZE);
    buf_init(&r->link, LIMIT_PATH_SIZE);
    buf_init(&r->map_text, LIMIT_TAR_EXTENSION);
    return r;
}

void tar_reader_free(struct tar_reader *r)
{
    if (!r)
        return;
    buf_release(&r->extension);
    buf_release(&r->pax_body);
    buf_release(&r->long_name);
    buf_release(&r->long_link);
    buf_release(&r->path);
    buf_release(&r->link);
    buf_release(&r->map_text);
    tar_pax_release(&r->pax);
    free(r->map.pieces);
    free(r);
}

void tar_reader_freep(struct tar_reader **r)
{
    tar_reader_free(*r);
    *r = NULL;
}

void tar_reader_feed(struct tar_reader *r, struct view input)
{
    assert(r->input.size == 0 && !r->input_ended);
    r->input = input;
}

void tar_reader_end_input(struct tar_reader *r)
{
    assert(r->input.size == 0);
    r->input_ended = true;
}

const struct tar_entry *tar_reader_entry(const struct tar_reader *r)
{
    return &r->entry;
}

struct view tar_reader_data(const struct tar_reader *r, uint64_t *offset)
{
    *offset = r->data_offset;
    return r->data;
}

uint64_t tar_reader_offset(const struct tar_reader *r)
{
    return r->consumed;
}

static enum outcome corrupt(struct error *err, const char *what)
{
    error_set(err, ERROR_CORRUPT, "tar: %s", what);
    return FAILED;
}

/* --- Input --- */

static struct view take(struct tar_reader *r, uint64_t most)
{
    const size_t size = r->input.size < most ? r->input.size : (size_t)most;
    const struct view taken = {r->input.data, size};

    r->input = view_sub(r->input, size, r->input.size);
    r->consumed += size;
    return taken;
}

/* Fills the block; true when it is complete. */
static bool collect_block(struct tar_reader *r)
{
    const struct view part = take(r, TAR_BLOCK_SIZE - r->block_have);

    if (part.size > 0)
        memcpy(r->block + r->block_have, part.data, part.size);
    r->block_have += part.size;
    if (r->block_have < TAR_BLOCK_SIZE)
        return false;
    r->block_have = 0;
    return true;
}

static bool block_is_zero(const struct tar_reader *r)
{
    static const uint8_t zero[TAR_BLOCK_SIZE];

    return memcmp(r->block, zero, sizeof zero) == 0;
}

/* --- Header fields --- */

static struct view field_text(const struct tar_reader *r, struct field f)
{
    const char *text = (const char *)r->block + f.offset;

    return (struct view){text, strnlen(text, f.size)};
}

static bool field_number(const struct tar_reader *r, struct field f, int64_t *out)
{
    return tar_number_parse(r->block + f.offset, f.size, out);
}

static bool field_u32(const struct tar_reader *r, struct field f, uint32_t *out)
{
    int64_t value = 0;

    if (!field_number(r, f, &value) || value < 0 || value >= UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

static enum format format_of(const struct tar_reader *r)
{
    const char *magic = (const char *)r->block + MAGIC_OFFSET;

    if (memcmp(magic, "ustar ", 6) == 0)
        return FORMAT_GNU;
    if (memcmp(magic, "ustar", 6) != 0)
        return FORMAT_V7;
    return memcmp(r->block + STAR_OFFSET, "tar", 4) == 0 ? FORMAT_STAR : FORMAT_USTAR;
}

static struct view header_path(struct tar_reader *r, enum format format)
{
    const struct view name = field_text(r, field_name);
    const struct field where = format == FORMAT_STAR ? field_prefix_star : field_prefix;
    const struct view prefix = format == FORMAT_USTAR || format == FORMAT_STAR
                                   ? field_text(r, where)
                                   : (struct view){NULL, 0};

    buf_clear(&r->path);
    if (prefix.size > 0) {
        buf_append_view(&r->path, prefix);
        buf_append_char(&r->path, '/');
    }
    buf_append_view(&r->path, name);
    return buf_view(&r->path);
}

/* The block is overwritten before the entry is used: the name is copied. */
static struct view header_link(struct tar_reader *r)
{
    buf_clear(&r->link);
    buf_append_view(&r->link, field_text(r, field_link));
    return buf_view(&r->link);
}

static struct view pick_text(struct view pax, const struct buf *gnu, struct view header)
{
    if (pax.data)
        return pax;
    return gnu->size > 0 ? buf_view(gnu) : header;
}

static bool parse_attributes(struct tar_reader *r, enum format format)
{
    struct tar_entry *e = &r->entry;
    const struct tar_pax *pax = &r->pax;
    int64_t mode = 0;

    if (!field_number(r, field_mode, &mode) || !field_u32(r, field_uid, &e->uid) ||
        !field_u32(r, field_gid, &e->gid) || !field_number(r, field_mtime, &e->mtime_s))
        return false;
    e->mode = (uint32_t)((uint64_t)mode & 07777);
    if (pax->has_uid)
        e->uid = pax->uid;
    if (pax->has_gid)
        e->gid = pax->gid;
    if (pax->has_mtime) {
        e->mtime_s = pax->mtime_s;
        e->mtime_ns = pax->mtime_ns;
    }
    if ((e->type == TAR_CHAR || e->type == TAR_BLOCK) && format != FORMAT_V7)
        return field_u32(r, field_major, &e->rdev_major) &&
               field_u32(r, field_minor, &e->rdev_minor);
    return true;
}

static int check_texts(const struct tar_entry *e, struct error *err)
{
    if (e->path.size == 0)
        return error_set(err, ERROR_CORRUPT, "tar: an entry without a name");
    if (e->path.size >= LIMIT_PATH_SIZE || e->link.size >= LIMIT_PATH_SIZE)
        return error_set(err, ERROR_LIMIT,
                         "tar: a name of %zu bytes (at most %zu are possible): %.64s...",
                         e->path.size > e->link.size ? e->path.size : e->link.size,
                         LIMIT_PATH_SIZE - 1,
                         e->path.size > e->link.size ? e->path.data : e->link.data);
    if ((e->type == TAR_HARDLINK || e->type == TAR_SYMLINK) && e->link.size == 0)
        return error_set(err, ERROR_CORRUPT, "tar: '%.*s' is a link without a target",
                         VIEW_ARG(e->path));
    return 0;
}

/* '0' and its kin are directories if the name says so: old archives know no other way. */
static bool entry_type(char flag, struct view path, enum tar_type *out)
{
    switch (flag) {
    case '\0':
    case '0':
    case '7': /* contiguous: as '0' */
        *out = path.size > 0 && path.data[path.size - 1] == '/' ? TAR_DIR : TAR_FILE;
        return true;
    case 'S':
        *out = TAR_FILE;
        return true;
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
        *out = (enum tar_type)flag;
        return true;
    default:
        return false;
    }
}

/* --- Sparse files --- */

static bool add_gnu_pieces(struct tar_reader *r, size_t offset, size_t count)
{
    for (size_t i = 0; i < count; i++, offset += (size_t)2 * GNU_NUMBER_SIZE) {
        int64_t at = 0;
        int64_t size = 0;

        if (r->block[offset] == 0)
            return true;
        if (!tar_number_parse(r->block + offset, GNU_NUMBER_SIZE, &at) ||
            !tar_number_parse(r->block + offset + GNU_NUMBER_SIZE, GNU_NUMBER_SIZE,
                              &size) ||
            at < 0 || size < 0 || r->map.count >= LIMIT_TAR_EXTENSION / TAR_BLOCK_SIZE * 21)
            return false;
        tar_sparse_add(&r->map, (uint64_t)at, (uint64_t)size);
    }
    return true;
}

static enum outcome begin_gnu_sparse(struct tar_reader *r, struct error *err)
{
    int64_t size = 0;

    if (!field_number(r, field_real_size, &size) || size < 0 ||
        !add_gnu_pieces(r, GNU_PIECES_OFFSET, GNU_PIECES))
        return corrupt(err, "bad header of a sparse file");
    r->sparse = true;
    r->entry.size = (uint64_t)size;
    r->state = r->block[GNU_MORE_OFFSET] ? READ_GNU_MAP : SEND_ENTRY;
    return GO_ON;
}

static enum outcome begin_pax_sparse(struct tar_reader *r, struct error *err)
{
    const struct tar_pax *pax = &r->pax;

    if (!pax->has_sparse_size)
        return corrupt(err, "a sparse file without a size");
    r->sparse = true;
    r->entry.size = pax->sparse_size;
    for (size_t i = 0; i < pax->sparse.count; i++)
        tar_sparse_add(&r->map, pax->sparse.pieces[i].offset, pax->sparse.pieces[i].size);
    buf_clear(&r->map_text);
    r->map_lines = 0;
    r->state = pax->sparse_major == 1 ? READ_PAX_MAP : SEND_ENTRY;
    return GO_ON;
}

static enum outcome read_gnu_map(struct tar_reader *r, struct error *err)
{
    if (!collect_block(r))
        return NEED_INPUT;
    if (!add_gnu_pieces(r, 0, GNU_MORE_PIECES))
        return corrupt(err, "bad map of a sparse file");
    if (!r->block[GNU_MORE_MORE_OFFSET])
        r->state = SEND_ENTRY;
    return GO_ON;
}

/* Parses "COUNT\nOFFSET\nSIZE\n..." if it is complete. */
static bool parse_pax_map(struct tar_reader *r, bool *complete)
{
    struct view rest = buf_view(&r->map_text);
    struct view line;
    uint64_t count = 0;
    uint64_t offset = 0;
    uint64_t size = 0;

    *complete = false;
    if (!view_cut(rest, '\n', &line, &rest))
        return true;
    if (!view_to_u64(line, &count) || count > LIMIT_TAR_EXTENSION)
        return false;
    tar_sparse_clear(&r->map);
    for (uint64_t i = 0; i < count; i++) {
        if (!view_cut(rest, '\n', &line, &rest))
            return true;
        if (!view_to_u64(line, &offset))
            return false;
        if (!view_cut(rest, '\n', &line, &rest))
            return true;
        if (!view_to_u64(line, &size))
            return false;
        tar_sparse_add(&r->map, offset, size);
    }
    *complete = true;
    return true;
}

/* Are all lines there that the first one announces? */
static bool map_is_whole(const struct tar_reader *r)
{
    struct view first;
    struct view rest;
    uint64_t count = 0;

    if (!view_cut(buf_view(&r->map_text), '\n', &first, &rest) ||
        !view_to_u64(first, &count) || count > LIMIT_TAR_EXTENSION)
        return true; /* let the parser complain */
    return r->map_lines > 2 * count;
}

static enum outcome read_pax_map(struct tar_reader *r, struct error *err)
{
    bool complete = false;

    if (!collect_block(r))
        return NEED_INPUT;
    if (r->stored < TAR_BLOCK_SIZE)
        return corrupt(err, "a sparse file's map is longer than the file");
    r->stored -= TAR_BLOCK_SIZE;
    buf_append(&r->map_text, r->block, TAR_BLOCK_SIZE);
    for (size_t i = 0; i < TAR_BLOCK_SIZE; i++)
        r->map_lines += r->block[i] == '\n';
    if (buf_ok(&r->map_text, "a sparse file's map", err) < 0)
        return FAILED;
    if (!map_is_whole(r))
        return GO_ON;
    if (!parse_pax_map(r, &complete) || !complete)
        return corrupt(err, "bad map of a sparse file");
    r->state = SEND_ENTRY;
    return GO_ON;
}

/* --- Headers --- */

static enum outcome begin_extension(struct tar_reader *r, char flag, struct error *err)
{
    int64_t size = 0;

    if (!field_number(r, field_size, &size) || size < 0)
        return corrupt(err, "bad size of an extended header");
    if ((uint64_t)size > LIMIT_TAR_EXTENSION) {
        error_set(err, ERROR_LIMIT, "tar: an extended header of %jd bytes (at most %zu)",
                  (intmax_t)size, LIMIT_TAR_EXTENSION);
        return FAILED;
    }
    r->extension_type = flag;
    r->extension_left = (uint64_t)size;
    r->padding = -(uint64_t)size & (TAR_BLOCK_SIZE - 1);
    buf_clear(&r->extension);
    r->state = READ_EXTENSION;
    return GO_ON;
}

static void store_long(struct buf *to, struct view text)
{
    buf_clear(to);
    buf_append(to, text.data, strnlen(text.data ? text.data : "", text.size));
}

static int use_extension(struct tar_reader *r, struct error *err)
{
    const struct view body = buf_view(&r->extension);

    switch (r->extension_type) {
    case 'L':
        store_long(&r->long_name, body);
        break;
    case 'K':
        store_long(&r->long_link, body);
        break;
    case 'g':
        /* Of no effect, as with Go's archive/tar, which docker and containerd read with:
         * applied, it could give every entry the same path. */
        return tar_pax_check(body, err);
    default:
        tar_pax_clear(&r->pax);
        buf_clear(&r->pax_body);
        buf_append_view(&r->pax_body, body);
        if (tar_pax_parse(&r->pax, buf_view(&r->pax_body), err) < 0)
            return -1;
        break;
    }
    r->extended = true;
    return 0;
}

static enum outcome read_extension(struct tar_reader *r, struct error *err)
{
    const struct view part = take(r, r->extension_left);

    buf_append_view(&r->extension, part);
    r->extension_left -= part.size;
    if (r->extension_left > 0)
        return NEED_INPUT;
    if (use_extension(r, err) < 0)
        return FAILED;
    r->state = SKIP_PADDING;
    return GO_ON;
}

static int parse_size(struct tar_reader *r, struct error *err)
{
    int64_t size = 0;

    if (!field_number(r, field_size, &size) || size < 0)
        return error_set(err, ERROR_CORRUPT, "tar: bad size of '%.*s'",
                         VIEW_ARG(r->entry.path));
    r->stored = r->pax.has_size ? r->pax.size : (uint64_t)size;
    if (r->entry.type != TAR_FILE)
        r->stored = 0; /* whatever the field says, no content follows */
    if (r->stored > LIMIT_LAYER_SIZE)
        return error_set(err, ERROR_LIMIT, "tar: '%.*s' has %ju bytes (at most %ju)",
                         VIEW_ARG(r->entry.path), (uintmax_t)r->stored,
                         (uintmax_t)LIMIT_LAYER_SIZE);
    r->padding = -r->stored & (TAR_BLOCK_SIZE - 1);
    r->entry.size = r->stored;
    return 0;
}

static enum outcome begin_entry(struct tar_reader *r, char flag, struct error *err)
{
    const enum format format = format_of(r);
    const struct tar_pax *pax = &r->pax;
    struct tar_entry *e = &r->entry;

    *e = (struct tar_entry){.xattrs = pax->xattrs, .xattr_count = pax->xattr_count};
    e->path = pick_text(pax->path, &r->long_name, header_path(r, format));
    if (pax->sparse_name.size > 0)
        e->path = pax->sparse_name;
    e->link = pick_text(pax->link, &r->long_link, header_link(r));
    if (!entry_type(flag, e->path, &e->type)) {
        error_set(err, ERROR_UNSUPPORTED, "tar: '%.*s' is of an unknown type (%d)",
                  VIEW_ARG(e->path), flag);
        return FAILED;
    }
    if (check_texts(e, err) < 0 || parse_size(r, err) < 0)
        return FAILED;
    if (!parse_attributes(r, format))
        return corrupt(err, "bad number in a header");
    r->sparse = false;
    r->piece = 0;
    r->position = 0;
    tar_sparse_clear(&r->map);
    if (flag == 'S')
        return begin_gnu_sparse(r, err);
    if (e->type == TAR_FILE && (pax->sparse_map || pax->sparse_major == 1))
        return begin_pax_sparse(r, err);
    r->state = SEND_ENTRY;
    return GO_ON;
}

static enum outcome read_header(struct tar_reader *r, struct error *err)
{
    if (!collect_block(r))
        return NEED_INPUT;
    if (block_is_zero(r)) {
        if (r->extended)
            return corrupt(err, "an extended header without its entry");
        r->state = READ_END_MARK;
        return GO_ON;
    }
    if (!tar_checksum_ok(r->block))
        return corrupt(err, "bad check sum of a header");

    const char flag = (char)r->block[TYPE_OFFSET];

    if (flag != '\0' && strchr("xXgLK", flag))
        return begin_extension(r, flag, err);
    return begin_entry(r, flag, err);
}

/* One block of zeros and nothing more is an end as well. */
static enum outcome read_end_mark(struct tar_reader *r, struct error *err)
{
    if (!collect_block(r))
        return NEED_INPUT;
    if (!block_is_zero(r))
        return corrupt(err, "bytes behind the first half of the end mark");
    r->state = ENDED;
    return GO_ON;
}

/* --- Content --- */

static enum outcome send_entry(struct tar_reader *r,
                               enum tar_event *event,
                               struct error *err)
{
    if (r->sparse && (r->entry.size > LIMIT_LAYER_SIZE ||
                      !tar_sparse_ok(&r->map, r->entry.size, r->stored)))
        return corrupt(err, "the map of a sparse file does not fit its content");
    r->state = READ_DATA;
    *event = TAR_ENTRY;
    return EVENT;
}

/* What was said of this entry by the headers before it. */
static void forget_extensions(struct tar_reader *r)
{
    tar_pax_clear(&r->pax);
    buf_clear(&r->long_name);
    buf_clear(&r->long_link);
    r->extended = false;
}

static struct view take_piece(struct tar_reader *r)
{
    while (r->map.pieces[r->piece].size == r->position) {
        r->piece++;
        r->position = 0;
    }

    const struct tar_piece *piece = &r->map.pieces[r->piece];

    r->data_offset = piece->offset + r->position;
    return take(r, piece->size - r->position);
}

static enum outcome read_data(struct tar_reader *r, enum tar_event *event)
{
    if (r->stored == 0) {
        forget_extensions(r);
        r->state = SKIP_PADDING;
        return GO_ON;
    }
    if (r->input.size == 0)
        return NEED_INPUT;
    if (r->sparse) {
        r->data = take_piece(r);
    } else {
        r->data_offset = r->position;
        r->data = take(r, r->stored);
    }
    r->position += r->data.size;
    r->stored -= r->data.size;
    *event = TAR_DATA;
    return EVENT;
}

static enum outcome skip_padding(struct tar_reader *r)
{
    r->padding -= take(r, r->padding).size;
    if (r->padding > 0)
        return NEED_INPUT;
    r->state = READ_HEADER;
    return GO_ON;
}

/* --- The machine --- */

static enum outcome run_state(struct tar_reader *r,
                              enum tar_event *event,
                              struct error *err)
{
    switch (r->state) {
    case READ_HEADER:
        return read_header(r, err);
    case READ_EXTENSION:
        return read_extension(r, err);
    case READ_GNU_MAP:
        return read_gnu_map(r, err);
    case READ_PAX_MAP:
        return read_pax_map(r, err);
    case SEND_ENTRY:
        return send_entry(r, event, err);
    case READ_DATA:
        return read_data(r, event);
    case SKIP_PADDING:
        return skip_padding(r);
    case READ_END_MARK:
        return read_end_mark(r, err);
    case ENDED:
        *event = TAR_END;
        return EVENT;
    }
    assert(false);
    return FAILED;
}

/* Archives without an end mark are in use: they may end where a header could begin. */
static int end_of_input(struct tar_reader *r, enum tar_event *event, struct error *err)
{
    const bool between = (r->state == READ_HEADER || r->state == READ_END_MARK) &&
                         r->block_have == 0 && !r->extended;

    if (!between)
        return error_set(err, ERROR_CORRUPT, "tar: the archive ends too early");
    r->state = ENDED;
    *event = TAR_END;
    return 0;
}

int tar_reader_step(struct tar_reader *r, enum tar_event *event, struct error *err)
{
    for (;;) {
        switch (run_state(r, event, err)) {
        case GO_ON:
            break;
        case EVENT:
            return 0;
        case FAILED:
            return -1;
        case NEED_INPUT:
            if (r->input_ended)
                return end_of_input(r, event, err);
            *event = TAR_MORE_INPUT;
            return 0;
        }
    }
}
