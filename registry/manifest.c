/*
 * Manifests over the wire. Spec: OCI distribution-spec "Pulling manifests", "Pushing
 * Manifests".
 */
#include "registry/client_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const accept_headers[] = {
    "Accept: " MEDIA_OCI_INDEX,    "Accept: " MEDIA_OCI_MANIFEST,
    "Accept: " MEDIA_DOCKER_INDEX, "Accept: " MEDIA_DOCKER_MANIFEST,
    "Accept: */*;q=0.1",
};

/* "manifests/TAG" or "manifests/DIGEST"; malloc'ed. */
static char *manifest_path(const struct registry_reference *ref)
{
    if (digest_is_set(&ref->digest))
        return base_format("manifests/%s", digest_format(&ref->digest).text);
    return base_format("manifests/%s", ref->tag ? ref->tag : "latest");
}

static int name_failed(const struct registry_reference *ref, struct error *err)
{
    if (digest_is_set(&ref->digest))
        return error_wrap(err, "manifest %s", digest_format(&ref->digest).text);
    return error_wrap(err, "manifest %s", ref->tag ? ref->tag : "latest");
}

/* The Content-Type without its parameters; malloc'ed, NULL where there is none. */
static char *content_type(const struct registry_http_response *response)
{
    struct view value, type, parameters;

    if (!registry_http_header(response, "Content-Type", 0, &value))
        return NULL;
    (void)view_cut(value, ';', &type, &parameters);
    return view_dup(view_trim(type));
}

/* The digest that the bytes must have: the reference's, else the registry's, else what they
 * have in SHA-256. */
static int verify(const struct registry_reference *ref,
                  const struct registry_http_response *response,
                  struct digest *out,
                  struct error *err)
{
    const struct view body = buf_view(&response->text);
    struct digest claimed = {0};
    bool is_claimed;

    if (registry_response_digest(response, &is_claimed, &claimed, err) < 0)
        return -1;
    if (digest_is_set(&ref->digest)) {
        *out = ref->digest;
        return digest_check(&ref->digest, body, err);
    }
    if (is_claimed && digest_check(&claimed, body, err) < 0)
        return -1;
    *out = is_claimed ? claimed : digest_of(DIGEST_SHA256, body);
    return 0;
}

static int describe(const struct registry_reference *ref,
                    const struct registry_http_response *response,
                    struct descriptor *out,
                    struct error *err)
{
    CLEANUP(base_freep) char *hint = content_type(response);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    struct digest digest;
    const char *type;

    if (verify(ref, response, &digest, err) < 0)
        return -1;
    d = doc_parse(buf_view(&response->text), err);
    if (!d || !(type = registry_manifest_media_type(d, hint, err)))
        return -1;
    descriptor_init(out, type, &digest, response->text.size);
    return 0;
}

static int get(struct registry_client *c,
               const struct registry_reference *ref,
               struct registry_http_response *response,
               struct error *err)
{
    CLEANUP(base_freep) char *path = manifest_path(ref);
    const struct registry_call call = {
        .repository = ref,
        .method = REGISTRY_HTTP_GET,
        .path = path,
        .headers = accept_headers,
        .header_count = ARRAY_COUNT(accept_headers),
    };

    if (registry_call_perform(c, &call, response, err) < 0)
        return -1;
    return response->status == 200 ? 0 : registry_call_failed(&call, response, err);
}

int registry_manifest_get(struct registry_client *c,
                          const struct registry_reference *ref,
                          struct buf *out,
                          struct descriptor *desc,
                          struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(LIMIT_MANIFEST_SIZE);

    if (get(c, ref, &response, err) < 0 || describe(ref, &response, desc, err) < 0)
        return name_failed(ref, err);
    buf_append_view(out, buf_view(&response.text));
    if (buf_ok(out, "the manifest", err) < 0) {
        descriptor_release(desc);
        return name_failed(ref, err);
    }
    return 0;
}

/* Registries need not say digest and type in answer to HEAD. */
static int get_instead(struct registry_client *c,
                       const struct registry_reference *ref,
                       bool *found,
                       struct descriptor *desc,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf ignored = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    *found = registry_manifest_get(c, ref, &ignored, desc, &failure) == 0;
    if (!*found && !error_is(&failure, ERROR_NOT_FOUND))
        return error_move(err, &failure);
    return 0;
}

/* True if the answer's headers tell all that a descriptor holds. */
static bool describe_headers(const struct registry_reference *ref,
                             const struct registry_http_response *response,
                             struct descriptor *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then the body will tell */
    CLEANUP(base_freep) char *type = content_type(response);
    struct digest digest;
    struct view length;
    uint64_t size;
    bool has_digest;

    if (registry_response_digest(response, &has_digest, &digest, &ignored) < 0 ||
        !has_digest)
        return false;
    if (!type || !(registry_media_is_index(type) || registry_media_is_manifest(type)))
        return false;
    if (!registry_http_header(response, "Content-Length", 0, &length) ||
        !view_to_u64(length, &size) || size == 0)
        return false;
    if (digest_is_set(&ref->digest) && !digest_eq(&ref->digest, &digest))
        return false;
    descriptor_init(out, type, &digest, size);
    return true;
}

