#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/gzip_isal.h"
#include "cas/index_priv.h"
#include "cas/ingest.h"
#include "cas/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Kept inline: looked into by builders for the names of users and groups. */
#define INLINE_SIZE_MAX ((uint64_t)64 << 10)

bool index_wants_inline(const struct cas_entry *e)
{
    return e->type == CAS_ENTRY_FILE && e->size > 0 && e->size <= INLINE_SIZE_MAX &&
           (view_eq_text(e->path, "etc/passwd") || view_eq_text(e->path, "etc/group"));
}

/* --- Where everything lies --- */

struct index_image {
    const struct index_source *source;
    size_t xattr_count;
    size_t xattrs; /* offsets in the file */
    size_t restarts;
    size_t bytes;
    size_t bytes_size;
    size_t size;
    char *data;
};

static struct view inline_of(const struct index_source *s, size_t i)
{
    return s->inlines ? s->inlines[i] : (struct view){NULL, 0};
}

static bool count_bytes(struct index_image *m)
{
    const struct index_source *s = m->source;
    uint64_t total = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct cas_entry *e = &s->entries[i];
        if (e->path.size > LIMIT_PATH_SIZE)
            return false;
        total += e->path.size + e->target.size + inline_of(s, i).size;
        for (size_t k = 0; k < e->xattr_count; k++)
            total += e->xattrs[k].name.size + e->xattrs[k].value.size;
        m->xattr_count += e->xattr_count;
        if (total > UINT32_MAX || m->xattr_count > UINT32_MAX)
            return false;
    }
    m->bytes_size = (size_t)total;
    return true;
}

static bool lay_out(struct index_image *m)
{
    if (m->source->count > LIMIT_LAYER_ENTRIES || !count_bytes(m))
        return false;
    m->xattrs = INDEX_HEADER_SIZE + m->source->count * INDEX_ENTRY_SIZE;
    m->restarts = m->xattrs + m->xattr_count * INDEX_XATTR_SIZE;
    m->bytes = m->restarts + (size_t)m->source->restarts.count * INDEX_RESTART_SIZE;
    m->size = index_padded(m->bytes + m->bytes_size);
    return true;
}

/* --- Filling in --- */

/* Where the next bytes go. */
struct index_cursor {
    struct index_image *image;
    size_t bytes;
    size_t xattr;
};

static void put_view(struct index_cursor *c, char *at, size_t size_width, struct view v)
{
    index_put(at, 4, c->bytes);
    index_put(at + 4, size_width, v.size);
    if (v.size)
        memcpy(c->image->data + c->image->bytes + c->bytes, v.data, v.size);
    c->bytes += v.size;
}

static void put_xattrs(struct index_cursor *c, const struct cas_entry *e, char *at)
{
    index_put(at + INDEX_ENTRY_XATTRS, 4, c->xattr);
    index_put(at + INDEX_ENTRY_XATTR_COUNT, 4, e->xattr_count);
    for (size_t i = 0; i < e->xattr_count; i++, c->xattr++) {
        char *x = c->image->data + c->image->xattrs + c->xattr * INDEX_XATTR_SIZE;
        put_view(c, x, 4, e->xattrs[i].name);
        put_view(c, x + 8, 4, e->xattrs[i].value);
    }
}

static void put_entry(struct index_cursor *c, const struct cas_entry *e, char *at)
{
    unsigned flags = e->opaque ? INDEX_ENTRY_OPAQUE : 0;

    if (e->content.alg == DIGEST_SHA256) {
        flags |= INDEX_ENTRY_HAS_CONTENT;
        memcpy(at + INDEX_ENTRY_CONTENT, e->content.bytes, 32);
    }
    put_view(c, at + INDEX_ENTRY_PATH, 2, e->path);
    index_put(at + INDEX_ENTRY_TYPE, 1, e->type);
    index_put(at + INDEX_ENTRY_FLAGS, 1, flags);
    index_put(at + INDEX_ENTRY_MODE, 4, e->mode);
    index_put(at + INDEX_ENTRY_UID, 4, e->uid);
    index_put(at + INDEX_ENTRY_GID, 4, e->gid);
    index_put(at + INDEX_ENTRY_MAJOR, 4, e->rdev_major);
    index_put(at + INDEX_ENTRY_MINOR, 4, e->rdev_minor);
    index_put(at + INDEX_ENTRY_MTIME_NS, 4, e->mtime_ns);
    index_put(at + INDEX_ENTRY_MTIME_S, 8, (uint64_t)e->mtime_s);
    index_put(at + INDEX_ENTRY_FILE_SIZE, 8, e->size);
    put_view(c, at + INDEX_ENTRY_TARGET, 4, e->target);
    put_xattrs(c, e, at);
}

