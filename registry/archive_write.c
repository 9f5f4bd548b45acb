/*
 * Writing archives, entries sorted by name:
 *
 *     blobs/                     directories, 0755
 *     blobs/sha256/
 *     blobs/sha256/HEX           0444, manifests, configs, layers, each once
 *     index.json                 0644
 *     manifest.json              0644, docker archives only
 *     oci-layout                 0444
 *
 * First everything is listed and looked up, then the bytes flow.
 */
#include "registry/archive.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/tar_write.h"
#include "registry/image.h"
#include "registry/meter.h"
#include "registry/reference.h"
#include "registry/store_blob.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_NAME "io.containerd.image.name"
#define REF_NAME   "org.opencontainers.image.ref.name"
#define COPY_SIZE  ((size_t)256 << 10)

struct item {
    char *path;
    struct descriptor blob; /* media type NULL: the bytes are in `text`, or a directory */
    struct buf text;
    bool is_dir;
    uint32_t mode;
};

struct archive {
    struct cas_store *store;
    struct item *items;
    size_t count;
    size_t capacity;
    size_t visits;                              /* manifests seen so far */
    const struct registry_archive_image *image; /* the one being listed */
};

static void archive_release(struct archive *a)
{
    for (size_t i = 0; i < a->count; i++) {
        free(a->items[i].path);
        descriptor_release(&a->items[i].blob);
        buf_release(&a->items[i].text);
    }
    free(a->items);
    *a = (struct archive){0};
}

static struct item *add_item(struct archive *a, char *path, uint32_t mode)
{
    a->items = base_grow(a->items, a->count, &a->capacity, sizeof *a->items);
    struct item *item = &a->items[a->count++];
    *item = (struct item){.path = path, .mode = mode, .text = BUF_INIT(LIMIT_TEXT_SIZE)};
    return item;
}

static void add_dir(struct archive *a, char *path)
{
    add_item(a, path, 0755)->is_dir = true;
}

static char *blob_path(const struct digest *d)
{
    return base_format("blobs/%s/%s", digest_alg_name(d->alg), digest_hex(d).text);
}

/* ---- Listing ---- */

static bool is_listed(const struct archive *a, const struct digest *digest)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].blob.media_type && digest_eq(&a->items[i].blob.digest, digest))
            return true;
    }
    return false;
}

static int add_blob(struct archive *a, const struct descriptor *blob, struct error *err)
{
    bool found;

    if (is_listed(a, &blob->digest))
        return 0;
    if (registry_store_has(a->store, blob, &found, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_NOT_FOUND, "blob %s of the image is not in the store",
                         digest_format(&blob->digest).text);
    descriptor_copy(&add_item(a, blob_path(&blob->digest), 0444)->blob, blob);
    return 0;
}

static bool is_absent(const struct archive *a, const struct digest *layer)
{
    for (size_t i = 0; i < a->image->absent_count; i++) {
        if (digest_eq(&a->image->absent[i], layer))
            return true;
    }
    return false;
}

static int add_manifest(struct archive *a, const struct doc *manifest, struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};

    if (registry_image_parse(manifest, &image, err) < 0 ||
        add_blob(a, &image.config, err) < 0)
        return -1;
    for (size_t i = 0; i < image.layer_count; i++) {
        if (!is_absent(a, &image.layers[i].digest) &&
            add_blob(a, &image.layers[i], err) < 0)
            return -1;
    }
    return 0;
}

