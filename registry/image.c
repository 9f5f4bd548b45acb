#include "registry/image.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/blob.h"

#include <string.h>

#define MEDIA_DOCKER_SCHEMA1 "application/vnd.docker.distribution.manifest.v1+json"
#define MEDIA_DOCKER_SCHEMA1_SIGNED                                                        \
    "application/vnd.docker.distribution.manifest.v1+prettyjws"

void registry_image_release(struct registry_image *image)
{
    descriptor_release(&image->root);
    descriptor_release(&image->manifest);
    descriptor_release(&image->config);
    for (size_t i = 0; i < image->layer_count; i++)
        descriptor_release(&image->layers[i]);
    free(image->layers);
    *image = (struct registry_image){0};
}

bool registry_media_is_index(const char *media_type)
{
    return media_type && (strcmp(media_type, MEDIA_OCI_INDEX) == 0 ||
                          strcmp(media_type, MEDIA_DOCKER_INDEX) == 0);
}

bool registry_media_is_manifest(const char *media_type)
{
    return media_type && (strcmp(media_type, MEDIA_OCI_MANIFEST) == 0 ||
                          strcmp(media_type, MEDIA_DOCKER_MANIFEST) == 0);
}

static bool is_schema1(const struct doc *manifest, const char *media_type)
{
    int64_t version = 0;

    if (media_type && (strcmp(media_type, MEDIA_DOCKER_SCHEMA1) == 0 ||
                       strcmp(media_type, MEDIA_DOCKER_SCHEMA1_SIGNED) == 0))
        return true;
    return doc_int(doc_get(manifest, "schemaVersion"), &version) && version == 1;
}

const char *registry_manifest_media_type(const struct doc *manifest,
                                         const char *hint,
                                         struct error *err)
{
    int64_t version = 0;
    const char *type = doc_text(doc_get(manifest, "mediaType"));

    if (doc_type(manifest) != DOC_OBJECT) {
        (void)error_set(err, ERROR_INVALID, "the manifest is not a JSON object");
        return NULL;
    }
    if (is_schema1(manifest, type ? type : hint)) {
        (void)error_set(err, ERROR_UNSUPPORTED,
                        "this is docker's old manifest schema 1, which cannot be verified "
                        "layer by layer; "
                        "push the image again with a current tool");
        return NULL;
    }
    if (!doc_int(doc_get(manifest, "schemaVersion"), &version) || version != 2) {
        (void)error_set(err, ERROR_INVALID, "the manifest's schemaVersion is not 2");
        return NULL;
    }
    /* A document of one kind that declares to be the other is an attack (CVE-2021-41190).
     */
    const bool has_layers = doc_get(manifest, "layers") || doc_get(manifest, "config");
    const bool has_manifests = doc_get(manifest, "manifests");
    if (has_layers == has_manifests) {
        (void)error_set(
            err, ERROR_INVALID,
            "the manifest is neither an image nor an index, or claims to be both");
        return NULL;
    }
    if (!type)
        type = registry_media_is_index(hint) || registry_media_is_manifest(hint) ? hint
               : has_manifests ? MEDIA_OCI_INDEX
                               : MEDIA_OCI_MANIFEST;
    if (has_manifests ? !registry_media_is_index(type)
                      : !registry_media_is_manifest(type)) {
        (void)error_set(err, ERROR_INVALID,
                        "the manifest is not what its media type '%s' says", type);
        return NULL;
    }
    return type;
}

/* ---- Manifest ---- */

static int parse_layers(const struct doc *layers,
                        struct registry_image *out,
                        struct error *err)
{
    const size_t count = doc_count(layers);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const bool is_image = registry_image_check(out, &ignored) == 0;
    const size_t max = is_image ? LIMIT_LAYERS : LIMIT_INDEX_ENTRIES;

    if (count > max)
        return error_set(err, ERROR_LIMIT, "the %s has %zu layers, more than %zu",
                         is_image ? "image" : "artifact", count, max);
    out->layers = count ? base_alloc_array(count, sizeof *out->layers) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (descriptor_parse(doc_at(layers, i), &out->layers[i], err) < 0)
            return error_wrap(err, "layer %zu", i + 1);
        out->layer_count++;
    }
    return 0;
}

int registry_image_parse(const struct doc *manifest,
                         struct registry_image *out,
                         struct error *err)
{
    const struct doc *layers = doc_get(manifest, "layers");

    if (doc_type(layers) != DOC_ARRAY)
        return error_set(err, ERROR_INVALID, "manifest: there is no list of layers");
    if (descriptor_parse(doc_get(manifest, "config"), &out->config, err) < 0)
        return error_wrap(err, "manifest: config");
    if (parse_layers(layers, out, err) < 0)
        return error_wrap(err, "manifest");
    return 0;
}