int registry_manifest_head(struct registry_client *c,
                           const struct registry_reference *ref,
                           bool *found,
                           struct descriptor *desc,
                           struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(base_freep) char *path = manifest_path(ref);
    const struct registry_call call = {
        .repository = ref,
        .method = REGISTRY_HTTP_HEAD,
        .path = path,
        .headers = accept_headers,
        .header_count = ARRAY_COUNT(accept_headers),
    };

    *found = false;
    if (registry_call_perform(c, &call, &response, err) < 0)
        return name_failed(ref, err);
    if (response.status == 404)
        return 0;
    if (response.status == 200 && describe_headers(ref, &response, desc)) {
        *found = true;
        return 0;
    }
    if (response.status == 200 || response.status == 405)
        return get_instead(c, ref, found, desc, err);
    (void)registry_call_failed(&call, &response, err);
    return name_failed(ref, err);
}

static int check_confirmed(const struct registry_http_response *response,
                           struct view manifest,
                           struct digest *out,
                           struct error *err)
{
    struct digest confirmed;
    bool found;

    if (registry_response_digest(response, &found, &confirmed, err) < 0)
        return -1;
    *out = digest_of(found ? confirmed.alg : DIGEST_SHA256, manifest);
    if (found && !digest_eq(out, &confirmed))
        return error_set(err, ERROR_CORRUPT, "the registry confirms %s for what is %s",
                         digest_format(&confirmed).text, digest_format(out).text);
    return 0;
}

int registry_manifest_put_subject(struct registry_client *c,
                                  const struct registry_reference *ref,
                                  const char *media_type,
                                  struct view manifest,
                                  struct digest *out,
                                  bool *knows_subject,
                                  struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(base_freep)
    char *path = ref->tag ? base_format("manifests/%s", ref->tag) : manifest_path(ref);
    CLEANUP(base_freep) char *type = base_format("Content-Type: %s", media_type);
    const char *const headers[] = {type};
    const struct registry_http_body body = {.bytes = manifest};
    const struct registry_call call = {
        .repository = ref,
        .access = REGISTRY_ACCESS_PUSH,
        .method = REGISTRY_HTTP_PUT,
        .path = path,
        .headers = headers,
        .header_count = 1,
        .body = &body,
    };
    struct view subject;

    if (registry_call_perform(c, &call, &response, err) < 0)
        return name_failed(ref, err);
    if (response.status != 201 && response.status != 200 && response.status != 202) {
        (void)registry_call_failed(&call, &response, err);
        return name_failed(ref, err);
    }
    *knows_subject = registry_http_header(&response, "OCI-Subject", 0, &subject);
    return check_confirmed(&response, manifest, out, err) < 0 ? name_failed(ref, err) : 0;
}

int registry_manifest_put(struct registry_client *c,
                          const struct registry_reference *ref,
                          const char *media_type,
                          struct view manifest,
                          struct digest *out,
                          struct error *err)
{
    bool ignored;

    return registry_manifest_put_subject(c, ref, media_type, manifest, out, &ignored, err);
}

/* Registries without deletion answer 405; some that delete by digest only say 400 to a tag.
 */
static int delete_refused(const struct registry_reference *ref,
                          const struct registry_call *call,
                          const struct registry_http_response *response,
                          struct error *err)
{
    (void)registry_call_failed(call, response, err);
    if (response->status != 405 && (response->status != 400 || digest_is_set(&ref->digest)))
        return -1;
    err->code = ERROR_UNSUPPORTED;
    return digest_is_set(&ref->digest)
               ? error_wrap(err, "the registry does not allow deletion")
               : error_wrap(err,
                            "the registry cannot remove a tag alone (REPOSITORY@DIGEST "
                            "removes the manifest and all its tags)");
}

int registry_manifest_delete(struct registry_client *c,
                             const struct registry_reference *ref,
                             struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(base_freep) char *path = manifest_path(ref);
    const struct registry_call call = {
        .repository = ref,
        .access = REGISTRY_ACCESS_DELETE,
        .method = REGISTRY_HTTP_DELETE,
        .path = path,
    };

    assert(ref->tag || digest_is_set(&ref->digest));
    if (registry_call_perform(c, &call, &response, err) < 0)
        return name_failed(ref, err);
    if (response.status == 202 || response.status == 200 || response.status == 204)
        return 0;
    (void)delete_refused(ref, &call, &response, err);
    return name_failed(ref, err);
}
