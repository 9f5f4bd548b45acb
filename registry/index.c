#include "registry/index.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/platform.h"

#include <stdlib.h>
#include <string.h>

/* An entry that belongs to the image of this digest: buildkit's attestations. */
#define ATTESTED "vnd.docker.reference.digest"

int registry_index_put(struct cas_store *store,
                       const struct descriptor *entries,
                       size_t count,
                       const struct doc *annotations,
                       bool docker_media_types,
                       struct descriptor *out,
                       struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *index = doc_new_object();
    const char *type = docker_media_types ? MEDIA_DOCKER_INDEX : MEDIA_OCI_INDEX;
    struct doc *manifests = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append(manifests, descriptor_doc(&entries[i]));
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", type);
    doc_set(index, "manifests", manifests);
    if (annotations)
        doc_set(index, "annotations", doc_copy(annotations));
    return cas_blob_put_doc(store, index, type, LIMIT_MANIFEST_SIZE, out, err) < 0
               ? error_wrap(err, "index")
               : 0;
}

/* --- Joining --- */

void registry_join_release(struct registry_join *j)
{
    for (size_t i = 0; i < j->count; i++) {
        descriptor_release(&j->parts[i].entry);
        free(j->parts[i].source);
        doc_unref(j->parts[i].labels);
        doc_unref(j->parts[i].annotations);
    }
    free(j->parts);
    *j = (struct registry_join){0};
}

static bool is_attestation(const struct descriptor *d)
{
    return doc_get(d->annotations, ATTESTED) != NULL;
}

/* The part of the same platform, or with the same content; NULL: none. */
static const struct registry_join_part *find_rival(const struct registry_join *j,
                                                   const struct descriptor *entry,
                                                   struct error *err)
{
    struct registry_platform mine, theirs;

    for (size_t i = 0; i < j->count; i++) {
        const struct registry_join_part *part = &j->parts[i];

        if (digest_eq(&part->entry.digest, &entry->digest))
            return part;
        if (is_attestation(&part->entry) || is_attestation(entry))
            continue;
        if (registry_platform_from_doc(entry->platform, &mine, err) < 0 ||
            registry_platform_from_doc(part->entry.platform, &theirs, err) < 0)
            return NULL;
        if (strcmp(mine.os_version, theirs.os_version) == 0 &&
            strcmp(registry_platform_format(&mine).text,
                   registry_platform_format(&theirs).text) == 0)
            return part;
    }
    return NULL;
}

static int add_part(struct registry_join *j,
                    const char *source,
                    const struct descriptor *entry,
                    struct error *err)
{
    const struct registry_join_part *rival = find_rival(j, entry, err);
    struct registry_join_part *part;
    struct registry_platform platform;

    if (!rival && err->code != ERROR_NONE)
        return error_wrap(err, "%s", source);
    if (rival && digest_eq(&rival->entry.digest, &entry->digest))
        return 0;
    if (rival && registry_platform_from_doc(entry->platform, &platform, err) < 0)
        return -1;
    if (rival)
        return error_set(err, ERROR_EXISTS,
                         "%s and %s are both for %s: an index has one image a platform",
                         rival->source, source, registry_platform_format(&platform).text);
    j->parts = base_grow(j->parts, j->count, &j->capacity, sizeof *j->parts);
    part = &j->parts[j->count++];
    *part = (struct registry_join_part){.source = base_strdup(source)};
    descriptor_copy(&part->entry, entry);
    return 0;
}

static struct doc *copy_member(const struct doc *object, const char *key)
{
    const struct doc *value = doc_get(object, key);

    return value ? doc_copy(value) : NULL;
}

/* What a manifest and its config say of the image; the platform where the entry has none.
 */
static int describe(struct registry_join_part *part,
                    struct cas_store *store,
                    const struct doc *manifest,
                    struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(doc_unrefp) struct doc *config = NULL;
    struct registry_platform platform;

    if (registry_image_parse(manifest, &image, err) < 0 ||
        registry_image_check(&image, err) < 0)
        return -1;
    config = cas_blob_read_doc(store, &image.config, LIMIT_CONFIG_SIZE, err);
    if (!config)
        return error_wrap(err, "config");
    part->labels = copy_member(doc_get(config, "config"), "Labels");
    part->annotations = copy_member(manifest, "annotations");
    if (part->entry.platform)
        return 0;
    if (registry_platform_from_doc(config, &platform, err) < 0)
        return error_wrap(err, "config");
    part->entry.platform = registry_platform_doc(&platform);
    return 0;
}

