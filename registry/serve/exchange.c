#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/serve/header.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct serve_action *const tables[] = {
    serve_actions_manifests, serve_actions_blobs,  serve_actions_pushes,
    serve_actions_lists,     serve_actions_status, serve_actions_page,
};

static const struct {
    const char *name;
    enum serve_method method;
} methods[] = {
    {"GET", SERVE_METHOD_GET},     {"HEAD", SERVE_METHOD_HEAD},
    {"POST", SERVE_METHOD_POST},   {"PUT", SERVE_METHOD_PUT},
    {"PATCH", SERVE_METHOD_PATCH}, {"DELETE", SERVE_METHOD_DELETE},
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

const char *serve_header(const struct serve_exchange *x, const char *name)
{
    return x->request.header(x->request.connection, name);
}

static enum serve_method method_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].method;
    }
    return SERVE_METHOD_OTHER;
}

/* --- Who asks --- */

static void ask_for_password(struct serve_exchange *x)
{
    serve_refuse(x, 401, "UNAUTHORIZED", "a user name and password are needed");
    serve_reply_header(x, "WWW-Authenticate", "Basic realm=\"%s\", charset=\"UTF-8\"",
                       x->serve->name);
}

static bool authenticate(struct serve_exchange *x)
{
    CLEANUP(base_freep) char *user = NULL;
    char *password = NULL;
    bool is_right = false;

    if (!x->serve->auth)
        return true;
    if (serve_basic_parse(serve_header(x, "Authorization"), &user, &password)) {
        is_right = serve_auth_check(x->serve->auth, user, password);
        explicit_bzero(password, strlen(password));
        free(password);
    }
    if (!is_right) {
        ask_for_password(x);
        return false;
    }
    x->user = user;
    user = NULL;
    return true;
}

/* --- What is asked --- */

static const struct serve_action *find_action(const struct serve_exchange *x,
                                              bool *has_route)
{
    for (size_t t = 0; t < ARRAY_COUNT(tables); t++) {
        for (const struct serve_action *a = tables[t]; a->route; a++) {
            if (a->route != x->target.route)
                continue;
            *has_route = true;
            if (a->method == x->method)
                return a;
        }
    }
    return NULL;
}

static bool choose_action(struct serve_exchange *x)
{
    bool has_route = false;

    x->action = find_action(x, &has_route);
    if (!has_route)
        serve_refuse(x, 404, "UNSUPPORTED", "there is nothing here");
    else if (!x->action)
        serve_refuse(x, 405, "UNSUPPORTED", "%s is not possible here", x->request.method);
    else if (x->action->is_write && x->serve->options.is_readonly)
        serve_refuse(x, 405, "UNSUPPORTED", "this registry is read-only");
    return x->response.status == 0;
}

static void start_action(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (serve_target_parse(view_of(x->request.target), &x->target, &err) < 0) {
        serve_refuse(x, 400, "NAME_INVALID", "%s", error_text(&err));
        return;
    }
    if (authenticate(x) && choose_action(x) && x->action->begin)
        x->action->begin(x);
}

/* --- The module's callbacks --- */

static void *begin(void *context, const struct serve_http_request *request)
{
    struct serve *s = context;
    struct serve_exchange *x = base_alloc(sizeof *x);

    x->serve = s;
    x->request = *request;
    x->method = method_of(request->method);
    x->began_us = now_us();
    x->response.fd = -1;
    atomic_fetch_add(&s->stats.active, 1);
    pthread_rwlock_rdlock(&s->store_lock);
    start_action(x);
    pthread_rwlock_unlock(&s->store_lock);
    return x;
}

static bool is_decided(const void *exchange)
{
    const struct serve_exchange *x = exchange;

    return x->response.status != 0;
}

static void body(void *exchange, const char *data, size_t size)
{
    struct serve_exchange *x = exchange;

    x->body_bytes += size;
    if (x->action && x->action->body)
        x->action->body(x, data, size);
}

static struct serve_http_response *finish(void *exchange)
{
    struct serve_exchange *x = exchange;

    if (x->response.status == 0) {
        pthread_rwlock_rdlock(&x->serve->store_lock);
        x->action->finish(x);
        pthread_rwlock_unlock(&x->serve->store_lock);
    }
    assert(x->response.status != 0);
    serve_reply_header(x, "Docker-Distribution-API-Version", "registry/2.0");
    serve_reply_header(x, "X-Content-Type-Options", "nosniff");
    /* Before anybody can read the answer, others may go on with the session. */
    if (x->upload && !x->is_single)
        serve_upload_release(x->upload);
    else if (x->upload)
        serve_upload_end(x->upload);
    x->upload = NULL;
    return &x->response;
}

static void write_log(const struct serve_exchange *x, bool sent)
{
    CLEANUP(buf_release) struct buf line = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();
    char when[32];
    struct tm tm;
    const time_t now = time(NULL);

    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    doc_set_text(d, "time", when);
    doc_set_text(d, "peer", x->request.peer);
    if (x->user)
        doc_set_view(d, "user", view_of(x->user));
    doc_set_text(d, "method", x->request.method);
    doc_set_view(d, "target", view_of(x->request.target));
    doc_set_int(d, "status", x->response.status);
    doc_set_int(d, "received", (int64_t)x->body_bytes);
    doc_set_int(d, "sent", x->method == SERVE_METHOD_HEAD ? 0 : (int64_t)x->response.size);
    doc_set_int(d, "microseconds", now_us() - x->began_us);
    if (!sent)
        doc_set_bool(d, "broken", true);
    doc_write(d, DOC_WRITE_COMPACT, &line);
    buf_append_char(&line, '\n');
    /* One write a line, so that lines of several threads do not mix. What cannot be logged
     * is served all the same. */
    if (write(x->serve->options.access_log_fd, line.data, line.size) < 0)
        return;
}

static void count(const struct serve_exchange *x, bool sent)
{
    struct serve_stats *stats = &x->serve->stats;

    atomic_fetch_add(&stats->requests[sent ? x->response.status / 100 : 0], 1);
    atomic_fetch_add(&stats->bytes_in, x->body_bytes);
    if (sent && x->method != SERVE_METHOD_HEAD)
        atomic_fetch_add(&stats->bytes_out, x->response.size);
    atomic_fetch_sub(&stats->active, 1);
}

/* A session whose request broke off keeps what came: the client asks how much that is. */
static void end(void *exchange, bool sent)
{
    struct serve_exchange *x = exchange;

    if (x->upload && x->is_single)
        serve_upload_end(x->upload);
    else if (x->upload)
        serve_upload_release(x->upload);
    if (x->serve->options.access_log_fd >= 0)
        write_log(x, sent);
    count(x, sent);
    serve_http_response_release(&x->response);
    serve_target_release(&x->target);
    buf_release(&x->body);
    free(x->user);
    free(x);
}

void serve_handler_init(struct serve *s, struct serve_http_handler *out)
{
    *out = (struct serve_http_handler){
        .context = s,
        .begin = begin,
        .is_decided = is_decided,
        .body = body,
        .finish = finish,
        .end = end,
    };
}
