/*
 * The only file that knows libcurl. A request borrows an easy handle from a stack of idle
 * ones, preferring that which last spoke to the same origin, so that its connection is used
 * again; each handle has one user at a time and its own connections, and what is shared
 * between them (names, TLS sessions) is behind locks of our own.
 *
 * Why not one multi handle for all, with HTTP/2's streams side by side on one connection?
 * Bodies are made and consumed by the requesting threads, which wait for compression, hash
 * and write to disk: with one thread for all transfers each of these would hold up the
 * others, or bytes would be copied between threads once more. And large transfers side by
 * side are faster over connections of their own, each with a window for what is under way.
 * There are as many connections as transfers at once, and no more. (libcurl 7.88 cannot
 * share connections between threads.)
 */
#include "registry/http_module.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "registry/http_curl_address.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* More than any number of parallel transfers: further handles are closed after use. */
#define IDLE_MAX            32
#define RECEIVE_BUFFER_SIZE (256L << 10)
#define SEND_BUFFER_SIZE    (1L << 20)
/* Bodies from this size on are offered first ("Expect: 100-continue"), so that a refusal
 * comes before the bytes. For a smaller one asking costs more than sending it in vain. */
#define OFFER_SIZE (UINT64_C(1) << 20)
/* Bytes a second: what is slower for the time of a stall has stalled. */
#define STALL_SPEED 1024L

struct idle {
    CURL *easy;
    char *origin;
};

struct registry_http_engine {
    char *user_agent;
    char *ca_file;
    char *unix_socket;
    long connect_timeout_ms;
    long stall_timeout_s;
    const atomic_bool *cancelled;
    CURLSH *share;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
    pthread_mutex_t lock; /* guards the idle handles */
    struct idle idle[IDLE_MAX];
    size_t idle_count;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    /* A failure shows in curl_easy_init. */
    (void)curl_global_init(CURL_GLOBAL_ALL);
}

