#include "builder/archive.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/module.h"
#include "builder/archive_module.h"
#include "builder/archive_spool.h"
#include "cas/codec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMPLIED_DIR_MODE = 0755 };

/* --- Reading --- */

static const struct build_archive_module *load(struct error *err)
{
    return base_module_load(BUILD_ARCHIVE_MODULE_FILE, BUILD_ARCHIVE_MODULE_SYMBOL,
                            BUILD_ARCHIVE_MODULE_VERSION, err);
}

/* From the file's start, with gzip and zstd undone; NULL if it cannot be read. */
static struct codec_reader *decoded(int fd, struct error *err)
{
    struct codec_reader *codec;

    if (lseek(fd, 0, SEEK_SET) < 0) {
        error_sys(err, "read the archive");
        return NULL;
    }
    codec = codec_reader_new_fd(fd);
    codec_reader_allow_rest(codec);
    return codec;
}

/* A build_archive_source's `read`. */
static int read_decoded(
    void *context, void *data, size_t size, size_t *got, struct error *err)
{
    return codec_reader_read(context, data, size, got, err);
}

int build_archive_is_tar(int fd, bool *is_tar, struct error *err)
{
    const struct build_archive_module *module = load(err);
    CLEANUP(codec_reader_freep)
    struct codec_reader *codec = module ? decoded(fd, err) : NULL;

    if (!codec)
        return -1;
    *is_tar = module->is_tar(&(struct build_archive_source){read_decoded, codec});
    return 0;
}

/* The check sum lies behind the last entry, and behind the padding of the tar. */
static int read_rest(struct codec_reader *codec, struct error *err)
{
    char padding[1 << 14];
    size_t got = 1;

    while (got > 0) {
        if (codec_reader_read(codec, padding, sizeof padding, &got, err) < 0)
            return error_wrap(err, "damaged archive");
    }
    return 0;
}

/* --- Into the delta --- */

struct unpacker {
    const struct build_archive_module *module;
    struct build_archive_reader *reader;
    struct build_delta *delta;
    struct build_archive_spool *spool;
    const struct build_archive_options *options;
    uint64_t count;  /* entries so far */
    uint64_t holes;  /* bytes of sparse files that the archive does not have */
    struct buf path; /* scratch: destination and a path in it */
};

/* The destination is the root that links mean: what find gets is relative to it. */
static int find_in_dest(void *self,
                        struct view path,
                        bool *found,
                        struct build_tree_entry *out,
                        struct error *err)
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
        return error_set(err, ERROR_INVALID,
                         "it tries to leave the root: its name is absolute");
    while (name.size > 0) {
        view_cut(name, '/', &part, &name);
        if (view_eq_text(part, ".."))
            return error_set(err, ERROR_INVALID,
                             "it tries to leave the root: '..' in its name");
    }
    return 0;
}

/* The path in the delta that a name of the archive means: parents followed inside the
 * destination, the last component itself. malloc'ed. */
static char *place_of(struct unpacker *u, const char *name, struct error *err)
{
    const struct build_tree dest = {
        .self = u, .is_beneath = u->options->is_beneath, .find = find_in_dest};
    struct build_tree_entry e;
    char *clean;
    char *inside = NULL;
    char *place = NULL;
    bool found;

    if (dest.is_beneath && check_beneath(view_of(name), err) < 0)
        return NULL;
    clean = path_clean_rooted(view_of(name));
    if (build_tree_resolve(&dest, view_of(clean), false, &found, &e, &inside, err) == 0)
        place = *u->options->dest && *inside
                    ? base_format("%s/%s", u->options->dest, inside)
                    : base_strdup(*inside ? inside : u->options->dest);
    free(inside);
    free(clean);
    return place;
}

/* Directories that an archive leaves out are made, but not behind a link that leads
 * nowhere: there nothing can be created. */
static int check_parent(struct unpacker *u,
                        const char *name,
                        const char *place,
                        struct error *err)
{
    CLEANUP(base_freep) char *clean = path_clean_rooted(view_of(name));
    CLEANUP(base_freep) char *typed = base_format("/%s%s", u->options->dest, clean);
    CLEANUP(base_freep) char *typed_place = path_clean_rooted(view_of(typed));
    const struct view parent = path_dir(view_of(place));
    struct cas_entry e;
    bool found;

