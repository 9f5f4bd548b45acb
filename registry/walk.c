#include "registry/walk.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"

#include <inttypes.h>
#include <stdlib.h>

static int fetch(const struct registry_walk *w,
                 const struct descriptor *blob,
                 struct error *err)
{
    return w->source->fetch(w->source->context, w->store, blob, err);
}

/* A manifest or index: fetched, read, of a known kind (*is_index). */
static struct doc *fetch_manifest(const struct registry_walk *w,
                                  const struct descriptor *desc,
                                  bool *is_index,
                                  struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;

    if (desc->size > LIMIT_MANIFEST_SIZE) {
        (void)error_set(err, ERROR_LIMIT,
                        "manifest %s is said to have %" PRIu64 " bytes, more than %zu",
                        digest_format(&desc->digest).text, desc->size, LIMIT_MANIFEST_SIZE);
        return NULL;
    }
    if (fetch(w, desc, err) < 0)
        return NULL;
    d = cas_blob_read_doc(w->store, desc, LIMIT_MANIFEST_SIZE, err);
    if (!d || !(type = registry_manifest_media_type(d, desc->media_type, err))) {
        (void)error_wrap(err, "manifest %s", digest_format(&desc->digest).text);
        return NULL;
    }
    *is_index = registry_media_is_index(type);
    return doc_ref(d);
}

static int fetch_blobs(const struct registry_walk *w,
                       const struct registry_image *image,
                       struct error *err)
{
    CLEANUP(base_freep)
    const struct descriptor **blobs =
        base_alloc_array(image->layer_count + 1, sizeof *blobs);
    size_t count = 0;

    if (image->config.size > LIMIT_CONFIG_SIZE)
        return error_set(err, ERROR_LIMIT,
                         "the config is said to have %" PRIu64 " bytes, more than %zu",
                         image->config.size, LIMIT_CONFIG_SIZE);
    blobs[count++] = &image->config;
    for (size_t i = 0; i < image->layer_count && !w->lazy; i++)
        blobs[count++] = &image->layers[i];
    return registry_source_fetch_all(w->source, w->store, blobs, count, err);
}

/* Everything below an index (or a single manifest), artifacts and attestations included. */
static int fetch_tree(const struct registry_walk *w,
                      const struct descriptor *root,
                      int depth,
                      size_t *visits,
                      struct error *err)
{
    bool is_index;
    CLEANUP(doc_unrefp) struct doc *d = NULL;

    if (depth > LIMIT_INDEX_DEPTH)
        return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                         LIMIT_INDEX_DEPTH);
    /* An index that names another thousands of times, which does the same... */
    if (++*visits > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "the index names more than %zu manifests",
                         LIMIT_INDEX_ENTRIES);
    if (!(d = fetch_manifest(w, root, &is_index, err)))
        return -1;
    if (!is_index) {
        CLEANUP(registry_image_release) struct registry_image image = {0};

        if (registry_image_parse(d, &image, err) < 0)
            return -1;
        return fetch_blobs(w, &image, err);
    }
    const struct doc *entries = doc_get(d, "manifests");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};

        if (descriptor_parse(doc_at(entries, i), &entry, err) < 0)
            return error_wrap(err, "index %s", digest_format(&root->digest).text);
        if (fetch_tree(w, &entry, depth + 1, visits, err) < 0)
            return -1;
    }
    return 0;
}

/* From image->manifest (the root) down to the platform's manifest. */
static int descend(const struct registry_walk *w,
                   struct registry_image *image,
                   struct error *err)
{
    for (int depth = 0; depth <= LIMIT_INDEX_DEPTH; depth++) {
        bool is_index;
        CLEANUP(doc_unrefp)
        struct doc *d = fetch_manifest(w, &image->manifest, &is_index, err);
        struct descriptor next = {0};

        if (!d)
            return -1;
        if (!is_index)
            return registry_image_parse(d, image, err) < 0
                       ? -1
                       : registry_image_check(image, err);
        if (registry_index_choose(d, w->platform, &next, err) < 0)
            return -1;
        descriptor_release(&image->manifest);
        image->manifest = next;
    }
    return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                     LIMIT_INDEX_DEPTH);
}

int registry_walk_image(const struct registry_walk *w,
                        const struct descriptor *root,
                        struct registry_image *out,
                        struct error *err)
{
    struct registry_image image = {0};
    size_t visits = 0;

    descriptor_copy(&image.root, root);
    descriptor_copy(&image.manifest, root);
    if (descend(w, &image, err) < 0 || fetch_blobs(w, &image, err) < 0 ||
        (w->all_platforms && fetch_tree(w, root, 0, &visits, err) < 0)) {
        registry_image_release(&image);
        return -1;
    }
    *out = image;
    return 0;
}
