/* Uploads of blobs: begin, mount, chunks, close, status, cancel. */
#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "cas/blob.h"
#include "registry/serve/header.h"

#include <errno.h>
#include <sys/statvfs.h>

static void locate_blob(struct serve_exchange *x, const struct digest *d)
{
    serve_reply(x, 201);
    serve_reply_header(x, "Location", "/v2/%s/blobs/%s", x->target.repository,
                       digest_format(d).text);
    serve_reply_header(x, "Docker-Content-Digest", "%s", digest_format(d).text);
}

/* "0-0" also where there is nothing yet: the specification has no other way to say it. */
static void locate_upload(struct serve_exchange *x, const struct serve_upload *up)
{
    const uint64_t size = serve_upload_size(up);

    serve_reply_header(x, "Location", "/v2/%s/blobs/uploads/%s", x->target.repository,
                       serve_upload_id(up));
    serve_reply_header(x, "Range", "0-%ju", (uintmax_t)(size ? size - 1 : 0));
    serve_reply_header(x, "Docker-Upload-UUID", "%s", serve_upload_id(up));
}

static void upload_failed(struct serve_exchange *x, struct error *err)
{
    switch (err->code) {
    case ERROR_NOT_FOUND:
        serve_refuse(x, 404, "BLOB_UPLOAD_UNKNOWN", "%s", error_text(err));
        return;
    case ERROR_EXISTS:
        serve_refuse(x, 409, "BLOB_UPLOAD_INVALID", "%s", error_text(err));
        return;
    case ERROR_DENIED:
        serve_refuse(x, 403, "DENIED", "%s", error_text(err));
        return;
    case ERROR_LIMIT:
        serve_refuse_limit(x, err);
        return;
    case ERROR_CORRUPT:
        serve_refuse(x, 400, "DIGEST_INVALID", "%s", error_text(err));
        return;
    case ERROR_NONE:
    case ERROR_INVALID:
    case ERROR_UNSUPPORTED:
    case ERROR_SYSTEM:
    case ERROR_NETWORK:
    case ERROR_FAILED:
    case ERROR_CANCELLED:
    case ERROR_USAGE:
        serve_fail(x, err);
        return;
    }
}

static void end_upload(struct serve_exchange *x)
{
    serve_upload_end(x->upload);
    x->upload = NULL;
}

/* --- Begin --- */

static bool has_room(struct serve_exchange *x)
{
    const uint64_t size = x->request.body_size;
    struct statvfs fs;

    if (size == SERVE_HTTP_SIZE_UNKNOWN || size == 0 ||
        fstatvfs(cas_store_fd(x->serve->store), &fs) < 0 ||
        size <= (uint64_t)fs.f_bavail * fs.f_frsize)
        return true;
    serve_refuse(x, 507, "UNKNOWN", "the registry's disk has no room for %ju bytes",
                 (uintmax_t)size);
    return false;
}

static void open_upload(struct serve_exchange *x, enum digest_alg alg)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (!has_room(x))
        return;
    x->upload = serve_upload_new(x->serve->uploads, x->serve->store, x->target.repository,
                                 alg, &err);
    if (x->upload)
        return;
    if (error_is(&err, ERROR_LIMIT)) {
        serve_refuse(x, 429, "TOOMANYREQUESTS", "%s", error_text(&err));
        serve_reply_header(x, "Retry-After", "60");
    } else {
        serve_fail(x, &err);
    }
}

static bool read_algorithm(struct serve_exchange *x, enum digest_alg *out)
{
    CLEANUP(base_freep) char *name = serve_target_param(&x->target, "digest-algorithm", 0);

    *out = name && view_eq_text(view_of(name), "sha512") ? DIGEST_SHA512 : DIGEST_SHA256;
    if (!name || *out == DIGEST_SHA512 || view_eq_text(view_of(name), "sha256"))
        return true;
    serve_refuse(x, 400, "DIGEST_INVALID", "the algorithm '%s' is not supported", name);
    return false;
}

/* *done: the blob belongs to the repository now. Otherwise the client is to upload it. */
static int mount(struct serve_exchange *x,
                 const struct digest *d,
                 const char *from,
                 bool *done,
                 struct error *err)
{
    struct serve *const s = x->serve;

    *done = false;
    if (from && !serve_is_repository(view_of(from)))
        return 0;
    if ((from ? serve_blob_find(s, from, d, done, NULL, err)
              : serve_blob_find_anywhere(s, d, done, err)) < 0)
        return -1;
    return *done ? cas_repository_add_blob(s->store, x->target.repository, d, false, err)
                 : 0;
}

/* True if the answer is decided. */
static bool try_mount(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *text = serve_target_param(&x->target, "mount", 0);
    CLEANUP(base_freep) char *from = serve_target_param(&x->target, "from", 0);
    struct digest d;
    bool done;

    if (!text)
        return false;
    if (!serve_digest_read(x, text, &d))
        return true;
    if (mount(x, &d, from, &done, &err) < 0)
        serve_fail(x, &err);
    else if (done)
        locate_blob(x, &d);
    return done || x->response.status != 0;
}

