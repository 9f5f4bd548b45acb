/* libmicrohttpd's doorkeeper: see registry/serve/http_module.h. */
#include "registry/serve/http_module.h"

#include "base/alloc.h"
#include "registry/serve/module_priv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Of one connection: what has come of a header, or of a body and is not handled yet. Larger
 * headers are answered with 431. Mapped, so that only what is used takes memory. */
#define CONNECTION_MEMORY ((size_t)128 << 10)
#define THREAD_STACK      ((size_t)1 << 20)

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3"

struct serve_http {
    struct serve_http_handler handler;
    uint64_t unwanted_body_max;
    struct serve_guard *guard;
    struct MHD_Daemon *daemon;
    int quiet_fd; /* what was listened on, once nobody listens any more; or -1 */
};

/* A request, from its first line to the end of its answer. */
struct request {
    char *target;
    char peer[INET6_ADDRSTRLEN];
    void *exchange;    /* NULL until the header is complete */
    uint64_t unwanted; /* bytes of a body that were thrown away */
    bool answered;
};

/* --- Connections --- */

static struct serve_guarded *guarded_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void on_connection(void *context,
                          struct MHD_Connection *connection,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct serve_http *h = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        assert(info);
        serve_tune_socket(info->connect_fd);
        *socket_context = serve_guard_join(h->guard, info->connect_fd);
    } else if (*socket_context) {
        serve_guard_leave(h->guard, *socket_context);
        *socket_context = NULL;
    }
}

static void format_peer(struct MHD_Connection *connection, char *out, socklen_t size)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const void *address = NULL;

    out[0] = '\0';
    if (!info || !info->client_addr)
        return;
    const int family = info->client_addr->sa_family;
    if (family == AF_INET)
        address = &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr;
    else if (family == AF_INET6)
        address =
            &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr;
    if (!address || !inet_ntop(family, address, out, size))
        out[0] = '\0';
}

/* --- Requests --- */

/* What is returned is found again in the handler's *request. */
static void *on_request_line(void *context,
                             const char *uri,
                             struct MHD_Connection *connection)
{
    struct request *r = base_alloc(sizeof *r);

    (void)context;
    r->target = base_strdup(uri);
    format_peer(connection, r->peer, sizeof r->peer);
    return r;
}

