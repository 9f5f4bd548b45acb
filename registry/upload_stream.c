/*
 * A blob into a registry while it is being made, as docker push does it:
 *
 *     POST uploads/           -> 202 a session at Location
 *     PATCH LOCATION          -> 202, the body in chunks of HTTP until it ends
 *     PUT LOCATION?digest=..  -> 201
 *
 * Spec: OCI distribution-spec "Pushing a blob in chunks"; RFC 9112 section 7.1.
 */
#include "registry/client_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/url.h"

#include <stdlib.h>

struct stream {
    struct registry_client *client;
    const struct registry_reference *repository;
    char *location;
    struct registry_http_response response;
};

static int request(struct stream *s,
                   struct registry_call *call,
                   int want,
                   struct error *err)
{
    call->repository = s->repository;
    call->access = REGISTRY_ACCESS_PUSH;
    if (registry_call_once(s->client, call, &s->response, err) < 0)
        return -1;
    return s->response.status == want ? 0 : registry_call_failed(call, &s->response, err);
}

static int take_location(struct stream *s, struct error *err)
{
    struct view location;

    if (!registry_http_header(&s->response, "Location", 0, &location))
        return error_set(err, ERROR_INVALID, "the registry does not say where to upload");
    char *next = registry_url_resolve(s->response.url, location, err);
    if (!next)
        return error_wrap(err, "the upload's location");
    free(s->location);
    s->location = next;
    return 0;
}

static int begin(struct stream *s, struct error *err)
{
    struct registry_call call = {.method = REGISTRY_HTTP_POST, .path = "blobs/uploads/"};

    return request(s, &call, 202, err) < 0 ? -1 : take_location(s, err);
}

static int send(struct stream *s, const struct registry_http_body *body, struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/octet-stream"};
    struct registry_call call = {.method = REGISTRY_HTTP_PATCH,
                                 .url = s->location,
                                 .headers = headers,
                                 .header_count = 1,
                                 .body = body};

    return request(s, &call, 202, err) < 0 ? -1 : take_location(s, err);
}

static int end(struct stream *s, const struct descriptor *blob, struct error *err)
{
    CLEANUP(base_freep)
    char *url = registry_url_add_query(s->location, "digest",
                                       view_of(digest_format(&blob->digest).text));
    struct registry_call call = {.method = REGISTRY_HTTP_PUT, .url = url};
    struct digest digest;
    bool found;

    if (request(s, &call, 201, err) < 0 ||
        registry_response_digest(&s->response, &found, &digest, err) < 0)
        return -1;
    if (found && !digest_eq(&digest, &blob->digest))
        return error_set(err, ERROR_CORRUPT, "the registry stored it as %s",
                         digest_format(&digest).text);
    return 0;
}

/* Sessions also die of age. */
static void give_up(struct stream *s)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct registry_call call = {.method = REGISTRY_HTTP_DELETE, .url = s->location};

    if (s->location && request(s, &call, 204, &ignored) < 0)
        error_clear(&ignored);
}

int registry_blob_stream(struct registry_client *c,
                         const struct registry_reference *repository,
                         const struct registry_stream *stream,
                         struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    struct stream s = {
        .client = c,
        .repository = repository,
        .response = REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX),
    };
    int rc = begin(&s, err);

    if (rc == 0)
        rc = send(&s, stream->body, err);
    if (rc == 0)
        rc = stream->finish(stream->context, &blob, err);
    if (rc == 0)
        rc = end(&s, &blob, err);
    else
        give_up(&s);
    free(s.location);
    registry_http_response_release(&s.response);
    return rc;
}
