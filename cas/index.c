#include "cas/index.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/gzip_isal.h"
#include "cas/index_priv.h"
#include "cas/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct cas_index {
    unsigned char *map;
    size_t size;
    const unsigned char *entries;
    size_t count;
    const unsigned char *restarts;
    const char *bytes;
    struct cas_xattr *xattrs; /* all, unpacked: entries give out pointers to them */
};

/* --- Checking --- */

/* What the header says, held against each other. */
struct index_layout {
    size_t entry_count;
    size_t xattr_count;
    size_t restart_count;
    size_t xattrs;
    size_t restarts;
    size_t bytes;
    size_t bytes_size;
};

/* Places a section of `count` things at *end; false past the file's end. */
static bool place(size_t *end, size_t limit, uint64_t count, size_t each, size_t *at)
{
    size_t size;

    if (count > SIZE_MAX || !size_mul((size_t)count, each, &size) || size > limit - *end)
        return false;
    *at = *end;
    *end = index_padded(*end + size);
    return *end <= limit;
}

static bool read_layout(const unsigned char *map, size_t size, struct index_layout *out)
{
    const uint64_t entries = index_get(map + INDEX_HEADER_ENTRY_COUNT, 8);
    const uint64_t xattrs = index_get(map + INDEX_HEADER_XATTR_COUNT, 8);
    const uint64_t restarts = index_get(map + INDEX_HEADER_RESTART_COUNT, 8);
    const uint64_t bytes = index_get(map + INDEX_HEADER_BYTES_SIZE, 8);
    size_t end = INDEX_HEADER_SIZE;
    size_t first;

    if (!place(&end, size, entries, INDEX_ENTRY_SIZE, &first) ||
        !place(&end, size, xattrs, INDEX_XATTR_SIZE, &out->xattrs) ||
        !place(&end, size, restarts, INDEX_RESTART_SIZE, &out->restarts) ||
        !place(&end, size, bytes, 1, &out->bytes) || end != size)
        return false;
    out->entry_count = (size_t)entries;
    out->xattr_count = (size_t)xattrs;
    out->restart_count = (size_t)restarts;
    out->bytes_size = (size_t)bytes;
    return true;
}

/* Does [offset, offset + size) lie within `limit`? */
static bool within(uint64_t offset, uint64_t size, size_t limit)
{
    return offset <= limit && size <= limit - offset;
}

static bool entry_valid(const unsigned char *e, const struct index_layout *l)
{
    const uint64_t type = index_get(e + INDEX_ENTRY_TYPE, 1);

    return type >= CAS_ENTRY_FILE && type <= CAS_ENTRY_WHITEOUT &&
           index_get(e + INDEX_ENTRY_FLAGS, 1) <=
               (INDEX_ENTRY_OPAQUE | INDEX_ENTRY_HAS_CONTENT) &&
           within(index_get(e + INDEX_ENTRY_PATH, 4),
                  index_get(e + INDEX_ENTRY_PATH_SIZE, 2), l->bytes_size) &&
           within(index_get(e + INDEX_ENTRY_TARGET, 4),
                  index_get(e + INDEX_ENTRY_TARGET_SIZE, 4), l->bytes_size) &&
           within(index_get(e + INDEX_ENTRY_XATTRS, 4),
                  index_get(e + INDEX_ENTRY_XATTR_COUNT, 4), l->xattr_count) &&
           within(index_get(e + INDEX_ENTRY_INLINE, 4),
                  index_get(e + INDEX_ENTRY_INLINE_SIZE, 4), l->bytes_size);
}

static struct view entry_path(const struct cas_index *x, size_t i)
{
    const unsigned char *e = x->entries + i * INDEX_ENTRY_SIZE;

    return (struct view){x->bytes + index_get(e + INDEX_ENTRY_PATH, 4),
                         (size_t)index_get(e + INDEX_ENTRY_PATH_SIZE, 2)};
}

static bool entries_valid(const struct cas_index *x, const struct index_layout *l)
{
    for (size_t i = 0; i < x->count; i++) {
        if (!entry_valid(x->entries + i * INDEX_ENTRY_SIZE, l))
            return false;
        if (i > 0 && cas_entry_path_compare(entry_path(x, i - 1), entry_path(x, i)) >= 0)
            return false;
    }
    return true;
}

