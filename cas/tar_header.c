/* The fields of a tar header. */
#include "cas/tar_read_priv.h"

#include "base/limits.h"

#include <string.h>

static struct view field_text(const struct tar_reader *r, struct tar_field f)
{
    const char *text = (const char *)r->block + f.offset;

    return (struct view){text, strnlen(text, f.size)};
}

bool tar_field_number(const struct tar_reader *r, struct tar_field f, int64_t *out)
{
    return tar_number_parse(r->block + f.offset, f.size, out);
}

static bool field_u32(const struct tar_reader *r, struct tar_field f, uint32_t *out)
{
    int64_t value = 0;

    if (!tar_field_number(r, f, &value) || value < 0 || value >= UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

enum tar_format tar_format_of(const struct tar_reader *r)
{
    const char *magic = (const char *)r->block + MAGIC_OFFSET;

    if (memcmp(magic, "ustar ", 6) == 0)
        return FORMAT_GNU;
    if (memcmp(magic, "ustar", 6) != 0)
        return FORMAT_V7;
    return memcmp(r->block + STAR_OFFSET, "tar", 4) == 0 ? FORMAT_STAR : FORMAT_USTAR;
}

struct view tar_header_path(struct tar_reader *r, enum tar_format format)
{
    const struct view name = field_text(r, tar_field_name);
    const struct tar_field where =
        format == FORMAT_STAR ? tar_field_prefix_star : tar_field_prefix;
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
struct view tar_header_link(struct tar_reader *r)
{
    buf_clear(&r->link);
    buf_append_view(&r->link, field_text(r, tar_field_link));
    return buf_view(&r->link);
}

struct view tar_pick_text(struct view pax, const struct buf *gnu, struct view header)
{
    if (pax.data)
        return pax;
    return gnu->size > 0 ? buf_view(gnu) : header;
}

bool tar_parse_attributes(struct tar_reader *r, enum tar_format format)
{
    struct tar_entry *e = &r->entry;
    const struct tar_pax *pax = &r->pax;
    int64_t mode = 0;

    if (!tar_field_number(r, tar_field_mode, &mode) ||
        !field_u32(r, tar_field_uid, &e->uid) || !field_u32(r, tar_field_gid, &e->gid) ||
        !tar_field_number(r, tar_field_mtime, &e->mtime_s))
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
        return field_u32(r, tar_field_major, &e->rdev_major) &&
               field_u32(r, tar_field_minor, &e->rdev_minor);
    return true;
}

int tar_check_texts(const struct tar_entry *e, struct error *err)
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
bool tar_entry_type(char flag, struct view path, enum tar_type *out)
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