int registry_image_check(const struct registry_image *image, struct error *err)
{
    const char *type = image->config.media_type;

    if (strcmp(type, MEDIA_OCI_CONFIG) == 0 || strcmp(type, MEDIA_DOCKER_CONFIG) == 0)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED,
                     "this is an artifact of type '%s', not an image", type);
}

/* ---- Index ---- */

static void list_platforms(const struct doc *entries, struct buf *out)
{
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(error_clear)
        struct error ignored = ERROR_INIT; /* strange ones are not listed */
        struct registry_platform p;

        if (registry_platform_from_doc(doc_get(doc_at(entries, i), "platform"), &p,
                                       &ignored) < 0 ||
            strcmp(p.os, "unknown") == 0)
            continue;
        buf_printf(out, "%s%s", out->size ? ", " : "", registry_platform_format(&p).text);
    }
}

enum { RANK_UNSAID = 1 << 20, RANK_ANY = 1 << 21 };

/* The rank of an entry; -1: never chosen. An entry that does not say its platform comes
 * after those that fit, and before those that are taken for want of a better. */
static int entry_rank(const struct doc *entry,
                      const struct registry_platform *want,
                      bool takes_any)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* an odd platform matches nothing */
    const struct doc *platform = doc_get(entry, "platform");
    struct registry_platform have;
    int rank;

    if (doc_get(doc_get(entry, "annotations"), "vnd.docker.reference.type"))
        return -1;
    if (!platform)
        return RANK_UNSAID;
    if (registry_platform_from_doc(platform, &have, &ignored) < 0)
        return -1;
    rank = registry_platform_rank(want, &have);
    return rank < 0 && takes_any && strcmp(have.os, "unknown") != 0 ? RANK_ANY : rank;
}

int registry_index_choose(const struct doc *index,
                          const struct registry_platform *platform,
                          struct descriptor *out,
                          struct error *err)
{
    const struct doc *entries = doc_get(index, "manifests"), *best = NULL;
    const struct registry_platform host = registry_platform_host();
    const bool takes_any = platform && platform->os[0] == '\0';
    const struct registry_platform *want = platform && !takes_any ? platform : &host;
    int best_rank = -1;

    if (doc_type(entries) != DOC_ARRAY || doc_count(entries) > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_INVALID, "index: no list of manifests, or too many");
    for (size_t i = 0; i < doc_count(entries); i++) {
        const int rank = entry_rank(doc_at(entries, i), want, takes_any);

        if (rank >= 0 && (!best || rank < best_rank)) {
            best = doc_at(entries, i);
            best_rank = rank;
        }
    }
    if (!best) {
        CLEANUP(buf_release) struct buf list = BUF_INIT(LIMIT_HTTP_BODY_SMALL);

        list_platforms(entries, &list);
        return error_set(
            err, ERROR_NOT_FOUND, "there is no image for platform %s; there is: %s",
            registry_platform_format(want).text, list.size ? buf_text(&list) : "none");
    }
    if (descriptor_parse(best, out, err) < 0)
        return error_wrap(err, "index");
    return 0;
}

/* ---- Store ---- */

static struct doc *load_manifest(struct cas_store *store,
                                 const struct descriptor *desc,
                                 const char **type,
                                 struct error *err)
{
    CLEANUP(doc_unrefp)
    struct doc *d = cas_blob_read_doc(store, desc, LIMIT_MANIFEST_SIZE, err);

    if (!d)
        return NULL;
    *type = registry_manifest_media_type(d, desc->media_type, err);
    return *type ? doc_ref(d) : NULL;
}

static int load_chosen(struct cas_store *store,
                       const struct registry_platform *platform,
                       struct registry_image *out,
                       struct error *err)
{
    for (int depth = 0; depth <= LIMIT_INDEX_DEPTH; depth++) {
        const char *type;
        CLEANUP(doc_unrefp)
        struct doc *d = load_manifest(store, &out->manifest, &type, err);
        struct descriptor next = {0};

        if (!d)
            return -1;
        if (!registry_media_is_index(type))
            return registry_image_parse(d, out, err) < 0 ? -1
                                                         : registry_image_check(out, err);
        if (registry_index_choose(d, platform, &next, err) < 0)
            return -1;
        descriptor_release(&out->manifest);
        out->manifest = next;
    }
    return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                     LIMIT_INDEX_DEPTH);
}

int registry_image_load(struct cas_store *store,
                        const struct descriptor *root,
                        const struct registry_platform *platform,
                        struct registry_image *out,
                        struct error *err)
{
    struct registry_image image = {0};

    descriptor_copy(&image.root, root);
    descriptor_copy(&image.manifest, root);
    if (load_chosen(store, platform, &image, err) < 0) {
        registry_image_release(&image);
        return -1;
    }
    *out = image;
    return 0;
}