static void share_lock(CURL *easy,
                       curl_lock_data data,
                       curl_lock_access access,
                       void *context)
{
    struct registry_http_engine *e = context;

    (void)easy;
    (void)access;
    pthread_mutex_lock(&e->share_locks[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *context)
{
    struct registry_http_engine *e = context;

    (void)easy;
    pthread_mutex_unlock(&e->share_locks[data]);
}

static void share_new(struct registry_http_engine *e)
{
    for (size_t i = 0; i < ARRAY_COUNT(e->share_locks); i++)
        pthread_mutex_init(&e->share_locks[i], NULL);
    e->share = curl_share_init();
    if (!e->share)
        return;
    (void)curl_share_setopt(e->share, CURLSHOPT_USERDATA, e);
    (void)curl_share_setopt(e->share, CURLSHOPT_LOCKFUNC, share_lock);
    (void)curl_share_setopt(e->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    (void)curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    (void)curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

static void engine_free(struct registry_http_engine *e)
{
    for (size_t i = 0; i < e->idle_count; i++) {
        curl_easy_cleanup(e->idle[i].easy);
        free(e->idle[i].origin);
    }
    if (e->share)
        (void)curl_share_cleanup(e->share);
    for (size_t i = 0; i < ARRAY_COUNT(e->share_locks); i++)
        pthread_mutex_destroy(&e->share_locks[i]);
    pthread_mutex_destroy(&e->lock);
    free(e->user_agent);
    free(e->ca_file);
    free(e->unix_socket);
    free(e);
}

static struct registry_http_engine *engine_new(const struct registry_http_engine_options *o,
                                               struct error *err)
{
    struct registry_http_engine *e;

    pthread_once(&global_once, global_init);
    e = base_alloc(sizeof *e);
    e->user_agent = base_strdup(o->user_agent);
    e->ca_file = base_strdup(o->ca_file);
    e->unix_socket = base_strdup(o->unix_socket);
    e->connect_timeout_ms = (long)o->connect_timeout_ms;
    e->stall_timeout_s = (long)((o->stall_timeout_ms + 999) / 1000);
    e->cancelled = o->cancelled;
    pthread_mutex_init(&e->lock, NULL);
    share_new(e);
    if (!e->share) {
        engine_free(e);
        (void)error_set(err, ERROR_SYSTEM, "libcurl does not start");
        return NULL;
    }
    return e;
}

static CURL *easy_take(struct registry_http_engine *e, const char *origin)
{
    CURL *easy = NULL;

    pthread_mutex_lock(&e->lock);
    for (size_t i = e->idle_count; i-- > 0 && !easy;) {
        if (strcmp(e->idle[i].origin, origin) != 0)
            continue;
        easy = e->idle[i].easy;
        free(e->idle[i].origin);
        e->idle[i] = e->idle[--e->idle_count];
    }
    pthread_mutex_unlock(&e->lock);
    return easy ? easy : curl_easy_init();
}

static void easy_give(struct registry_http_engine *e, CURL *easy, const char *origin)
{
    curl_easy_reset(easy); /* keeps the connections */
    pthread_mutex_lock(&e->lock);
    if (e->idle_count < IDLE_MAX) {
        e->idle[e->idle_count++] = (struct idle){easy, base_strdup(origin)};
        easy = NULL;
    }
    pthread_mutex_unlock(&e->lock);
    if (easy)
        curl_easy_cleanup(easy);
}

/* ---- Callbacks ---- */

struct run {
    struct registry_http_engine *engine;
    const struct registry_http_transfer *transfer;
    uint64_t sent;   /* where the next byte of the body is read */
    bool is_refused; /* an address, as a private network's */
    bool is_public;  /* the address that answered */
};

static size_t on_read(char *out, size_t size, size_t count, void *context)
{
    struct run *r = context;
    const uint64_t left = r->transfer->body_size - r->sent;
    size_t want = size * count;

    if (left < want)
        want = (size_t)left;
    if (want == 0)
        return 0;
    const ptrdiff_t got = r->transfer->read_at(r->transfer->context, r->sent, out, want);
    if (got == 0 && r->transfer->body_size == UINT64_MAX)
        return 0;
    /* An early end would leave the peer waiting for the rest. */
    if (got <= 0)
        return CURL_READFUNC_ABORT;
    r->sent += (uint64_t)got;
    return (size_t)got;
}

/* libcurl would repeat a request by itself when a connection that was used before breaks.
 * An upload session may have taken a part of the body by then, and would take it twice: who
 * sends has to ask. Only a body of which nothing was sent begins again. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    const struct run *r = context;

    return origin == SEEK_SET && offset == 0 && r->sent == 0 ? CURL_SEEKFUNC_OK
                                                             : CURL_SEEKFUNC_FAIL;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    const struct run *r = context;

    return r->transfer->header(r->transfer->context, line, size * count) == 0 ? size * count
                                                                              : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    const struct run *r = context;

    return r->transfer->body(r->transfer->context, data, size * count) == 0 ? size * count
                                                                            : 0;
}

static bool is_set(const atomic_bool *flag)
{
    return flag && atomic_load(flag);
}

static int on_progress(void *context,
                       curl_off_t download_total,
                       curl_off_t downloaded,
                       curl_off_t upload_total,
                       curl_off_t uploaded)
{
    const struct run *r = context;

    (void)download_total;
    (void)upload_total;
    if (r->transfer->progress && downloaded >= 0 && uploaded >= 0)
        r->transfer->progress(r->transfer->context, (uint64_t)uploaded,
                              (uint64_t)downloaded);
    return is_set(r->engine->cancelled) || is_set(r->transfer->stop);
}

/* Names are looked at as addresses: they may lead anywhere. */
static curl_socket_t on_socket(void *context,
                               curlsocktype purpose,
                               struct curl_sockaddr *address)
{
    struct run *r = context;

    (void)purpose;
    if (r->transfer->public_only && http_address_is_private(&address->addr)) {
        r->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- One transfer ---- */

#define SET(option, value) ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK

static bool set_limits(CURL *easy, const struct registry_http_engine *e)
{
    bool ok = true;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, e->connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, STALL_SPEED);
    SET(CURLOPT_LOW_SPEED_TIME, e->stall_timeout_s);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    /* Refused while the handle still has a buffer, which libcurl 7.88 leaves behind when a
     * name cannot be resolved; that one has the size already, so an answer is not asked
     * for. */
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_SIZE);
    SET(CURLOPT_USERAGENT, e->user_agent);
    SET(CURLOPT_SHARE, e->share);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    /* libcurl's default, where it can. */
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    return ok;
}

static bool set_peer(CURL *easy,
                     const struct registry_http_engine *e,
                     const struct registry_http_transfer *t)
{
    bool ok = true;

    if (t->deadline_ms > 0 && t->deadline_ms < LONG_MAX)
        SET(CURLOPT_TIMEOUT_MS, (long)t->deadline_ms);
    if (t->direct)
        SET(CURLOPT_NOPROXY, "*");
    if (t->unverified) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (t->ca_file || e->ca_file)
        SET(CURLOPT_CAINFO, t->ca_file ? t->ca_file : e->ca_file);
    if (t->cert_file && t->key_file) {
        SET(CURLOPT_SSLCERT, t->cert_file);
        SET(CURLOPT_SSLKEY, t->key_file);
    }
    if (e->unix_socket)
        SET(CURLOPT_UNIX_SOCKET_PATH, e->unix_socket);
    return ok;
}

static bool set_callbacks(CURL *easy, struct run *r)
{
    bool ok = true;

    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, r);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, r);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, r);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, r);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    return ok;
}

