#include "cas/layer_scan.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/index.h"
#include "cas/layer_follow.h"
#include "cas/layer_names.h"
#include "cas/layer_priv.h"
#include "cas/layer_stream.h"
#include "cas/store_priv.h"
#include "cas/tar_read.h"
#include "cas/unpacker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META   ".wh..wh."

/* Files that builders look into are kept in the index up to this size. */
enum { INLINE_SIZE_MAX = 256 << 10 };

static const char *const inline_paths[] = {"etc/passwd", "etc/group"};

struct scan {
    struct cas_unpacker *unpacker;
    struct cas_index_writer *index; /* NULL: none is wanted */
    struct layer_names names;

    bool in_file;
    struct cas_entry file; /* its texts are kept in `texts` */
    struct cas_arena texts;
    uint64_t file_offset; /* in the tar */
    uint64_t file_at;     /* bytes hashed */
    struct hasher *hasher;
    bool keep_bytes;
    struct buf bytes;

    uint64_t total; /* content bytes of the layer */
    uint64_t holes; /* of them in no data */
};

static int add_to_index(struct scan *x,
                        const struct cas_entry *e,
                        uint64_t offset,
                        struct view bytes,
                        struct error *err)
{
    return x->index ? cas_index_writer_add(x->index, e, offset, bytes, err) : 0;
}

/* --- Files --- */

/* What a hole costs is hashing, of which a header of 512 bytes can ask for hours. */
static int hash_zeros(struct scan *x, uint64_t size, struct error *err)
{
    static const char zeros[64 << 10];

    if (size > LIMIT_LAYER_HOLES - x->holes)
        return error_set(err, ERROR_LIMIT,
                         "the layer's sparse files have holes of more than %ju bytes",
                         (uintmax_t)LIMIT_LAYER_HOLES);
    x->holes += size;
    while (size > 0) {
        const size_t part = size < sizeof zeros ? (size_t)size : sizeof zeros;

        hasher_update(x->hasher, zeros, part);
        if (x->keep_bytes)
            buf_append(&x->bytes, zeros, part);
        size -= part;
    }
    return 0;
}

static bool wants_bytes(const struct cas_entry *e)
{
    for (size_t i = 0; i < ARRAY_COUNT(inline_paths); i++) {
        if (view_eq_text(e->path, inline_paths[i]))
            return e->size <= INLINE_SIZE_MAX;
    }
    return false;
}

static void begin_file(struct scan *x, const struct cas_entry *e, uint64_t offset)
{
    cas_arena_release(&x->texts);
    x->file = cas_arena_entry(&x->texts, e);
    x->file_offset = offset;
    x->file_at = 0;
    x->in_file = true;
    x->keep_bytes = wants_bytes(e);
    buf_clear(&x->bytes);
}

static int add_data(struct scan *x, uint64_t offset, struct view data, struct error *err)
{
    if (hash_zeros(x, offset - x->file_at, err) < 0)
        return -1;
    hasher_update(x->hasher, data.data, data.size);
    if (x->keep_bytes)
        buf_append_view(&x->bytes, data);
    x->file_at = offset + data.size;
    return x->unpacker ? cas_unpacker_data(x->unpacker, offset, data, err) : 0;
}

static int end_file(struct scan *x, struct error *err)
{
    if (!x->in_file)
        return 0;
    x->in_file = false;
    if (hash_zeros(x, x->file.size - x->file_at, err) < 0)
        return -1;
    hasher_final(x->hasher, &x->file.content);
    return add_to_index(x, &x->file, x->file_offset, buf_view(&x->bytes), err);
}

/* --- Entries --- */

static bool is_overlay_xattr(struct view name)
{
    return view_starts(name, "trusted.overlay.") || view_starts(name, "user.overlay.");
}

static int take_xattrs(const struct tar_entry *t, struct cas_entry *e, struct error *err)
{
    for (size_t i = 0; i < t->xattr_count; i++) {
        if (is_overlay_xattr(t->xattrs[i].name))
            return error_set(err, ERROR_CORRUPT,
                             "'%.*s' carries the attribute %.*s, which is overlayfs' own",
                             VIEW_ARG(t->path), VIEW_ARG(t->xattrs[i].name));
    }
    e->xattrs = t->xattrs;
    e->xattr_count = t->xattr_count;
    return 0;
}

