#include "registry/serve/serve_priv.h"

#include "base/fs.h"
#include "cas/blob.h"
#include "registry/serve/header.h"

/* Answers itself unless it returns true. */
static bool find(struct serve_exchange *x, struct digest *d, uint64_t *size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct serve_target *t = &x->target;
    bool found;

    if (!serve_digest_read(x, t->reference, d))
        return false;
    if (serve_blob_find(x->serve, t->repository, d, &found, size, &err) < 0) {
        serve_fail(x, &err);
        return false;
    }
    if (!found && serve_behind_is_asked(x))
        serve_behind_blob(x, d);
    else if (!found)
        serve_refuse(x, 404, "BLOB_UNKNOWN", "%s has no blob %s", t->repository,
                     t->reference);
    return found;
}

/* A range counts only if the client means this very content; here that is sure, as the
 * digest is the content, unless If-Range names another. */
static const char *range_of(const struct serve_exchange *x, const struct digest *d)
{
    const char *const only_if = serve_header(x, "If-Range");

    return only_if && !serve_etags_match(only_if, d) ? NULL : serve_header(x, "Range");
}

bool serve_blob_head(struct serve_exchange *x,
                     const struct digest *d,
                     uint64_t size,
                     uint64_t *offset,
                     uint64_t *length)
{
    uint64_t first = 0;
    uint64_t last = 0;
    const enum serve_range range = serve_range_parse(range_of(x, d), size, &first, &last);

    if (range == SERVE_RANGE_UNSATISFIABLE) {
        serve_refuse(x, 416, "SIZE_INVALID", "the blob has %ju bytes", (uintmax_t)size);
        serve_reply_header(x, "Content-Range", "bytes */%ju", (uintmax_t)size);
        return false;
    }
    serve_reply(x, range == SERVE_RANGE_PART ? 206 : 200);
    serve_reply_header(x, "Content-Type", "application/octet-stream");
    serve_reply_header(x, "Docker-Content-Digest", "%s", digest_format(d).text);
    serve_reply_header(x, "ETag", "\"%s\"", digest_format(d).text);
    serve_reply_header(x, "Accept-Ranges", "bytes");
    if (range == SERVE_RANGE_PART)
        serve_reply_header(x, "Content-Range", "bytes %ju-%ju/%ju", (uintmax_t)first,
                           (uintmax_t)last, (uintmax_t)size);
    *offset = range == SERVE_RANGE_PART ? first : 0;
    *length = range == SERVE_RANGE_PART ? last - first + 1 : size;
    return true;
}

void serve_blob_answer(struct serve_exchange *x, const struct digest *d, uint64_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int fd = cas_blob_open(x->serve->store, d, &err);
    uint64_t offset;
    uint64_t length;

    if (fd < 0)
        serve_fail(x, &err);
    else if (serve_blob_head(x, d, size, &offset, &length))
        serve_reply_fd(x, &fd, offset, length);
}

static void get_blob(struct serve_exchange *x)
{
    const char *const known = serve_header(x, "If-None-Match");
    struct digest d;
    uint64_t size;

    if (!find(x, &d, &size))
        return;
    if (known && (serve_etags_any(known) || serve_etags_match(known, &d))) {
        serve_reply(x, 304);
        serve_reply_header(x, "ETag", "\"%s\"", digest_format(&d).text);
        return;
    }
    serve_blob_answer(x, &d, size);
}

static void delete_blob(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest d;
    uint64_t size;

    if (!find(x, &d, &size) || !serve_may_remove(x, &d))
        return;
    if (cas_repository_remove_blob(x->serve->store, x->target.repository, &d, &err) < 0)
        serve_fail(x, &err);
    else
        serve_reply(x, 202);
}

const struct serve_action serve_actions_blobs[] = {
    {SERVE_ROUTE_BLOB, SERVE_METHOD_GET, .finish = get_blob},
    {SERVE_ROUTE_BLOB, SERVE_METHOD_HEAD, .finish = get_blob},
    {SERVE_ROUTE_BLOB, SERVE_METHOD_DELETE, true, .finish = delete_blob},
    {.route = SERVE_ROUTE_UNKNOWN},
};
