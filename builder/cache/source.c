#include "builder/cache/source.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/platform.h"
#include "registry/pull.h"
#include "registry/store_blob.h"

#include <stdlib.h>
#include <string.h>

/* --- Blobs --- */

int build_cache_source_fetch(const struct build_cache_source *s,
                             const struct descriptor *blob,
                             struct error *err)
{
    const struct registry_progress progress = {.sink = &s->env->sink};

    if (s->layout)
        return registry_layout_fetch_blob(s->layout, s->env->store, blob, err);
    return registry_fetch_blob(s->env->registry, s->env->store, &s->ref, blob, &progress,
                               err);
}

int build_cache_source_has(const struct build_cache_source *s,
                           const struct descriptor *blob,
                           bool *found,
                           struct error *err)
{
    uint64_t size = 0;

    if (registry_store_has(s->env->store, blob, found, err) < 0)
        return -1;
    if (*found)
        return 0;
    if (s->layout)
        return registry_layout_has_blob(s->layout, blob, found, err);
    if (registry_blob_find(s->env->registry, &s->ref, &blob->digest, found, &size, err) < 0)
        return -1;
    *found = *found && size == blob->size;
    return 0;
}

static int compare_descriptors(const void *a, const void *b)
{
    const struct descriptor *x = a;
    const struct descriptor *y = b;

    return digest_compare(&x->digest, &y->digest);
}

const struct descriptor *build_cache_source_blob(const struct build_cache_source *s,
                                                 const struct digest *digest)
{
    const struct descriptor key = {.digest = *digest};

    if (s->layer_count == 0)
        return NULL;
    return bsearch(&key, s->layers, s->layer_count, sizeof *s->layers, compare_descriptors);
}

/* --- Documents --- */

/* A document of at most `max` bytes, verified. */
static struct doc *read_doc(const struct build_cache_source *s,
                            const struct descriptor *d,
                            size_t max,
                            struct error *err)
{
    if (d->size > max) {
        error_set(err, ERROR_LIMIT, "a document of %ju bytes (at most %zu are allowed)",
                  (uintmax_t)d->size, max);
        return NULL;
    }
    if (build_cache_source_fetch(s, d, err) < 0)
        return NULL;
    return cas_blob_read_doc(s->env->store, d, max, err);
}

/* What the name stands for now. */
static struct doc *read_root(struct build_cache_source *s,
                             const struct build_cache_from *from,
                             struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);

    if (s->layout) {
        const struct digest *digest = digest_is_set(&from->digest) ? &from->digest : NULL;

        if (registry_layout_resolve(s->layout, from->tag, digest, &root, err) < 0)
            return NULL;
        return read_doc(s, &root, LIMIT_MANIFEST_SIZE, err);
    }
    if (registry_manifest_get(s->env->registry, &s->ref, &text, &root, err) < 0)
        return NULL;
    return doc_parse(buf_view(&text), err);
}

/* `list` is of descriptors: an image's layers or an index's entries. */
static int keep_layers(struct build_cache_source *s,
                       const struct doc *list,
                       size_t count,
                       struct error *err)
{
    if (count > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "%zu layers (at most %zu are allowed)", count,
                         LIMIT_INDEX_ENTRIES);
    s->layers = base_alloc_array(count + 1, sizeof *s->layers);
    for (size_t i = 0; i < count; i++) {
        if (descriptor_parse(doc_at(list, i), &s->layers[i], err) < 0)
            return -1;
        s->layer_count++;
    }
    if (count > 0)
        qsort(s->layers, count, sizeof *s->layers, compare_descriptors);
    return 0;
}

static int read_bundle(struct build_cache_source *s,
                       const struct descriptor *config,
                       struct error *err)
{
    const bool is_cache = strcmp(config->media_type, BUILD_BUNDLE_MEDIA_TYPE) == 0;
    const bool is_image = strcmp(config->media_type, MEDIA_OCI_CONFIG) == 0 ||
                          strcmp(config->media_type, MEDIA_DOCKER_CONFIG) == 0;
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const struct doc *bundle;

