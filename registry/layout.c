#include "registry/layout.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/layout_priv.h"
#include "registry/store_blob.h"
#include "registry/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Blobs that are copied at once: the disk is the limit. */
#define PARALLEL 2

struct registry_layout {
    char *path;
    int fd;
    struct doc *index;
};

/* ---- Names ---- */

static bool cut_prefix(struct view *v, const char *prefix)
{
    if (!view_starts(*v, prefix))
        return false;
    *v = view_sub(*v, strlen(prefix), v->size);
    return true;
}

int registry_layout_name_parse(struct view text,
                               struct registry_layout_name *out,
                               struct error *err)
{
    struct registry_layout_name n = {0};
    struct view rest = text, place, path, digest, tag;

    if (!cut_prefix(&rest, "oci-layout://") && !cut_prefix(&rest, "oci-layout:"))
        return error_set(err, ERROR_INVALID, "'%.*s' does not begin with oci-layout://",
                         VIEW_ARG(text));
    if (view_cut(rest, '@', &place, &digest) && digest_parse(digest, &n.digest, err) < 0)
        return error_wrap(err, "'%.*s'", VIEW_ARG(text));
    const bool has_tag = view_cut(place, ':', &path, &tag);
    if (path.size == 0 || (has_tag && tag.size == 0))
        return error_set(err, ERROR_INVALID,
                         "'%.*s' is not of the form oci-layout://PATH[:TAG][@DIGEST]",
                         VIEW_ARG(text));
    n.path = view_dup(path);
    n.tag = has_tag ? view_dup(tag) : NULL;
    *out = n;
    return 0;
}

void registry_layout_name_release(struct registry_layout_name *n)
{
    free(n->path);
    free(n->tag);
    *n = (struct registry_layout_name){0};
}

/* ---- Opening ---- */

struct doc *registry_layout_read_json(int dir_fd, const char *name, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(fd_closep)
    int fd = fs_open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK, 0, err);

    if (fd < 0 || fs_read_all(fd, &text, err) < 0)
        return NULL;
    struct doc *d = doc_parse(buf_view(&text), err);
    if (!d)
        (void)error_wrap(err, "%s", name);
    return d;
}

int registry_layout_check_version(int dir_fd, struct error *err)
{
    CLEANUP(doc_unrefp)
    struct doc *d = registry_layout_read_json(dir_fd, "oci-layout", err);
    const char *version = doc_text(doc_get(d, "imageLayoutVersion"));

    if (!d)
        return -1;
    if (!version || strncmp(version, "1.", 2) != 0)
        return error_set(err, ERROR_UNSUPPORTED, "its version is '%s', not 1.x",
                         version ? version : "");
    return 0;
}

struct registry_layout *registry_layout_open(const char *path, struct error *err)
{
    CLEANUP(fd_closep) int fd = fs_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
    CLEANUP(doc_unrefp) struct doc *index = NULL;

    if (fd >= 0 && registry_layout_check_version(fd, err) == 0)
        index = registry_layout_read_json(fd, "index.json", err);
    if (!index) {
        (void)error_wrap(err, "OCI layout %s", path);
        return NULL;
    }
    struct registry_layout *l = base_alloc(sizeof *l);
    l->path = base_strdup(path);
    l->fd = fd_take(&fd);
    l->index = doc_ref(index);
    return l;
}

void registry_layout_close(struct registry_layout *l)
{
    if (!l)
        return;
    fd_closep(&l->fd);
    doc_unref(l->index);
    free(l->path);
    free(l);
}

void registry_layout_closep(struct registry_layout **l)
{
    registry_layout_close(*l);
    *l = NULL;
}

/* ---- Resolving ---- */

static const char *ref_name(const struct doc *entry)
{
    return doc_text(doc_get(doc_get(entry, "annotations"), REGISTRY_LAYOUT_REF_NAME));
}

/* The name is the tag itself, as buildx writes it, or a whole reference that ends in it, as
 * others (cooper's own store too) do. */
static bool has_tag(const struct doc *entry, const char *tag)
{
    const char *name = ref_name(entry);
    const char *colon = name ? strrchr(name, ':') : NULL;

    return name && (strcmp(name, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0));
}

static bool has_digest(const struct doc *entry, const struct digest *digest)
{
    const char *text = doc_text(doc_get(entry, "digest"));

    return text && strcmp(text, digest_format(digest).text) == 0;
}

static const struct doc *find_by_tag(const struct doc *entries, const char *tag)
{
    const struct doc *loose = NULL;

    for (size_t i = 0; i < doc_count(entries); i++) {
        const struct doc *entry = doc_at(entries, i);
        const char *name = ref_name(entry);

        if (name && strcmp(name, tag) == 0)
            return entry;
        if (!loose && has_tag(entry, tag))
            loose = entry;
    }
    return loose;
}

static const struct doc *find_by_digest(const struct doc *entries,
                                        const struct digest *digest)
{
    for (size_t i = 0; i < doc_count(entries); i++) {
        if (has_digest(doc_at(entries, i), digest))
            return doc_at(entries, i);
    }
    return NULL;
}

static int not_found(const struct registry_layout *l,
                     const char *tag,
                     const struct doc *entries,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf names = BUF_INIT(LIMIT_HTTP_BODY_SMALL);

    for (size_t i = 0; i < doc_count(entries); i++) {
        const char *name = ref_name(doc_at(entries, i));

        buf_printf(&names, "%s%.128s", names.size ? ", " : "", name ? name : "(no name)");
    }
    return error_set(err, ERROR_NOT_FOUND, "OCI layout %s has no image '%s'; it has: %s",
                     l->path, tag ? tag : "latest", names.size ? buf_text(&names) : "none");
}

