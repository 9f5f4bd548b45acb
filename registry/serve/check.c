#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/reach.h"
#include "registry/image.h"
#include "registry/serve/header.h"

#include <stdlib.h>
#include <string.h>

struct digests {
    struct digest *items;
    size_t count;
    size_t capacity;
};

struct checking {
    struct serve_exchange *x;
    struct digests blobs;
    struct digests absent;
    bool is_unsure; /* the upstream may have something, and did not say */
};

/* What a manifest names a thing as. */
enum part { PART_ENTRY, PART_CONFIG, PART_LAYER };

static void add_digest(struct digests *list, const struct digest *d)
{
    list->items = base_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = *d;
}

/* Every refusal answers the request, so the functions here return false with it. */
static bool invalid(struct serve_exchange *x, const char *text)
{
    serve_refuse(x, 400, "MANIFEST_INVALID", "%s", text);
    return false;
}

static bool fail(struct serve_exchange *x, struct error *err)
{
    serve_fail(x, err);
    return false;
}

static bool unknown(struct serve_exchange *x, const struct digest *d)
{
    struct doc *detail = doc_new_object();

    doc_set_text(detail, "digest", digest_format(d).text);
    serve_refuse_detail(x, 404, "MANIFEST_BLOB_UNKNOWN",
                        "the manifest names something that the repository does not have",
                        detail);
    return false;
}

/* --- What it names --- */

static int find_named(struct checking *k,
                      const struct descriptor *d,
                      bool is_entry,
                      bool *found,
                      bool *is_blob,
                      uint64_t *size,
                      struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor manifest = {0};
    struct serve *const s = k->x->serve;

    *is_blob = false;
    *found = false;
    if (is_entry && serve_manifest_find(s, k->x->target.repository, &d->digest, found, NULL,
                                        &manifest, err) < 0)
        return -1;
    *size = manifest.size;
    if (*found)
        return 0;
    *is_blob = true;
    return serve_blob_find(s, k->x->target.repository, &d->digest, found, size, err);
}

/* What only the upstream has; of a manifest that is here also what it needs. */
static bool bring_named(struct checking *k,
                        const struct descriptor *d,
                        bool *found,
                        bool *is_blob,
                        uint64_t *size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const bool is_manifest =
        registry_media_is_index(d->media_type) || registry_media_is_manifest(d->media_type);
    bool brought;
    bool is_sure;

    if (*found && !is_manifest)
        return true;
    if (serve_behind_bring(k->x, d, &brought, &is_sure, &err) < 0)
        return fail(k->x, &err);
    k->is_unsure = k->is_unsure || !is_sure;
    if (brought && !*found)
        *size = d->size; /* as the store's own check will find */
    *found = *found || brought;
    *is_blob = !is_manifest;
    return true;
}

/* An image that was copied for some platforms only, or without layers that everybody has
 * (cas/sparse.h). Without its config nobody could tell what it is. And what a client was
 * told to be at the upstream, which fails now, it is to push. */
static bool accept_absent(struct checking *k, const struct descriptor *d, enum part part)
{
    if (part == PART_CONFIG || k->is_unsure || k->x->serve->options.is_whole_only)
        return cas_reach_may_be_absent(d->media_type) || unknown(k->x, &d->digest);
    add_digest(&k->absent, &d->digest);
    return true;
}

static bool check_named(struct checking *k, const struct doc *entry, enum part part)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    bool found;
    bool is_blob;
    uint64_t size;

    if (descriptor_parse(entry, &d, &err) < 0)
        return invalid(k->x, error_text(&err));
    if (find_named(k, &d, part == PART_ENTRY, &found, &is_blob, &size, &err) < 0)
        return fail(k->x, &err);
    if (is_blob && k->x->serve->upstream && !bring_named(k, &d, &found, &is_blob, &size))
        return false;
    if (!found)
        return accept_absent(k, &d, part);
    if (size != d.size) {
        CLEANUP(base_freep)
        char *text = base_format("%s has %ju bytes, not %ju", digest_format(&d.digest).text,
                                 (uintmax_t)size, (uintmax_t)d.size);
        return invalid(k->x, text);
    }
    if (is_blob)
        add_digest(&k->blobs, &d.digest);
    return true;
}

