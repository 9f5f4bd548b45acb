#include "cas/tar_write.h"

#include "base/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * ustar header block:
 *
 *     0 name      100 mode  108 uid    116 gid    124 size  136 mtime  148 chksum
 *     156 type    157 linkname         257 magic  263 version
 *     265 uname   297 gname  329 devmajor  337 devminor  345 prefix  500 (padding)
 */
struct ustar {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char padding[12];
};
_Static_assert(sizeof(struct ustar) == 512, "a header is one block");

/* Octal digits in fields of 8 and 12 bytes, one of which is the terminator. */
#define OCTAL_7_MAX  ((uint64_t)07777777)
#define OCTAL_11_MAX ((uint64_t)077777777777)

#define WHITEOUT_PREFIX ".wh."
#define OPAQUE_NAME     ".wh..wh..opq"
#define XATTR_KEY       "SCHILY.xattr."

struct cas_entry tar_entry_written(const struct cas_entry *e, int64_t epoch)
{
    const bool device = e->type == CAS_ENTRY_CHAR || e->type == CAS_ENTRY_BLOCK;

    if (e->type == CAS_ENTRY_WHITEOUT)
        return (struct cas_entry){.path = e->path, .type = e->type};
    return (struct cas_entry){
        .path = e->path,
        .type = e->type,
        .mode = e->type == CAS_ENTRY_SYMLINK ? 0777 : e->mode & 07777,
        .uid = e->uid,
        .gid = e->gid,
        .rdev_major = device ? e->rdev_major : 0,
        .rdev_minor = device ? e->rdev_minor : 0,
        .opaque = e->type == CAS_ENTRY_DIR && e->opaque,
        .size = e->type == CAS_ENTRY_FILE ? e->size : 0,
        .mtime_s = epoch >= 0 && e->mtime_s > epoch ? epoch : e->mtime_s,
        .target = e->target,
        .xattrs = e->xattrs,
        .xattr_count = e->xattr_count,
    };
}

/* A reader takes "trusted.overlay." and "user.overlay." for overlayfs' own and refuses the
 * layer; unpacked as they are, they would speak to the mount above. */
static int check_xattrs(const struct cas_entry *e, struct error *err)
{
    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct view name = e->xattrs[i].name;

        if (memchr(name.data, '=', name.size) || view_starts(name, "trusted.overlay.") ||
            view_starts(name, "user.overlay."))
            return error_set(err, ERROR_UNSUPPORTED,
                             "%.*s: the attribute '%.*s' cannot be stored in a layer",
                             VIEW_ARG(e->path), VIEW_ARG(name));
    }
    return 0;
}

static int check_components(const struct cas_entry *e, struct error *err)
{
    struct view rest = e->path;
    struct view name = {NULL, 0};

    while (rest.size > 0) {
        view_cut(rest, '/', &name, &rest);
        if (name.size > LIMIT_NAME_SIZE)
            return error_set(err, ERROR_LIMIT,
                             "a name of %zu bytes (at most %zu are possible): %.64s...",
                             name.size, LIMIT_NAME_SIZE, name.data);
        if (view_starts(name, WHITEOUT_PREFIX))
            return error_set(err, ERROR_UNSUPPORTED,
                             "'%.*s' cannot be stored in a layer: there a name that begins "
                             "with " WHITEOUT_PREFIX " stands for a removed file",
                             VIEW_ARG(e->path));
    }
    return 0;
}

static int check_target(const struct cas_entry *e, struct error *err)
{
    if (e->type != CAS_ENTRY_SYMLINK)
        return 0;
    if (e->target.size == 0)
        return error_set(err, ERROR_INVALID, "symlink '%.*s' has no target",
                         VIEW_ARG(e->path));
    if (e->target.size >= LIMIT_PATH_SIZE)
        return error_set(err, ERROR_LIMIT,
                         "symlink '%.*s': a target of %zu bytes (at most %zu are possible)",
                         VIEW_ARG(e->path), e->target.size, LIMIT_PATH_SIZE - 1);
    return 0;
}

/* Linux has 12 bits of major and 20 of minor numbers. */
static int check_device(const struct cas_entry *e, struct error *err)
{
    if (e->type != CAS_ENTRY_CHAR && e->type != CAS_ENTRY_BLOCK)
        return 0;
    if (e->rdev_major >> 12 || e->rdev_minor >> 20)
        return error_set(err, ERROR_INVALID, "'%.*s': there can be no device %u:%u",
                         VIEW_ARG(e->path), e->rdev_major, e->rdev_minor);
    if (e->type == CAS_ENTRY_CHAR && e->rdev_major == 0 && e->rdev_minor == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "'%.*s' is a 0/0 device, which is overlayfs' own and cannot be "
                         "stored in a layer",
                         VIEW_ARG(e->path));
    return 0;
}

