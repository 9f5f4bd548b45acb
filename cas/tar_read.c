#include "cas/tar_read_priv.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

enum tar_outcome tar_corrupt(struct error *err, const char *what)
{
    error_set(err, ERROR_CORRUPT, "tar: %s", what);
    return TAR_FAILED;
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
bool tar_collect_block(struct tar_reader *r)
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

/* --- Headers --- */

static enum tar_outcome begin_extension(struct tar_reader *r, char flag, struct error *err)
{
    int64_t size = 0;

    if (!tar_field_number(r, tar_field_size, &size) || size < 0)
        return tar_corrupt(err, "bad size of an extended header");
    if ((uint64_t)size > LIMIT_TAR_EXTENSION) {
        error_set(err, ERROR_LIMIT, "tar: an extended header of %jd bytes (at most %zu)",
                  (intmax_t)size, LIMIT_TAR_EXTENSION);
        return TAR_FAILED;
    }
    r->extension_type = flag;
    r->extension_left = (uint64_t)size;
    r->padding = -(uint64_t)size & (TAR_BLOCK_SIZE - 1);
    buf_clear(&r->extension);
    r->state = READ_EXTENSION;
    return TAR_GO_ON;
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

static enum tar_outcome read_extension(struct tar_reader *r, struct error *err)
{
    const struct view part = take(r, r->extension_left);

    buf_append_view(&r->extension, part);
    r->extension_left -= part.size;
    if (r->extension_left > 0)
        return TAR_NEED_INPUT;
    if (use_extension(r, err) < 0)
        return TAR_FAILED;
    r->state = SKIP_PADDING;
    return TAR_GO_ON;
}

static int parse_size(struct tar_reader *r, struct error *err)
{
    int64_t size = 0;

    if (!tar_field_number(r, tar_field_size, &size) || size < 0)
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

static enum tar_outcome begin_entry(struct tar_reader *r, char flag, struct error *err)
{
    const enum tar_format format = tar_format_of(r);
    const struct tar_pax *pax = &r->pax;
    struct tar_entry *e = &r->entry;

    *e = (struct tar_entry){.xattrs = pax->xattrs, .xattr_count = pax->xattr_count};
    e->path = tar_pick_text(pax->path, &r->long_name, tar_header_path(r, format));
    if (pax->sparse_name.size > 0)
        e->path = pax->sparse_name;
    e->link = tar_pick_text(pax->link, &r->long_link, tar_header_link(r));
    if (!tar_entry_type(flag, e->path, &e->type)) {
        error_set(err, ERROR_UNSUPPORTED, "tar: '%.*s' is of an unknown type (%d)",
                  VIEW_ARG(e->path), flag);
        return TAR_FAILED;
    }
    if (tar_check_texts(e, err) < 0 || parse_size(r, err) < 0)
        return TAR_FAILED;
    if (!tar_parse_attributes(r, format))
        return tar_corrupt(err, "bad number in a header");
    r->sparse = false;
    r->piece = 0;
    r->position = 0;
    tar_sparse_clear(&r->map);
    if (flag == 'S')
        return tar_begin_gnu_sparse(r, err);
    if (e->type == TAR_FILE && (pax->sparse_map || pax->sparse_major == 1))
        return tar_begin_pax_sparse(r, err);
    r->state = SEND_ENTRY;
    return TAR_GO_ON;
}

static enum tar_outcome read_header(struct tar_reader *r, struct error *err)
{
    if (!tar_collect_block(r))
        return TAR_NEED_INPUT;
    if (block_is_zero(r)) {
        if (r->extended)
            return tar_corrupt(err, "an extended header without its entry");
        r->state = READ_END_MARK;
        return TAR_GO_ON;
    }
    if (!tar_checksum_ok(r->block))
        return tar_corrupt(err, "bad check sum of a header");

    const char flag = (char)r->block[TYPE_OFFSET];

    if (flag != '\0' && strchr("xXgLK", flag))
        return begin_extension(r, flag, err);
    return begin_entry(r, flag, err);
}

/* One block of zeros and nothing more is an end as well. */
static enum tar_outcome read_end_mark(struct tar_reader *r, struct error *err)
{
    if (!tar_collect_block(r))
        return TAR_NEED_INPUT;
    if (!block_is_zero(r))
        return tar_corrupt(err, "bytes behind the first half of the end mark");
    r->state = ENDED;
    return TAR_GO_ON;
}

/* --- Content --- */

static enum tar_outcome send_entry(struct tar_reader *r,
                                   enum tar_event *event,
                                   struct error *err)
{
    if (r->sparse && (r->entry.size > LIMIT_LAYER_SIZE ||
                      !tar_sparse_ok(&r->map, r->entry.size, r->stored)))
        return tar_corrupt(err, "the map of a sparse file does not fit its content");
    r->state = READ_DATA;
    *event = TAR_ENTRY;
    return TAR_EVENT;
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

static enum tar_outcome read_data(struct tar_reader *r, enum tar_event *event)
{
    if (r->stored == 0) {
        forget_extensions(r);
        r->state = SKIP_PADDING;
        return TAR_GO_ON;
    }
    if (r->input.size == 0)
        return TAR_NEED_INPUT;
    if (r->sparse) {
        r->data = take_piece(r);
    } else {
        r->data_offset = r->position;
        r->data = take(r, r->stored);
    }
    r->position += r->data.size;
    r->stored -= r->data.size;
    *event = TAR_DATA;
    return TAR_EVENT;
}

static enum tar_outcome skip_padding(struct tar_reader *r)
{
    r->padding -= take(r, r->padding).size;
    if (r->padding > 0)
        return TAR_NEED_INPUT;
    r->state = READ_HEADER;
    return TAR_GO_ON;
}

/* --- The machine --- */

static enum tar_outcome run_state(struct tar_reader *r,
                                  enum tar_event *event,
                                  struct error *err)
{
    switch (r->state) {
    case READ_HEADER:
        return read_header(r, err);
    case READ_EXTENSION:
        return read_extension(r, err);
    case READ_GNU_MAP:
        return tar_read_gnu_map(r, err);
    case READ_PAX_MAP:
        return tar_read_pax_map(r, err);
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
        return TAR_EVENT;
    }
    assert(false);
    return TAR_FAILED;
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
        case TAR_GO_ON:
            break;
        case TAR_EVENT:
            return 0;
        case TAR_FAILED:
            return -1;
        case TAR_NEED_INPUT:
            if (r->input_ended)
                return end_of_input(r, event, err);
            *event = TAR_MORE_INPUT;
            return 0;
        }
    }
}
