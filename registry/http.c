#include "registry/http.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "registry/credential.h"
#include "registry/hosts.h"
#include "registry/http_module.h"
#include "registry/url.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 15000u
#define STALL_TIMEOUT_MS   60000u
#define REDIRECTS_MAX      10
/* A request's time: so many times the one after which a stalled one ends, and that of its
 * bytes on the slowest line that is still worth waiting for. */
#define DEADLINE_STALLS 5u
#define DEADLINE_RATE   ((uint64_t)16 << 10) /* bytes a second */

struct registry_http {
    struct registry_hosts *hosts; /* or NULL */
    char **insecure_hosts;
    size_t insecure_host_count;
    char *ca_file;
    char *user_agent;
    char *unix_socket;
    uint32_t connect_timeout_ms;
    uint32_t stall_timeout_ms;
    const atomic_bool *cancelled;
    pthread_mutex_t lock; /* guards the two below until they are set, once */
    const struct registry_http_module *module;
    struct registry_http_engine *engine;
};

struct registry_http *registry_http_new(const struct registry_http_options *o)
{
    const char *ca_file = o->ca_file ? o->ca_file : getenv("SSL_CERT_FILE");
    struct registry_http *h = base_alloc(sizeof *h);

    h->hosts = o->hosts;
    h->insecure_host_count = o->insecure_host_count;
    if (h->insecure_host_count)
        h->insecure_hosts =
            base_alloc_array(h->insecure_host_count, sizeof *h->insecure_hosts);
    for (size_t i = 0; i < h->insecure_host_count; i++)
        h->insecure_hosts[i] = base_strdup(o->insecure_hosts[i]);
    h->ca_file = ca_file && *ca_file ? base_strdup(ca_file) : NULL;
    h->unix_socket = base_strdup(o->unix_socket);
    h->user_agent = base_strdup(o->user_agent ? o->user_agent : "cooper");
    h->connect_timeout_ms =
        o->connect_timeout_ms ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    h->stall_timeout_ms = o->stall_timeout_ms ? o->stall_timeout_ms : STALL_TIMEOUT_MS;
    h->cancelled = o->cancelled;
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

/* The module stays loaded: libraries that were started once do not like to be unmapped. */
void registry_http_free(struct registry_http *h)
{
    if (!h)
        return;
    if (h->engine)
        h->module->engine_free(h->engine);
    for (size_t i = 0; i < h->insecure_host_count; i++)
        free(h->insecure_hosts[i]);
    free(h->insecure_hosts);
    free(h->ca_file);
    free(h->user_agent);
    free(h->unix_socket);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void registry_http_freep(struct registry_http **h)
{
    registry_http_free(*h);
    *h = NULL;
}

void registry_http_response_release(struct registry_http_response *r)
{
    buf_release(&r->headers);
    buf_release(&r->text);
    free(r->url);
    r->url = NULL;
}

/* ---- Loading the module ---- */

static int load_locked(struct registry_http *h, struct error *err)
{
    const struct registry_http_engine_options options = {
        .user_agent = h->user_agent,
        .ca_file = h->ca_file,
        .unix_socket = h->unix_socket,
        .connect_timeout_ms = h->connect_timeout_ms,
        .stall_timeout_ms = h->stall_timeout_ms,
        .cancelled = h->cancelled,
    };

    h->module = registry_http_module_load(err);
    h->engine = h->module ? h->module->engine_new(&options, err) : NULL;
    return h->engine ? 0 : -1;
}

static int require_engine(struct registry_http *h, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&h->lock);
    if (!h->engine)
        rc = load_locked(h, err);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* ---- Rules ---- */

static struct view without_port(struct view host)
{
    size_t end;
    struct view name, port;

    if (host.size && host.data[0] == '[' && view_find(host, ']', &end))
        return view_sub(host, 1, end - 1);
    (void)view_cut(host, ':', &name, &port);
    /* Several colons: an address, not a port. */
    return view_find(port, ':', &end) ? host : name;
}

static struct registry_host_trust trust_of(const struct registry_http *h, struct view host)
{
    struct registry_host_trust trust = {0};

    if (h->hosts)
        registry_hosts_trust(h->hosts, host, &trust);
    return trust;
}

bool registry_http_is_listed(const struct registry_http *h, struct view host)
{
    for (size_t i = 0; i < h->insecure_host_count; i++) {
        if (view_eq_nocase(host, h->insecure_hosts[i]) ||
            view_eq_nocase(without_port(host), h->insecure_hosts[i]))
            return true;
    }
    return trust_of(h, host).is_insecure;
}

bool registry_http_is_plain_allowed(const struct registry_http *h, struct view host)
{
    return registry_url_is_loopback(without_port(host)) || registry_http_is_listed(h, host);
}

/* May we go from `from` (NULL: this is the first request) to `to`? */
static int check_step(const struct registry_http *h,
                      const struct registry_url *from,
                      const struct registry_url *to,
                      bool plain,
                      struct error *err)
{
    if (from && from->is_https && !to->is_https)
        return error_set(err, ERROR_DENIED,
                         "redirected from https to http at %.*s: refused",
                         VIEW_ARG(to->authority));
    if (!to->is_https && !plain && !registry_http_is_plain_allowed(h, to->authority))
        return error_set(
            err, ERROR_DENIED,
            "plain http to %.*s is refused; list the host as insecure if that is meant",
            VIEW_ARG(to->authority));
    if (from && registry_url_is_loopback(to->host) && !registry_url_is_loopback(from->host))
        return error_set(err, ERROR_DENIED,
                         "%.*s redirects to this machine (%.*s): refused",
                         VIEW_ARG(from->authority), VIEW_ARG(to->authority));
    return 0;
}

/* ---- One exchange ---- */

struct exchange {
    const struct registry_http_request *request;
    struct registry_http_response *response;
    bool headers_too_long;
    bool text_too_long;
    bool body_failed;
    bool is_redirected; /* to another origin */
    bool is_public;     /* the address that answered last */
};

static ptrdiff_t pread_all(int fd, void *out, size_t size, uint64_t offset)
{
    ssize_t n;

    do
        n = pread(fd, out, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

static ptrdiff_t on_read_at(void *context, uint64_t offset, void *out, size_t size)
{
    struct exchange *x = context;
    const struct registry_http_body *b = x->request->body;
    ptrdiff_t n;

    if (b->read_at) {
        n = b->read_at(b->context, offset, out, size);
    } else if (b->has_fd) {
        n = pread_all(b->fd, out, size, b->offset + offset);
    } else {
        const struct view part = view_sub(b->bytes, (size_t)offset, size);

        if (part.size)
            memcpy(out, part.data, part.size);
        n = (ptrdiff_t)part.size;
    }
    x->body_failed = n < 0 || (n == 0 && b->size != UINT64_MAX);
    return n;
}

/* "HTTP/1.1 200 OK" begins the headers of a new answer: what came before (100, a proxy's)
 * is gone. */
static int on_header(void *context, const char *line, size_t size)
{
    struct exchange *x = context;
    struct registry_http_response *r = x->response;
    const struct view text = {line, size};

    if (view_starts(text, "HTTP/")) {
        struct view version, rest;
        uint64_t status = 0;

        (void)view_cut(text, ' ', &version, &rest);
        if (!view_to_u64(view_sub(rest, 0, 3), &status))
            return -1;
        r->status = (int)status;
        buf_clear(&r->headers);
        buf_clear(&r->text);
        return 0;
    }
    buf_append(&r->headers, line, size);
    x->headers_too_long = r->headers.failed;
    return x->headers_too_long ? -1 : 0;
}

static int on_body(void *context, const char *data, size_t size)
{
    struct exchange *x = context;
    struct buf *text = &x->response->text;
    const bool success = x->response->status >= 200 && x->response->status < 300;
    const size_t room = text->max - text->size;

    if (success && x->request->sink.write)
        return x->request->sink.write(x->request->sink.context, data, size);
    if (size > room && success) {
        x->text_too_long = true;
        return -1;
    }
    /* What an error page says beyond is of no use, but reading it keeps the connection. */
    buf_append(text, data, size < room ? size : room);
    return 0;
}

static void on_progress(void *context, uint64_t sent, uint64_t received)
{
    const struct exchange *x = context;

    x->request->progress(x->request->progress_context, sent, received);
}

static const char *method_name(enum registry_http_method method)
{
    switch (method) {
    case REGISTRY_HTTP_GET:
        return "GET";
    case REGISTRY_HTTP_HEAD:
        return "HEAD";
    case REGISTRY_HTTP_POST:
        return "POST";
    case REGISTRY_HTTP_PUT:
        return "PUT";
    case REGISTRY_HTTP_PATCH:
        return "PATCH";
    case REGISTRY_HTTP_DELETE:
        return "DELETE";
    }
    abort();
}

static int explain(const struct exchange *x, struct error *err)
{
    if (x->headers_too_long)
        return error_set(err, ERROR_LIMIT, "the answer's headers have more than %zu bytes",
                         LIMIT_HTTP_HEADER);
    if (x->text_too_long)
        return error_set(err, ERROR_LIMIT, "the answer has more than %zu bytes",
                         x->response->text.max);
    if (x->body_failed)
        return error_set(err, ERROR_FAILED, "what was to be sent could not be read");
    return -1;
}

static uint64_t body_size(const struct registry_http_body *b)
{
    if (!b)
        return 0;
    return b->read_at || b->has_fd ? b->size : b->bytes.size;
}

/* 0: none. A body of unknown size is still being made, at its own pace. */
static uint64_t deadline_ms(const struct registry_http *h,
                            const struct registry_http_request *q)
{
    const uint64_t sent = body_size(q->body);

    if (sent == UINT64_MAX)
        return 0;
    return (uint64_t)h->stall_timeout_ms * DEADLINE_STALLS +
           (sent / DEADLINE_RATE + q->size_expected / DEADLINE_RATE) * 1000;
}

static int exchange(struct registry_http *h,
                    struct exchange *x,
                    enum registry_http_method method,
                    const struct registry_url *url,
                    const char *authorization,
                    struct error *err)
{
    const struct registry_http_request *q = x->request;
    const bool sends = method != REGISTRY_HTTP_GET && method != REGISTRY_HTTP_HEAD &&
                       method != REGISTRY_HTTP_DELETE;
    CLEANUP(base_freep)
    char *origin = base_format("%s://%.*s", url->is_https ? "https" : "http",
                               VIEW_ARG(url->authority));
    CLEANUP(registry_secret_freep)
    char *secret = authorization ? base_format("Authorization: %s", authorization) : NULL;
    CLEANUP(base_freep)
    const char **headers = base_alloc_array(q->header_count + 2, sizeof *headers);
    const struct registry_host_trust trust = trust_of(h, url->authority);
    size_t count = 0;

    for (; count < q->header_count; count++)
        headers[count] = q->headers[count];
    if (secret)
        headers[count++] = secret;
    const struct registry_http_transfer t = {
        .method = method_name(method),
        .url = x->response->url,
        .origin = origin,
        .headers = headers,
        .header_count = count,
        .head = method == REGISTRY_HTTP_HEAD,
        .has_body = sends,
        .direct = registry_url_is_loopback(url->host),
        .public_only =
            x->is_redirected && x->is_public && !registry_http_is_listed(h, url->authority),
        .unverified = registry_http_is_listed(h, url->authority),
        .ca_file = trust.ca_file,
        .cert_file = trust.cert_file,
        .key_file = trust.key_file,
        .body_size = sends ? body_size(q->body) : 0,
        .deadline_ms = deadline_ms(h, q),
        .context = x,
        .read_at = on_read_at,
        .header = on_header,
        .body = on_body,
        .stop = q->stop,
        .progress = q->progress ? on_progress : NULL,
    };
    log_debug("http: %s %s", t.method, origin);
    if (h->module->perform(h->engine, &t, &x->response->status, &x->is_public, err) < 0)
        return explain(x, err);
    return 0;
}

/* ---- Redirects ---- */

/* Where the answer sends this request; false if it is to be taken as it is. Only reading is
 * repeated elsewhere on 301 to 303; 307 and 308 ask for the same method and body. */
static bool is_redirect(const struct registry_http_response *r,
                        enum registry_http_method method,
                        struct view *location)
{
    const bool reads = method == REGISTRY_HTTP_GET || method == REGISTRY_HTTP_HEAD;

    switch (r->status) {
    case 301:
    case 302:
    case 303:
        return reads && registry_http_header(r, "Location", 0, location);
    case 307:
    case 308:
        return registry_http_header(r, "Location", 0, location);
    default:
        return false;
    }
}

/* Moves the response's URL to the new place. *authorization becomes NULL when the origin
 * changes, and stays so. */
static int follow(struct registry_http *h,
                  struct exchange *x,
                  struct view location,
                  const char **authorization,
                  struct error *err)
{
    struct registry_http_response *response = x->response;
    CLEANUP(base_freep) char *old = response->url;
    struct registry_url from, to;

    response->url = registry_url_resolve(old, location, err);
    if (!response->url || registry_url_parse(view_of(old), &from, err) < 0 ||
        registry_url_parse(view_of(response->url), &to, err) < 0)
        return error_wrap(err, "redirect");
    if (check_step(h, &from, &to, x->request->plain, err) < 0)
        return -1;
    if (!registry_url_same_origin(&from, &to)) {
        *authorization = NULL;
        x->is_redirected = true;
    }
    return 0;
}

static int perform_steps(struct registry_http *h, struct exchange *x, struct error *err)
{
    const char *authorization = x->request->authorization;
    struct registry_http_response *response = x->response;
    struct registry_url url;
    struct view location;

    for (int steps = 0; steps <= REDIRECTS_MAX; steps++) {
        if (registry_url_parse(view_of(response->url), &url, err) < 0)
            return -1;
        if (exchange(h, x, x->request->method, &url, authorization, err) < 0)
            return error_wrap(err, "%.*s", VIEW_ARG(url.authority));
        if (!is_redirect(response, x->request->method, &location))
            return 0;
        if (follow(h, x, location, &authorization, err) < 0)
            return -1;
    }
    return error_set(err, ERROR_INVALID, "redirected more than %d times", REDIRECTS_MAX);
}

int registry_http_perform(struct registry_http *h,
                          const struct registry_http_request *request,
                          struct registry_http_response *response,
                          struct error *err)
{
    struct exchange x = {.request = request, .response = response};
    struct registry_url url;

    if (h->cancelled && atomic_load(h->cancelled))
        return error_set(err, ERROR_CANCELLED, "cancelled");
    if (registry_url_parse(view_of(request->url), &url, err) < 0 ||
        check_step(h, NULL, &url, request->plain, err) < 0 || require_engine(h, err) < 0)
        return -1;
    free(response->url);
    response->url = base_strdup(request->url);
    response->status = 0;
    buf_clear(&response->headers);
    buf_clear(&response->text);
    return perform_steps(h, &x, err);
}

/* ---- Headers ---- */

bool registry_http_header(const struct registry_http_response *r,
                          const char *name,
                          size_t index,
                          struct view *value)
{
    struct view line, rest = buf_view(&r->headers);

    while (rest.size > 0) {
        struct view key, text;

        (void)view_cut(rest, '\n', &line, &rest);
        if (!view_cut(line, ':', &key, &text) || !view_eq_nocase(key, name))
            continue;
        if (index-- == 0) {
            *value = view_trim(text);
            return true;
        }
    }
    return false;
}