static bool set_request(CURL *easy, struct run *r, struct curl_slist *headers)
{
    const struct registry_http_transfer *t = r->transfer;
    bool ok = true;

    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_HTTPHEADER, headers);
    if (t->head) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (t->has_body) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_SIZE);
        SET(CURLOPT_INFILESIZE_LARGE,
            t->body_size == UINT64_MAX ? -1 : (curl_off_t)t->body_size);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, r);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, r);
        SET(CURLOPT_CUSTOMREQUEST, t->method);
    } else {
        SET(CURLOPT_CUSTOMREQUEST, t->method);
    }
    return ok;
}

static int curl_failed(CURLcode code, const char *detail, struct error *err)
{
    const char *text = *detail ? detail : curl_easy_strerror(code);

    switch ((int)code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return error_set(err, ERROR_CANCELLED, "cancelled");
    case CURLE_WRITE_ERROR:
    case CURLE_READ_ERROR:
        return error_set(err, ERROR_FAILED, "the transfer was ended");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return error_set(err, ERROR_DENIED, "the server's certificate is not accepted: %s",
                         text);
    case CURLE_SSL_CERTPROBLEM:
        return error_set(err, ERROR_DENIED, "the client certificate cannot be used: %s",
                         text);
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, ERROR_SYSTEM, "%s", text);
    default:
        return error_set(err, ERROR_NETWORK, "%s", text);
    }
}

/* A peer that hangs up shall be an error, not a signal: with CURLOPT_NOSIGNAL libcurl
 * leaves SIGPIPE to us, and its disposition is the program's, not ours. So this thread
 * blocks it and takes what came. */
static CURLcode perform_quietly(CURL *easy)
{
    static const struct timespec at_once = {0};
    sigset_t pipe_only, before;

    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    const CURLcode result = curl_easy_perform(easy);
    if (!sigismember(&before, SIGPIPE))
        (void)sigtimedwait(&pipe_only, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static int run_easy(
    CURL *easy, struct run *r, struct curl_slist *headers, int *status, struct error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    const char *address = NULL;
    long code = 0;

    if (!set_limits(easy, r->engine) || !set_peer(easy, r->engine, r->transfer) ||
        !set_callbacks(easy, r) || !set_request(easy, r, headers) ||
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail) != CURLE_OK)
        return error_set(err, ERROR_SYSTEM, "libcurl does not accept the request");
    const CURLcode result = perform_quietly(easy);
    if (result != CURLE_OK) {
        (void)curl_failed(result, detail, err);
        if (result == CURLE_COULDNT_CONNECT &&
            curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &code) == CURLE_OK &&
            code == ECONNREFUSED) {
            (void)error_set(err, ERROR_NETWORK,
                            "connection refused: nothing listens there");
            /* Those who would try again want to know. */
            err->sys = ECONNREFUSED;
        }
        if (r->is_refused)
            (void)error_set(err, ERROR_DENIED,
                            "redirected from a public address into a private network: "
                            "refused; list the host as insecure if that is meant");
        return -1;
    }
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    *status = (int)code;
    if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address)
        r->is_public = http_address_is_public(address);
    return 0;
}

static bool add_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);

    if (longer)
        *headers = longer;
    return longer != NULL;
}

static bool add_headers(struct curl_slist **headers, const struct registry_http_transfer *t)
{
    for (size_t i = 0; i < t->header_count; i++)
        if (!add_header(headers, t->headers[i]))
            return false;
    /* Without a value it takes away what libcurl would add. */
    return !t->has_body || t->body_size >= OFFER_SIZE || add_header(headers, "Expect:");
}

static int perform(struct registry_http_engine *e,
                   const struct registry_http_transfer *transfer,
                   int *status,
                   bool *is_public,
                   struct error *err)
{
    struct run r = {.engine = e, .transfer = transfer};
    struct curl_slist *headers = NULL;
    CURL *easy = easy_take(e, transfer->origin);
    const bool ok = easy != NULL && add_headers(&headers, transfer);

    const int rc = ok ? run_easy(easy, &r, headers, status, err)
                      : error_set(err, ERROR_SYSTEM, "libcurl is out of memory");
    for (struct curl_slist *h = headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(headers);
    if (easy)
        easy_give(e, easy, transfer->origin);
    *is_public = r.is_public;
    return rc;
}

__attribute__((visibility(
    "default"))) extern const struct registry_http_module registry_http_curl_module;

const struct registry_http_module registry_http_curl_module = {
    .version = REGISTRY_HTTP_MODULE_VERSION,
    .engine_new = engine_new,
    .engine_free = engine_free,
    .perform = perform,
};
