/* Sparse files in tar archives: GNU's old form, and PAX versions 0.0, 0.1 and 1.0. */
#include "cas/tar_read_priv.h"

#include "base/limits.h"

#include <string.h>

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

enum tar_outcome tar_begin_gnu_sparse(struct tar_reader *r, struct error *err)
{
    int64_t size = 0;

    if (!tar_field_number(r, tar_field_real_size, &size) || size < 0 ||
        !add_gnu_pieces(r, GNU_PIECES_OFFSET, GNU_PIECES))
        return tar_corrupt(err, "bad header of a sparse file");
    r->sparse = true;
    r->entry.size = (uint64_t)size;
    r->state = r->block[GNU_MORE_OFFSET] ? READ_GNU_MAP : SEND_ENTRY;
    return TAR_GO_ON;
}

enum tar_outcome tar_begin_pax_sparse(struct tar_reader *r, struct error *err)
{
    const struct tar_pax *pax = &r->pax;

    if (!pax->has_sparse_size)
        return tar_corrupt(err, "a sparse file without a size");
    r->sparse = true;
    r->entry.size = pax->sparse_size;
    for (size_t i = 0; i < pax->sparse.count; i++)
        tar_sparse_add(&r->map, pax->sparse.pieces[i].offset, pax->sparse.pieces[i].size);
    buf_clear(&r->map_text);
    r->map_lines = 0;
    r->state = pax->sparse_major == 1 ? READ_PAX_MAP : SEND_ENTRY;
    return TAR_GO_ON;
}

enum tar_outcome tar_read_gnu_map(struct tar_reader *r, struct error *err)
{
    if (!tar_collect_block(r))
        return TAR_NEED_INPUT;
    if (!add_gnu_pieces(r, 0, GNU_MORE_PIECES))
        return tar_corrupt(err, "bad map of a sparse file");
    if (!r->block[GNU_MORE_MORE_OFFSET])
        r->state = SEND_ENTRY;
    return TAR_GO_ON;
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

enum tar_outcome tar_read_pax_map(struct tar_reader *r, struct error *err)
{
    bool complete = false;

    if (!tar_collect_block(r))
        return TAR_NEED_INPUT;
    if (r->stored < TAR_BLOCK_SIZE)
        return tar_corrupt(err, "a sparse file's map is longer than the file");
    r->stored -= TAR_BLOCK_SIZE;
    buf_append(&r->map_text, r->block, TAR_BLOCK_SIZE);
    for (size_t i = 0; i < TAR_BLOCK_SIZE; i++)
        r->map_lines += r->block[i] == '\n';
    if (buf_ok(&r->map_text, "a sparse file's map", err) < 0)
        return TAR_FAILED;
    if (!map_is_whole(r))
        return TAR_GO_ON;
    if (!parse_pax_map(r, &complete) || !complete)
        return tar_corrupt(err, "bad map of a sparse file");
    r->state = SEND_ENTRY;
    return TAR_GO_ON;
}
