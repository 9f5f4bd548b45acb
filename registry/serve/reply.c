#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void serve_http_response_release(struct serve_http_response *r)
{
    for (size_t i = 0; i < r->header_count; i++)
        free(r->headers[i].value);
    free(r->data);
    if (r->fd >= 0)
        close(r->fd);
    if (r->source)
        r->close(r->source);
    *r = (struct serve_http_response){.fd = -1};
}

void serve_reply(struct serve_exchange *x, int status)
{
    if (x->response.status == 0)
        x->response.status = status;
}

void serve_reply_header(struct serve_exchange *x, const char *name, const char *format, ...)
{
    struct serve_http_response *const r = &x->response;
    char *value = NULL;
    va_list args;

    assert(r->header_count < SERVE_HTTP_HEADERS_MAX);
    va_start(args, format);
    if (vasprintf(&value, format, args) < 0)
        abort(); /* as base_alloc */
    va_end(args);
    r->headers[r->header_count++] = (struct serve_http_header){name, value};
}

void serve_reply_text(struct serve_exchange *x, const char *media_type, struct buf *text)
{
    serve_reply_header(x, "Content-Type", "%s", media_type);
    x->response.size = text->size;
    x->response.data = buf_take(text);
}

void serve_reply_doc(struct serve_exchange *x, const char *media_type, const struct doc *d)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_write(d, DOC_WRITE_COMPACT, &text);
    serve_reply_text(x, media_type, &text);
}

void serve_reply_fd(struct serve_exchange *x, int *fd, uint64_t offset, uint64_t size)
{
    x->response.fd = *fd;
    *fd = -1;
    x->response.offset = offset;
    x->response.size = size;
}

void serve_reply_stream(struct serve_exchange *x,
                        const struct serve_stream *stream,
                        uint64_t offset,
                        uint64_t size)
{
    x->response.read = stream->read;
    x->response.close = stream->close;
    x->response.source = stream->source;
    x->response.offset = offset;
    x->response.size = size;
}

static ssize_t read_nothing(void *source, uint64_t offset, char *out, size_t size)
{
    (void)source;
    (void)offset;
    (void)out;
    (void)size;
    return -1;
}

static void close_nothing(void *source)
{
    (void)source;
}

void serve_reply_size(struct serve_exchange *x, uint64_t size)
{
    static char nothing;
    const struct serve_stream stream = {read_nothing, close_nothing, &nothing};

    serve_reply_stream(x, &stream, 0, size);
}

/* {"errors":[{"code":..,"message":..,"detail":..}]} */
void serve_refuse_detail(struct serve_exchange *x,
                         int status,
                         const char *code,
                         const char *message,
                         struct doc *detail)
{
    CLEANUP(doc_unrefp) struct doc *body = doc_new_object();
    struct doc *errors = doc_new_array();
    struct doc *e = doc_new_object();

    doc_set_text(e, "code", code);
    doc_set(e, "message", doc_new_text(view_of(message)));
    if (detail)
        doc_set(e, "detail", detail);
    doc_append(errors, e);
    doc_set(body, "errors", errors);
    if (x->response.status != 0)
        return;
    serve_reply(x, status);
    serve_reply_doc(x, "application/json", body);
}

void serve_refuse(
    struct serve_exchange *x, int status, const char *code, const char *format, ...)
{
    CLEANUP(base_freep) char *message = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&message, format, args) < 0)
        abort();
    va_end(args);
    serve_refuse_detail(x, status, code, message, NULL);
}

/* Paths and the like are nobody's business but the owner's. */
static void tell_owner(struct serve_exchange *x, struct error *err)
{
    const struct registry_server_options *o = &x->serve->options;

    if (o->complain) {
        CLEANUP(base_freep)
        char *text =
            base_format("%s %s: %s", x->request.method, x->target.path, error_text(err));
        o->complain(o->complain_context, text);
    }
    error_clear(err);
}

void serve_fail(struct serve_exchange *x, struct error *err)
{
    const bool is_full = err->sys == ENOSPC || err->sys == EDQUOT;

    tell_owner(x, err);
    if (is_full)
        serve_refuse(x, 507, "UNKNOWN", "the registry's disk is full");
    else
        serve_refuse(x, 500, "UNKNOWN", "the registry failed; its log says why");
}

void serve_refuse_limit(struct serve_exchange *x, struct error *err)
{
    tell_owner(x, err);
    serve_refuse(x, 403, "DENIED",
                 "the registry's storage has reached its limit; its owner can raise it or "
                 "remove images");
}

bool serve_digest_read(struct serve_exchange *x, const char *text, struct digest *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (text && digest_parse(view_of(text), out, &err) == 0)
        return true;
    serve_refuse(x, 400, "DIGEST_INVALID", "%s",
                 text ? error_text(&err) : "the digest is missing");
    return false;
}