    if (!is_cache && !is_image)
        return error_set(err, ERROR_UNSUPPORTED,
                         "it is no cache of cooper's (its config is %s)",
                         config->media_type);
    d = read_doc(s, config, LIMIT_CACHE_SIZE, err);
    if (!d)
        return -1;
    bundle = is_cache ? d : doc_get(d, BUILD_BUNDLE_MEMBER);
    if (!bundle)
        return error_set(err, ERROR_UNSUPPORTED, "the image carries no cache of cooper's");
    s->bundle = build_bundle_parse(bundle, err);
    return s->bundle ? 0 : -1;
}

/* image-manifest=false: an index whose entries are the layers, and last the config. */
static int read_flat(struct build_cache_source *s,
                     const struct doc *entries,
                     struct error *err)
{
    const size_t last = doc_count(entries) - 1;
    CLEANUP(descriptor_release) struct descriptor config = {0};

    if (keep_layers(s, entries, last, err) < 0 ||
        descriptor_parse(doc_at(entries, last), &config, err) < 0)
        return -1;
    return read_bundle(s, &config, err);
}

static int read_manifest(struct build_cache_source *s,
                         const struct doc *manifest,
                         struct error *err)
{
    const struct doc *layers = doc_get(manifest, "layers");
    CLEANUP(descriptor_release) struct descriptor config = {0};

    if (descriptor_parse(doc_get(manifest, "config"), &config, err) < 0 ||
        keep_layers(s, layers, doc_count(layers), err) < 0)
        return -1;
    return read_bundle(s, &config, err);
}

static bool is_flat(const struct doc *index)
{
    const struct doc *entries = doc_get(index, "manifests");
    const size_t count = doc_count(entries);
    const char *type =
        count > 0 ? doc_text(doc_get(doc_at(entries, count - 1), "mediaType")) : NULL;

    return type && strcmp(type, BUILD_BUNDLE_MEDIA_TYPE) == 0;
}

/* An index of images: the one for the platform may carry a cache. */
static int read_index(struct build_cache_source *s,
                      const struct doc *index,
                      const struct registry_platform *platform,
                      struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor chosen = {0};
    CLEANUP(doc_unrefp) struct doc *manifest = NULL;

    if (registry_index_choose(index, platform, &chosen, err) < 0)
        return -1;
    if (s->layout) {
        manifest = read_doc(s, &chosen, LIMIT_MANIFEST_SIZE, err);
    } else {
        CLEANUP(registry_reference_release) struct registry_reference pinned = {0};
        CLEANUP(descriptor_release) struct descriptor got = {0};
        CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);

        registry_reference_copy(&pinned, &s->ref);
        pinned.digest = chosen.digest;
        if (registry_manifest_get(s->env->registry, &pinned, &text, &got, err) == 0)
            manifest = doc_parse(buf_view(&text), err);
    }
    return manifest ? read_manifest(s, manifest, err) : -1;
}

static int open_place(struct build_cache_source *s,
                      const struct build_cache_from *from,
                      struct error *err)
{
    if (from->type == BUILD_CACHE_LOCAL) {
        s->layout = registry_layout_open(from->place, err);
        return s->layout ? 0 : -1;
    }
    if (registry_reference_parse(view_of(from->place), &s->ref, err) < 0)
        return -1;
    registry_reference_add_default_tag(&s->ref);
    return 0;
}

int build_cache_source_open(const struct build_environment *env,
                            const struct build_cache_from *from,
                            const struct registry_platform *platform,
                            struct build_cache_source *out,
                            struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *root = NULL;

    *out = (struct build_cache_source){.env = env, .name = base_strdup(from->place)};
    if (open_place(out, from, err) < 0 || !(root = read_root(out, from, err)))
        return -1;
    if (is_flat(root))
        return read_flat(out, doc_get(root, "manifests"), err);
    if (doc_get(root, "manifests"))
        return read_index(out, root, platform, err);
    return read_manifest(out, root, err);
}

void build_cache_source_release(struct build_cache_source *s)
{
    build_bundle_free(s->bundle);
    for (size_t i = 0; i < s->layer_count; i++)
        descriptor_release(&s->layers[i]);
    free(s->layers);
    registry_layout_close(s->layout);
    registry_reference_release(&s->ref);
    free(s->name);
    *s = (struct build_cache_source){0};
}
