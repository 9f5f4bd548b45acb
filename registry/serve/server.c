#include "registry/serve/server.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/reference.h"
#include "registry/serve/listen.h"
#include "registry/serve/serve_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 2000u
/* A client that neither sends nor takes a byte, or needs so long for a header. */
#define IDLE_S        60u
#define HEADER_S      60u
#define BODY_RATE_MIN ((uint64_t)1024)
/* Of a request that is refused: read, so that the refusal is heard. */
#define UNWANTED_BODY_MAX ((uint64_t)16 << 20)

#define UPLOAD_EXPIRY_S 3600u
/* The store's handle holds what it saw from garbage collection: it is taken anew at times.
 */
#define LEASE_S 600
/* Between calls of `tidy`. */
#define TIDY_S        10
#define DRAIN_LOOK_MS 20u

struct registry_server {
    struct serve serve;
    char *store_path;
    char *address;
    bool is_loopback;
    bool is_tls;
    char **immutable;
    const struct serve_http_module *module;
    struct serve_http *http;
    int64_t lease_since_s;
    int64_t tidy_since_s;
};

static int64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* --- Start --- */

static int check_options(const struct registry_server_options *o, struct error *err)
{
    if ((o->tls_cert != NULL) != (o->tls_key != NULL))
        return error_set(err, ERROR_INVALID,
                         "TLS needs both a certificate and its private key");
    if (o->upstream && o->is_pushed_only)
        return error_set(
            err, ERROR_INVALID,
            "what comes from an upstream registry was not pushed: it cannot be "
            "shown while only what was pushed is");
    return 0;
}

/* Refs are made with it: it must be what the grammar takes for a host. */
static int check_name(const char *name, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference r = {0};
    CLEANUP(base_freep) char *text = base_format("%s/x", name);

    if (registry_reference_parse(view_of(text), &r, err) < 0 || strcmp(r.host, name) != 0 ||
        strcmp(r.host, "docker.io") == 0) {
        error_clear(err);
        return error_set(err, ERROR_INVALID,
                         "'%s' cannot be the name of this registry; it is HOST or "
                         "HOST:PORT, as in 'localhost:5000/app'",
                         name);
    }
    return 0;
}

static int read_pem(const char *path, struct buf *out, struct error *err)
{
    if (path && fs_read_file_at(AT_FDCWD, path, out, err) < 0)
        return error_wrap(err, "read %s", path);
    return 0;
}

/* A connection needs two descriptors, an upload one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_http(struct registry_server *s,
                      const struct registry_server_options *o,
                      struct serve_listener *listener,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf cert = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    CLEANUP(buf_release) struct buf key = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    struct serve_http_options http = {
        .connections_max = CONNECTIONS_MAX,
        .idle_s = IDLE_S,
        .header_s = HEADER_S,
        .body_rate_min = BODY_RATE_MIN,
        .unwanted_body_max = UNWANTED_BODY_MAX,
    };
    struct serve_http_handler handler;

    if (read_pem(o->tls_cert, &cert, err) < 0 || read_pem(o->tls_key, &key, err) < 0)
        return -1;
    http.tls_cert = o->tls_cert ? buf_text(&cert) : NULL;
    http.tls_key = o->tls_key ? buf_text(&key) : NULL;
    http.listen_fd = fd_take(&listener->fd);
    serve_handler_init(&s->serve, &handler);
    s->http = s->module->start(&http, &handler, err);
    if (key.data)
        explicit_bzero(key.data, key.size);
    return s->http ? 0 : -1;
}

static void adopt(const struct serve *v, struct cas_store *store)
{
    if (v->options.adopt)
        v->options.adopt(v->options.storage_context, store);
}

static struct serve_upstream *open_upstream(const struct registry_server_options *o,
                                            struct error *err)
{
    const struct serve_upstream_options options = {
        .url = o->upstream,
        .ttl_s = o->upstream_ttl_s,
        .insecure_hosts = o->insecure_hosts,
        .insecure_host_count = o->insecure_host_count,
        .ca_file = o->ca_file,
        .complain = o->complain,
        .complain_context = o->complain_context,
    };

    return serve_upstream_new(&options, err);
}

static void listener_releasep(struct serve_listener *l)
{
    serve_listener_release(l);
}

/* The order matters: nobody is served before everything is there. */
static int start(struct registry_server *s,
                 const struct registry_server_options *o,
                 struct error *err)
{
    CLEANUP(listener_releasep) struct serve_listener listener = {.fd = -1};
    struct serve *const v = &s->serve;

    if (check_options(o, err) < 0 || serve_listen(o->listen, &listener, err) < 0)
        return -1;
    s->address = base_strdup(listener.address);
    s->is_loopback = listener.is_loopback;
    v->name = o->name ? base_strdup(o->name) : base_format("localhost:%u", listener.port);
    if (check_name(v->name, err) < 0)
        return -1;
    s->module = serve_http_module_load(err);
    if (!s->module)
        return -1;
    if (o->htpasswd) {
        v->auth = serve_auth_open(o->htpasswd, s->module->check_password, err);
        if (!v->auth)
            return -1;
    }
    if (o->upstream && !(v->upstream = open_upstream(o, err)))
        return -1;
    v->store = cas_store_open(o->store, CAS_STORE_OPEN_DEFAULT, err);
    if (!v->store)
        return -1;
    adopt(v, v->store);
    s->lease_since_s = now_s();
    s->tidy_since_s = now_s() - TIDY_S;
    raise_descriptor_limit();
    return start_http(s, o, &listener, err);
}