static void put_entries(struct index_image *m)
{
    const struct index_source *s = m->source;
    struct index_cursor c = {.image = m};

    for (size_t i = 0; i < s->count; i++) {
        char *at = m->data + INDEX_HEADER_SIZE + i * INDEX_ENTRY_SIZE;
        put_entry(&c, &s->entries[i], at);
        index_put(at + INDEX_ENTRY_OFFSET, 8, s->offsets ? s->offsets[i] : 0);
        put_view(&c, at + INDEX_ENTRY_INLINE, 4, inline_of(s, i));
    }
    assert(c.bytes == m->bytes_size && c.xattr == m->xattr_count);
}

static void put_restarts(struct index_image *m)
{
    const struct index_source *s = m->source;

    for (size_t i = 0; i < s->restarts.count; i++)
        index_put(m->data + m->restarts + i * INDEX_RESTART_SIZE, 8, s->points[i]);
    memcpy(m->data + INDEX_HEADER_BLOB, s->restarts.blob.bytes, 32);
    index_put(m->data + INDEX_HEADER_BLOCK_SIZE, 4, s->restarts.block_size);
}

static void put_header(struct index_image *m)
{
    const struct index_source *s = m->source;
    const struct digest key = index_content_key(s->entries, s->count);
    char *h = m->data;

    memcpy(h + INDEX_HEADER_MAGIC, INDEX_MAGIC, sizeof INDEX_MAGIC - 1);
    index_put(h + INDEX_HEADER_VERSION, 4, INDEX_VERSION);
    index_put(h + INDEX_HEADER_FLAGS, 4,
              (index_self_contained(s->entries, s->count) ? INDEX_SELF_CONTAINED : 0u) |
                  (digest_is_set(&s->restarts.blob) ? INDEX_HAS_RESTARTS : 0u));
    index_put(h + INDEX_HEADER_FILE_SIZE, 8, m->size);
    index_put(h + INDEX_HEADER_ENTRY_COUNT, 8, s->count);
    index_put(h + INDEX_HEADER_XATTR_COUNT, 8, m->xattr_count);
    index_put(h + INDEX_HEADER_RESTART_COUNT, 8, s->restarts.count);
    index_put(h + INDEX_HEADER_BYTES_SIZE, 8, m->bytes_size);
    index_put(h + INDEX_HEADER_TAR_SIZE, 8, s->tar_size);
    memcpy(h + INDEX_HEADER_DIFF_ID, s->diff_id->bytes, 32);
    memcpy(h + INDEX_HEADER_CONTENT_KEY, key.bytes, 32);
}

static void put_sum(struct index_image *m)
{
    const size_t from = INDEX_HEADER_SUM + 4;

    index_put(m->data + INDEX_HEADER_SUM, 4, gzip_crc32(0, m->data + from, m->size - from));
}

/* --- Publishing --- */

static int write_file(struct cas_store *s,
                      const char *name,
                      const struct index_image *m,
                      struct error *err)
{
    CLEANUP(fd_closep)
    int fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

    if (fd < 0)
        return error_sys(err, "create %s in the store", name);
    if (fs_write_all(fd, m->data, m->size, err) < 0)
        return error_wrap(err, "write to the store %s", cas_store_path(s));
    return 0;
}

static int make_directory(struct cas_store *s,
                          const struct digest *diff_id,
                          struct error *err)
{
    char path[32];

    snprintf(path, sizeof path, "index/%s", digest_alg_name(diff_id->alg));
    return fs_mkdir_all_at(s->fd, path, 0700, err);
}

/* Not synced: what a power failure leaves of it fails its check sum and is made again. */
static int publish(struct cas_store *s,
                   const struct digest *diff_id,
                   const struct index_image *m,
                   struct error *err)
{
    CLEANUP(base_freep) char *name = cas_ingest_name(s);
    const struct index_path path = index_path(diff_id);

    if (write_file(s, name, m, err) == 0) {
        if (renameat(s->fd, name, s->fd, path.text) == 0)
            return 0;
        if (errno == ENOENT && make_directory(s, diff_id, err) == 0 &&
            renameat(s->fd, name, s->fd, path.text) == 0)
            return 0;
        if (err->code == ERROR_NONE)
            error_sys(err, "rename %s to %s in the store", name, path.text);
    }
    unlinkat(s->fd, name, 0);
    return -1;
}

int index_publish(struct cas_store *s, const struct index_source *source, struct error *err)
{
    struct index_image m = {.source = source};

    if (!lay_out(&m))
        return error_set(err, ERROR_LIMIT,
                         "the layer has too many entries, or too long ones");
    CLEANUP(base_freep) char *data = base_alloc_try(m.size);
    if (!data)
        return error_set(err, ERROR_LIMIT, "no memory for an index of %zu bytes", m.size);
    m.data = data;
    put_entries(&m);
    put_restarts(&m);
    put_header(&m);
    put_sum(&m);
    return publish(s, source->diff_id, &m, err);
}
