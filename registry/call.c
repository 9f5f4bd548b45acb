#include "registry/client_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/auth.h"
#include "registry/url.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PARALLEL     6u
#define PART_SIZE    ((uint64_t)8 << 20)
#define ATTEMPTS     5u
#define BACKOFF_MS   250u
#define HUB_HOST     "docker.io"
#define HUB_ENDPOINT "registry-1.docker.io"

/* What a host that may be spoken to in plain http turned out to speak. */
struct host_scheme {
    struct host_scheme *next;
    char *name;
    bool is_https;
};

struct registry_client {
    struct registry_http *http;
    struct registry_config *config;
    struct registry_hosts *hosts;
    struct registry_auth *auth;
    struct registry_retry_policy retry;
    unsigned parallel;
    uint64_t part_size;
    atomic_uint lanes;    /* blobs, and parts of blobs, that are being fetched */
    pthread_mutex_t lock; /* guards schemes */
    struct host_scheme *schemes;
};

struct registry_client *registry_client_new(const struct registry_client_options *options)
{
    static const struct registry_client_options defaults = {0};
    const struct registry_client_options *o = options ? options : &defaults;
    struct registry_client *c = base_alloc(sizeof *c);

    c->retry = (struct registry_retry_policy){
        .attempts = o->attempts ? o->attempts : ATTEMPTS,
        .backoff_ms = o->backoff_ms ? o->backoff_ms : BACKOFF_MS,
        .cancelled = o->http.cancelled,
    };
    c->parallel = o->parallel ? o->parallel : PARALLEL;
    c->part_size = o->part_size ? o->part_size : PART_SIZE;
    struct registry_http_options http = o->http;
    c->hosts = registry_hosts_new(&o->hosts);
    http.hosts = c->hosts;
    c->http = registry_http_new(&http);
    c->config = registry_config_new(&o->config);
    c->auth = registry_auth_new(c->http, c->config, &c->retry);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void registry_client_free(struct registry_client *c)
{
    if (!c)
        return;
    registry_auth_free(c->auth);
    registry_config_free(c->config);
    registry_http_free(c->http);
    registry_hosts_free(c->hosts);
    for (struct host_scheme *h = c->schemes, *next; h; h = next) {
        next = h->next;
        free(h->name);
        free(h);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void registry_client_freep(struct registry_client **c)
{
    registry_client_free(*c);
    *c = NULL;
}

unsigned registry_client_parallel(const struct registry_client *c)
{
    return c->parallel;
}

uint64_t registry_client_part_size(const struct registry_client *c)
{
    return c->part_size;
}

void registry_client_lane_begin(struct registry_client *c)
{
    atomic_fetch_add(&c->lanes, 1);
}

bool registry_client_lane_try(struct registry_client *c)
{
    unsigned lanes = atomic_load(&c->lanes);

    while (lanes < c->parallel)
        if (atomic_compare_exchange_weak(&c->lanes, &lanes, lanes + 1))
            return true;
    return false;
}

void registry_client_lane_end(struct registry_client *c)
{
    atomic_fetch_sub(&c->lanes, 1);
}

struct registry_config *registry_client_config(struct registry_client *c)
{
    return c->config;
}

struct registry_hosts *registry_client_hosts(struct registry_client *c)
{
    return c->hosts;
}

struct registry_http *registry_client_http(struct registry_client *c)
{
    return c->http;
}

const struct registry_retry_policy *registry_client_retry(const struct registry_client *c)
{
    return &c->retry;
}

/* ---- Where a registry is ---- */

static const char *endpoint(const char *host)
{
    return strcmp(host, HUB_HOST) == 0 ? HUB_ENDPOINT : host;
}

/* False if nothing is known of the host yet. */
static bool find_scheme(struct registry_client *c, const char *host, bool *is_https)
{
    bool found = false;

    pthread_mutex_lock(&c->lock);
    for (const struct host_scheme *h = c->schemes; h && !found; h = h->next) {
        found = strcmp(h->name, host) == 0;
        *is_https = found && h->is_https;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* The newest is found first. */
static void remember_scheme(struct registry_client *c, const char *host, bool is_https)
{
    bool known;

    if (find_scheme(c, host, &known) && known == is_https)
        return;
    struct host_scheme *h = base_alloc(sizeof *h);
    h->name = base_strdup(host);
    h->is_https = is_https;
    pthread_mutex_lock(&c->lock);
    h->next = c->schemes;
    c->schemes = h;
    pthread_mutex_unlock(&c->lock);
}

static void forget_scheme(struct registry_client *c, const char *host)
{
    pthread_mutex_lock(&c->lock);
    for (struct host_scheme **at = &c->schemes, *h; (h = *at) != NULL;) {
        if (strcmp(h->name, host) != 0) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        free(h->name);
        free(h);
    }
    pthread_mutex_unlock(&c->lock);
}

/* May the scheme of this host be found out by trying? */
static bool is_open(const struct registry_client *c, const char *host)
{
    return !view_ends(view_of(host), ":443") &&
           registry_http_is_plain_allowed(c->http, view_of(host));
}

static bool is_loopback(const char *host)
{
    struct registry_url u;
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* an odd host is not this one */
    CLEANUP(base_freep) char *url = base_format("http://%s", host);

    return registry_url_parse(view_of(url), &u, &ignored) == 0 &&
           registry_url_is_loopback(u.host);
}

/* Loopback hosts are tried with http first, listed ones with https, as docker does; so are
 * those for which there are certificates. */
static bool is_plain(struct registry_client *c, const char *host)
{
    struct registry_host_trust trust;
    bool is_https;

    if (!is_open(c, host))
        return false;
    if (find_scheme(c, host, &is_https))
        return !is_https;
    registry_hosts_trust(c->hosts, view_of(host), &trust);
    return is_loopback(host) && !trust.ca_file && !trust.cert_file;
}

static char *origin_url(struct registry_client *c, const char *host)
{
    return base_format("%s://%s", is_plain(c, host) ? "http" : "https", endpoint(host));
}

/* How servers (Go's, nginx) say that they were spoken to in http where they speak TLS. */
static bool is_tls_complaint(const struct registry_http_response *r)
{
    const char *text = buf_text(&r->text);

    return r->status == 400 && (strstr(text, "HTTP request to an HTTPS server") ||
                                strstr(text, "plain HTTP request was sent to HTTPS port"));
}

/* ---- One try ---- */

static const char *access_actions(enum registry_access access)
{
    switch (access) {
    case REGISTRY_ACCESS_PULL:
        return "pull";
    case REGISTRY_ACCESS_PUSH:
        return "pull,push";
    case REGISTRY_ACCESS_DELETE:
        return "pull,delete";
    }
    abort();
}

static char *call_scopes(const struct registry_call *call)
{
    const char *path = call->repository->path;
    const char *actions = access_actions(call->access);

    if (!path || !*path)
        return base_strdup("");
    if (call->mount_from)
        return base_format("repository:%s:%s repository:%s:pull", path, actions,
                           call->mount_from);
    return base_format("repository:%s:%s", path, actions);
}

static char *call_url(struct registry_client *c, const struct registry_call *call)
{
    const struct registry_reference *r = call->repository;

    if (call->url)
        return base_strdup(call->url);
    CLEANUP(base_freep) char *origin = origin_url(c, r->host);
    if (!call->path)
        return base_format("%s/v2/", origin);
    return base_format("%s/v2/%s/%s", origin, r->path, call->path);
}

bool registry_call_is_there(struct registry_client *c, const struct registry_call *call)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* http will complain of the URL */
    struct registry_url a, b;

    if (!call->url)
        return true;
    CLEANUP(base_freep) char *origin = origin_url(c, call->repository->host);
    return registry_url_parse(view_of(origin), &a, &ignored) == 0 &&
           registry_url_parse(view_of(call->url), &b, &ignored) == 0 &&
           registry_url_same_origin(&a, &b);
}

static int send(struct registry_client *c,
                const struct registry_call *call,
                const char *authorization,
                struct registry_http_response *response,
                struct error *err)
{
    CLEANUP(base_freep) char *url = call_url(c, call);
    const struct registry_http_request request = {
        .method = call->method,
        .url = url,
        .headers = call->headers,
        .header_count = call->header_count,
        .authorization = authorization,
        .body = call->body,
        .size_expected = call->size_expected,
        .sink = call->sink,
        .stop = call->stop,
        .progress = call->progress,
        .progress_context = call->progress_context,
    };

    return registry_http_perform(c->http, &request, response, err);
}

/* Did a 400 mean that the host wants TLS? An answer to HEAD cannot say so: it is asked
 * again, unless another thread found out meanwhile. */
static bool wants_https(struct registry_client *c,
                        const struct registry_call *call,
                        bool was_plain,
                        const struct registry_http_response *response)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* the 400 is what counts then */
    CLEANUP(registry_http_response_release)
    struct registry_http_response probe =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    const struct registry_call get = {.repository = call->repository,
                                      .method = REGISTRY_HTTP_GET};
    bool is_https;

    if (call->url || response->status != 400 || !was_plain)
        return false;
    if (find_scheme(c, call->repository->host, &is_https) && is_https)
        return true;
    if (call->method != REGISTRY_HTTP_HEAD)
        return is_tls_complaint(response);
    return send(c, &get, NULL, &probe, &ignored) == 0 && is_tls_complaint(&probe);
}

/* A listed host that gives no answer to https may have nothing but http. */
static bool wants_http(struct registry_client *c,
                       const struct registry_call *call,
                       const struct error *err)
{
    const char *host = call->repository->host;
    bool known;

    return !call->url && error_is(err, ERROR_NETWORK) && is_open(c, host) &&
           !find_scheme(c, host, &known) && !is_plain(c, host);
}

/* A host that hangs up on http may have nothing but TLS. True if that gave an answer. */
static bool speaks_https(struct registry_client *c,
                         const struct registry_call *call,
                         const char *authorization,
                         struct registry_http_response *response,
                         struct error *err)
{
    const char *host = call->repository->host;
    struct error failure = ERROR_INIT;
    bool known;

    if (call->url || !error_is(err, ERROR_NETWORK) || err->sys == ECONNREFUSED ||
        !is_plain(c, host) || find_scheme(c, host, &known))
        return false;
    remember_scheme(c, host, true);
    if (send(c, call, authorization, response, &failure) == 0)
        return true;
    /* Its certificate shows that it is TLS; all else says nothing new: both are tried again
     * the next time. */
    if (error_is(&failure, ERROR_DENIED))
        (void)error_move(err, &failure);
    else
        forget_scheme(c, host);
    error_clear(&failure);
    return false;
}

static int send_either_scheme(struct registry_client *c,
                              const struct registry_call *call,
                              const char *authorization,
                              struct registry_http_response *response,
                              struct error *err)
{
    const char *host = call->repository->host;
    /* Of what is sent now: another thread may find out more before the answer comes. */
    const bool was_plain = is_plain(c, host);
    bool known;

    if (send(c, call, authorization, response, err) < 0) {
        if (speaks_https(c, call, authorization, response, err)) {
            error_clear(err);
            return 0;
        }
        if (!wants_http(c, call, err))
            return -1;
        remember_scheme(c, host, false);
        error_clear(err);
        return send(c, call, authorization, response, err);
    }
    if (!wants_https(c, call, was_plain, response)) {
        if (!call->url && is_open(c, host) && !find_scheme(c, host, &known))
            remember_scheme(c, host, !was_plain);
        return 0;
    }
    remember_scheme(c, host, true);
    return send(c, call, authorization, response, err);
}

int registry_call_there(struct registry_client *c,
                        const struct registry_call *call,
                        struct registry_http_response *response,
                        struct error *err)
{
    const char *host = call->repository->host;
    const bool ours = registry_call_is_there(c, call);
    CLEANUP(base_freep) char *scopes = call_scopes(call);
    CLEANUP(registry_secret_freep)
    char *first = ours ? registry_auth_header(c->auth, host, scopes) : NULL;
    CLEANUP(registry_secret_freep) char *second = NULL;

    if (send_either_scheme(c, call, first, response, err) < 0)
        return -1;
    if (response->status != 401 || !ours)
        return 0;
    if (registry_auth_answer(c->auth, host, call->repository->path, scopes, response, first,
                             &second, err) < 0)
        return -1;
    return send_either_scheme(c, call, second, response, err);
}

/* docker's registry, on a file system, lets others see a manifest or tag while it is being
 * written: what it reads then has another digest. Another try finds it whole. (The answer
 * to a HEAD does not say what is wrong.) */
static bool is_half_written(const struct registry_call *call,
                            const struct registry_http_response *r)
{
    return r->status == 400 && call->path &&
           view_starts(view_of(call->path), "manifests/") &&
           (call->method == REGISTRY_HTTP_HEAD ||
            strstr(buf_text(&r->text), "DIGEST_INVALID") != NULL);
}

int registry_call_perform(struct registry_client *c,
                          const struct registry_call *call,
                          struct registry_http_response *response,
                          struct error *err)
{
    struct registry_retry retry = {.policy = &c->retry};

    for (;;) {
        struct view after = {"", 0};
        const int rc = registry_call_once(c, call, response, err);

        if (rc == 0 && !registry_retry_is_status(response->status) &&
            !is_half_written(call, response))
            return 0;
        if (rc == 0)
            (void)registry_http_header(response, "Retry-After", 0, &after);
        if ((rc < 0 && !registry_retry_is_error(err)) ||
            !registry_retry_wait(&retry, rc < 0 ? err : NULL, after))
            return rc;
        error_clear(err);
    }
}

/* ---- Answers ---- */

static enum error_code code_of(int status)
{
    if (status == 401 || status == 403)
        return ERROR_DENIED;
    if (status == 404)
        return ERROR_NOT_FOUND;
    if (status == 413)
        return ERROR_LIMIT;
    return registry_retry_is_status(status) ? ERROR_NETWORK : ERROR_INVALID;
}

/* What a stranger says goes to a terminal: printable characters only, and not too many. */
static void append_clean(struct buf *out, const char *text)
{
    for (size_t i = 0; text && text[i] && i < 300; i++)
        buf_append_char(out,
                        (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
}

static void append_reason(struct buf *out, struct view text)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* not every answer is JSON */
    CLEANUP(doc_unrefp) struct doc *d = text.size ? doc_parse(text, &ignored) : NULL;
    const struct doc *first = doc_at(doc_get(d, "errors"), 0);
    const char *code = doc_text(doc_get(first, "code"));
    const char *message = doc_text(doc_get(first, "message"));

    if (code) {
        buf_append_text(out, ", ");
        append_clean(out, code);
    }
    if (message && *message) {
        buf_append_text(out, ": ");
        append_clean(out, message);
    }
}

int registry_call_failed(const struct registry_call *call,
                         const struct registry_http_response *response,
                         struct error *err)
{
    CLEANUP(buf_release) struct buf reason = BUF_INIT(REGISTRY_ERROR_TEXT_MAX);

    append_reason(&reason, buf_view(&response->text));
    if (response->status == 401)
        buf_printf(&reason, " (is another login needed: `cooper login %s`?)",
                   call->repository->host);
    return error_set(err, code_of(response->status), "%s answers with status %d%s",
                     call->repository->host, response->status, buf_text(&reason));
}

int registry_response_digest(const struct registry_http_response *response,
                             bool *found,
                             struct digest *out,
                             struct error *err)
{
    struct view value;

    *found = registry_http_header(response, "Docker-Content-Digest", 0, &value);
    if (!*found)
        return 0;
    if (digest_parse(value, out, err) < 0)
        return error_set(err, ERROR_CORRUPT,
                         "the registry answers with a malformed digest");
    return 0;
}

int registry_client_ping(struct registry_client *c,
                         const char *host,
                         const struct registry_credential *credential,
                         struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(registry_reference_release)
    struct registry_reference repository = {.host = base_strdup(host),
                                            .path = base_strdup("")};
    const struct registry_call call = {.repository = &repository,
                                       .method = REGISTRY_HTTP_GET};

    if (credential)
        registry_auth_set_credential(c->auth, host, credential);
    if (registry_call_perform(c, &call, &response, err) < 0)
        return -1;
    if (response.status == 401)
        return error_set(err, ERROR_DENIED, "%s refuses the credentials", host);
    return response.status == 200 ? 0 : registry_call_failed(&call, &response, err);
}

int registry_client_login(struct registry_client *c,
                          const char *host,
                          const struct registry_credential *credential,
                          struct registry_credential *keep,
                          struct error *err)
{
    if (registry_client_ping(c, host, credential, err) < 0)
        return -1;
    registry_credential_copy(keep, credential);
    char *identity = registry_auth_take_identity(c->auth, host);
    if (identity) {
        registry_secret_freep(&keep->password);
        keep->identity_token = identity;
    }
    return 0;
}
