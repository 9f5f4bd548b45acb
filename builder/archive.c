#include "builder/archive.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { BLOCK = 1 << 18, IMPLIED_DIR_MODE = 0755 };

/* --- The spool --- */

struct build_archive_spool {
    struct build_tree tree; /* only `open` is there */
    int store_fd;
    int fd; /* -1 until something is written */
    uint64_t size;
    pthread_mutex_t lock; /* guards the mapping */
    const char *map;
};

static int spool_open(void *self, const struct build_tree_place *place, struct cas_content *out, struct error *err)
{
    struct build_archive_spool *s = self;
    const char *map;

    pthread_mutex_lock(&s->lock);
    if (!s->map) {
        void *mapped = mmap(NULL, (size_t)s->size, PROT_READ, MAP_SHARED, s->fd, 0);

        s->map = mapped == MAP_FAILED ? NULL : mapped;
    }
    map = s->map;
    pthread_mutex_unlock(&s->lock);
    if (!map)
        return error_sys(err, "map unpacked archive");
    *out = (struct cas_content){.fd = -1, .memory = {map + place->at, (size_t)place->size}};
    return 0;
}

struct build_archive_spool *build_archive_spool_new(int store_fd)
{
    struct build_archive_spool *s = base_alloc(sizeof *s);

