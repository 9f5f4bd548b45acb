/*
 * Blobs into a registry: mount, else one PUT, else chunks.
 *
 *     POST uploads/?mount=..&from=..  -> 201 mounted | 202 a session at Location
 *     PUT LOCATION?digest=..          -> 201 | 413: too much in one piece
 *     PATCH LOCATION (Content-Range)  -> 202 and the next Location, ...; then PUT without a
 * body
 *
 * After a try that broke off the registry is asked how far it got, and the upload goes on
 * from there if it knows; else it begins with a new session. A session of a large blob is
 * remembered, so that another process can go on with what this one left.
 *
 * Spec: OCI distribution-spec "Pushing blobs", "Mounting a blob from another repository".
 */
#include "registry/upload_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "registry/url.h"

#include <stdlib.h>

static const char *state_name(enum upload_state state)
{
    static const char *const names[] = {"begin",  "whole",  "chunk",
                                        "status", "finish", "done"};

    return names[state];
}

void upload_enter(struct upload *up, enum upload_state next)
{
    log_debug("upload: %s -> %s", state_name(up->state), state_name(next));
    up->state = next;
}

/* `location` NULL: the session is of no more use. */
static void remember(const struct upload *up, const char *location)
{
    if (up->memory)
        up->memory->keep(up->memory->context, location);
}

int upload_take_location(struct upload *up, struct error *err)
{
    struct view location;

    if (!registry_http_header(&up->response, "Location", 0, &location))
        return error_set(err, ERROR_INVALID, "the registry does not say where to upload");
    char *next = registry_url_resolve(up->response.url, location, err);
    if (!next)
        return error_wrap(err, "the upload's location");
    free(up->location);
    up->location = next;
    remember(up, next);
    return 0;
}

static int check_stored(const struct upload *up, struct error *err)
{
    struct digest digest;
    bool found;

    if (registry_response_digest(&up->response, &found, &digest, err) < 0)
        return -1;
    if (found && !digest_eq(&digest, &up->desc->digest))
        return error_set(err, ERROR_CORRUPT, "the registry stored it as %s",
                         digest_format(&digest).text);
    return 0;
}

/* An answer that was not expected; the session is given up, so that a retry has a new one.
 */
int upload_unexpected(struct upload *up,
                      const struct registry_call *call,
                      struct error *err)
{
    const bool lost = up->response.status == 404 && up->state != UPLOAD_BEGIN;

    (void)registry_call_failed(call, &up->response, err);
    /* A registry that forgot the session (restarted, several behind one name) can be tried
     * again; one that has no such repository cannot. */
    if (lost)
        err->code = ERROR_NETWORK;
    return -1;
}

/* ---- BEGIN ---- */

static char *begin_path(const struct upload *up)
{
    if (!up->mount_from)
        return base_strdup("blobs/uploads/");
    CLEANUP(base_freep)
    char *mount = registry_url_add_query("blobs/uploads/", "mount",
                                         view_of(digest_format(&up->desc->digest).text));
    return registry_url_add_query(mount, "from", view_of(up->mount_from));
}

static void read_min_chunk(struct upload *up)
{
    struct view value;

    if (registry_http_header(&up->response, "OCI-Chunk-Min-Length", 0, &value))
        (void)view_to_u64(value, &up->min_chunk_size);
}

static int step_begin(struct upload *up, struct error *err)
{
    CLEANUP(base_freep) char *path = begin_path(up);
    const struct registry_call call = {
        .repository = up->repository,
        .access = REGISTRY_ACCESS_PUSH,
        .mount_from = up->mount_from,
        .method = REGISTRY_HTTP_POST,
        .path = path,
    };

    if (registry_call_once(up->client, &call, &up->response, err) < 0)
        return -1;
    if (up->response.status == 201 && up->mount_from) {
        up->result = REGISTRY_UPLOAD_MOUNTED;
        upload_enter(up, UPLOAD_DONE);
        return check_stored(up, err);
    }
    /* Not being allowed to read the other repository only means to upload it ourselves. */
    if ((up->response.status == 401 || up->response.status == 403) && up->mount_from) {
        up->mount_from = NULL;
        return 0;
    }
    if (up->response.status != 202)
        return upload_unexpected(up, &call, err);
    if (upload_take_location(up, err) < 0)
        return -1;
    read_min_chunk(up);
    up->offset = 0;
    up->resumed = false;
    upload_enter(up, up->chunk_size ? UPLOAD_CHUNK : UPLOAD_WHOLE);
    return 0;
}

/* ---- WHOLE, FINISH ---- */

void upload_on_sent(void *context, uint64_t sent, uint64_t received)
{
    struct upload *up = context;

    (void)received;
    registry_meter_set(&up->meter, up->offset + sent);
}