static bool unpack_xattrs(struct cas_index *x, const struct index_layout *l)
{
    const unsigned char *at = x->map + l->xattrs;

    if (l->xattr_count == 0)
        return true;
    x->xattrs = base_alloc_try(l->xattr_count * sizeof *x->xattrs);
    if (!x->xattrs)
        return false;
    for (size_t i = 0; i < l->xattr_count; i++, at += INDEX_XATTR_SIZE) {
        const uint64_t name = index_get(at, 4);
        const uint64_t name_size = index_get(at + 4, 4);
        const uint64_t value = index_get(at + 8, 4);
        const uint64_t value_size = index_get(at + 12, 4);
        if (!within(name, name_size, l->bytes_size) ||
            !within(value, value_size, l->bytes_size))
            return false;
        x->xattrs[i] = (struct cas_xattr){
            .name = {x->bytes + name, (size_t)name_size},
            .value = {x->bytes + value, (size_t)value_size},
        };
    }
    return true;
}

static uint32_t sum_of(const unsigned char *map, size_t size)
{
    const size_t from = INDEX_HEADER_SUM + 4;

    return gzip_crc32(0, map + from, size - from);
}

static bool header_valid(const unsigned char *map,
                         size_t size,
                         const struct digest *diff_id)
{
    return size >= INDEX_HEADER_SIZE &&
           memcmp(map + INDEX_HEADER_MAGIC, INDEX_MAGIC, sizeof INDEX_MAGIC - 1) == 0 &&
           index_get(map + INDEX_HEADER_VERSION, 4) == INDEX_VERSION &&
           index_get(map + INDEX_HEADER_FILE_SIZE, 8) == size &&
           memcmp(map + INDEX_HEADER_DIFF_ID, diff_id->bytes, 32) == 0 &&
           index_get(map + INDEX_HEADER_SUM, 4) == sum_of(map, size);
}

static bool index_check(struct cas_index *x, const struct digest *diff_id)
{
    struct index_layout l;

    if (!header_valid(x->map, x->size, diff_id) || !read_layout(x->map, x->size, &l))
        return false;
    x->entries = x->map + INDEX_HEADER_SIZE;
    x->count = l.entry_count;
    x->restarts = x->map + l.restarts;
    x->bytes = (const char *)x->map + l.bytes;
    return entries_valid(x, &l) && unpack_xattrs(x, &l);
}

struct cas_index *index_from_map(void *map,
                                 size_t size,
                                 const struct digest *diff_id,
                                 struct error *err)
{
    struct cas_index *x = base_alloc(sizeof *x);

    x->map = map;
    x->size = size;
    if (index_check(x, diff_id))
        return x;
    cas_index_close(x);
    error_set(err, ERROR_CORRUPT, "the index of layer %s is damaged or of another version",
              digest_format(diff_id).text);
    return NULL;
}

/* --- Opening --- */

struct index_path index_path(const struct digest *diff_id)
{
    struct index_path p;

    snprintf(p.text, sizeof p.text, "index/%s/%s", digest_alg_name(diff_id->alg),
             digest_hex(diff_id).text);
    return p;
}

/* NULL without an error: whatever is there is no index. */
static void *map_file(int fd, size_t *size, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        error_sys(err, "look at a layer's index");
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < INDEX_HEADER_SIZE)
        return NULL;
    *size = (size_t)st.st_size;
    void *map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED) {
        error_sys(err, "map a layer's index");
        return NULL;
    }
    return map;
}

struct cas_index *cas_index_open(struct cas_store *s,
                                 const struct digest *diff_id,
                                 bool *found,
                                 struct error *err)
{
    const struct index_path path = index_path(diff_id);
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    size_t size = 0;

    *found = false;
    CLEANUP(fd_closep) int fd = openat(s->fd, path.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        if (errno != ENOENT)
            error_sys(err, "open %s in the store", path.text);
        return NULL;
    }
    void *map = map_file(fd, &size, err);
    /* A damaged index is as good as none: it is made again from the blob. */
    struct cas_index *x = map ? index_from_map(map, size, diff_id, &damage) : NULL;
    *found = x != NULL;
    return x;
}

void cas_index_close(struct cas_index *x)
{
    if (!x)
        return;
    munmap(x->map, x->size);
    free(x->xattrs);
    free(x);
}

/* --- Looking --- */

size_t cas_index_count(const struct cas_index *x)
{
    return x->count;
}