static void copy_options(struct registry_server *s, const struct registry_server_options *o)
{
    struct registry_server_options *const c = &s->serve.options;

    *c = *o;
    s->store_path = base_strdup(o->store);
    s->is_tls = o->tls_cert != NULL;
    s->immutable = base_alloc_array(o->immutable_count + 1, sizeof *s->immutable);
    for (size_t i = 0; i < o->immutable_count; i++)
        s->immutable[i] = base_strdup(o->immutable[i]);
    c->immutable = (const char *const *)s->immutable;
    if (!c->upload_expiry_s)
        c->upload_expiry_s = UPLOAD_EXPIRY_S;
    c->store = c->listen = c->name = c->tls_cert = c->tls_key = c->htpasswd = NULL;
    c->upstream = c->ca_file = NULL;
    c->insecure_hosts = NULL;
}

struct registry_server *registry_server_start(const struct registry_server_options *options,
                                              struct error *err)
{
    struct registry_server *s = base_alloc(sizeof *s);

    copy_options(s, options);
    pthread_rwlock_init(&s->serve.store_lock, NULL);
    s->serve.uploads = serve_uploads_new(options->upload_size_max);
    if (start(s, options, err) == 0)
        return s;
    registry_server_stop(s, 0);
    return NULL;
}

const char *registry_server_address(const struct registry_server *s)
{
    return s->address;
}

const char *registry_server_name(const struct registry_server *s)
{
    return s->serve.name;
}

bool registry_server_is_exposed(const struct registry_server *s)
{
    return !s->is_loopback && (!s->is_tls || !s->serve.auth);
}

/* --- Maintenance --- */

static void complain(struct registry_server *s, struct error *err)
{
    const struct registry_server_options *o = &s->serve.options;

    if (o->complain)
        o->complain(o->complain_context, error_text(err));
    error_clear(err);
}

/* Does anything go on that writes into the store by its handle? */
static bool is_writing(const struct serve *v)
{
    return serve_uploads_count(v->uploads) > 0 ||
           (v->upstream && serve_upstream_active(v->upstream) > 0);
}

/* Only between requests, and while nothing writes into the store by the old handle. The
 * new one is there before the old one goes, so nothing is ever without a lease. */
static void renew_lease(struct registry_server *s)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct serve *const v = &s->serve;
    struct cas_store *old = NULL;

    if (now_s() - s->lease_since_s < LEASE_S ||
        pthread_rwlock_trywrlock(&v->store_lock) != 0)
        return;
    if (!is_writing(v)) {
        struct cas_store *fresh =
            cas_store_open(s->store_path, CAS_STORE_OPEN_DEFAULT, &err);
        if (fresh) {
            old = v->store;
            v->store = fresh;
            adopt(v, NULL);
            adopt(v, fresh);
            s->lease_since_s = now_s();
        }
    }
    pthread_rwlock_unlock(&v->store_lock);
    cas_store_close(old);
    if (err.code != ERROR_NONE)
        complain(s, &err);
}

/* What was pushed or fetched counts as in use until the lease is renewed; so a budget that
 * is passed meanwhile is kept a little later. */
static void tidy(struct registry_server *s)
{
    struct serve *const v = &s->serve;

    if (!v->options.tidy || now_s() - s->tidy_since_s < TIDY_S)
        return;
    s->tidy_since_s = now_s();
    pthread_rwlock_rdlock(&v->store_lock);
    v->options.tidy(v->options.storage_context, v->store);
    pthread_rwlock_unlock(&v->store_lock);
}

void registry_server_maintain(struct registry_server *s)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    serve_uploads_expire(s->serve.uploads, s->serve.options.upload_expiry_s);
    if (s->serve.auth && serve_auth_refresh(s->serve.auth, &err) < 0)
        complain(s, &err);
    renew_lease(s);
    tidy(s);
}

/* --- Stop --- */

static void drain(struct registry_server *s, unsigned grace_ms)
{
    const struct timespec pause = {.tv_nsec = DRAIN_LOOK_MS * 1000000L};

    s->module->quiesce(s->http);
    for (unsigned waited = 0; waited < grace_ms && atomic_load(&s->serve.stats.active) > 0;
         waited += DRAIN_LOOK_MS)
        nanosleep(&pause, NULL);
}

void registry_server_stop(struct registry_server *s, unsigned grace_ms)
{
    if (!s)
        return;
    if (s->http) {
        drain(s, grace_ms);
        serve_upstream_cancel(s->serve.upstream);
        s->module->stop(s->http);
    }
    serve_upstream_free(s->serve.upstream);
    serve_uploads_free(s->serve.uploads);
    serve_auth_close(s->serve.auth);
    if (s->serve.store)
        adopt(&s->serve, NULL);
    cas_store_close(s->serve.store);
    pthread_rwlock_destroy(&s->serve.store_lock);
    for (size_t i = 0; i < s->serve.options.immutable_count; i++)
        free(s->immutable[i]);
    free(s->immutable);
    free(s->serve.name);
    free(s->store_path);
    free(s->address);
    free(s);
}
