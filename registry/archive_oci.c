/*
 * The images of an OCI archive: what index.json lists, provided that every blob came along
 * or was in the store before. Tools that save some platforms of an image leave the others
 * out of the archive but not out of its index; then this machine's platform is taken out of
 * it.
 */
#include "registry/archive_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/reference.h"
#include "registry/store_blob.h"

#include <stdlib.h>
#include <string.h>

#define IMAGE_NAME "io.containerd.image.name"
#define REF_NAME   "org.opencontainers.image.ref.name"

static int require(struct cas_store *store,
                   const struct descriptor *blob,
                   struct error *err)
{
    bool found;

    if (registry_store_has(store, blob, &found, err) < 0)
        return -1;
    if (found)
        return 0;
    return error_set(err, ERROR_CORRUPT, "blob %s is missing",
                     digest_format(&blob->digest).text);
}

/* An image whose config does not go with its layers could be loaded, but never used. */
static int check_config(struct cas_store *store,
                        const struct registry_image *image,
                        struct error *err)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* artifacts have no such config */

    if (registry_image_check(image, &ignored) < 0)
        return 0;

    CLEANUP(doc_unrefp)
    struct doc *d = cas_blob_read_doc(store, &image->config, LIMIT_CONFIG_SIZE, err);

    if (!d)
        return error_wrap(err, "config");

    const size_t count = doc_count(doc_get(doc_get(d, "rootfs"), "diff_ids"));

    if (count == image->layer_count)
        return 0;
    return error_set(err, ERROR_CORRUPT, "the config has %zu layers, the manifest %zu",
                     count, image->layer_count);
}

static int check_manifest(struct cas_store *store,
                          const struct doc *manifest,
                          struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};

    if (registry_image_parse(manifest, &image, err) < 0 ||
        require(store, &image.config, err) < 0)
        return -1;
    for (size_t i = 0; i < image.layer_count; i++) {
        if (require(store, &image.layers[i], err) < 0)
            return -1;
    }
    return check_config(store, &image, err);
}

/* *complete becomes false if a manifest that an index names is not here. */
static int check_tree(struct cas_store *store,
                      const struct descriptor *root,
                      int depth,
                      size_t *visits,
                      bool *complete,
                      struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;

    if (depth > LIMIT_INDEX_DEPTH)
        return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                         LIMIT_INDEX_DEPTH);
    /* An index that names another thousands of times, which does the same... */
    if (++*visits > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "the index names more than %zu manifests",
                         LIMIT_INDEX_ENTRIES);
    if (require(store, root, err) < 0)
        return -1;
    d = cas_blob_read_doc(store, root, LIMIT_MANIFEST_SIZE, err);
    if (!d || !(type = registry_manifest_media_type(d, root->media_type, err)))
        return -1;
    if (!registry_media_is_index(type))
        return check_manifest(store, d, err);
    const struct doc *entries = doc_get(d, "manifests");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};
        bool found;

        if (descriptor_parse(doc_at(entries, i), &entry, err) < 0 ||
            registry_store_has(store, &entry, &found, err) < 0)
            return -1;
        if (!found)
            *complete = false;
        else if (check_tree(store, &entry, depth + 1, visits, complete, err) < 0)
            return -1;
    }
    return 0;
}

/* The image that can be used: the root if it is complete, else its manifest for this
 * machine. */
static int usable_root(struct cas_store *store,
                       const struct descriptor *root,
                       struct descriptor *out,
                       struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};
    bool complete = true;
    size_t visits = 0;

    if (check_tree(store, root, 0, &visits, &complete, err) < 0)
        return -1;
    if (!complete && registry_image_load(store, root, NULL, &image, err) < 0)
        return -1;
    descriptor_copy(out, complete ? root : &image.manifest);
    return 0;
}

/* The full reference an entry is named by, malloc'ed, or NULL. skopeo and others write
 * whole names into the annotation that is meant for them, buildx only the tag. */
static char *entry_name(const struct doc *entry)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* an odd name is no name */
    const struct doc *annotations = doc_get(entry, "annotations");
    const char *name = doc_text(doc_get(annotations, IMAGE_NAME));

    if (!name) {
        name = doc_text(doc_get(annotations, REF_NAME));
        if (!name || !strpbrk(name, ":/"))
            return NULL;
    }
    return registry_reference_normalize(view_of(name), &ignored);
}

int registry_archive_oci_images(const struct registry_archive_scan *s,
                                struct registry_archive_list *out,
                                struct error *err)
{
    const struct doc *entries = doc_get(s->index, "manifests");

    if (doc_type(entries) != DOC_ARRAY || doc_count(entries) == 0 ||
        doc_count(entries) > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_INVALID, "index.json lists no images, or too many");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor root = {0};
        CLEANUP(descriptor_release) struct descriptor usable = {0};
        CLEANUP(base_freep) char *name = entry_name(doc_at(entries, i));

        if (descriptor_parse(doc_at(entries, i), &root, err) < 0)
            return error_wrap(err, "index.json");
        if (usable_root(s->store, &root, &usable, err) < 0)
            return error_wrap(err, "image %s",
                              name ? name : digest_format(&root.digest).text);
        registry_archive_list_add(out, &usable, name);
    }
    return 0;
}
