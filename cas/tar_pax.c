#include "cas/tar_pax.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/tar_number.h"

#include <stdlib.h>
#include <string.h>

#define XATTR_PREFIX "SCHILY.xattr."

/* --- Sparse maps --- */

void tar_sparse_add(struct tar_sparse *s, uint64_t offset, uint64_t size)
{
    s->pieces = base_grow(s->pieces, s->count, &s->capacity, sizeof *s->pieces);
    s->pieces[s->count++] = (struct tar_piece){offset, size};
}

bool tar_sparse_ok(const struct tar_sparse *s, uint64_t size, uint64_t stored)
{
    uint64_t end = 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct tar_piece *piece = &s->pieces[i];

        if (piece->offset < end || piece->offset > size ||
            piece->size > size - piece->offset)
            return false;
        end = piece->offset + piece->size;
        sum += piece->size;
    }
    return sum == stored;
}

void tar_sparse_clear(struct tar_sparse *s)
{
    s->count = 0;
}

/* --- Records --- */

static int bad_value(struct view key, struct view value, struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "tar: extended header %.*s has the bad value '%.*s'", VIEW_ARG(key),
                     (int)(value.size < 64 ? value.size : 64), value.data);
}

static bool parse_id(struct view value, bool *has, uint32_t *out)
{
    uint64_t id = 0;

    if (!view_to_u64(value, &id) || id >= UINT32_MAX)
        return false;
    *has = true;
    *out = (uint32_t)id;
    return true;
}

static bool parse_text(struct view value, struct view *out)
{
    if (memchr(value.data, '\0', value.size))
        return false;
    *out = value;
    return true;
}

/* "offset,size,offset,size": version 0.1. */
static bool parse_map(struct tar_pax *p, struct view value)
{
    struct view text;
    uint64_t offset = 0;
    uint64_t size = 0;

    tar_sparse_clear(&p->sparse);
    p->sparse_map = true;
    while (value.size > 0) {
        if (!view_cut(value, ',', &text, &value) || !view_to_u64(text, &offset))
            return false;
        view_cut(value, ',', &text, &value);
        if (!view_to_u64(text, &size))
            return false;
        tar_sparse_add(&p->sparse, offset, size);
    }
    return true;
}

/* Version 0.0: one pair of records a piece. */
static bool parse_map_offset(struct tar_pax *p, struct view value)
{
    uint64_t offset = 0;

    if (p->sparse_open || !view_to_u64(value, &offset))
        return false;
    p->sparse_open = true;
    p->sparse_map = true;
    tar_sparse_add(&p->sparse, offset, 0);
    return true;
}

static bool parse_map_size(struct tar_pax *p, struct view value)
{
    uint64_t size = 0;

    if (!p->sparse_open || !view_to_u64(value, &size))
        return false;
    p->sparse_open = false;
    p->sparse.pieces[p->sparse.count - 1].size = size;
    return true;
}

/* True also for keys that mean nothing to us. */
static bool parse_sparse(struct tar_pax *p, struct view key, struct view value)
{
    uint64_t ignored = 0;

    if (view_eq_text(key, "GNU.sparse.size") || view_eq_text(key, "GNU.sparse.realsize")) {
        p->has_sparse_size = true;
        return view_to_u64(value, &p->sparse_size);
    }
    if (view_eq_text(key, "GNU.sparse.major"))
        return view_to_u64(value, &p->sparse_major) && p->sparse_major <= 1;
    if (view_eq_text(key, "GNU.sparse.minor") || view_eq_text(key, "GNU.sparse.numblocks"))
        return view_to_u64(value, &ignored);
    if (view_eq_text(key, "GNU.sparse.name"))
        return parse_text(value, &p->sparse_name);
    if (view_eq_text(key, "GNU.sparse.map"))
        return parse_map(p, value);
    if (view_eq_text(key, "GNU.sparse.offset"))
        return parse_map_offset(p, value);
    if (view_eq_text(key, "GNU.sparse.numbytes"))
        return parse_map_size(p, value);
    return true;
}