    if (u->options->is_beneath || view_eq_text(view_of(place), typed_place + 1))
        return 0;
    if (build_delta_find(u->delta, parent, &found, &e, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_INVALID,
                         "a link in its path leads to /%.*s, which does not exist",
                         VIEW_ARG(parent));
    return 0;
}

/* What a hole costs is reading and packing zeros, of which a small archive can ask for any
 * number. */
static int count_holes(struct unpacker *u, uint64_t size, uint64_t read, struct error *err)
{
    const uint64_t holes = size > read ? size - read : 0;

    if (holes > LIMIT_LAYER_HOLES - u->holes)
        return error_set(err, ERROR_LIMIT, "sparse files have holes of more than %ju bytes",
                         (uintmax_t)LIMIT_LAYER_HOLES);
    u->holes += holes;
    return 0;
}

static int read_content(struct unpacker *u,
                        uint64_t size,
                        struct build_delta_content *out,
                        struct error *err)
{
    const uint64_t base = build_archive_spool_size(u->spool);
    const uint64_t max = u->options->size_max ? u->options->size_max : LIMIT_LAYER_SIZE;
    uint64_t read = 0;
    struct view data;
    int64_t at;
    bool end;

    if (base > max || size > max - base)
        return error_set(err, ERROR_LIMIT, "the archive has more than %ju bytes unpacked",
                         (uintmax_t)max);

    for (;;) {
        if (u->module->content(u->reader, &end, &data, &at, err) < 0)
            return -1;
        if (end)
            break;
        if (at < 0 || (uint64_t)at > size || data.size > size - (uint64_t)at)
            return error_set(err, ERROR_CORRUPT,
                             "archive entry is larger than its header says");
        if (build_archive_spool_write(u->spool, (uint64_t)at, data, err) < 0)
            return -1;
        read += data.size;
    }
    if (count_holes(u, size, read, err) < 0)
        return -1;
    return build_archive_spool_end(u->spool, size, out, err);
}

/* Of an archive's extended attributes ADD keeps what BuildKit's layers can hold. */
static void keep_xattrs(const struct unpacker *u,
                        const struct build_archive_entry *from,
                        struct cas_entry *e)
{
    e->xattrs = from->xattrs;
    e->xattr_count = from->xattr_count;
    if (u->options->is_beneath)
        return;
    e->xattr_count = 0;
    for (size_t i = 0; i < from->xattr_count; i++) {
        if (!view_eq_text(from->xattrs[i].name, "security.capability"))
            continue;
        e->xattrs = &from->xattrs[i];
        e->xattr_count = 1;
    }
}

/* Attributes of the entry, whose texts are borrowed. */
static int attributes(const struct unpacker *u,
                      const struct build_archive_entry *from,
                      struct cas_entry *e,
                      struct error *err)
{
    if (from->uid < 0 || from->uid > UINT32_MAX || from->gid < 0 ||
        from->gid > UINT32_MAX || from->size < 0)
        return error_set(err, ERROR_CORRUPT,
                         "archive entry has a negative or huge owner or size");
    e->mode = from->mode;
    e->uid = u->options->has_owner ? u->options->uid : (uint32_t)from->uid;
    e->gid = u->options->has_owner ? u->options->gid : (uint32_t)from->gid;
    e->mtime_s = from->mtime_s;
    e->mtime_ns = from->mtime_ns;
    e->rdev_major = from->rdev_major;
    e->rdev_minor = from->rdev_minor;
    e->size = e->type == CAS_ENTRY_FILE ? (uint64_t)from->size : 0;
    if (e->type == CAS_ENTRY_SYMLINK) {
        e->mode = 0777;
        e->target = view_of(from->symlink);
    }
    keep_xattrs(u, from, e);
    return 0;
}

/* Makes room for the entry: parents exist, what is not to be kept is gone. *skip: nothing
 * more is to be done. */
static int make_room(struct unpacker *u,
                     struct view place,
                     enum cas_entry_type type,
                     bool *is_present,
                     struct error *err)
{
    struct cas_entry old;
    size_t slash = place.size;
    bool found;

    while (slash > 0 && place.data[slash - 1] != '/')
        slash--;
    if (slash > 0 && build_delta_mkdir_all(u->delta, view_sub(place, 0, slash - 1),
                                           IMPLIED_DIR_MODE, 0, 0, err) < 0)
        return -1;
    if (build_delta_find(u->delta, place, &found, &old, err) < 0)
        return -1;
    *is_present = found && old.type == CAS_ENTRY_DIR && type == CAS_ENTRY_DIR;
    if (found && !*is_present)
        return build_delta_remove(u->delta, place, err);
    return 0;
}

/* A link's own header speaks of the same file again, and counts. */
static int change_linked(struct unpacker *u,
                         const struct build_archive_entry *from,
                         struct view place,
                         struct error *err)
{
    struct cas_entry e, header;
    bool found;

    if (build_delta_find(u->delta, place, &found, &e, err) < 0)
        return -1;
    if (!found || e.type == CAS_ENTRY_SYMLINK)
        return 0;
    header = (struct cas_entry){.type = e.type};
    if (attributes(u, from, &header, err) < 0)
        return -1;
    e.path = place;
    e.mode = header.mode;
    e.uid = header.uid;
    e.gid = header.gid;
    e.mtime_s = header.mtime_s;
    e.mtime_ns = header.mtime_ns;
    return build_delta_change(u->delta, &e, err);
}

static int unpack_link(struct unpacker *u,
                       const struct build_archive_entry *from,
                       struct view place,
                       struct error *err)
{
    char *first = place_of(u, from->hardlink, err);
    struct cas_entry e;
    bool found = false;
    int status;