static int add_tree(struct archive *a,
                    const struct descriptor *root,
                    int depth,
                    struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;

    if (depth > LIMIT_INDEX_DEPTH)
        return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                         LIMIT_INDEX_DEPTH);
    if (++a->visits > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "the index names more than %zu manifests",
                         LIMIT_INDEX_ENTRIES);
    if (add_blob(a, root, err) < 0)
        return -1;
    d = cas_blob_read_doc(a->store, root, LIMIT_MANIFEST_SIZE, err);
    if (!d || !(type = registry_manifest_media_type(d, root->media_type, err)))
        return -1;
    if (!registry_media_is_index(type))
        return add_manifest(a, d, err);
    const struct doc *entries = doc_get(d, "manifests");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};

        if (descriptor_parse(doc_at(entries, i), &entry, err) < 0 ||
            add_tree(a, &entry, depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- Documents ---- */

static struct doc *named_entry(const struct descriptor *root,
                               const char *name,
                               const struct registry_reference *ref)
{
    struct doc *entry = descriptor_doc(root);
    const struct doc *old = doc_get(entry, "annotations");
    struct doc *annotations = old ? doc_copy(old) : doc_new_object();

    doc_set_text(annotations, IMAGE_NAME, name);
    doc_set_text(annotations, REF_NAME, ref->tag ? ref->tag : "latest");
    doc_set(entry, "annotations", annotations);
    return entry;
}

static int list_image(struct doc *manifests,
                      const struct registry_archive_image *image,
                      struct error *err)
{
    if (image->name_count == 0)
        doc_append(manifests, descriptor_doc(image->root));
    for (size_t i = 0; i < image->name_count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference ref = {0};

        if (registry_reference_parse(view_of(image->names[i]), &ref, err) < 0)
            return -1;
        doc_append(manifests, named_entry(image->root, image->names[i], &ref));
    }
    return 0;
}

static int add_index(struct archive *a,
                     const struct registry_archive_image *images,
                     size_t count,
                     struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *index = doc_new_object();
    struct doc *manifests = doc_new_array();
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = list_image(manifests, &images[i], err);
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", manifests);
    doc_write(index, DOC_WRITE_COMPACT,
              &add_item(a, base_strdup("index.json"), 0644)->text);
    return rc;
}

static void append_path(struct doc *array, const struct digest *digest)
{
    CLEANUP(base_freep) char *path = blob_path(digest);

    doc_append_text(array, path);
}

/* docker's list of names: short forms, null where there is none. */
static struct doc *repo_tags(const struct registry_archive_image *image, struct error *err)
{
    struct doc *tags = image->name_count ? doc_new_array() : doc_new_null();

    for (size_t i = 0; i < image->name_count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference ref = {0};

        if (registry_reference_parse(view_of(image->names[i]), &ref, err) < 0) {
            doc_unref(tags);
            return NULL;
        }
        CLEANUP(base_freep) char *familiar = registry_reference_familiar(&ref);
        doc_append_text(tags, familiar);
    }
    return tags;
}

static int append_docker_image(struct archive *a,
                               struct doc *list,
                               const struct registry_archive_image *image,
                               struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image loaded = {0};
    CLEANUP(base_freep) char *config = NULL;

    if (registry_image_load(a->store, image->root, NULL, &loaded, err) < 0)
        return -1;
    struct doc *tags = repo_tags(image, err);
    if (!tags)
        return -1;
    struct doc *entry = doc_new_object(), *layers = doc_new_array();
    config = blob_path(&loaded.config.digest);
    for (size_t i = 0; i < loaded.layer_count; i++)
        append_path(layers, &loaded.layers[i].digest);
    doc_set_text(entry, "Config", config);
    doc_set(entry, "RepoTags", tags);
    doc_set(entry, "Layers", layers);
    doc_append(list, entry);
    return 0;
}

static int add_docker_manifest(struct archive *a,
                               const struct registry_archive_image *images,
                               size_t count,
                               struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++) {
        if (append_docker_image(a, list, &images[i], err) < 0)
            return -1;
    }
    doc_write(list, DOC_WRITE_COMPACT,
              &add_item(a, base_strdup("manifest.json"), 0644)->text);
    return 0;
}

static void add_blob_dirs(struct archive *a)
{
    bool has[DIGEST_SHA512 + 1] = {false};
    const size_t count = a->count;

    for (size_t i = 0; i < count; i++)
        has[a->items[i].blob.media_type ? a->items[i].blob.digest.alg : DIGEST_NONE] = true;
    add_dir(a, base_strdup("blobs"));
    for (unsigned alg = DIGEST_SHA256; alg <= DIGEST_SHA512; alg++) {
        if (has[alg])
            add_dir(a, base_format("blobs/%s", digest_alg_name((enum digest_alg)alg)));
    }
}

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static int list_all(struct archive *a,
                    const struct registry_archive_image *images,
                    size_t count,
                    enum registry_archive_format format,
                    struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        a->image = &images[i];
        if (add_tree(a, images[i].root, 0, err) < 0)
            return -1;
    }
    add_blob_dirs(a);
    buf_append_text(&add_item(a, base_strdup("oci-layout"), 0444)->text,
                    "{\"imageLayoutVersion\":\"1.0.0\"}");
    if (add_index(a, images, count, err) < 0 ||
        (format == REGISTRY_ARCHIVE_DOCKER &&
         add_docker_manifest(a, images, count, err) < 0))
        return -1;
    qsort(a->items, a->count, sizeof *a->items, compare_items);
    return 0;
}