static enum cas_entry_type type_of(enum tar_type type)
{
    switch (type) {
    case TAR_FILE:
        return CAS_ENTRY_FILE;
    case TAR_HARDLINK:
        return CAS_ENTRY_HARDLINK;
    case TAR_SYMLINK:
        return CAS_ENTRY_SYMLINK;
    case TAR_CHAR:
        return CAS_ENTRY_CHAR;
    case TAR_BLOCK:
        return CAS_ENTRY_BLOCK;
    case TAR_DIR:
        return CAS_ENTRY_DIR;
    case TAR_FIFO:
        return CAS_ENTRY_FIFO;
    }
    return CAS_ENTRY_FILE;
}

static int convert(const struct tar_entry *t,
                   struct view path,
                   struct cas_entry *e,
                   struct error *err)
{
    *e = (struct cas_entry){
        .path = path,
        .type = type_of(t->type),
        .mode = t->mode,
        .uid = t->uid,
        .gid = t->gid,
        .rdev_major = t->rdev_major,
        .rdev_minor = t->rdev_minor,
        .size = t->size,
        .mtime_s = t->mtime_s,
        .mtime_ns = t->mtime_ns,
    };
    if (e->type == CAS_ENTRY_CHAR && e->rdev_major == 0 && e->rdev_minor == 0)
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' is a 0/0 device, which is overlayfs' own", VIEW_ARG(path));
    if (e->type == CAS_ENTRY_SYMLINK) {
        e->target = t->link;
        e->mode = 0777;
    }
    return take_xattrs(t, e, err);
}

/* Enters it and hands it on. `path` is borrowed from x->names. */
static int add_entry(struct scan *x,
                     const struct cas_entry *e,
                     uint64_t offset,
                     struct error *err)
{
    struct layer_name *name = NULL;

    if (layer_names_add(&x->names, e, &name, err) < 0)
        return -1;
    if (!name)
        return 0;

    struct cas_entry entry = *e;

    entry.path = name->path;
    entry.opaque = name->opaque;
    if (x->unpacker && cas_unpacker_entry(x->unpacker, &entry, err) < 0)
        return -1;
    if (entry.type == CAS_ENTRY_FILE) {
        begin_file(x, &entry, offset);
        return 0;
    }
    return add_to_index(x, &entry, offset, (struct view){NULL, 0}, err);
}

static struct view base_of(struct view path)
{
    size_t at = path.size;

    while (at > 0 && path.data[at - 1] != '/')
        at--;
    return view_sub(path, at, path.size);
}

static struct view dir_of(struct view path, struct view base)
{
    return view_sub(path, 0, base.size < path.size ? path.size - base.size - 1 : 0);
}

/* ".wh.NAME" removes NAME, ".wh..wh..opq" makes its directory opaque; what else begins with
 * ".wh..wh." is aufs' bookkeeping, of which no file comes. */
static int add_whiteout(struct scan *x,
                        const struct tar_entry *t,
                        struct view path,
                        struct error *err)
{
    const struct view base = base_of(path);
    const struct view dir = dir_of(path, base);
    const struct view name = view_sub(base, sizeof WHITEOUT_PREFIX - 1, base.size);
    struct buf removed = BUF_INIT(LIMIT_PATH_SIZE);

    if (view_eq_text(base, WHITEOUT_OPAQUE))
        return layer_names_set_opaque(&x->names, dir, err);
    if (view_starts(base, WHITEOUT_META))
        return 0;
    if (name.size == 0 || view_eq_text(name, ".") || view_eq_text(name, ".."))
        return error_set(err, ERROR_CORRUPT, "'%.*s' is a whiteout of nothing",
                         VIEW_ARG(t->path));
    buf_append_view(&removed, dir);
    if (dir.size > 0)
        buf_append_char(&removed, '/');
    buf_append_view(&removed, name);

    const struct cas_entry e = {
        .path = buf_view(&removed),
        .type = CAS_ENTRY_WHITEOUT,
        .mtime_s = t->mtime_s,
        .mtime_ns = t->mtime_ns,
    };
    const int result = add_entry(x, &e, 0, err);