    if (!first)
        return -1;
    status = build_delta_find(u->delta, view_of(first), &found, &e, err);
    if (status == 0 && !found)
        status = error_set(err, ERROR_INVALID, "hard link to %s, which does not exist",
                           from->hardlink);
    if (status == 0)
        status = build_delta_link(u->delta, place, view_of(first), err);
    if (status == 0)
        status = change_linked(u, from, place, err);
    free(first);
    return status;
}

/* A file named .wh.NAME: in a layer it removes NAME from those below, so that is what comes
 * of ADD in every builder. (Of docker's own .wh..wh.* names the layer's writer says no.) */
static bool is_whiteout(const struct unpacker *u,
                        struct view place,
                        struct view *removed_name)
{
    const struct view name = path_base(place);

    *removed_name = view_sub(name, 4, name.size);
    return !u->options->is_beneath && view_starts(name, ".wh.") && name.size > 4 &&
           !view_starts(name, ".wh..wh.");
}

static int unpack_whiteout(struct unpacker *u,
                           struct view place,
                           struct view name,
                           struct error *err)
{
    const struct view dir = view_sub(place, 0, place.size - name.size - 4);
    CLEANUP(base_freep)
    char *removed = base_format("%.*s%.*s", VIEW_ARG(dir), VIEW_ARG(name));

    return build_delta_remove(u->delta, view_of(removed), err);
}

static int unpack_at(struct unpacker *u,
                     const struct build_archive_entry *from,
                     const char *place,
                     struct error *err)
{
    struct cas_entry e = {.path = view_of(place), .type = from->type};
    struct build_delta_content content = {0};
    const bool link = from->hardlink != NULL;
    bool is_present;

    struct view removed;

    if (!link && e.type == 0)
        return 0;
    if (is_whiteout(u, e.path, &removed))
        return unpack_whiteout(u, e.path, removed, err);
    if (*place == '\0' && (link || e.type != CAS_ENTRY_DIR))
        return error_set(err, ERROR_INVALID, "the entry would replace the root directory");
    if (make_room(u, e.path, link ? CAS_ENTRY_HARDLINK : e.type, &is_present, err) < 0)
        return -1;
    if (link)
        return unpack_link(u, from, e.path, err);
    if (attributes(u, from, &e, err) < 0)
        return -1;
    if (e.type == CAS_ENTRY_FILE && e.size > 0 &&
        read_content(u, e.size, &content, err) < 0)
        return -1;
    if (is_present)
        return build_delta_change(u->delta, &e, err);
    build_delta_put(u->delta, &e, &content);
    return 0;
}

static int unpack_entry(struct unpacker *u,
                        const struct build_archive_entry *from,
                        struct error *err)
{
    const char *name = from->path;
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
    status = check_parent(u, name, place, err);
    if (status == 0)
        status = unpack_at(u, from, place, err);
    free(place);
    return status < 0 ? error_wrap(err, "%s", name) : 0;
}

static int unpack_all(struct unpacker *u, struct error *err)
{
    const uint64_t max =
        u->options->count_max ? u->options->count_max : LIMIT_LAYER_ENTRIES;
    struct build_archive_entry entry;
    bool end;

    for (;;) {
        if (u->module->next(u->reader, &end, &entry, err) < 0)
            return -1;
        if (end)
            return 0;
        if (++u->count > max)
            return error_set(err, ERROR_LIMIT, "the archive has more than %ju entries",
                             (uintmax_t)max);
        if (unpack_entry(u, &entry, err) < 0)
            return -1;
    }
}

int build_archive_unpack(int fd,
                         struct build_delta *delta,
                         struct build_archive_spool *spool,
                         const struct build_archive_options *options,
                         struct error *err)
{
    struct unpacker u = {.module = load(err),
                         .delta = delta,
                         .spool = spool,
                         .options = options,
                         .path = BUF_INIT(LIMIT_TEXT_SIZE)};
    CLEANUP(codec_reader_freep)
    struct codec_reader *codec = u.module ? decoded(fd, err) : NULL;
    int status;

    if (!codec)
        return -1;
    u.reader =
        u.module->reader_new(&(struct build_archive_source){read_decoded, codec}, err);
    if (!u.reader)
        return -1;
    status = unpack_all(&u, err);
    if (status == 0)
        status = read_rest(codec, err);
    u.module->reader_free(u.reader);
    buf_release(&u.path);
    return status;
}