/* A digest that index.json does not list: the blob itself tells what it is. */
static int describe_blob(struct registry_layout *l,
                         const struct digest *digest,
                         struct descriptor *out,
                         struct error *err)
{
    CLEANUP(base_freep)
    char *path =
        base_format("blobs/%s/%s", digest_alg_name(digest->alg), digest_hex(digest).text);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(fd_closep) int fd = fs_open_beneath(l->fd, path, O_RDONLY | O_NONBLOCK, 0, err);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;

    if (fd < 0 || fs_read_all(fd, &text, err) < 0 ||
        digest_check(digest, buf_view(&text), err) < 0 ||
        !(d = doc_parse(buf_view(&text), err)) ||
        !(type = registry_manifest_media_type(d, NULL, err)))
        return error_wrap(err, "OCI layout %s", l->path);
    descriptor_init(out, type, digest, text.size);
    return 0;
}

int registry_layout_resolve(struct registry_layout *l,
                            const char *tag,
                            const struct digest *digest,
                            struct descriptor *out,
                            struct error *err)
{
    const struct doc *entries = doc_get(l->index, "manifests");
    const bool by_digest = digest && digest_is_set(digest);
    const struct doc *entry = by_digest ? find_by_digest(entries, digest)
                                        : find_by_tag(entries, tag ? tag : "latest");

    if (!entry && by_digest)
        return describe_blob(l, digest, out, err);
    if (!entry && doc_count(entries) == 1 && (!tag || !ref_name(doc_at(entries, 0))))
        entry = doc_at(entries, 0);
    if (!entry)
        return not_found(l, tag, entries, err);
    if (descriptor_parse(entry, out, err) < 0)
        return error_wrap(err, "OCI layout %s: index.json", l->path);
    return 0;
}

/* ---- Copying ---- */

static char *blob_path(const struct digest *digest)
{
    return base_format("blobs/%s/%s", digest_alg_name(digest->alg),
                       digest_hex(digest).text);
}

int registry_layout_has_blob(const struct registry_layout *l,
                             const struct descriptor *blob,
                             bool *found,
                             struct error *err)
{
    CLEANUP(base_freep) char *path = blob_path(&blob->digest);
    CLEANUP(error_clear) struct error absent = ERROR_INIT;
    CLEANUP(fd_closep)
    int fd = fs_open_beneath(l->fd, path, O_RDONLY | O_NONBLOCK, 0, &absent);
    struct stat st;

    *found = false;
    if (fd < 0)
        return absent.sys == ENOENT || absent.sys == ENOTDIR ? 0 : error_move(err, &absent);
    if (fstat(fd, &st) < 0)
        return error_sys(err, "OCI layout %s: blob %s", l->path,
                         digest_format(&blob->digest).text);
    *found = S_ISREG(st.st_mode) && (uint64_t)st.st_size == blob->size;
    return 0;
}

static int check_file(int fd, uint64_t size, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_sys(err, "stat");
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return 0;
    return error_set(err, ERROR_CORRUPT, "it is no file of %" PRIu64 " bytes", size);
}

int registry_layout_open_blob(const struct registry_layout *l,
                              const struct descriptor *blob,
                              struct error *err)
{
    CLEANUP(base_freep) char *path = blob_path(&blob->digest);
    /* O_NONBLOCK: a fifo in its place shall not hang us. */
    CLEANUP(fd_closep) int fd = fs_open_beneath(l->fd, path, O_RDONLY | O_NONBLOCK, 0, err);

    if (fd < 0 || check_file(fd, blob->size, err) < 0)
        return error_wrap(err, "OCI layout %s: blob %s", l->path,
                          digest_format(&blob->digest).text);
    return fd_take(&fd);
}

const struct doc *registry_layout_index(const struct registry_layout *l)
{
    return l->index;
}

int registry_layout_fetch_blob(struct registry_layout *l,
                               struct cas_store *store,
                               const struct descriptor *blob,
                               struct error *err)
{
    CLEANUP(fd_closep) int fd = -1;
    bool found;

    if (registry_store_has(store, blob, &found, err) < 0)
        return -1;
    if (found)
        return 0;
    fd = registry_layout_open_blob(l, blob, err);
    if (fd < 0)
        return -1;
    if (registry_store_fd(store, blob, fd, err) < 0)
        return error_wrap(err, "OCI layout %s: blob %s", l->path,
                          digest_format(&blob->digest).text);
    return 0;
}

static int source_fetch(void *context,
                        struct cas_store *store,
                        const struct descriptor *blob,
                        struct error *err)
{
    return registry_layout_fetch_blob(context, store, blob, err);
}

int registry_layout_load(struct registry_layout *l,
                         struct cas_store *store,
                         const struct descriptor *root,
                         const struct registry_platform *platform,
                         bool lazy,
                         struct registry_image *out,
                         struct error *err)
{
    const struct registry_source source = {
        .fetch = source_fetch, .context = l, .parallel = PARALLEL};
    const struct registry_walk walk = {
        .source = &source,
        .store = store,
        .platform = platform,
        .lazy = lazy,
    };

    return registry_walk_image(&walk, root, out, err);
}