/* An image by itself: it is read first, as its platform must be known. */
static int add_image(struct registry_join *j,
                     struct cas_store *store,
                     const char *source,
                     const struct descriptor *entry,
                     const struct doc *manifest,
                     struct error *err)
{
    struct registry_join_part read = {0};
    const size_t before = j->count;
    int status;

    descriptor_copy(&read.entry, entry);
    status = describe(&read, store, manifest, err);
    if (status == 0)
        status = add_part(j, source, &read.entry, err);
    if (status == 0 && j->count > before) {
        j->parts[before].labels = read.labels;
        j->parts[before].annotations = read.annotations;
        read.labels = read.annotations = NULL;
    }
    descriptor_release(&read.entry);
    doc_unref(read.labels);
    doc_unref(read.annotations);
    return status;
}

static int add_entry(struct registry_join *j,
                     struct cas_store *store,
                     const char *source,
                     const struct descriptor *entry,
                     struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *manifest = NULL;
    const char *type;

    if (is_attestation(entry))
        return add_part(j, source, entry, err);
    manifest = cas_blob_read_doc(store, entry, LIMIT_MANIFEST_SIZE, err);
    type = manifest ? registry_manifest_media_type(manifest, entry->media_type, err) : NULL;
    if (!type)
        return error_wrap(err, "manifest %s", digest_format(&entry->digest).text);
    if (registry_media_is_index(type))
        return error_set(err, ERROR_INVALID,
                         "it is an index within an index, which nobody runs: name the "
                         "inner one");
    return add_image(j, store, source, entry, manifest, err);
}

int registry_join_add(struct registry_join *j,
                      struct cas_store *store,
                      const char *source,
                      const struct descriptor *root,
                      struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const struct doc *entries;
    const char *type;

    d = cas_blob_read_doc(store, root, LIMIT_MANIFEST_SIZE, err);
    type = d ? registry_manifest_media_type(d, root->media_type, err) : NULL;
    if (!type)
        return error_wrap(err, "%s", source);
    if (!registry_media_is_index(type))
        return add_image(j, store, source, root, d, err) < 0 ? error_wrap(err, "%s", source)
                                                             : 0;
    entries = doc_get(d, "manifests");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};

        if (descriptor_parse(doc_at(entries, i), &entry, err) < 0 ||
            add_entry(j, store, source, &entry, err) < 0)
            return error_wrap(err, "%s", source);
    }
    return 0;
}

/* --- Do they belong together? --- */

static const char *const release_keys[] = {
    "org.opencontainers.image.version",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.source",
    "org.opencontainers.image.title",
};

static const char *said(const struct registry_join_part *part, const char *key)
{
    const char *label = doc_text(doc_get(part->labels, key));

    return label ? label : doc_text(doc_get(part->annotations, key));
}

static int check_key(const struct registry_join *j, const char *key, struct error *err)
{
    const struct registry_join_part *first = NULL;

    for (size_t i = 0; i < j->count; i++) {
        const struct registry_join_part *part = &j->parts[i];

        if (!said(part, key))
            continue;
        if (first && strcmp(said(first, key), said(part, key)) != 0)
            return error_set(err, ERROR_INVALID,
                             "the images do not belong together: %s is %s in %s and %s "
                             "in %s",
                             key, said(first, key), first->source, said(part, key),
                             part->source);
        first = first ? first : part;
    }
    return 0;
}

static bool is_docker(const struct registry_join_part *part)
{
    return strcmp(part->entry.media_type, MEDIA_DOCKER_MANIFEST) == 0;
}

int registry_join_check(const struct registry_join *j, struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(release_keys); i++)
        if (check_key(j, release_keys[i], err) < 0)
            return -1;
    for (size_t i = 1; i < j->count; i++)
        if (is_docker(&j->parts[i]) != is_docker(&j->parts[0]))
            return error_set(err, ERROR_INVALID,
                             "the images do not belong together: the manifest of %s is of "
                             "docker's type, that of %s of OCI's (build with "
                             "oci-mediatypes=true or false, all alike)",
                             j->parts[is_docker(&j->parts[i]) ? i : 0].source,
                             j->parts[is_docker(&j->parts[i]) ? 0 : i].source);
    return 0;
}
