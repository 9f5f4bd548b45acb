/* The only file that knows libarchive. */
#include "builder/archive_module.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>

/* The first piece is a header alone: an archive that is damaged behind it is an archive. */
enum { FIRST = 512, BLOCK = 1 << 18 };

struct build_archive_reader {
    struct archive *archive;
    struct build_archive_source source;
    struct cas_xattr *xattrs; /* of the entry */
    size_t piece;             /* how much is asked for next */
    char block[BLOCK];
};

static void reader_free(struct build_archive_reader *r)
{
    if (!r)
        return;
    archive_read_free(r->archive);
    free(r->xattrs);
    free(r);
}

static void reader_freep(struct build_archive_reader **r)
{
    reader_free(*r);
    *r = NULL;
}

/* An archive_read_callback. */
static la_ssize_t give(struct archive *a, void *context, const void **data)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct build_archive_reader *r = context;
    size_t got;

    if (r->source.read(r->source.context, r->block, r->piece, &got, &err) < 0) {
        archive_set_error(a, EINVAL, "%s", error_text(&err));
        return -1;
    }
    r->piece = BLOCK;
    *data = r->block;
    return (la_ssize_t)got;
}

/* tar in the compressions that docker knows. */
static struct build_archive_reader *reader_new(const struct build_archive_source *source,
                                               struct error *err)
{
    struct archive *a = archive_read_new();
    struct build_archive_reader *r = base_alloc(sizeof *r);

    r->archive = a;
    r->source = *source;
    r->piece = FIRST;
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_format_tar(a);
    archive_read_set_option(a, "tar", "hdrcharset", "BINARY");
    if (archive_read_open(a, r, NULL, give, NULL) == ARCHIVE_OK)
        return r;
    reader_free(r);
    error_set(err, ERROR_CORRUPT, "not a tar archive");
    return NULL;
}

/* ARCHIVE_RETRY is a header with a wrong check sum. */
static bool is_entry(int status)
{
    return status == ARCHIVE_OK || status == ARCHIVE_WARN;
}

/* One without any entry is as good as a file of zeros. */
static bool is_tar(const struct build_archive_source *source)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* no archive then */
    CLEANUP(reader_freep) struct build_archive_reader *r = reader_new(source, &ignored);
    struct archive_entry *entry;
    const int status = r ? archive_read_next_header(r->archive, &entry) : ARCHIVE_FATAL;

    return is_entry(status);
}

static int damaged(const struct build_archive_reader *r, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "damaged archive: %s",
                     archive_error_string(r->archive));
}

static enum cas_entry_type type_of(struct archive_entry *from)
{
    switch (archive_entry_filetype(from)) {
    case AE_IFREG:
        return CAS_ENTRY_FILE;
    case AE_IFDIR:
        return CAS_ENTRY_DIR;
    case AE_IFLNK:
        return CAS_ENTRY_SYMLINK;
    case AE_IFCHR:
        return CAS_ENTRY_CHAR;
    case AE_IFBLK:
        return CAS_ENTRY_BLOCK;
    case AE_IFIFO:
        return CAS_ENTRY_FIFO;
    default:
        return 0;
    }
}

static size_t read_xattrs(struct build_archive_reader *r, struct archive_entry *from)
{
    const char *name;
    const void *value;
    size_t size;
    size_t count = 0;

    free(r->xattrs);
    r->xattrs =
        base_alloc_array((size_t)archive_entry_xattr_count(from) + 1, sizeof *r->xattrs);
    archive_entry_xattr_reset(from);
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK)
        r->xattrs[count++] = (struct cas_xattr){view_of(name), {value, size}};
    return count;
}

static int next(struct build_archive_reader *r,
                bool *end,
                struct build_archive_entry *out,
                struct error *err)
{
    struct archive_entry *from;
    const int status = archive_read_next_header(r->archive, &from);

    *end = status == ARCHIVE_EOF;
    if (*end)
        return 0;
    if (!is_entry(status))
        return damaged(r, err);
    *out = (struct build_archive_entry){
        .path = archive_entry_pathname(from),
        .hardlink = archive_entry_hardlink(from),
        .symlink = archive_entry_symlink(from),
        .type = type_of(from),
        .mode = archive_entry_perm(from) & 07777,
        .uid = archive_entry_uid(from),
        .gid = archive_entry_gid(from),
        .size = archive_entry_size(from),
        .mtime_s = archive_entry_mtime(from),
        .mtime_ns = (uint32_t)archive_entry_mtime_nsec(from),
        .rdev_major = (uint32_t)archive_entry_rdevmajor(from),
        .rdev_minor = (uint32_t)archive_entry_rdevminor(from),
        .xattr_count = read_xattrs(r, from),
    };
    out->xattrs = r->xattrs;
    return 0;
}

static int content(struct build_archive_reader *r,
                   bool *end,
                   struct view *data,
                   int64_t *at,
                   struct error *err)
{
    const void *bytes;
    la_int64_t offset;
    size_t size;
    const int status = archive_read_data_block(r->archive, &bytes, &size, &offset);

    *end = status == ARCHIVE_EOF;
    if (*end)
        return 0;
    if (status != ARCHIVE_OK)
        return damaged(r, err);
    *data = (struct view){bytes, size};
    *at = offset;
    return 0;
}

__attribute__((visibility(
    "default"))) extern const struct build_archive_module build_archive_libarchive_module;

const struct build_archive_module build_archive_libarchive_module = {
    .version = BUILD_ARCHIVE_MODULE_VERSION,
    .is_tar = is_tar,
    .reader_new = reader_new,
    .reader_free = reader_free,
    .next = next,
    .content = content,
};