/* 2^32 - 1 is chown's "leave it as it is"; the ends of the times' range are what readers of
 * fractions have no room beyond. */
static int check_numbers(const struct cas_entry *e, struct error *err)
{
    if (e->uid == UINT32_MAX || e->gid == UINT32_MAX)
        return error_set(err, ERROR_INVALID, "'%.*s': there can be no owner %u:%u",
                         VIEW_ARG(e->path), e->uid, e->gid);
    if (e->mtime_s == INT64_MAX || e->mtime_s <= -INT64_MAX)
        return error_set(err, ERROR_INVALID, "'%.*s': its time is out of range",
                         VIEW_ARG(e->path));
    return 0;
}

int tar_entry_check(const struct cas_entry *e, struct error *err)
{
    if (e->path.size >= LIMIT_PATH_SIZE)
        return error_set(err, ERROR_LIMIT, "a path of %zu bytes: %.200s...", e->path.size,
                         e->path.data);
    if (memchr(e->path.data, '\0', e->path.size) ||
        (e->target.size && memchr(e->target.data, '\0', e->target.size)))
        return error_set(err, ERROR_INVALID, "a NUL in the path or link of %.*s",
                         VIEW_ARG(e->path));
    if (check_components(e, err) < 0 || check_target(e, err) < 0 ||
        check_device(e, err) < 0 || check_numbers(e, err) < 0)
        return -1;
    return check_xattrs(e, err);
}

uint64_t tar_padded_size(uint64_t size)
{
    return (size + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);
}

static char type_flag(enum cas_entry_type type)
{
    switch (type) {
    case CAS_ENTRY_FILE:
    case CAS_ENTRY_WHITEOUT:
        return '0';
    case CAS_ENTRY_HARDLINK:
        return '1';
    case CAS_ENTRY_SYMLINK:
        return '2';
    case CAS_ENTRY_CHAR:
        return '3';
    case CAS_ENTRY_BLOCK:
        return '4';
    case CAS_ENTRY_DIR:
        return '5';
    case CAS_ENTRY_FIFO:
        return '6';
    }
    return '0';
}

/* --- Names --- */

/* The name in the archive, in up to three pieces that are never joined for nothing: the
 * path up to a whiteout's last component, ".wh." and that component, or the path and "/".
 */
struct tar_name {
    struct view part[3];
    size_t size;
};

static struct tar_name name_of(const struct cas_entry *e)
{
    struct tar_name n = {.part = {e->path}};

    if (e->type == CAS_ENTRY_DIR) {
        n.part[1] = e->path.size == 0 ? VIEW_LIT("./") : VIEW_LIT("/");
    } else if (e->type == CAS_ENTRY_WHITEOUT) {
        size_t base = e->path.size;
        while (base > 0 && e->path.data[base - 1] != '/')
            base--;
        n.part[0] = view_sub(e->path, 0, base);
        n.part[1] = VIEW_LIT(WHITEOUT_PREFIX);
        n.part[2] = view_sub(e->path, base, e->path.size);
    }
    n.size = n.part[0].size + n.part[1].size + n.part[2].size;
    return n;
}

static void name_copy(const struct tar_name *n, size_t from, char *out, size_t size)
{
    for (size_t i = 0; i < ARRAY_COUNT(n->part); i++) {
        const struct view piece = view_sub(n->part[i], from, size);
        if (piece.size)
            memcpy(out, piece.data, piece.size);
        out += piece.size;
        size -= piece.size;
        from -= from < n->part[i].size ? from : n->part[i].size;
    }
}

static char name_char(const struct tar_name *n, size_t at)
{
    for (size_t i = 0; i < ARRAY_COUNT(n->part); i++) {
        if (at < n->part[i].size)
            return n->part[i].data[at];
        at -= n->part[i].size;
    }
    return '\0';
}

/* Where to split a name into prefix and name: the position of the '/' between them; 0: fits
 * whole; SIZE_MAX: needs a PAX header. */
static size_t name_split(const struct tar_name *n)
{
    const size_t name_max = sizeof((struct ustar *)0)->name;
    const size_t prefix_max = sizeof((struct ustar *)0)->prefix;

    if (n->size <= name_max)
        return 0;
    if (n->size > name_max + 1 + prefix_max)
        return SIZE_MAX;
    /* As far left as the name allows; what follows must not be empty. */
    for (size_t at = n->size - name_max - 1; at <= prefix_max && at + 1 < n->size; at++) {
        if (at > 0 && name_char(n, at) == '/')
            return at;
    }
    return SIZE_MAX;
}

/* --- PAX --- */

/* What one entry needs beyond ustar. */
struct pax_needs {
    bool path;
    bool link;
    bool size;
    bool uid;
    bool gid;
    bool mtime;
    bool xattrs;
    bool any;
};

