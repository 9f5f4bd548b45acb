/*
 * Blobs out of a registry. What breaks off is resumed where it stopped, with a Range
 * request; a registry that ignores it and sends the whole is started over with.
 *
 * A large blob begins with a small part. A registry that sends that, and says how much
 * there is, is asked for the rest in parts (registry/download_parts.c); one that sends the
 * whole instead has answered the question in its own way.
 *
 * Spec: OCI distribution-spec "Pulling blobs"; RFC 9110 section 14.
 */
#include "registry/download_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/range.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Each resumption made progress, and still it has to end some time. */
#define RESUMPTIONS_MAX 64u
/* So much of a part is asked for first, to see whether there are any. */
#define FIRST_PART_SHARE 8u

static int restart(struct download *d)
{
    struct digest ignored;

    if (d->hasher)
        hasher_final(d->hasher, &ignored);
    d->offset = 0;
    return d->sink->restart(d->sink->context, &d->failure);
}

/* "bytes 500-999/1000" must begin where we stopped, end where we asked it to, and be of
 * something of the right size. */
static bool range_fits(const struct download *d)
{
    struct view value;
    struct registry_range r;

    return registry_http_header(d->response, "Content-Range", 0, &value) &&
           registry_range_parse(value, &r) && r.first == d->offset && r.end <= d->until &&
           (!r.has_total || r.total == d->desc->size);
}

static void keep_etag(struct download *d)
{
    struct view value;

    base_freep(&d->etag);
    if (registry_http_header(d->response, "ETag", 0, &value))
        d->etag = view_dup(value);
}

/* Before the first byte of an answer. */
static int open_answer(struct download *d)
{
    d->is_open = true;
    if (d->response->status != 206) {
        d->until = d->desc->size;
        return restart(d);
    }
    if (!range_fits(d))
        return error_set(&d->failure, ERROR_INVALID,
                         "the registry sends another part than asked for");
    keep_etag(d);
    return d->offset == 0 ? restart(d) : 0;
}

static int on_data(void *context, const void *data, size_t size)
{
    struct download *d = context;

    if (!d->is_open && open_answer(d) < 0)
        return -1;
    if (size > d->until - d->offset)
        return error_set(&d->failure, ERROR_CORRUPT,
                         "the blob is longer than the %" PRIu64 " bytes it should have",
                         d->until);
    if (d->hasher)
        hasher_update(d->hasher, data, size);
    if (d->sink->write(d->sink->context, data, size, &d->failure) < 0)
        return -1;
    d->offset += size;
    registry_meter_set(&d->meter, d->offset);
    return 0;
}

char *download_path(const struct download *d)
{
    return base_format("blobs/%s", digest_format(&d->desc->digest).text);
}

/* NULL where the whole is wanted. */
static char *range_header(const struct download *d)
{
    if (d->until < d->desc->size)
        return base_format("Range: bytes=%" PRIu64 "-%" PRIu64, d->offset, d->until - 1);
    return d->offset > 0 ? base_format("Range: bytes=%" PRIu64 "-", d->offset) : NULL;
}

static int try_once(struct download *d, struct error *err)
{
    CLEANUP(base_freep) char *path = download_path(d);
    CLEANUP(base_freep) char *range = range_header(d);
    const char *const headers[] = {range};
    const struct registry_call call = {
        .repository = d->repository,
        .method = REGISTRY_HTTP_GET,
        .path = path,
        .headers = headers,
        .header_count = range ? 1 : 0,
        /* Of a part the whole may come. */
        .size_expected = d->desc->size - d->offset,
        .sink = {.write = on_data, .context = d},
    };

    d->is_open = false;
    if (registry_call_once(d->client, &call, d->response, err) < 0)
        return d->failure.code != ERROR_NONE ? error_move(err, &d->failure) : -1;
    if (d->response->status != 200 && d->response->status != 206)
        return registry_call_failed(&call, d->response, err);
    /* An empty blob has no byte that would open it. */
    if (!d->is_open && open_answer(d) < 0)
        return error_move(err, &d->failure);
    if (d->offset < d->until)
        return error_set(err, ERROR_CORRUPT,
                         "the blob ends after %" PRIu64 " of %" PRIu64 " bytes", d->offset,
                         d->desc->size);
    return 0;
}