static bool check_all(struct checking *k, const struct doc *list, enum part part)
{
    if (list && doc_type(list) != DOC_ARRAY)
        return invalid(k->x, "the manifest's list is no array");
    for (size_t i = 0; i < doc_count(list); i++) {
        if (!check_named(k, doc_at(list, i), part))
            return false;
    }
    return true;
}

static bool check_content(struct checking *k, const struct doc *doc, const char *type)
{
    if (registry_media_is_index(type))
        return check_all(k, doc_get(doc, "manifests"), PART_ENTRY);
    return check_named(k, doc_get(doc, "config"), PART_CONFIG) &&
           check_all(k, doc_get(doc, "layers"), PART_LAYER);
}

/* --- What referrers list --- */

static bool read_subject(struct serve_exchange *x,
                         const struct doc *subject,
                         struct cas_repository_manifest *out)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (!subject || doc_type(subject) == DOC_NULL)
        return true;
    if (descriptor_parse(subject, &d, &err) < 0)
        return invalid(x, error_text(&err));
    out->subject = d.digest;
    return true;
}

/* distribution-spec "Listing Referrers": the config's media type stands in. */
static bool describe(struct serve_exchange *x,
                     const struct doc *doc,
                     struct cas_repository_manifest *out)
{
    const char *type = doc_text(doc_get(doc, "artifactType"));
    const struct doc *annotations = doc_get(doc, "annotations");
    const struct doc *value;

    if ((!type || !*type) && registry_media_is_manifest(out->target.media_type))
        type = doc_text(doc_get(doc_get(doc, "config"), "mediaType"));
    if (type && *type)
        out->target.artifact_type = base_strdup(type);
    if (annotations && doc_type(annotations) != DOC_OBJECT)
        return invalid(x, "the manifest's annotations are no object");
    for (const char *key = NULL; doc_next(annotations, &key, &value);) {
        if (doc_type(value) != DOC_TEXT)
            return invalid(x, "an annotation of the manifest is no text");
    }
    if (annotations)
        out->target.annotations = doc_copy(annotations);
    return read_subject(x, doc_get(doc, "subject"), out);
}

/* --- The whole --- */

/* The header and the document must not contradict each other: two readers might take one
 * document for different things (CVE-2021-41190). */
static const char *media_type_of(struct serve_exchange *x,
                                 const struct doc *doc,
                                 struct error *err)
{
    const struct view header = serve_media_type(serve_header(x, "Content-Type"));
    CLEANUP(base_freep) char *hint = view_dup(header);
    const char *type = registry_manifest_media_type(doc, hint, err);

    if (!type)
        return NULL;
    if ((registry_media_is_index(hint) || registry_media_is_manifest(hint)) &&
        strcmp(type, hint) != 0) {
        error_set(err, ERROR_INVALID, "Content-Type is %s, the manifest's mediaType %s",
                  hint, type);
        return NULL;
    }
    /* The hint itself may be what was returned. */
    static const char *const types[] = {MEDIA_OCI_INDEX, MEDIA_OCI_MANIFEST,
                                        MEDIA_DOCKER_INDEX, MEDIA_DOCKER_MANIFEST};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (strcmp(type, types[i]) == 0)
            return types[i];
    }
    error_set(err, ERROR_INVALID, "manifests of type '%s' are not known", type);
    return NULL;
}

bool serve_check_manifest(struct serve_exchange *x,
                          enum digest_alg alg,
                          struct serve_manifest *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct view text = buf_view(&x->body);
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(text, &err);
    const char *type = doc ? media_type_of(x, doc, &err) : NULL;
    struct checking k = {.x = x};

    if (!type)
        return invalid(x, error_text(&err));
    const struct digest d = digest_of(alg, text);
    descriptor_init(&out->record.target, type, &d, text.size);
    const bool is_good = describe(x, doc, &out->record) && check_content(&k, doc, type);
    out->blobs = k.blobs.items;
    out->blob_count = k.blobs.count;
    out->absent = k.absent.items;
    out->absent_count = k.absent.count;
    return is_good;
}

void serve_manifest_release(struct serve_manifest *m)
{
    cas_repository_manifest_release(&m->record);
    free(m->blobs);
    free(m->absent);
    *m = (struct serve_manifest){0};
}
