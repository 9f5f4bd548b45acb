/*
 * The images of an archive as `docker save` wrote it before it knew OCI: manifest.json
 * names a config and layer tars, and there is no manifest; one is made. Each layer is held
 * against the diffID that the config gives it.
 *
 * Spec: docker image-spec v1.2 "Combined Image JSON + Filesystem Changeset Format".
 */
#include "registry/archive_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/codec.h"
#include "cas/record.h"
#include "registry/image.h"
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>

#define IMAGES_MAX 4096
#define BLOCK_SIZE ((size_t)256 << 10)

/* Reads a stored layer: what it is compressed with, and the digest of what is inside. */
static int read_layer(struct cas_store *store,
                      const struct digest *blob,
                      const char **media_type,
                      struct digest *diff_id,
                      struct error *err)
{
    CLEANUP(fd_closep) int fd = cas_blob_open(store, blob, err);
    CLEANUP(codec_reader_freep)
    struct codec_reader *codec = fd < 0 ? NULL : codec_reader_new_fd(fd);
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(DIGEST_SHA256);
    CLEANUP(base_freep) char *block = base_alloc(BLOCK_SIZE);
    enum cas_compression compression;
    size_t got;

    if (!codec || codec_reader_compression(codec, &compression, err) < 0)
        return -1;
    do {
        if (codec_reader_read(codec, block, BLOCK_SIZE, &got, err) < 0)
            return -1;
        hasher_update(hasher, block, got);
    } while (got > 0);
    hasher_final(hasher, diff_id);
    *media_type = compression == CAS_COMPRESSION_GZIP   ? MEDIA_OCI_LAYER_GZIP
                  : compression == CAS_COMPRESSION_ZSTD ? MEDIA_OCI_LAYER_ZSTD
                                                        : MEDIA_OCI_LAYER;
    return 0;
}

/* The descriptor document of one layer, after its content proved to be what the config
 * says. */
static struct doc *layer_doc(const struct registry_archive_scan *s,
                             const char *path,
                             const char *diff_text,
                             struct error *err)
{
    const struct registry_archive_file *file = path ? registry_archive_find(s, path) : NULL;
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    struct digest diff_id, want;
    const char *type;

    if (!file) {
        (void)error_set(err, ERROR_CORRUPT, "layer %s is missing",
                        path ? path : "(no name)");
        return NULL;
    }
    if (digest_parse(view_of(diff_text ? diff_text : ""), &want, err) < 0 ||
        read_layer(s->store, &file->digest, &type, &diff_id, err) < 0) {
        (void)error_wrap(err, "layer %s", path);
        return NULL;
    }
    if (!digest_eq(&want, &diff_id)) {
        (void)error_set(err, ERROR_CORRUPT,
                        "layer %s unpacks to %s, not to %s as the config says", path,
                        digest_format(&diff_id).text, diff_text);
        return NULL;
    }
    descriptor_init(&blob, type, &file->digest, file->size);
    if (cas_layer_record_put(s->store, &diff_id, &blob, NULL, err) < 0)
        return NULL;
    return descriptor_doc(&blob);
}

static struct doc *layers_doc(const struct registry_archive_scan *s,
                              const struct doc *paths,
                              const struct doc *diff_ids,
                              struct error *err)
{
    struct doc *layers;

    if (doc_count(paths) != doc_count(diff_ids) || doc_count(paths) > LIMIT_LAYERS) {
        (void)error_set(err, ERROR_CORRUPT, "there are %zu layers, and the config has %zu",
                        doc_count(paths), doc_count(diff_ids));
        return NULL;
    }
    layers = doc_new_array();
    for (size_t i = 0; i < doc_count(paths); i++) {
        struct doc *layer =
            layer_doc(s, doc_text(doc_at(paths, i)), doc_text(doc_at(diff_ids, i)), err);

        if (!layer) {
            doc_unref(layers);
            return NULL;
        }
        doc_append(layers, layer);
    }
    return layers;
}

