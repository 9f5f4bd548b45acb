#include "fixture.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fake {
    struct MHD_Daemon *daemon;
    const struct fake_route *routes;
    size_t count;
    int port;
    pthread_mutex_t lock; /* guards used and log */
    unsigned *used;
    struct buf log;
};

static bool path_fits(const char *pattern, const char *path)
{
    const size_t n = strlen(pattern);

    if (n && pattern[n - 1] == '*')
        return strncmp(pattern, path, n - 1) == 0;
    return strcmp(pattern, path) == 0;
}

static const struct fake_route *choose(struct fake *f,
                                       const char *method,
                                       const char *path,
                                       const char *authorization)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct fake_route *r = &f->routes[i];

        if (strcmp(r->method, method) != 0 || !path_fits(r->path, path) ||
            (r->times && f->used[i] >= r->times) ||
            (r->authorization &&
             (!authorization || strcmp(authorization, r->authorization) != 0)))
            continue;
        f->used[i]++;
        return r;
    }
    return NULL;
}

static enum MHD_Result add_query(void *context,
                                 enum MHD_ValueKind kind,
                                 const char *key,
                                 const char *value)
{
    (void)kind;
    buf_printf(context, "%s=%s&", key, value ? value : "");
    return MHD_YES;
}

static void write_log(struct fake *f,
                      struct MHD_Connection *connection,
                      const char *method,
                      const char *path,
                      uint64_t body_size)
{
    const char *range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    const char *content =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Range");
    const char *authorization =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    const char *expect = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect");

    buf_printf(&f->log, "%s %s?", method, path);
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_query, &f->log);
    if (range)
        buf_printf(&f->log, " range=%s", range);
    if (content)
        buf_printf(&f->log, " content-range=%s", content);
    if (authorization)
        buf_printf(&f->log, " authorization=%s", authorization);
    if (expect)
        buf_printf(&f->log, " expect=%s", expect);
    buf_printf(&f->log, " size=%llu\n", (unsigned long long)body_size);
}

struct cut {
    const char *body;
    size_t size;
};

static ssize_t read_cut(void *context, uint64_t at, char *out, size_t max)
{
    const struct cut *c = context;
    const size_t left = at < c->size ? c->size - (size_t)at : 0;
    const size_t n = left < max ? left : max;

    if (n == 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    memcpy(out, c->body + at, n);
    return (ssize_t)n;
}

static struct MHD_Response *make_response(const struct fake_route *r)
{
    const char *body = r && r->body ? r->body : "";
    const size_t size = r && r->body_size ? r->body_size : strlen(body);
    struct cut *c;

    if (!r || !r->cut_after)
        return MHD_create_response_from_buffer(size, memcpy(malloc(size + 1), body, size),
                                               MHD_RESPMEM_MUST_FREE);
    c = malloc(sizeof *c);
    *c = (struct cut){body, r->cut_after};
    return MHD_create_response_from_callback(size, 4096, read_cut, c, free);
}

static void add_headers(const struct fake *f,
                        const struct fake_route *r,
                        struct MHD_Response *response)
{
    for (size_t i = 0; r && i < ARRAY_COUNT(r->headers) && r->headers[i]; i++) {
        struct view name, value, before, after;
        CLEANUP(base_freep) char *n = NULL;
        CLEANUP(base_freep) char *v = NULL;

        (void)view_cut(view_of(r->headers[i]), ':', &name, &value);
        n = view_dup(name);
        if (view_cut(view_trim(value), '@', &before, &after))
            v = base_format("%.*s127.0.0.1:%d%.*s", VIEW_ARG(before), f->port,
                            VIEW_ARG(after));
        else
            v = view_dup(view_trim(value));
        (void)MHD_add_response_header(response, n, v);
    }
}

static enum MHD_Result on_request(void *context,
                                  struct MHD_Connection *connection,
                                  const char *path,
                                  const char *method,
                                  const char *version,
                                  const char *upload,
                                  size_t *upload_size,
                                  void **state)
{
    struct fake *f = context;
    uint64_t *received = *state;

    (void)version;
    (void)upload;
    if (!received) {
        *state = calloc(1, sizeof *received);
        return MHD_YES;
    }
    if (*upload_size) {
        *received += *upload_size;
        *upload_size = 0;
        return MHD_YES;
    }
    pthread_mutex_lock(&f->lock);
    write_log(f, connection, method, path, *received);
    const struct fake_route *r =
        choose(f, method, path,
               MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"));
    pthread_mutex_unlock(&f->lock);
    if (r && r->delay_ms)
        usleep(r->delay_ms * 1000);
    struct MHD_Response *response = make_response(r);
    add_headers(f, r, response);
    const enum MHD_Result rc =
        MHD_queue_response(connection, r ? (unsigned)r->status : 404, response);
    MHD_destroy_response(response);
    return rc;
}

static void on_done(void *context,
                    struct MHD_Connection *connection,
                    void **state,
                    enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    free(*state);
    *state = NULL;
}

struct fake *fake_start(const struct fake_route *routes, size_t count)
{
    struct fake *f = base_alloc(sizeof *f);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    f->routes = routes;
    f->count = count;
    f->used = base_alloc_array(count + 1, sizeof *f->used);
    f->log = (struct buf)BUF_INIT(LIMIT_TEXT_SIZE);
    pthread_mutex_init(&f->lock, NULL);
    f->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0,
                         NULL, NULL, on_request, f, MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL, MHD_OPTION_END);
    assert_non_null(f->daemon);
    f->port = MHD_get_daemon_info(f->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return f;
}

void fake_stop(struct fake *f)
{
    MHD_stop_daemon(f->daemon);
    pthread_mutex_destroy(&f->lock);
    buf_release(&f->log);
    free(f->used);
    free(f);
}

int fake_port(const struct fake *f)
{
    return f->port;
}

char *fake_log(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    char *text = base_strdup(buf_text(&f->log));
    pthread_mutex_unlock(&f->lock);
    return text;
}

struct registry_reference fake_reference(const struct fake *f, const char *name)
{
    CLEANUP(base_freep) char *text = base_format("127.0.0.1:%d/%s", f->port, name);

    return parse_reference(text);
}
