#include "registry/conditional.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/client_priv.h"

int registry_manifest_put_if(struct registry_client *c,
                             const struct registry_reference *ref,
                             const char *media_type,
                             struct view manifest,
                             const struct digest *expected,
                             bool *refused,
                             struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(base_freep) char *path = base_format("manifests/%s", ref->tag);
    CLEANUP(base_freep) char *type = base_format("Content-Type: %s", media_type);
    CLEANUP(base_freep)
    char *condition = digest_is_set(expected)
                          ? base_format("If-Match: \"%s\"", digest_format(expected).text)
                          : base_strdup("If-None-Match: *");
    const char *const headers[] = {type, condition};
    const struct registry_http_body body = {.bytes = manifest};
    const struct registry_call call = {
        .repository = ref,
        .access = REGISTRY_ACCESS_PUSH,
        .method = REGISTRY_HTTP_PUT,
        .path = path,
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .body = &body,
    };

    if (registry_call_perform(c, &call, &response, err) < 0)
        return error_wrap(err, "manifest %s", ref->tag);
    *refused = response.status == 412 || response.status == 409;
    if (*refused || (response.status >= 200 && response.status <= 202))
        return 0;
    (void)registry_call_failed(&call, &response, err);
    return error_wrap(err, "manifest %s", ref->tag);
}