static void begin_post(struct serve_exchange *x)
{
    CLEANUP(base_freep) char *text = serve_target_param(&x->target, "digest", 0);
    enum digest_alg alg;
    struct digest d;

    if (try_mount(x) || !read_algorithm(x, &alg))
        return;
    if (text && !serve_digest_read(x, text, &d))
        return;
    x->is_single = text != NULL;
    open_upload(x, text ? d.alg : alg);
}

/* --- Bytes --- */

static void take_bytes(struct serve_exchange *x, const char *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    /* Only a POST with a digest is about a blob's bytes. */
    if (!x->upload || (x->method == SERVE_METHOD_POST && !x->is_single) ||
        serve_upload_write(x->upload, data, size, &err) == 0)
        return;
    /* Nothing of it can be of use: the room is needed. */
    end_upload(x);
    upload_failed(x, &err);
}

static void acquire(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    x->upload = serve_upload_acquire(x->serve->uploads, x->target.reference,
                                     x->target.repository, &err);
    if (!x->upload)
        upload_failed(x, &err);
}

/* Chunks come in order, and are as long as they say. */
static void check_range(struct serve_exchange *x)
{
    const char *const text = serve_header(x, "Content-Range");
    const uint64_t size = x->request.body_size;
    uint64_t first;
    uint64_t last;

    if (!text || !x->upload)
        return;
    if (!serve_content_range_parse(text, &first, &last)) {
        serve_refuse(x, 416, "BLOB_UPLOAD_INVALID", "'Content-Range: %s' is no range",
                     text);
        locate_upload(x, x->upload);
    } else if (first != serve_upload_size(x->upload)) {
        serve_refuse(x, 416, "BLOB_UPLOAD_INVALID", "the next byte is number %ju, not %ju",
                     (uintmax_t)serve_upload_size(x->upload), (uintmax_t)first);
        locate_upload(x, x->upload);
    } else if (size != SERVE_HTTP_SIZE_UNKNOWN && size != last - first + 1) {
        serve_refuse(x, 400, "SIZE_INVALID", "Content-Range tells %ju bytes, there are %ju",
                     (uintmax_t)(last - first + 1), (uintmax_t)size);
    }
}

static void begin_chunk(struct serve_exchange *x)
{
    if (!has_room(x))
        return;
    acquire(x);
    check_range(x);
}

static void finish_chunk(struct serve_exchange *x)
{
    serve_reply(x, 202);
    locate_upload(x, x->upload);
}

/* --- Close --- */

static bool read_digest_param(struct serve_exchange *x, struct digest *out)
{
    CLEANUP(base_freep) char *text = serve_target_param(&x->target, "digest", 0);

    return serve_digest_read(x, text, out);
}

static void begin_close(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest d;

    if (!read_digest_param(x, &d))
        return;
    begin_chunk(x);
    /* Before the bytes come, changing the algorithm costs nothing. */
    if (x->upload && x->response.status == 0 &&
        serve_upload_expect(x->upload, d.alg, &err) < 0)
        serve_fail(x, &err);
}

static void finish_close(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct serve *const s = x->serve;
    struct serve_upload *const upload = x->upload;
    struct digest d;
    bool was_there;

    if (!read_digest_param(x, &d))
        return;
    x->upload = NULL; /* ends with the commit */
    if (cas_blob_find(s->store, &d, &was_there, NULL, &err) < 0) {
        serve_upload_end(upload);
        serve_fail(x, &err);
    } else if (serve_upload_commit(upload, &d, &err) < 0) {
        upload_failed(x, &err);
    } else if (cas_repository_add_blob(s->store, x->target.repository, &d, !was_there,
                                       &err) < 0) {
        serve_fail(x, &err);
    } else {
        locate_blob(x, &d);
        atomic_fetch_add(&s->stats.blobs, 1);
    }
}

static void finish_post(struct serve_exchange *x)
{
    if (x->is_single) {
        finish_close(x);
        return;
    }
    serve_reply(x, 202);
    locate_upload(x, x->upload);
}

/* --- Status and cancel --- */

static void get_upload(struct serve_exchange *x)
{
    acquire(x);
    if (!x->upload)
        return;
    serve_reply(x, 204);
    locate_upload(x, x->upload);
}

static void delete_upload(struct serve_exchange *x)
{
    acquire(x);
    if (!x->upload)
        return;
    end_upload(x);
    serve_reply(x, 204);
}

const struct serve_action serve_actions_pushes[] = {
    {SERVE_ROUTE_UPLOADS, SERVE_METHOD_POST, true, begin_post, take_bytes, finish_post},
    {SERVE_ROUTE_UPLOAD, SERVE_METHOD_PATCH, true, begin_chunk, take_bytes, finish_chunk},
    {SERVE_ROUTE_UPLOAD, SERVE_METHOD_PUT, true, begin_close, take_bytes, finish_close},
    {SERVE_ROUTE_UPLOAD, SERVE_METHOD_GET, true, .finish = get_upload},
    {SERVE_ROUTE_UPLOAD, SERVE_METHOD_HEAD, true, .finish = get_upload},
    {SERVE_ROUTE_UPLOAD, SERVE_METHOD_DELETE, true, .finish = delete_upload},
    {.route = SERVE_ROUTE_UNKNOWN},
};