/* The limits are Linux's: what is longer could not be set on any file. */
static int add_xattr(struct tar_pax *p,
                     struct view name,
                     struct view value,
                     struct error *err)
{
    if (name.size == 0 || memchr(name.data, '\0', name.size))
        return error_set(err, ERROR_CORRUPT, "tar: an extended attribute has a bad name");
    if (name.size > LIMIT_NAME_SIZE || value.size > LIMIT_XATTR_SIZE)
        return error_set(err, ERROR_LIMIT, "tar: extended attribute %.64s is too long",
                         name.data);
    p->xattrs = base_grow(p->xattrs, p->xattr_count, &p->xattr_capacity, sizeof *p->xattrs);
    p->xattrs[p->xattr_count++] = (struct cas_xattr){name, value};
    return 0;
}

static int parse_record(struct tar_pax *p,
                        struct view key,
                        struct view value,
                        struct error *err)
{
    bool ok = true;

    if (view_starts(key, XATTR_PREFIX))
        return add_xattr(p, view_sub(key, sizeof XATTR_PREFIX - 1, key.size), value, err);
    if (view_starts(key, "GNU.sparse."))
        ok = parse_sparse(p, key, value);
    else if (value.size == 0)
        return 0; /* an empty value takes a record back */
    else if (view_eq_text(key, "path"))
        ok = parse_text(value, &p->path);
    else if (view_eq_text(key, "linkpath"))
        ok = parse_text(value, &p->link);
    else if (view_eq_text(key, "size"))
        ok = p->has_size = view_to_u64(value, &p->size);
    else if (view_eq_text(key, "uid"))
        ok = parse_id(value, &p->has_uid, &p->uid);
    else if (view_eq_text(key, "gid"))
        ok = parse_id(value, &p->has_gid, &p->gid);
    else if (view_eq_text(key, "mtime"))
        ok = p->has_mtime = tar_number_time(value, &p->mtime_s, &p->mtime_ns);
    return ok ? 0 : bad_value(key, value, err);
}

/* Later records stand behind earlier ones of the same name, and win. */
static int compare_xattrs(const void *a, const void *b)
{
    const struct cas_xattr *x = a;
    const struct cas_xattr *y = b;
    const int order = view_compare(x->name, y->name);

    return order ? order : (x->name.data > y->name.data) - (x->name.data < y->name.data);
}

static void sort_xattrs(struct tar_pax *p)
{
    size_t kept = 0;

    if (p->xattr_count < 2)
        return;
    qsort(p->xattrs, p->xattr_count, sizeof *p->xattrs, compare_xattrs);
    for (size_t i = 0; i < p->xattr_count; i++) {
        if (kept > 0 && view_eq(p->xattrs[kept - 1].name, p->xattrs[i].name))
            kept--;
        p->xattrs[kept++] = p->xattrs[i];
    }
    p->xattr_count = kept;
}

/* Cuts the next record off. The length counts itself, the blank, "=" and the newline. */
static bool cut_record(struct view *body, struct view *key, struct view *value)
{
    struct view digits;
    struct view rest;
    uint64_t size = 0;

    if (!view_cut(*body, ' ', &digits, &rest) || !view_to_u64(digits, &size) ||
        size > body->size || size < digits.size + 2 || body->data[size - 1] != '\n')
        return false;

    const struct view record =
        view_sub(*body, digits.size + 1, (size_t)size - digits.size - 2);

    *body = view_sub(*body, (size_t)size, body->size);
    return view_cut(record, '=', key, value) && key->size > 0;
}

int tar_pax_parse(struct tar_pax *p, struct view body, struct error *err)
{
    struct view key;
    struct view value;

    while (body.size > 0) {
        if (!cut_record(&body, &key, &value))
            return error_set(err, ERROR_CORRUPT, "tar: malformed extended header");
        if (parse_record(p, key, value, err) < 0)
            return -1;
    }
    if (p->sparse_open)
        return error_set(err, ERROR_CORRUPT, "tar: a sparse file's map is incomplete");
    sort_xattrs(p);
    return 0;
}

int tar_pax_check(struct view body, struct error *err)
{
    struct view key;
    struct view value;

    while (body.size > 0) {
        if (!cut_record(&body, &key, &value))
            return error_set(err, ERROR_CORRUPT, "tar: malformed global header");
    }
    return 0;
}

void tar_pax_clear(struct tar_pax *p)
{
    const struct tar_pax memory = *p;

    *p = (struct tar_pax){.sparse = memory.sparse,
                          .xattrs = memory.xattrs,
                          .xattr_capacity = memory.xattr_capacity};
    tar_sparse_clear(&p->sparse);
}

void tar_pax_release(struct tar_pax *p)
{
    free(p->sparse.pieces);
    free(p->xattrs);
    *p = (struct tar_pax){0};
}
