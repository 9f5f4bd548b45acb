#include "registry/fetch.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/base64.h"
#include "registry/client_priv.h"
#include "registry/credential.h"
#include "registry/url.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Between two tellings of progress. */
#define PROGRESS_STEP ((uint64_t)1 << 20)

void registry_fetch_result_release(struct registry_fetch_result *r)
{
    free(r->etag);
    free(r->last_modified);
    *r = (struct registry_fetch_result){0};
}

/* --- User information --- */

/* Where "user:password" stands in the URL; size 0: nowhere. */
static struct view user_information(struct view url)
{
    const char *slashes = memmem(url.data, url.size, "://", 3);
    size_t start, end, at;

    if (!slashes)
        return (struct view){url.data, 0};
    start = (size_t)(slashes - url.data) + 3;
    for (end = start; end < url.size && !strchr("/?#", url.data[end]);)
        end++;
    for (at = end; at > start; at--)
        if (url.data[at - 1] == '@')
            return view_sub(url, start, at - 1 - start);
    return (struct view){url.data, 0};
}

char *registry_fetch_shown(const char *url)
{
    const struct view user = user_information(view_of(url));

    if (user.size == 0)
        return base_strdup(url);
    return base_format("%.*s%s", (int)(user.data - url), url, user.data + user.size + 1);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes %XX back, in place. */
static void decode(char *text)
{
    char *to = text;

    for (const char *c = text; *c; c++) {
        if (*c == '%' && hex_value(c[1]) >= 0 && hex_value(c[2]) >= 0) {
            *to++ = (char)(hex_value(c[1]) << 4 | hex_value(c[2]));
            c += 2;
        } else {
            *to++ = *c;
        }
    }
    *to = '\0';
}

/* "Basic ..." for the URL's user information; NULL without. malloc'ed. */
static char *basic_of(const char *url)
{
    const struct view user = user_information(view_of(url));

    if (user.size == 0)
        return NULL;
    CLEANUP(registry_secret_freep) char *plain = view_dup(user);
    decode(plain);
    CLEANUP(registry_secret_freep)
    char *encoded = registry_base64_encode(view_of(plain));
    return base_format("Basic %s", encoded);
}

/* --- One transfer --- */

struct fetch {
    struct registry_client *client;
    struct cas_store *store;
    const struct registry_fetch_request *request;
    const char *url;           /* without user information */
    const char *authorization; /* or NULL */
    struct registry_http_response *response;
    struct cas_blob_writer *writer;
    uint64_t told;
    struct error failure; /* why the transfer was ended from this side */
};

static void tell(struct fetch *f, uint64_t current)
{
    struct view length;
    uint64_t total = 0;

    if (!f->request->sink || (current > 0 && current - f->told < PROGRESS_STEP))
        return;
    f->told = current;
    if (registry_http_header(f->response, "Content-Length", 0, &length))
        (void)view_to_u64(length, &total);
    event_send(f->request->sink, (struct event){.type = EVENT_PROGRESS,
                                                .name = f->url,
                                                .current = current,
                                                .total = total});
}

static int too_large(struct fetch *f)
{
    return error_set(&f->failure, ERROR_LIMIT, "it has more than %" PRIu64 " bytes",
                     f->request->size_max);
}

static int open_writer(struct fetch *f)
{
    const enum digest_alg alg = f->request->want ? f->request->want->alg : DIGEST_SHA256;
    struct view length;
    uint64_t size;

    if (registry_http_header(f->response, "Content-Length", 0, &length) &&
        view_to_u64(length, &size) && size > f->request->size_max)
        return too_large(f);
    f->writer = cas_blob_writer_new(f->store, alg, &f->failure);
    return f->writer ? 0 : -1;
}

static int on_data(void *context, const void *data, size_t size)
{
    struct fetch *f = context;

    if (!f->writer && open_writer(f) < 0)
        return -1;
    if (size > f->request->size_max - cas_blob_writer_size(f->writer))
        return too_large(f);
    if (cas_blob_writer_write(f->writer, data, size, &f->failure) < 0)
        return -1;
    tell(f, cas_blob_writer_size(f->writer));
    return 0;
}

static int perform(struct fetch *f, struct error *err)
{
    const struct registry_fetch_request *q = f->request;
    CLEANUP(base_freep)
    char *match = q->etag ? base_format("If-None-Match: %s", q->etag) : NULL;
    CLEANUP(base_freep)
    char *since =
        q->last_modified ? base_format("If-Modified-Since: %s", q->last_modified) : NULL;
    const char *headers[2];
    size_t count = 0;

    if (match)
        headers[count++] = match;
    if (since)
        headers[count++] = since;
    const struct registry_http_request request = {
        .method = REGISTRY_HTTP_GET,
        .url = f->url,
        .headers = headers,
        .header_count = count,
        .authorization = f->authorization,
        .plain = true,
        .size_expected = q->size_max,
        .sink = {.write = on_data, .context = f},
    };
    cas_blob_writer_abortp(&f->writer);
    error_clear(&f->failure);
    f->told = 0;
    if (registry_http_perform(registry_client_http(f->client), &request, f->response,
                              err) == 0)
        return 0;
    return f->failure.code != ERROR_NONE ? error_move(err, &f->failure) : -1;
}

static int perform_until_answered(struct fetch *f, struct error *err)
{
    struct registry_retry retry = {.policy = registry_client_retry(f->client)};

    for (;;) {
        struct view after = {"", 0};
        const int rc = perform(f, err);

        if (rc == 0 && !registry_retry_is_status(f->response->status))
            return 0;
        if (rc == 0)
            (void)registry_http_header(f->response, "Retry-After", 0, &after);
        if ((rc < 0 && !registry_retry_is_error(err)) ||
            !registry_retry_wait(&retry, rc < 0 ? err : NULL, after))
            return rc;
        error_clear(err);
    }
}

/* --- The answer --- */

static enum error_code code_of(int status)
{
    if (status == 401 || status == 403 || status == 407)
        return ERROR_DENIED;
    if (status == 404 || status == 410)
        return ERROR_NOT_FOUND;
    return registry_retry_is_status(status) ? ERROR_NETWORK : ERROR_INVALID;
}

static const char *reason_of(int status)
{
    switch (status) {
    case 401:
        return " (Unauthorized)";
    case 403:
        return " (Forbidden)";
    case 404:
        return " (Not Found)";
    case 410:
        return " (Gone)";
    case 429:
        return " (Too Many Requests)";
    case 500:
        return " (Internal Server Error)";
    case 503:
        return " (Service Unavailable)";
    default:
        return "";
    }
}

static char *header_of(const struct fetch *f, const char *name)
{
    struct view value;

    return registry_http_header(f->response, name, 0, &value) ? view_dup(value) : NULL;
}

static int keep(struct fetch *f, struct registry_fetch_result *out, struct error *err)
{
    const struct registry_fetch_request *q = f->request;
    struct cas_blob_writer *writer;

    /* An empty file has no byte that would open it. */
    if (!f->writer && open_writer(f) < 0)
        return error_move(err, &f->failure);
    writer = f->writer;
    f->writer = NULL;
    if (cas_blob_writer_commit(writer, q->want, UINT64_MAX, &out->digest, &out->size, err) <
        0)
        return -1;
    out->etag = header_of(f, "ETag");
    out->last_modified = header_of(f, "Last-Modified");
    return 0;
}

static int take_answer(struct fetch *f,
                       struct registry_fetch_result *out,
                       struct error *err)
{
    const int status = f->response->status;

    out->not_modified = status == 304 && (f->request->etag || f->request->last_modified);
    if (out->not_modified)
        return 0;
    if (status == 200)
        return keep(f, out, err);
    return error_set(err, code_of(status), "the server answers %d%s", status,
                     reason_of(status));
}

int registry_fetch(struct registry_client *c,
                   struct cas_store *store,
                   const struct registry_fetch_request *request,
                   struct registry_fetch_result *out,
                   struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(REGISTRY_ERROR_TEXT_MAX);
    CLEANUP(base_freep) char *url = registry_fetch_shown(request->url);
    CLEANUP(registry_secret_freep) char *basic = basic_of(request->url);
    struct fetch f = {
        .client = c,
        .store = store,
        .request = request,
        .url = url,
        .authorization = request->authorization ? request->authorization : basic,
        .response = &response,
    };
    int rc = 0;

    *out = (struct registry_fetch_result){0};
    if (perform_until_answered(&f, err) < 0 || take_answer(&f, out, err) < 0)
        rc = error_wrap(err, "fetch %s", url);
    cas_blob_writer_abort(f.writer);
    error_clear(&f.failure);
    return rc;
}

bool registry_fetch_date(const char *text, int64_t *seconds)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    if (!end || *end != '\0')
        return false;
    *seconds = (int64_t)timegm(&tm);
    return true;
}