static struct pax_needs pax_needs(const struct cas_entry *e, size_t split)
{
    struct pax_needs n = {
        .path = split == SIZE_MAX,
        .link = e->target.size > sizeof((struct ustar *)0)->link,
        .size = e->size > OCTAL_11_MAX,
        .uid = e->uid > OCTAL_7_MAX,
        .gid = e->gid > OCTAL_7_MAX,
        .mtime = e->mtime_s < 0 || (uint64_t)e->mtime_s > OCTAL_11_MAX,
        .xattrs = e->xattr_count > 0,
    };

    n.any = n.path || n.link || n.size || n.uid || n.gid || n.mtime || n.xattrs;
    return n;
}

/* The decimal digits of `value`. */
static size_t digits_of(size_t value)
{
    size_t count = 1;

    for (; value >= 10; value /= 10)
        count++;
    return count;
}

/* A record is "SIZE KEY=VALUE\n", where SIZE counts itself. */
static size_t record_size(size_t key_size, size_t value_size)
{
    const size_t rest = 1 + key_size + 1 + value_size + 1;
    size_t size = rest + digits_of(rest);

    if (size != rest + digits_of(size))
        size++;
    return size;
}

/* Where records go: `out` may be NULL, to count only. */
struct pax_sink {
    struct buf *out;
    size_t size;
};

static void pax_record(struct pax_sink *s,
                       const char *prefix,
                       struct view key,
                       struct view value)
{
    const size_t prefix_size = strlen(prefix);
    const size_t size = record_size(prefix_size + key.size, value.size);

    s->size += size;
    if (!s->out)
        return;
    buf_printf(s->out, "%zu %s", size, prefix);
    buf_append_view(s->out, key);
    buf_append_char(s->out, '=');
    buf_append_view(s->out, value);
    buf_append_char(s->out, '\n');
}

static void pax_number(struct pax_sink *s, const char *key, int64_t value)
{
    char text[24];

    const int size = snprintf(text, sizeof text, "%" PRId64, value);
    pax_record(s, key, VIEW_LIT(""), (struct view){text, (size_t)size});
}

static void pax_path(struct pax_sink *s, const struct tar_name *n)
{
    const size_t size = record_size(strlen("path"), n->size);

    s->size += size;
    if (!s->out)
        return;
    buf_printf(s->out, "%zu path=", size);
    for (size_t i = 0; i < ARRAY_COUNT(n->part); i++)
        buf_append_view(s->out, n->part[i]);
    buf_append_char(s->out, '\n');
}

/* Strict UTF-8 (RFC 3629). */
static bool is_utf8(struct view v)
{
    for (size_t i = 0; i < v.size;) {
        const unsigned char c = (unsigned char)v.data[i];
        const size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        uint32_t code = c < 0x80 ? c : c & (0x3fu >> more);

        if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || i + more >= v.size)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if (((unsigned char)v.data[i + k] & 0xc0) != 0x80)
                return false;
            code = code << 6 | ((unsigned char)v.data[i + k] & 0x3f);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10ffff)))
            return false;
        i += more + 1;
    }
    return true;
}

/* In the byte order of the keys, but for hdrcharset, which speaks of those after it. */
static void pax_records(struct pax_sink *s,
                        const struct cas_entry *e,
                        const struct tar_name *name,
                        const struct pax_needs *needs)
{
    if ((needs->path && !is_utf8(e->path)) || (needs->link && !is_utf8(e->target)))
        pax_record(s, "hdrcharset", VIEW_LIT(""), VIEW_LIT("BINARY"));
    for (size_t i = 0; i < e->xattr_count; i++)
        pax_record(s, XATTR_KEY, e->xattrs[i].name, e->xattrs[i].value);
    if (needs->gid)
        pax_number(s, "gid", e->gid);
    if (needs->link)
        pax_record(s, "linkpath", VIEW_LIT(""), e->target);
    if (needs->mtime)
        pax_number(s, "mtime", e->mtime_s);
    if (needs->path)
        pax_path(s, name);
    if (needs->size)
        pax_number(s, "size", (int64_t)e->size);
    if (needs->uid)
        pax_number(s, "uid", e->uid);
}

/* --- Blocks --- */

/* `size` - 1 digits and NUL; what does not fit is 0 here and in the PAX header. */
static void put_octal(char *field, size_t size, uint64_t value, uint64_t max)
{
    if (value > max)
        value = 0;
    field[size - 1] = '\0';
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

static void seal(struct ustar *h)
{
    const unsigned char *bytes = (const unsigned char *)h;
    unsigned sum = 0;

    memcpy(h->magic, "ustar", sizeof h->magic);
    memcpy(h->version, "00", sizeof h->version);
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < sizeof *h; i++)
        sum += bytes[i];
    put_octal(h->checksum, sizeof h->checksum - 1, sum, OCTAL_7_MAX);
}