/* "HEX.json" must be the SHA-256 of what is in it: that is the image's ID. */
static int check_config_name(const struct registry_archive_file *file, struct error *err)
{
    const struct view name = path_base(view_of(file->path));

    if (name.size != 64 + 5 || !view_ends(name, ".json") ||
        memcmp(name.data, digest_hex(&file->digest).text, 64) == 0)
        return 0;
    for (size_t i = 0; i < 64; i++) {
        if (!strchr("0123456789abcdef", name.data[i]))
            return 0;
    }
    return error_set(err, ERROR_CORRUPT, "config %s has not the content its name says",
                     file->path);
}

/* Puts the manifest that docker did not write into the store. */
static int make_manifest(const struct registry_archive_scan *s,
                         const struct doc *entry,
                         struct descriptor *out,
                         struct error *err)
{
    const char *config_path = doc_text(doc_get(entry, "Config"));
    const struct registry_archive_file *file =
        config_path ? registry_archive_find(s, config_path) : NULL;
    CLEANUP(descriptor_release) struct descriptor config = {0};
    CLEANUP(doc_unrefp) struct doc *config_doc = NULL;
    CLEANUP(doc_unrefp) struct doc *manifest = NULL;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct digest digest;

    if (!file)
        return error_set(err, ERROR_CORRUPT, "config %s is missing",
                         config_path ? config_path : "(no name)");
    descriptor_init(&config, MEDIA_OCI_CONFIG, &file->digest, file->size);
    if (check_config_name(file, err) < 0 ||
        !(config_doc = cas_blob_read_doc(s->store, &config, LIMIT_CONFIG_SIZE, err)))
        return -1;
    struct doc *layers =
        layers_doc(s, doc_get(entry, "Layers"),
                   doc_get(doc_get(config_doc, "rootfs"), "diff_ids"), err);
    if (!layers)
        return -1;
    manifest = doc_new_object();
    doc_set_int(manifest, "schemaVersion", 2);
    doc_set_text(manifest, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(manifest, "config", descriptor_doc(&config));
    doc_set(manifest, "layers", layers);
    doc_write(manifest, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "the manifest", err) < 0 ||
        cas_blob_put(s->store, buf_view(&text), &digest, err) < 0)
        return -1;
    descriptor_init(out, MEDIA_OCI_MANIFEST, &digest, text.size);
    return 0;
}

static int add_names(const struct doc *tags,
                     const struct descriptor *root,
                     struct registry_archive_list *out,
                     struct error *err)
{
    registry_archive_list_add(out, root, NULL);
    for (size_t i = 0; i < doc_count(tags); i++) {
        const char *tag = doc_text(doc_at(tags, i));
        CLEANUP(base_freep)
        char *name = tag ? registry_reference_normalize(view_of(tag), err) : NULL;

        if (!tag)
            return error_set(err, ERROR_INVALID, "RepoTags is not a list of names");
        if (!name)
            return -1;
        registry_archive_list_add(out, root, name);
    }
    return 0;
}

int registry_archive_docker_images(const struct registry_archive_scan *s,
                                   struct registry_archive_list *out,
                                   struct error *err)
{
    const size_t count = doc_count(s->manifest);

    if (doc_type(s->manifest) != DOC_ARRAY || count == 0 || count > IMAGES_MAX)
        return error_set(err, ERROR_INVALID, "manifest.json lists no images, or too many");
    for (size_t i = 0; i < count; i++) {
        const struct doc *entry = doc_at(s->manifest, i);
        CLEANUP(descriptor_release) struct descriptor root = {0};

        if (make_manifest(s, entry, &root, err) < 0 ||
            add_names(doc_get(entry, "RepoTags"), &root, out, err) < 0)
            return error_wrap(err, "manifest.json: image %zu", i + 1);
    }
    return 0;
}