    s->store_fd = store_fd;
    s->fd = -1;
    s->tree = (struct build_tree){.self = s, .open = spool_open};
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void build_archive_spool_free(struct build_archive_spool *s)
{
    union {
        const char *in;
        void *out;
    } map;

    if (!s)
        return;
    map.in = s->map;
    if (map.out)
        munmap(map.out, (size_t)s->size);
    fd_closep(&s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int spool_write(struct build_archive_spool *s, uint64_t at, const char *data, size_t size, struct error *err)
{
    while (size > 0) {
        const ssize_t n = pwrite(s->fd, data, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, "write unpacked archive");
        data += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* --- Reading --- */

static void archive_freep(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
    *a = NULL;
}

/* tar in the compressions that docker knows, from the start of the file. */
static struct archive *open_tar(int fd)
{
    struct archive *a;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return NULL;
    a = archive_read_new();
    if (!a)
        return NULL;
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    archive_read_set_option(a, "tar", "hdrcharset", "BINARY");
    if (archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK) {
        archive_read_free(a);
        return NULL;
    }
    return a;
}

bool build_archive_is_tar(int fd)
{
    CLEANUP(archive_freep) struct archive *a = open_tar(fd);
    struct archive_entry *entry;

    return a && archive_read_next_header(a, &entry) >= ARCHIVE_WARN && archive_format(a) != ARCHIVE_FORMAT_EMPTY;
}

/* --- Into the delta --- */

struct unpacker {
    struct archive *archive;
    struct build_delta *delta;
    struct build_archive_spool *spool;
    const struct build_archive_options *options;
    struct buf path; /* scratch: destination and a path in it */
};

/* The destination is the root that links mean: what find gets is relative to it. */
static int find_in_dest(void *self, struct view path, bool *found, struct build_tree_entry *out, struct error *err)
{
    struct unpacker *u = self;

    *out = (struct build_tree_entry){0};
    buf_clear(&u->path);
    buf_append_text(&u->path, u->options->dest);
    if (u->path.size > 0 && path.size > 0)
        buf_append_char(&u->path, '/');
    buf_append_view(&u->path, path);
    if (buf_ok(&u->path, "path", err) < 0)
        return -1;
    return build_delta_find(u->delta, buf_view(&u->path), found, &out->entry, err);
}

static int check_beneath(struct view name, struct error *err)
{
    struct view part;

    if (name.size > 0 && name.data[0] == '/')
        return error_set(err, ERROR_INVALID, "it tries to leave the root: its name is absolute");
    while (name.size > 0) {
        view_cut(name, '/', &part, &name);
        if (view_eq_text(part, ".."))
            return error_set(err, ERROR_INVALID, "it tries to leave the root: '..' in its name");
    }
    return 0;
}

/* The path in the delta that a name of the archive means: parents followed inside the
 * destination, the last component itself. malloc'ed. */
static char *place_of(struct unpacker *u, const char *name, struct error *err)
{
    const struct build_tree dest = {.self = u, .is_beneath = u->options->is_beneath, .find = find_in_dest};
    struct build_tree_entry e;
    char *clean;
    char *inside = NULL;
    char *place = NULL;
    bool found;

    if (dest.is_beneath && check_beneath(view_of(name), err) < 0)
        return NULL;
    clean = path_clean_rooted(view_of(name));
    if (build_tree_resolve(&dest, view_of(clean), false, &found, &e, &inside, err) == 0)
        place = *u->options->dest && *inside ? base_format("%s/%s", u->options->dest, inside)
                                             : base_strdup(*inside ? inside : u->options->dest);
    free(inside);
    free(clean);
    return place;
}

static int read_content(struct unpacker *u, uint64_t size, struct build_delta_content *out, struct error *err)
{
    struct build_archive_spool *s = u->spool;
    const uint64_t base = s->size;
    const void *data;
    size_t n;
    la_int64_t at;
    int status;

    if (s->fd < 0) {
        s->fd = openat(s->store_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (s->fd < 0)
            return error_sys(err, "create a temporary file in the store");
    }
    while ((status = archive_read_data_block(u->archive, &data, &n, &at)) == ARCHIVE_OK) {
        if (at < 0 || (uint64_t)at > size || n > size - (uint64_t)at)
            return error_set(err, ERROR_CORRUPT, "archive entry is larger than its header says");
        if (spool_write(s, base + (uint64_t)at, data, n, err) < 0)
            return -1;
    }
    if (status != ARCHIVE_EOF)
        return error_set(err, ERROR_CORRUPT, "damaged archive: %s", archive_error_string(u->archive));
    s->size = base + size;
    if (ftruncate(s->fd, (off_t)s->size) < 0)
        return error_sys(err, "write unpacked archive");
    *out = (struct build_delta_content){.tree = &s->tree, .place = {.at = base, .size = size}};
    return 0;
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

/* Attributes of the entry; *xattrs is a malloc'ed array that borrows its texts. */
static int attributes(const struct unpacker *u, struct archive_entry *from, struct cas_entry *e, struct cas_xattr **xattrs, struct error *err)
{
    const la_int64_t uid = archive_entry_uid(from);
    const la_int64_t gid = archive_entry_gid(from);
    const char *name;
    const void *value;
    size_t size;
    size_t count = 0;

    if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX || archive_entry_size(from) < 0)
        return error_set(err, ERROR_CORRUPT, "archive entry has a negative or huge owner or size");
    e->mode = archive_entry_perm(from) & 07777;
    e->uid = u->options->has_owner ? u->options->uid : (uint32_t)uid;
    e->gid = u->options->has_owner ? u->options->gid : (uint32_t)gid;
    e->mtime_s = archive_entry_mtime(from);
    e->mtime_ns = (uint32_t)archive_entry_mtime_nsec(from);
    e->rdev_major = (uint32_t)archive_entry_rdevmajor(from);
    e->rdev_minor = (uint32_t)archive_entry_rdevminor(from);
    e->size = e->type == CAS_ENTRY_FILE ? (uint64_t)archive_entry_size(from) : 0;
    if (e->type == CAS_ENTRY_SYMLINK) {
        e->mode = 0777;
        e->target = view_of(archive_entry_symlink(from));
    }
    *xattrs = base_alloc_array((size_t)archive_entry_xattr_count(from) + 1, sizeof **xattrs);
    archive_entry_xattr_reset(from);
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK)
        (*xattrs)[count++] = (struct cas_xattr){view_of(name), {value, size}};
    e->xattrs = *xattrs;
    e->xattr_count = count;
    return 0;
}

/* Makes room for the entry: parents exist, what is not to be kept is gone. *skip: nothing
 * more is to be done. */
static int make_room(struct unpacker *u, struct view place, enum cas_entry_type type, bool *is_present, struct error *err)
{
    struct cas_entry old;
    size_t slash = place.size;
    bool found;

    while (slash > 0 && place.data[slash - 1] != '/')
        slash--;
    if (slash > 0 && build_delta_mkdir_all(u->delta, view_sub(place, 0, slash - 1), IMPLIED_DIR_MODE, 0, 0, err) < 0)
        return -1;
    if (build_delta_find(u->delta, place, &found, &old, err) < 0)
        return -1;
    *is_present = found && old.type == CAS_ENTRY_DIR && type == CAS_ENTRY_DIR;
    if (found && !*is_present)
        return build_delta_remove(u->delta, place, err);
    return 0;
}

/* A link's own header speaks of the same file again, and counts. */
static int change_linked(struct unpacker *u, struct archive_entry *from, struct view place, struct error *err)
{
    CLEANUP(base_freep) struct cas_xattr *xattrs = NULL;
    struct cas_entry e, header;
    bool found;

    if (build_delta_find(u->delta, place, &found, &e, err) < 0)
        return -1;
    if (!found || e.type == CAS_ENTRY_SYMLINK)
        return 0;
    header = (struct cas_entry){.type = e.type};
    if (attributes(u, from, &header, &xattrs, err) < 0)
        return -1;
    e.path = place;
    e.mode = header.mode;
    e.uid = header.uid;
    e.gid = header.gid;
    e.mtime_s = header.mtime_s;
    e.mtime_ns = header.mtime_ns;
    return build_delta_change(u->delta, &e, err);
}

static int unpack_link(struct unpacker *u, struct archive_entry *from, struct view place, struct error *err)
{
    const char *target = archive_entry_hardlink(from);
    char *first = place_of(u, target, err);
    struct cas_entry e;
    bool found = false;
    int status;

    if (!first)
        return -1;
    status = build_delta_find(u->delta, view_of(first), &found, &e, err);
    if (status == 0 && !found)
        status = error_set(err, ERROR_INVALID, "hard link to %s, which does not exist", target);
    if (status == 0)
        status = build_delta_link(u->delta, place, view_of(first), err);
    if (status == 0)
        status = change_linked(u, from, place, err);
    free(first);
    return status;
}

static int unpack_at(struct unpacker *u, struct archive_entry *from, const char *place, struct error *err)
{
    CLEANUP(base_freep) struct cas_xattr *xattrs = NULL;
    struct cas_entry e = {.path = view_of(place), .type = type_of(from)};
    struct build_delta_content content = {0};
    const char *link = archive_entry_hardlink(from);
    bool is_present;

    if (!link && e.type == 0)
        return 0;
    if (*place == '\0' && (link || e.type != CAS_ENTRY_DIR))
        return error_set(err, ERROR_INVALID, "the entry would replace the root directory");
    if (make_room(u, e.path, link ? CAS_ENTRY_HARDLINK : e.type, &is_present, err) < 0)
        return -1;
    if (link)
        return unpack_link(u, from, e.path, err);
    if (attributes(u, from, &e, &xattrs, err) < 0)
        return -1;
    if (e.type == CAS_ENTRY_FILE && e.size > 0 && read_content(u, e.size, &content, err) < 0)
        return -1;
    if (is_present)
        return build_delta_change(u->delta, &e, err);
    build_delta_put(u->delta, &e, &content);
    return 0;
}

static int unpack_entry(struct unpacker *u, struct archive_entry *from, struct error *err)
{
    const char *name = archive_entry_pathname(from);
    struct view clean;
    char *place;
    int status;

    if (!name)
        return error_set(err, ERROR_CORRUPT, "archive entry without a name");
    clean = view_of(name);
    while (clean.size > 1 && clean.data[clean.size - 1] == '/')
        clean.size--;
    if (view_eq_text(clean, ".") || view_eq_text(clean, "./"))
        return 0;
    place = place_of(u, name, err);
    if (!place)
        return error_wrap(err, "%s", name);
    status = unpack_at(u, from, place, err);
    free(place);
    return status < 0 ? error_wrap(err, "%s", name) : 0;
}

int build_archive_unpack(int fd,
                         struct build_delta *delta,
                         struct build_archive_spool *spool,
                         const struct build_archive_options *options,
                         struct error *err)
{
    CLEANUP(archive_freep) struct archive *a = open_tar(fd);
    struct unpacker u = {.archive = a, .delta = delta, .spool = spool, .options = options, .path = BUF_INIT(LIMIT_TEXT_SIZE)};
    struct archive_entry *entry;
    int status = ARCHIVE_OK;
    int result = 0;

    if (!a)
        return error_set(err, ERROR_CORRUPT, "not a tar archive");
    while (result == 0 && (status = archive_read_next_header(a, &entry)) >= ARCHIVE_WARN && status != ARCHIVE_EOF)
        result = unpack_entry(&u, entry, err);
    if (result == 0 && status != ARCHIVE_EOF)
        result = error_set(err, ERROR_CORRUPT, "damaged archive: %s", archive_error_string(a));
    buf_release(&u.path);
    return result;
}