static void put_numbers(struct ustar *h, const struct cas_entry *e)
{
    const uint64_t mtime = e->mtime_s < 0 ? 0 : (uint64_t)e->mtime_s;

    put_octal(h->mode, sizeof h->mode, e->mode, OCTAL_7_MAX);
    put_octal(h->uid, sizeof h->uid, e->uid, OCTAL_7_MAX);
    put_octal(h->gid, sizeof h->gid, e->gid, OCTAL_7_MAX);
    put_octal(h->size, sizeof h->size, e->size, OCTAL_11_MAX);
    put_octal(h->mtime, sizeof h->mtime, mtime, OCTAL_11_MAX);
    put_octal(h->major, sizeof h->major, e->rdev_major, OCTAL_7_MAX);
    put_octal(h->minor, sizeof h->minor, e->rdev_minor, OCTAL_7_MAX);
}

static void put_name(struct ustar *h, const struct tar_name *n, size_t split)
{
    if (split == SIZE_MAX) {
        /* The PAX header has it; readers without PAX see the beginning. */
        name_copy(n, 0, h->name, sizeof h->name);
    } else if (split > 0) {
        name_copy(n, 0, h->prefix, split);
        name_copy(n, split + 1, h->name, n->size - split - 1);
    } else {
        name_copy(n, 0, h->name, n->size);
    }
}

static struct ustar *reserve_header(struct buf *out)
{
    char *block = buf_reserve(out, TAR_BLOCK);

    assert(block);
    memset(block, 0, TAR_BLOCK);
    buf_commit(out, TAR_BLOCK);
    /* Only chars inside: any address is aligned for it. */
    return (struct ustar *)(void *)block;
}

static void append_pax(const struct cas_entry *e,
                       const struct tar_name *name,
                       const struct pax_needs *needs,
                       struct buf *out)
{
    struct pax_sink count = {0};
    struct ustar *h = reserve_header(out);

    pax_records(&count, e, name, needs);
    memcpy(h->name, "PaxHeader", sizeof "PaxHeader");
    h->type = 'x';
    put_numbers(h, &(struct cas_entry){.size = count.size});
    seal(h);

    struct pax_sink write = {.out = out};
    pax_records(&write, e, name, needs);
    for (size_t n = count.size; n % TAR_BLOCK != 0; n++)
        buf_append_char(out, '\0');
}

static void append_one(const struct cas_entry *e,
                       const struct tar_name *name,
                       struct buf *out)
{
    const size_t split = name_split(name);
    const struct pax_needs needs = pax_needs(e, split);

    if (needs.any)
        append_pax(e, name, &needs, out);
    struct ustar *h = reserve_header(out);
    put_name(h, name, split);
    put_numbers(h, e);
    h->type = type_flag(e->type);
    if (e->target.size) {
        const size_t max = sizeof h->link;
        memcpy(h->link, e->target.data, e->target.size < max ? e->target.size : max);
    }
    seal(h);
}

static struct tar_name opaque_name(const struct cas_entry *dir)
{
    struct tar_name n = {
        .part = {dir->path, VIEW_LIT("/"), VIEW_LIT(OPAQUE_NAME)},
    };

    if (dir->path.size == 0)
        n.part[1] = VIEW_LIT("");
    n.size = n.part[0].size + n.part[1].size + n.part[2].size;
    return n;
}

static const struct cas_entry opaque_entry = {.type = CAS_ENTRY_WHITEOUT};

static void append_opaque(const struct cas_entry *dir, struct buf *out)
{
    const struct tar_name name = opaque_name(dir);
    struct cas_entry e = opaque_entry;

    e.path = dir->path;
    append_one(&e, &name, out);
}

static size_t one_size(const struct cas_entry *e, const struct tar_name *name)
{
    const struct pax_needs needs = pax_needs(e, name_split(name));
    struct pax_sink count = {0};

    if (!needs.any)
        return TAR_BLOCK;
    pax_records(&count, e, name, &needs);
    return 2 * TAR_BLOCK + (size_t)tar_padded_size(count.size);
}

size_t tar_headers_size(const struct cas_entry *e)
{
    const struct tar_name name = name_of(e);
    size_t size = one_size(e, &name);

    if (e->opaque) {
        const struct tar_name mark = opaque_name(e);
        struct cas_entry o = opaque_entry;
        o.path = e->path;
        size += one_size(&o, &mark);
    }
    return size;
}

void tar_headers_append(const struct cas_entry *e, struct buf *out)
{
    const struct tar_name name = name_of(e);

    append_one(e, &name, out);
    if (e->opaque)
        append_opaque(e, out);
}