void cas_index_at(const struct cas_index *x, size_t i, struct cas_entry *out)
{
    assert(i < x->count);
    const unsigned char *e = x->entries + i * INDEX_ENTRY_SIZE;
    const uint64_t flags = index_get(e + INDEX_ENTRY_FLAGS, 1);
    const uint64_t xattr_count = index_get(e + INDEX_ENTRY_XATTR_COUNT, 4);
    const uint64_t first = index_get(e + INDEX_ENTRY_XATTRS, 4);

    *out = (struct cas_entry){
        .path = entry_path(x, i),
        .type = (enum cas_entry_type)index_get(e + INDEX_ENTRY_TYPE, 1),
        .mode = (uint32_t)index_get(e + INDEX_ENTRY_MODE, 4),
        .uid = (uint32_t)index_get(e + INDEX_ENTRY_UID, 4),
        .gid = (uint32_t)index_get(e + INDEX_ENTRY_GID, 4),
        .rdev_major = (uint32_t)index_get(e + INDEX_ENTRY_MAJOR, 4),
        .rdev_minor = (uint32_t)index_get(e + INDEX_ENTRY_MINOR, 4),
        .opaque = (flags & INDEX_ENTRY_OPAQUE) != 0,
        .size = index_get(e + INDEX_ENTRY_FILE_SIZE, 8),
        .mtime_s = (int64_t)index_get(e + INDEX_ENTRY_MTIME_S, 8),
        .mtime_ns = (uint32_t)index_get(e + INDEX_ENTRY_MTIME_NS, 4),
        .target = {x->bytes + index_get(e + INDEX_ENTRY_TARGET, 4),
                   (size_t)index_get(e + INDEX_ENTRY_TARGET_SIZE, 4)},
        .xattrs = xattr_count ? x->xattrs + first : NULL,
        .xattr_count = (size_t)xattr_count,
    };
    if (flags & INDEX_ENTRY_HAS_CONTENT) {
        out->content.alg = DIGEST_SHA256;
        memcpy(out->content.bytes, e + INDEX_ENTRY_CONTENT, 32);
    }
}

bool cas_index_find(const struct cas_index *x, struct view path, size_t *i)
{
    size_t low = 0;
    size_t high = x->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = cas_entry_path_compare(entry_path(x, middle), path);
        if (order == 0) {
            *i = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *i = low;
    return false;
}

bool cas_index_inline(const struct cas_index *x, size_t i, struct view *bytes)
{
    assert(i < x->count);
    const unsigned char *e = x->entries + i * INDEX_ENTRY_SIZE;

    *bytes = (struct view){x->bytes + index_get(e + INDEX_ENTRY_INLINE, 4),
                           (size_t)index_get(e + INDEX_ENTRY_INLINE_SIZE, 4)};
    return bytes->size > 0;
}

struct digest cas_index_content_key(const struct cas_index *x)
{
    struct digest d = {.alg = DIGEST_SHA256};

    memcpy(d.bytes, x->map + INDEX_HEADER_CONTENT_KEY, 32);
    return d;
}

bool cas_index_is_self_contained(const struct cas_index *x)
{
    return (index_get(x->map + INDEX_HEADER_FLAGS, 4) & INDEX_SELF_CONTAINED) != 0;
}

uint64_t cas_index_tar_size(const struct cas_index *x)
{
    return index_get(x->map + INDEX_HEADER_TAR_SIZE, 8);
}

uint64_t cas_index_offset(const struct cas_index *x, size_t i)
{
    assert(i < x->count);
    return index_get(x->entries + i * INDEX_ENTRY_SIZE + INDEX_ENTRY_OFFSET, 8);
}

struct cas_index_restarts cas_index_restarts(const struct cas_index *x)
{
    struct cas_index_restarts r = {0};

    if (!(index_get(x->map + INDEX_HEADER_FLAGS, 4) & INDEX_HAS_RESTARTS))
        return r;
    r.blob.alg = DIGEST_SHA256;
    memcpy(r.blob.bytes, x->map + INDEX_HEADER_BLOB, 32);
    r.block_size = (uint32_t)index_get(x->map + INDEX_HEADER_BLOCK_SIZE, 4);
    r.count = index_get(x->map + INDEX_HEADER_RESTART_COUNT, 8);
    return r;
}

uint64_t cas_index_restart(const struct cas_index *x, uint64_t i)
{
    assert(i < index_get(x->map + INDEX_HEADER_RESTART_COUNT, 8));
    return index_get(x->restarts + i * INDEX_RESTART_SIZE, 8);
}