/* ---- Bytes ---- */

static int write_zeros(int fd, size_t size, struct error *err)
{
    static const char zeros[TAR_END_SIZE] = {0};

    return size ? fs_write_all(fd, zeros, size, err) : 0;
}

static int write_header(int fd, const struct item *item, uint64_t size, struct error *err)
{
    CLEANUP(buf_release) struct buf header = BUF_INIT(LIMIT_TAR_EXTENSION);
    const struct cas_entry entry = {
        .path = view_of(item->path),
        .type = item->is_dir ? CAS_ENTRY_DIR : CAS_ENTRY_FILE,
        .mode = item->mode,
        .size = size,
    };

    tar_headers_append(&entry, &header);
    if (buf_ok(&header, item->path, err) < 0)
        return -1;
    return fs_write_all(fd, header.data, header.size, err);
}

/* Copies a blob and hashes it on the way: a damaged store must not make a sound archive. */
static int copy_blob(struct cas_store *store,
                     const struct descriptor *blob,
                     int to,
                     struct registry_meter *meter,
                     struct error *err)
{
    CLEANUP(fd_closep) int from = cas_blob_open(store, &blob->digest, err);
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(blob->digest.alg);
    CLEANUP(base_freep) char *block = base_alloc(COPY_SIZE);
    struct digest got;
    uint64_t total = 0;

    if (from < 0)
        return -1;
    for (;;) {
        const ssize_t n = read(from, block, COPY_SIZE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, "read");
        total += (uint64_t)n;
        if (n == 0 || total > blob->size)
            break;
        hasher_update(hasher, block, (size_t)n);
        if (fs_write_all(to, block, (size_t)n, err) < 0)
            return -1;
        registry_meter_set(meter, total);
    }
    hasher_final(hasher, &got);
    if (total != blob->size || !digest_eq(&got, &blob->digest))
        return error_set(err, ERROR_CORRUPT, "blob %s in the store is damaged",
                         digest_format(&blob->digest).text);
    return 0;
}

static int write_item(const struct archive *a,
                      const struct item *item,
                      int fd,
                      const struct registry_progress *progress,
                      struct error *err)
{
    const uint64_t size = item->blob.media_type ? item->blob.size : item->text.size;
    struct registry_meter meter;

    if (!item->blob.media_type && buf_ok(&item->text, item->path, err) < 0)
        return -1;
    if (write_header(fd, item, size, err) < 0)
        return -1;
    if (item->blob.media_type) {
        registry_meter_init(&meter, progress, "export", &item->blob);
        if (copy_blob(a->store, &item->blob, fd, &meter, err) < 0)
            return -1;
    } else if (size && fs_write_all(fd, item->text.data, item->text.size, err) < 0) {
        return -1;
    }
    return write_zeros(fd, (size_t)(tar_padded_size(size) - size), err);
}

int registry_archive_write(struct cas_store *store,
                           const struct registry_archive_image *images,
                           size_t count,
                           enum registry_archive_format format,
                           int fd,
                           const struct registry_progress *progress,
                           struct error *err)
{
    CLEANUP(archive_release) struct archive a = {.store = store};

    if (list_all(&a, images, count, format, err) < 0)
        return error_wrap(err, "archive");
    for (size_t i = 0; i < a.count; i++) {
        if (write_item(&a, &a.items[i], fd, progress, err) < 0)
            return error_wrap(err, "archive: %s", a.items[i].path);
    }
    return write_zeros(fd, TAR_END_SIZE, err);
}