/* PUT LOCATION?digest=..., with the body given (or none). */
static int put(struct upload *up, const struct registry_http_body *body, struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/octet-stream"};
    CLEANUP(base_freep)
    char *url = registry_url_add_query(up->location, "digest",
                                       view_of(digest_format(&up->desc->digest).text));
    const struct registry_call call = {
        .repository = up->repository,
        .access = REGISTRY_ACCESS_PUSH,
        .method = REGISTRY_HTTP_PUT,
        .url = url,
        .headers = headers,
        .header_count = 1,
        .body = body,
        .progress = body ? upload_on_sent : NULL,
        .progress_context = up,
    };

    if (registry_call_once(up->client, &call, &up->response, err) < 0)
        return -1;
    if (up->response.status == 413 && body) {
        up->chunk_size = UPLOAD_CHUNK_SIZE;
        upload_enter(up, UPLOAD_BEGIN);
        return 0;
    }
    if (up->resumed && up->response.status >= 400 && up->response.status < 500) {
        /* Who knows what was written before the cut. */
        up->resumed = false;
        upload_enter(up, UPLOAD_BEGIN);
        return 0;
    }
    if (up->response.status != 201 && up->response.status != 204)
        return upload_unexpected(up, &call, err);
    up->result = REGISTRY_UPLOAD_SENT;
    upload_enter(up, UPLOAD_DONE);
    return check_stored(up, err);
}

/* ---- The whole ---- */

static int step(struct upload *up, struct error *err)
{
    switch (up->state) {
    case UPLOAD_BEGIN:
        return step_begin(up, err);
    case UPLOAD_WHOLE:
        return put(up, up->body, err);
    case UPLOAD_CHUNK:
        return upload_step_chunk(up, err);
    case UPLOAD_STATUS:
        return upload_step_status(up, err);
    case UPLOAD_FINISH:
        return put(up, NULL, err);
    case UPLOAD_DONE:
        break;
    }
    return 0;
}

/* Where there is a session its registry is asked, a few times. */
static enum upload_state after_failure(const struct upload *up,
                                       const struct registry_retry *retry)
{
    const bool is_lost = up->state == UPLOAD_STATUS && retry->made > 2;

    return up->state == UPLOAD_BEGIN || is_lost ? UPLOAD_BEGIN : UPLOAD_STATUS;
}

/* Steps are bounded: chunks are, and every other step is a failure's consequence. */
#define STEPS_MAX 100000

static int run(struct upload *up, struct error *err)
{
    struct registry_retry retry = {.policy = registry_client_retry(up->client)};

    for (int steps = 0; up->state != UPLOAD_DONE; steps++) {
        struct view after = {"", 0};

        if (steps == STEPS_MAX)
            return error_set(err, ERROR_NETWORK, "the upload does not get anywhere");
        if (step(up, err) == 0) {
            if (up->offset > up->best)
                retry.made = 0;
            up->best = up->offset > up->best ? up->offset : up->best;
            continue;
        }
        (void)registry_http_header(&up->response, "Retry-After", 0, &after);
        if (!registry_retry_is_error(err) || !registry_retry_wait(&retry, err, after))
            return -1;
        error_clear(err);
        upload_enter(up, after_failure(up, &retry));
    }
    return 0;
}

/* Without its bytes there is only the hope that another repository has them. */
static int mount_only(struct upload *up, struct error *err)
{
    int rc = 0;

    while (rc == 0 && up->state == UPLOAD_BEGIN && up->mount_from)
        rc = step_begin(up, err);
    if (rc < 0)
        return -1;
    if (up->state == UPLOAD_DONE)
        return 0;
    if (up->location) {
        CLEANUP(error_clear)
        struct error ignored = ERROR_INIT; /* sessions also die of age */
        const struct registry_call cancel = {
            .repository = up->repository,
            .access = REGISTRY_ACCESS_PUSH,
            .method = REGISTRY_HTTP_DELETE,
            .url = up->location,
        };

        (void)!registry_call_once(up->client, &cancel, &up->response, &ignored);
    }
    return error_set(err, ERROR_NOT_FOUND,
                     "neither is it here nor can the registry mount it");
}

static int upload(struct upload *up, bool is_known_absent, struct error *err)
{
    bool found = false;
    uint64_t size = 0;

    if (!is_known_absent && registry_blob_head(up->client, up->repository,
                                               &up->desc->digest, &found, &size, err) < 0)
        return -1;
    if (found) {
        up->result = REGISTRY_UPLOAD_PRESENT;
        return 0;
    }
    if (!up->body)
        return mount_only(up, err);
    if (up->memory)
        up->location = up->memory->find(up->memory->context);
    if (up->location)
        upload_enter(up, UPLOAD_STATUS);
    const int rc = run(up, err);
    /* What the network broke off can go on another time. */
    if (rc == 0 || !(registry_retry_is_error(err) || error_is(err, ERROR_CANCELLED)))
        remember(up, NULL);
    return rc;
}

int registry_blob_upload(struct registry_client *c,
                         const struct registry_reference *repository,
                         const struct descriptor *desc,
                         const struct registry_http_body *body,
                         const struct registry_upload_options *options,
                         const struct registry_progress *progress,
                         enum registry_upload_result *result,
                         struct error *err)
{
    struct upload up = {
        .client = c,
        .repository = repository,
        .desc = desc,
        .body = body,
        .mount_from = options ? options->mount_from : NULL,
        .memory = options ? options->memory : NULL,
        .chunk_size = options ? options->chunk_size : 0,
        .state = UPLOAD_BEGIN,
        .response = REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX),
    };

    registry_meter_init(&up.meter, progress, "push", desc);
    const int rc = upload(&up, options && options->is_known_absent, err);
    free(up.location);
    registry_http_response_release(&up.response);
    if (rc < 0)
        return error_wrap(err, "blob %s", digest_format(&desc->digest).text);
    registry_meter_set(&up.meter, desc->size);
    *result = up.result;
    return 0;
}
