/*
 * rpm's database in its SQLite form: a table Packages(hnum, blob) of headers. A header is
 *
 *     u32 count | u32 data size | count x { u32 tag, type, offset, count } | data
 *
 * all big-endian. (In package files eight bytes of magic stand before it; not here.)
 */
#include "builder/compare/package.h"

#include "base/alloc.h"
#include "cas/foreign_db.h"

#include <stdint.h>
#include <string.h>

enum {
    TAG_NAME = 1000,
    TAG_VERSION = 1001,
    TAG_RELEASE = 1002,
    TAG_EPOCH = 1003,
    TAG_ARCH = 1022,
    TYPE_INT32 = 4,
    TYPE_STRING = 6,
    ENTRY_SIZE = 16,
    HEAD_SIZE = 8,
};

struct header {
    struct view name;
    struct view version;
    struct view release;
    struct view architecture;
    bool has_epoch;
    uint32_t epoch;
};

static uint32_t read_u32(const char *at)
{
    const unsigned char *const b = (const unsigned char *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static struct view string_at(struct view data, uint32_t offset)
{
    const struct view rest = view_sub(data, offset, data.size);

    return (struct view){rest.data, rest.size > 0 ? strnlen(rest.data, rest.size) : 0};
}

static void take_string(struct header *h, uint32_t tag, struct view text)
{
    if (tag == TAG_NAME)
        h->name = text;
    else if (tag == TAG_VERSION)
        h->version = text;
    else if (tag == TAG_RELEASE)
        h->release = text;
    else if (tag == TAG_ARCH)
        h->architecture = text;
}

static int read_header(struct view bytes, struct header *out, struct error *err)
{
    *out = (struct header){0};
    if (bytes.size < HEAD_SIZE)
        return error_set(err, ERROR_CORRUPT, "a package header has %zu bytes", bytes.size);

    const uint64_t count = read_u32(bytes.data);
    const uint64_t data_size = read_u32(bytes.data + 4);

    if (HEAD_SIZE + count * ENTRY_SIZE + data_size > bytes.size)
        return error_set(err, ERROR_CORRUPT,
                         "a package header of %zu bytes says that it has more", bytes.size);

    const struct view data =
        view_sub(bytes, (size_t)(HEAD_SIZE + count * ENTRY_SIZE), (size_t)data_size);

    for (size_t i = 0; i < (size_t)count; i++) {
        const char *const entry = bytes.data + HEAD_SIZE + i * ENTRY_SIZE;
        const uint32_t tag = read_u32(entry);
        const uint32_t type = read_u32(entry + 4);
        const uint32_t offset = read_u32(entry + 8);

        if (type == TYPE_STRING) {
            take_string(out, tag, string_at(data, offset));
        } else if (tag == TAG_EPOCH && type == TYPE_INT32 &&
                   (uint64_t)offset + 4 <= data.size) {
            out->has_epoch = true;
            out->epoch = read_u32(data.data + offset);
        }
    }
    return 0;
}

int build_packages_rpm_header(struct build_packages *l,
                              struct view bytes,
                              struct error *err)
{
    struct header h;

    if (read_header(bytes, &h, err) < 0)
        return -1;
    if (h.version.size == 0 || h.release.size == 0)
        return 0;

    CLEANUP(base_freep)
    char *plain = base_format("%.*s-%.*s", VIEW_ARG(h.version), VIEW_ARG(h.release));
    CLEANUP(base_freep)
    char *version =
        h.has_epoch ? base_format("%u:%s", (unsigned)h.epoch, plain) : base_strdup(plain);

    return build_packages_add(l, "rpm", h.name, h.architecture, view_of(version), err);
}

static int row(void *context, struct view value, struct error *err)
{
    return build_packages_rpm_header(context, value, err);
}

int build_packages_rpm(struct build_packages *l,
                       const char *path,
                       bool has_log,
                       struct error *err)
{
    return cas_foreign_db_each(path, has_log ? CAS_FOREIGN_DB_LOG : CAS_FOREIGN_DB_WHOLE,
                               "SELECT blob FROM Packages", row, l, err);
}