    buf_release(&removed);
    return result;
}

static int on_entry(struct scan *x,
                    const struct tar_entry *t,
                    uint64_t offset,
                    struct error *err)
{
    struct cas_entry e;
    struct view path;
    struct view target;

    if (end_file(x, err) < 0 || layer_names_resolve(&x->names, t->path, &path, err) < 0)
        return -1;
    if (view_starts(base_of(path), WHITEOUT_PREFIX))
        return add_whiteout(x, t, path, err);
    if (t->size > LIMIT_LAYER_SIZE - x->total)
        return error_set(err, ERROR_LIMIT, "the layer expands past %ju bytes",
                         (uintmax_t)LIMIT_LAYER_SIZE);
    x->total += t->size;
    if (convert(t, path, &e, err) < 0)
        return -1;
    if (e.type != CAS_ENTRY_HARDLINK)
        return add_entry(x, &e, offset, err);

    /* Resolving the link uses the buffer that the path is in. */
    CLEANUP(base_freep) char *own = view_dup(path);

    e.path = view_of(own);
    if (layer_names_resolve_link(&x->names, t->link, &target, err) < 0)
        return error_wrap(err, "'%s'", own);
    if (view_eq(target, e.path))
        return 0; /* it is what it is */
    e.target = target;
    return add_entry(x, &e, offset, err);
}

/* Directories that turned out opaque after their entry, or that have none. */
static int add_opaque(struct scan *x, struct error *err)
{
    for (const struct layer_name *n = x->names.first; n; n = n->next) {
        if (!n->opaque || n->type == CAS_ENTRY_WHITEOUT)
            continue;

        struct cas_entry e = {.type = CAS_ENTRY_DIR, .mode = 0755};

        if (n->type != LAYER_NAME_IMPLIED)
            e = *n->entry;
        e.path = n->path;
        e.opaque = true;
        if (x->unpacker && cas_unpacker_entry(x->unpacker, &e, err) < 0)
            return -1;
        if (add_to_index(x, &e, 0, (struct view){NULL, 0}, err) < 0)
            return -1;
    }
    return 0;
}

/* --- The pass --- */

static int feed(struct tar_reader *r, struct layer_stream *in, struct error *err)
{
    struct view bytes;

    if (layer_stream_next(in, &bytes, err) < 0)
        return -1;
    if (bytes.size > 0)
        tar_reader_feed(r, bytes);
    else
        tar_reader_end_input(r);
    return 0;
}

static int read_tar(struct scan *x, struct layer_stream *in, struct error *err)
{
    CLEANUP(tar_reader_freep) struct tar_reader *r = tar_reader_new();
    enum tar_event event = TAR_MORE_INPUT;
    uint64_t offset = 0;

    for (;;) {
        if (tar_reader_step(r, &event, err) < 0)
            return -1;
        switch (event) {
        case TAR_MORE_INPUT:
            if (feed(r, in, err) < 0)
                return -1;
            break;
        case TAR_ENTRY:
            if (on_entry(x, tar_reader_entry(r), tar_reader_offset(r), err) < 0)
                return -1;
            break;
        case TAR_DATA: {
            const struct view data = tar_reader_data(r, &offset);

            /* Whiteouts and aufs' files may have content, which nobody wants. */
            if (x->in_file && add_data(x, offset, data, err) < 0)
                return -1;
            break;
        }
        case TAR_END:
            return end_file(x, err) < 0 ? -1 : add_opaque(x, err);
        }
    }
}

/* The digest covers what follows the tar's end mark as well. */
static int drain(struct layer_stream *in, struct error *err)
{
    struct view bytes;

    do {
        if (layer_stream_next(in, &bytes, err) < 0)
            return -1;
    } while (bytes.size > 0);
    return 0;
}

static int check_diff_id(struct cas_layer *l,
                         struct layer_stream *in,
                         uint64_t *size,
                         struct error *err)
{
    const struct digest *want = cas_layer_diff_id(l);
    struct digest got;

