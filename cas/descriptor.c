#include "cas/descriptor.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void descriptor_init(struct descriptor *d,
                     const char *media_type,
                     const struct digest *digest,
                     uint64_t size)
{
    *d = (struct descriptor){
        .media_type = base_strdup(media_type),
        .digest = *digest,
        .size = size,
    };
}

void descriptor_copy(struct descriptor *to, const struct descriptor *from)
{
    *to = (struct descriptor){
        .media_type = base_strdup(from->media_type),
        .digest = from->digest,
        .size = from->size,
        .annotations = from->annotations ? doc_copy(from->annotations) : NULL,
        .platform = from->platform ? doc_copy(from->platform) : NULL,
        .artifact_type = base_strdup(from->artifact_type),
    };
}

void descriptor_release(struct descriptor *d)
{
    free(d->media_type);
    free(d->artifact_type);
    doc_unref(d->annotations);
    doc_unref(d->platform);
    *d = (struct descriptor){0};
}

/* Sizes are int64 in the specification, never negative. */
static int parse_size(const struct doc *doc, uint64_t *size, struct error *err)
{
    int64_t value;

    if (!doc_int(doc_get(doc, "size"), &value) || value < 0)
        return error_set(err, ERROR_INVALID, "descriptor: 'size' is no size");
    *size = (uint64_t)value;
    return 0;
}

/* annotations.md: a map of text to text. */
static int parse_annotations(const struct doc *doc, struct doc **out, struct error *err)
{
    const struct doc *annotations = doc_get(doc, "annotations");
    const struct doc *value = NULL;

    if (doc_type(annotations) == DOC_ABSENT || doc_type(annotations) == DOC_NULL)
        return 0;
    if (doc_type(annotations) != DOC_OBJECT)
        return error_set(err, ERROR_INVALID, "descriptor: 'annotations' is no object");
    for (const char *key = NULL; doc_next(annotations, &key, &value);) {
        if (doc_type(value) != DOC_TEXT)
            return error_set(err, ERROR_INVALID, "descriptor: annotation '%s' is no text",
                             key);
    }
    *out = doc_copy(annotations);
    return 0;
}

static int parse_platform(const struct doc *doc, struct doc **out, struct error *err)
{
    const struct doc *platform = doc_get(doc, "platform");

    if (doc_type(platform) == DOC_ABSENT || doc_type(platform) == DOC_NULL)
        return 0;
    if (doc_type(platform) != DOC_OBJECT)
        return error_set(err, ERROR_INVALID, "descriptor: 'platform' is no object");
    *out = doc_copy(platform);
    return 0;
}

static int parse_artifact_type(const struct doc *doc, char **out, struct error *err)
{
    const struct doc *type = doc_get(doc, "artifactType");

    if (doc_type(type) == DOC_ABSENT)
        return 0;
    if (!doc_text(type))
        return error_set(err, ERROR_INVALID, "descriptor: 'artifactType' is no text");
    *out = base_strdup(doc_text(type));
    return 0;
}

int descriptor_parse(const struct doc *doc, struct descriptor *out, struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};

    if (doc_type(doc) != DOC_OBJECT)
        return error_set(err, ERROR_INVALID, "descriptor is no object");
    const char *media_type = doc_text(doc_get(doc, "mediaType"));
    if (!media_type || !*media_type)
        return error_set(err, ERROR_INVALID, "descriptor: 'mediaType' is no text");
    d.media_type = base_strdup(media_type);
    if (doc_type(doc_get(doc, "digest")) != DOC_TEXT)
        return error_set(err, ERROR_INVALID, "descriptor: 'digest' is no text");
    if (digest_parse(doc_view(doc_get(doc, "digest")), &d.digest, err) < 0 ||
        parse_size(doc, &d.size, err) < 0 ||
        parse_annotations(doc, &d.annotations, err) < 0 ||
        parse_platform(doc, &d.platform, err) < 0 ||
        parse_artifact_type(doc, &d.artifact_type, err) < 0)
        return -1;
    *out = d;
    d = (struct descriptor){0};
    return 0;
}

struct doc *descriptor_doc(const struct descriptor *d)
{
    struct doc *doc = doc_new_object();

    doc_set_text(doc, "mediaType", d->media_type);
    doc_set_text(doc, "digest", digest_format(&d->digest).text);
    doc_set_int(doc, "size", (int64_t)d->size);
    if (d->annotations)
        doc_set(doc, "annotations", doc_copy(d->annotations));
    if (d->platform)
        doc_set(doc, "platform", doc_copy(d->platform));
    if (d->artifact_type)
        doc_set_text(doc, "artifactType", d->artifact_type);
    return doc;
}