/* A failed try that got further than the one before does not count against the attempts. */
static int try_until_there(struct download *d, struct error *err)
{
    struct registry_retry retry = {.policy = registry_client_retry(d->client)};

    for (unsigned tries = 0;; tries++) {
        const uint64_t before = d->offset;
        struct view after = {"", 0};

        if (try_once(d, err) == 0)
            return 0;
        if (!registry_retry_is_error(err) || tries >= RESUMPTIONS_MAX)
            return -1;
        if (d->offset > before)
            retry.made = 0;
        (void)registry_http_header(d->response, "Retry-After", 0, &after);
        if (!registry_retry_wait(&retry, err, after))
            return -1;
        error_clear(err);
    }
}

/* Would a plain request fare better where one for a part failed? Not if nobody answered, or
 * if the answer had nothing to do with parts. */
static bool refuses_parts(const struct download *d, const struct error *err)
{
    const int status = d->response->status;

    if (error_is(err, ERROR_CANCELLED) || error_is(err, ERROR_NETWORK))
        return false;
    return status == 206 || (status >= 400 && status != 401 && status != 404);
}

/* As much of a large blob as comes in parts; the rest is for one stream. */
static int get_parts(struct download *d, struct error *err)
{
    enum download_outcome outcome = DOWNLOAD_ANEW;

    d->until = registry_client_part_size(d->client) / FIRST_PART_SHARE;
    if (try_until_there(d, err) < 0) {
        if (!refuses_parts(d, err))
            return -1;
        error_clear(err);
    } else if (d->until == d->desc->size) {
        return 0; /* it sent the whole */
    } else if (download_parts(d, &outcome, err) < 0) {
        return -1;
    }
    if (outcome == DOWNLOAD_ANEW)
        d->offset = 0;
    return 0;
}

static int get(struct download *d, struct error *err)
{
    if (download_is_large(d) && get_parts(d, err) < 0)
        return -1;
    d->until = d->desc->size;
    if (d->offset == d->desc->size && d->offset > 0)
        return 0;
    return try_until_there(d, err);
}

static int check_digest(struct download *d, struct error *err)
{
    struct digest got;

    if (!d->hasher)
        return 0;
    hasher_final(d->hasher, &got);
    if (digest_eq(&got, &d->desc->digest))
        return 0;
    return error_set(err, ERROR_CORRUPT, "its content is %s", digest_format(&got).text);
}

int registry_blob_get(struct registry_client *c,
                      const struct registry_reference *repository,
                      const struct descriptor *desc,
                      const struct registry_blob_sink *sink,
                      const struct registry_progress *progress,
                      struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(hasher_freep)
    struct hasher *hasher = sink->is_verifying ? NULL : hasher_new(desc->digest.alg);
    struct download d = {
        .client = c,
        .repository = repository,
        .desc = desc,
        .sink = sink,
        .response = &response,
        .hasher = hasher,
    };

    registry_meter_init(&d.meter, progress, "pull", desc);
    registry_client_lane_begin(c);
    const int rc = get(&d, err) < 0 ? -1 : check_digest(&d, err);
    registry_client_lane_end(c);
    error_clear(&d.failure);
    free(d.etag);
    return rc < 0 ? error_wrap(err, "blob %s", digest_format(&desc->digest).text) : 0;
}

/* By somebody who may go on to push, or who cannot: asking for more rights than one has is
 * refused by some. */
static int head(struct registry_client *c,
                const struct registry_reference *repository,
                const struct digest *digest,
                enum registry_access access,
                bool *found,
                uint64_t *size,
                struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(base_freep) char *path = base_format("blobs/%s", digest_format(digest).text);
    const struct registry_call call = {
        .repository = repository,
        .access = access,
        .method = REGISTRY_HTTP_HEAD,
        .path = path,
    };
    struct view length;

    if (registry_call_perform(c, &call, &response, err) < 0)
        return -1;
    *found = response.status == 200;
    *size = 0;
    if (*found && registry_http_header(&response, "Content-Length", 0, &length))
        (void)view_to_u64(length, size);
    return *found || response.status == 404 ? 0
                                            : registry_call_failed(&call, &response, err);
}

int registry_blob_head(struct registry_client *c,
                       const struct registry_reference *repository,
                       const struct digest *digest,
                       bool *found,
                       uint64_t *size,
                       struct error *err)
{
    return head(c, repository, digest, REGISTRY_ACCESS_PUSH, found, size, err);
}

int registry_blob_find(struct registry_client *c,
                       const struct registry_reference *repository,
                       const struct digest *digest,
                       bool *found,
                       uint64_t *size,
                       struct error *err)
{
    return head(c, repository, digest, REGISTRY_ACCESS_PULL, found, size, err);
}