    layer_stream_digest(in, &got, size);
    if (digest_eq(want, &got))
        return 0;
    return error_set(err, ERROR_CORRUPT,
                     "its content has the digest %s, not the diffID %s of the image",
                     digest_format(&got).text, digest_format(want).text);
}

static struct layer_stream *open_input(struct cas_layer *l,
                                       const struct layer_follow *follow,
                                       struct error *err)
{
    const struct descriptor *blob = cas_layer_blob(l);
    const enum digest_alg alg = cas_layer_diff_id(l)->alg;

    if (follow)
        return layer_stream_open_arriving(layer_follow_arrival(follow), blob, alg);
    return layer_stream_open(cas_layer_store(l), blob, alg, err);
}

/* The end of the input means, if it is followed, that the blob was verified: nothing is
 * published before. */
static int run(struct scan *x,
               struct cas_layer *l,
               struct layer_follow *follow,
               struct error *err)
{
    CLEANUP(layer_stream_closep) struct layer_stream *in = open_input(l, follow, err);
    uint64_t size = 0;

    if (!in || read_tar(x, in, err) < 0 || drain(in, err) < 0) {
        if (follow)
            layer_follow_give_up(follow, err);
        return -1;
    }
    if (check_diff_id(l, in, &size, err) < 0)
        return -1;

    struct cas_index_writer *index = x->index;

    if (!index)
        return 0;
    x->index = NULL;
    return cas_index_writer_commit(index, cas_layer_store(l), cas_layer_diff_id(l), size,
                                   err);
}

/* The digest of a file of the store. */
static int hash_blob(struct cas_store *s,
                     const struct digest *blob,
                     struct digest *got,
                     struct error *err)
{
    enum { PIECE = 256 << 10 };
    CLEANUP(fd_closep) int fd = cas_blob_open(s, blob, err);
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(blob->alg);
    CLEANUP(base_freep) char *piece = base_alloc(PIECE);
    ssize_t size = 0;

    if (fd < 0)
        return -1;
    while ((size = read(fd, piece, PIECE)) > 0 || (size < 0 && errno == EINTR))
        if (size > 0)
            hasher_update(hasher, piece, (size_t)size);
    if (size < 0)
        return error_sys(err, "read");
    hasher_final(hasher, got);
    return 0;
}

/*
 * What came from outside was verified, so a layer that turns out bad is either bad as its
 * maker made it, or the disk has lost it. A file that has not its digest any more stands in
 * the way of the right one, which nobody would fetch or make as long as it is there.
 */
static void remove_if_damaged(struct cas_layer *l, struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* the first one says it all */
    struct cas_store *s = cas_layer_store(l);
    const struct digest *blob = &cas_layer_blob(l)->digest;
    struct digest got;

    if (err->code != ERROR_CORRUPT || hash_blob(s, blob, &got, &ignored) < 0 ||
        digest_eq(blob, &got))
        return;
    if (unlinkat(cas_store_fd(s), cas_blob_path(blob).text, 0) < 0)
        return;
    (void)error_wrap(err,
                     "blob %s was damaged in the store and has been removed: pull, import "
                     "or build its image again",
                     digest_format(blob).text);
}

int cas_layer_scan(struct cas_layer *l,
                   struct cas_unpacker *unpacker,
                   enum cas_layer_scan_flags flags,
                   struct error *err)
{
    struct scan x = {.unpacker = unpacker};
    struct layer_follow *follow = NULL;

    if (layer_follow_start(l, &follow, err) < 0)
        return -1;
    x.index = flags == CAS_LAYER_SCAN_INDEX ? cas_index_writer_new() : NULL;
    x.hasher = hasher_new(DIGEST_SHA256);
    buf_init(&x.bytes, INLINE_SIZE_MAX);
    layer_names_init(&x.names);

    int result = run(&x, l, follow, err);

    if (follow && layer_follow_end(follow, err) < 0)
        result = -1;
    if (result < 0)
        remove_if_damaged(l, err);
    layer_names_release(&x.names);
    cas_arena_release(&x.texts);
    buf_release(&x.bytes);
    hasher_free(x.hasher);
    if (x.index)
        cas_index_writer_abort(x.index);
    return result;
}
