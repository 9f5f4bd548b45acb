/* Artifacts: manifests whose config is empty and whose layers are files of any kind. */
#include "registry/referrers.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/client.h"

#include <stdlib.h>

/* Spec: image-spec manifest.md "Guidance for an Empty Descriptor". */
#define MEDIA_EMPTY "application/vnd.oci.empty.v1+json"
#define EMPTY_BYTES VIEW_LIT("{}")

static struct doc *layer_doc(const char *media_type,
                             struct view bytes,
                             const struct doc *annotations)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    const struct digest digest = digest_of(DIGEST_SHA256, bytes);

    descriptor_init(&d, media_type, &digest, bytes.size);
    d.annotations = annotations ? doc_copy(annotations) : NULL;
    return descriptor_doc(&d);
}

static struct doc *layers_doc(const struct registry_artifact *a)
{
    struct doc *layers = doc_new_array();

    for (size_t i = 0; i < a->layer_count; i++)
        doc_append(layers, layer_doc(a->layers[i].media_type, a->layers[i].bytes,
                                     a->layers[i].annotations));
    if (a->layer_count == 0)
        doc_append(layers, layer_doc(MEDIA_EMPTY, EMPTY_BYTES, NULL));
    return layers;
}

/* A subject says what it is and no more: how an index calls it is not the artifact's. */
static struct doc *subject_doc(const struct descriptor *subject)
{
    const struct descriptor bare = {
        .media_type = subject->media_type,
        .digest = subject->digest,
        .size = subject->size,
    };

    return descriptor_doc(&bare);
}

void registry_artifact_manifest(const struct registry_artifact *a, struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();

    doc_set_int(d, "schemaVersion", 2);
    doc_set_text(d, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set_text(d, "artifactType", a->artifact_type);
    doc_set(d, "config", layer_doc(MEDIA_EMPTY, EMPTY_BYTES, NULL));
    doc_set(d, "layers", layers_doc(a));
    if (a->subject)
        doc_set(d, "subject", subject_doc(a->subject));
    if (a->annotations)
        doc_set(d, "annotations", doc_copy(a->annotations));
    doc_write(d, DOC_WRITE_COMPACT, out);
}

static int upload(struct registry_client *c,
                  const struct registry_reference *repository,
                  const char *media_type,
                  struct view bytes,
                  struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    const struct digest digest = digest_of(DIGEST_SHA256, bytes);
    const struct registry_http_body body = {.bytes = bytes};
    enum registry_upload_result result;

    descriptor_init(&d, media_type, &digest, bytes.size);
    return registry_blob_upload(c, repository, &d, &body, NULL, NULL, &result, err);
}

static int put_alone(struct registry_client *c,
                     const struct registry_reference *ref,
                     const struct registry_artifact *a,
                     struct view manifest,
                     struct descriptor *out,
                     struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference as = {0};
    struct digest digest = digest_of(DIGEST_SHA256, manifest);

    registry_reference_copy(&as, ref);
    if (!as.tag)
        as.digest = digest;
    if (registry_manifest_put(c, &as, MEDIA_OCI_MANIFEST, manifest, &digest, err) < 0)
        return -1;
    descriptor_init(out, MEDIA_OCI_MANIFEST, &digest, manifest.size);
    out->artifact_type = base_strdup(a->artifact_type);
    out->annotations = a->annotations ? doc_copy(a->annotations) : NULL;
    return 0;
}

int registry_artifact_push(struct registry_client *c,
                           const struct registry_reference *ref,
                           const struct registry_artifact *a,
                           struct descriptor *out,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf manifest = BUF_INIT(LIMIT_MANIFEST_SIZE);

    registry_artifact_manifest(a, &manifest);
    if (buf_ok(&manifest, "the artifact's manifest", err) < 0 ||
        upload(c, ref, MEDIA_EMPTY, EMPTY_BYTES, err) < 0)
        return -1;
    for (size_t i = 0; i < a->layer_count; i++) {
        if (upload(c, ref, a->layers[i].media_type, a->layers[i].bytes, err) < 0)
            return error_wrap(err, "layer %zu of the artifact", i + 1);
    }
    return a->subject ? registry_referrer_put(c, ref, buf_view(&manifest), out, err)
                      : put_alone(c, ref, a, buf_view(&manifest), out, err);
}