/* Targets stay as they came: what "%2f" and "%00" mean is not for a library to say. */
static size_t keep_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static const char *find_header(void *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* libmicrohttpd has checked the number; "chunked" counts before it. */
static uint64_t body_size_of(struct MHD_Connection *connection)
{
    const char *length = find_header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t size = 0;

    if (find_header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return SERVE_HTTP_SIZE_UNKNOWN;
    for (; length && *length >= '0' && *length <= '9'; length++) {
        if (size > (UINT64_MAX - 9) / 10)
            return SERVE_HTTP_SIZE_UNKNOWN;
        size = size * 10 + (uint64_t)(*length - '0');
    }
    return size;
}

/* --- Bodies that are still on their way --- */

#define STREAM_BLOCK ((size_t)64 << 10)

struct stream {
    ssize_t (*read)(void *source, uint64_t offset, char *out, size_t size);
    void (*close)(void *source);
    void *source;
    uint64_t offset;
};

/* In the connection's own thread, so it may wait. */
static ssize_t stream_read(void *context, uint64_t at, char *out, size_t size)
{
    const struct stream *s = context;
    const ssize_t n = s->read(s->source, s->offset + at, out, size);

    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void stream_free(void *context)
{
    struct stream *s = context;

    s->close(s->source);
    free(s);
}

static struct MHD_Response *make_stream(struct serve_http_response *r)
{
    struct stream *s = base_alloc(sizeof *s);

    *s = (struct stream){r->read, r->close, r->source, r->offset};
    struct MHD_Response *out = MHD_create_response_from_callback(
        r->size, STREAM_BLOCK, stream_read, s, stream_free);
    if (out)
        r->source = NULL;
    else
        free(s);
    return out;
}

/* --- Answers --- */

static struct MHD_Response *make_response(struct serve_http_response *r)
{
    struct MHD_Response *out;

    if (r->source && r->size > 0) {
        out = make_stream(r);
    } else if (r->fd >= 0 && r->size > 0) {
        out = MHD_create_response_from_fd_at_offset64(r->size, r->fd, r->offset);
        if (out)
            r->fd = -1;
    } else {
        out = MHD_create_response_from_buffer(r->data ? (size_t)r->size : 0, r->data,
                                              MHD_RESPMEM_MUST_COPY);
    }
    for (size_t i = 0; out && i < r->header_count; i++) {
        if (MHD_add_response_header(out, r->headers[i].name, r->headers[i].value) ==
            MHD_NO) {
            MHD_destroy_response(out);
            return NULL;
        }
    }
    return out;
}

static enum MHD_Result answer(struct serve_http *h,
                              struct MHD_Connection *connection,
                              struct request *r)
{
    struct serve_guarded *guarded = guarded_of(connection);

    if (guarded)
        serve_guard_enter(h->guard, guarded, SERVE_GUARD_ANSWER);
    struct serve_http_response *const answer = h->handler.finish(r->exchange);
    struct MHD_Response *response = make_response(answer);
    if (!response)
        return MHD_NO;
    const enum MHD_Result result =
        MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    r->answered = result == MHD_YES;
    return result;
}

static bool expects_continue(struct MHD_Connection *connection)
{
    const char *expect = find_header(connection, MHD_HTTP_HEADER_EXPECT);

    return expect && strcasecmp(expect, "100-continue") == 0;
}

/* An answer before the body makes libmicrohttpd close the connection, and with bytes under
 * way the client might never read it: so that is done only where the client waits. */
static enum MHD_Result begin(struct serve_http *h,
                             struct MHD_Connection *connection,
                             const char *method,
                             struct request *r)
{
    const struct serve_http_request request = {
        .method = method,
        .target = r->target,
        .peer = r->peer,
        .body_size = body_size_of(connection),
        .connection = connection,
        .header = find_header,
    };
    struct serve_guarded *guarded = guarded_of(connection);

    if (guarded)
        serve_guard_enter(h->guard, guarded, SERVE_GUARD_BODY);
    r->exchange = h->handler.begin(h->handler.context, &request);
    if (request.body_size > 0 && h->handler.is_decided(r->exchange) &&
        (expects_continue(connection) || (request.body_size != SERVE_HTTP_SIZE_UNKNOWN &&
                                          request.body_size > h->unwanted_body_max)))
        return answer(h, connection, r);
    return MHD_YES;
}

static enum MHD_Result on_request(void *context,
                                  struct MHD_Connection *connection,
                                  const char *url,
                                  const char *method,
                                  const char *version,
                                  const char *data,
                                  size_t *size,
                                  void **request)
{
    struct serve_http *h = context;
    struct request *r = *request;

    (void)url;
    (void)version;
    if (!r->exchange)
        return begin(h, connection, method, r);
    if (*size == 0)
        return answer(h, connection, r);
    struct serve_guarded *guarded = guarded_of(connection);
    if (guarded)
        serve_guard_count_bytes(guarded, *size);
    if (!h->handler.is_decided(r->exchange))
        h->handler.body(r->exchange, data, *size);
    else if ((r->unwanted += *size) > h->unwanted_body_max)
        return MHD_NO;
    *size = 0;
    return MHD_YES;
}

static void on_completed(void *context,
                         struct MHD_Connection *connection,
                         void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct serve_http *h = context;
    struct request *r = *request;
    struct serve_guarded *guarded = guarded_of(connection);

    if (!r)
        return;
    if (guarded)
        serve_guard_enter(h->guard, guarded, SERVE_GUARD_WAITING);
    if (r->exchange)
        h->handler.end(r->exchange,
                       r->answered && code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    free(r->target);
    free(r);
    *request = NULL;
}

/* --- The daemon --- */

static struct MHD_Daemon *start_daemon(struct serve_http *h,
                                       const struct serve_http_options *o)
{
    const bool is_tls = o->tls_cert != NULL;
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                           MHD_USE_POLL | MHD_USE_ITC | (is_tls ? MHD_USE_TLS : 0u);
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, o->listen_fd,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        o->connections_max, MHD_OPTION_CONNECTION_TIMEOUT, o->idle_s,
        MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK, MHD_OPTION_URI_LOG_CALLBACK,
        on_request_line, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, h,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, h, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        is_tls ? tls : none, MHD_OPTION_END);
}

static struct serve_http *start(const struct serve_http_options *options,
                                const struct serve_http_handler *handler,
                                struct error *err)
{
    struct serve_http *h = base_alloc(sizeof *h);

    h->handler = *handler;
    h->unwanted_body_max = options->unwanted_body_max;
    h->quiet_fd = -1;
    h->guard = serve_guard_new(options->header_s, options->body_rate_min);
    h->daemon = h->guard ? start_daemon(h, options) : NULL;
    if (h->daemon)
        return h;
    error_set(err, ERROR_SYSTEM,
              options->tls_cert
                  ? "the HTTP server cannot be started; are certificate and key PEM files "
                    "that belong together?"
                  : "the HTTP server cannot be started");
    serve_guard_free(h->guard);
    close(options->listen_fd);
    free(h);
    return NULL;
}

static void quiesce(struct serve_http *h)
{
    if (h->quiet_fd < 0)
        h->quiet_fd = MHD_quiesce_daemon(h->daemon);
}

static unsigned connections(struct serve_http *h)
{
    return serve_guard_count(h->guard);
}

static void stop(struct serve_http *h)
{
    MHD_stop_daemon(h->daemon);
    serve_guard_free(h->guard);
    if (h->quiet_fd >= 0)
        close(h->quiet_fd);
    free(h);
}

__attribute__((
    visibility("default"))) extern const struct serve_http_module serve_http_module;

const struct serve_http_module serve_http_module = {
    .version = SERVE_HTTP_MODULE_VERSION,
    .start = start,
    .quiesce = quiesce,
    .connections = connections,
    .stop = stop,
    .check_password = serve_password_check,
};
