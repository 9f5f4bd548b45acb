/*
 * Uploads in pieces, and how they go on: the registry is asked how far it got.
 *
 *     PATCH LOCATION (Content-Range) -> 202 and the next Location
 *     GET LOCATION                   -> 204 and Range: 0-LAST
 *
 * Spec: OCI distribution-spec "Pushing a blob in chunks".
 */
#include "registry/upload_priv.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <stdlib.h>

struct part {
    const struct registry_http_body *body;
    uint64_t offset;
};

static ptrdiff_t read_part(void *context, uint64_t offset, void *out, size_t size)
{
    const struct part *p = context;

    return p->body->read_at(p->body->context, p->offset + offset, out, size);
}

/* The bytes [offset, offset + size) of the body as a body of their own. `part` backs it. */
static struct registry_http_body slice(const struct registry_http_body *body,
                                       uint64_t offset,
                                       uint64_t size,
                                       struct part *part)
{
    struct registry_http_body out = *body;

    if (body->read_at) {
        *part = (struct part){body, offset};
        out.read_at = read_part;
        out.context = part;
        out.size = size;
    } else if (body->has_fd) {
        out.offset = body->offset + offset;
        out.size = size;
    } else {
        out.bytes = view_sub(body->bytes, (size_t)offset, (size_t)size);
    }
    return out;
}

/* "Range: 0-1023": how many bytes the registry has; nothing yet may be "0-0" with size 0.
 */
static int take_range(struct upload *up, struct error *err)
{
    struct view value, first, last;
    uint64_t end;

    if (!registry_http_header(&up->response, "Range", 0, &value)) {
        up->offset = 0;
        return 0;
    }
    if (view_starts(value, "bytes="))
        value = view_sub(value, 6, value.size);
    if (!view_cut(value, '-', &first, &last) || !view_to_u64(last, &end) ||
        !view_eq_text(first, "0") || end >= up->desc->size)
        return error_set(err, ERROR_INVALID,
                         "the registry says it has a range that cannot be");
    up->offset = end ? end + 1 : 0;
    return 0;
}

static uint64_t next_chunk_size(const struct upload *up)
{
    const uint64_t left = up->desc->size - up->offset;
    const uint64_t size =
        up->chunk_size < up->min_chunk_size ? up->min_chunk_size : up->chunk_size;

    return up->chunk_size > 0 && size < left ? size : left;
}

/* What came of a PATCH of `size` bytes. */
static int take_chunk(struct upload *up,
                      const struct registry_call *call,
                      uint64_t size,
                      struct error *err)
{
    switch (up->response.status) {
    case 202:
    case 204:
        up->offset += size;
        return upload_take_location(up, err);
    case 413:
        if (size <= UPLOAD_CHUNK_SIZE)
            return upload_unexpected(up, call, err);
        up->chunk_size = UPLOAD_CHUNK_SIZE;
        upload_enter(up, UPLOAD_STATUS);
        return 0;
    case 416:
        upload_enter(up, UPLOAD_STATUS);
        return error_set(err, ERROR_NETWORK, "the registry lost count of the chunks");
    default:
        return upload_unexpected(up, call, err);
    }
}

int upload_step_chunk(struct upload *up, struct error *err)
{
    struct part part;
    const uint64_t size = next_chunk_size(up);
    const struct registry_http_body body = slice(up->body, up->offset, size, &part);
    CLEANUP(base_freep)
    char *range = base_format("Content-Range: %" PRIu64 "-%" PRIu64, up->offset,
                              up->offset + size - 1);
    const char *const headers[] = {"Content-Type: application/octet-stream", range};
    const struct registry_call call = {
        .repository = up->repository,
        .access = REGISTRY_ACCESS_PUSH,
        .method = REGISTRY_HTTP_PATCH,
        .url = up->location,
        .headers = headers,
        .header_count = 2,
        .body = &body,
        .progress = upload_on_sent,
        .progress_context = up,
    };

    if (size == 0) {
        upload_enter(up, UPLOAD_FINISH);
        return 0;
    }
    if (registry_call_once(up->client, &call, &up->response, err) < 0)
        return -1;
    return take_chunk(up, &call, size, err);
}

/* A session that is gone may have ended well, its answer lost. */
static int look_for_blob(struct upload *up, struct error *err)
{
    bool found = false;
    uint64_t size = 0;

    if (registry_blob_head(up->client, up->repository, &up->desc->digest, &found, &size,
                           err) < 0)
        return -1;
    if (found)
        up->result = REGISTRY_UPLOAD_SENT;
    upload_enter(up, found ? UPLOAD_DONE : UPLOAD_BEGIN);
    return 0;
}

/* Of a session that the registry does not know, or not the way that we do, nothing is
 * expected any more. */
int upload_step_status(struct upload *up, struct error *err)
{
    CLEANUP(error_clear) struct error odd = ERROR_INIT;
    const struct registry_call call = {
        .repository = up->repository,
        .access = REGISTRY_ACCESS_PUSH,
        .method = REGISTRY_HTTP_GET,
        .url = up->location,
    };

    if (registry_call_once(up->client, &call, &up->response, err) < 0)
        return -1;
    if (registry_retry_is_status(up->response.status))
        return upload_unexpected(up, &call, err);
    if ((up->response.status != 204 && up->response.status != 202) ||
        take_range(up, &odd) < 0 || upload_take_location(up, &odd) < 0)
        return look_for_blob(up, err);
    /* "0-0" may be nothing or one byte: not worth finding out. */
    up->resumed = up->offset > 0;
    upload_enter(up, up->resumed ? UPLOAD_CHUNK : UPLOAD_BEGIN);
    return 0;
}
