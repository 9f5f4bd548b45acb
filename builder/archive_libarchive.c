/* The only file that knows libarchive. */
#include "builder/archive_module.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 1 << 18 };

struct build_archive_reader {
    struct archive *archive;
    struct cas_xattr *xattrs; /* of the entry */
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

/* tar in the compressions that docker knows. */
static struct build_archive_reader *reader_new(int fd, struct error *err)
{
    struct archive *a = archive_read_new();

    if (lseek(fd, 0, SEEK_SET) < 0) {
        archive_read_free(a);
        error_sys(err, "read the archive");
        return NULL;
    }
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    archive_read_set_option(a, "tar", "hdrcharset", "BINARY");
    if (archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK) {
        archive_read_free(a);
        error_set(err, ERROR_CORRUPT, "not a tar archive");
        return NULL;
    }
    struct build_archive_reader *r = base_alloc(sizeof *r);
    r->archive = a;
    return r;
}

static bool is_tar(int fd)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* no archive then */
    CLEANUP(reader_freep) struct build_archive_reader *r = reader_new(fd, &ignored);
    struct archive_entry *entry;

    return r && archive_read_next_header(r->archive, &entry) >= ARCHIVE_WARN &&
           archive_format(r->archive) != ARCHIVE_FORMAT_EMPTY;
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
    if (status < ARCHIVE_WARN)
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
