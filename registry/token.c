#include "registry/token.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/base64.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>

#define CLIENT_ID "cooper"
/* What a token lives without an expires_in, and the least that is believed. */
#define LIFETIME_MIN_S 60
#define LIFETIME_MAX_S 86400

char *registry_token_basic(const struct registry_credential *c)
{
    CLEANUP(registry_secret_freep)
    char *pair = base_format("%s:%s", c->username ? c->username : "",
                             c->password ? c->password : "");
    CLEANUP(registry_secret_freep) char *encoded = registry_base64_encode(view_of(pair));

    return base_format("Basic %s", encoded);
}

static void add_query(char **url, const char *name, struct view value)
{
    char *longer = registry_url_add_query(*url, name, value);

    free(*url);
    *url = longer;
}

static char *get_url(const struct registry_token_request *q)
{
    char *url = base_strdup(q->realm);
    struct view scope, rest = view_of(q->scopes);
    bool more = rest.size > 0;

    if (q->service)
        add_query(&url, "service", view_of(q->service));
    if (q->is_login && q->credential->username) {
        add_query(&url, "account", view_of(q->credential->username));
        add_query(&url, "client_id", VIEW_LIT(CLIENT_ID));
        add_query(&url, "offline_token", VIEW_LIT("true"));
    }
    while (more) {
        more = view_cut(rest, ' ', &scope, &rest);
        if (scope.size)
            add_query(&url, "scope", scope);
    }
    return url;
}

static void form_add(struct buf *form, const char *name, const char *value)
{
    CLEANUP(registry_secret_freep) char *encoded = registry_url_encode(view_of(value));

    buf_printf(form, "%s%s=%s", form->size ? "&" : "", name, encoded);
}

static void secret_buf_release(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buf_release(b);
}

static int get_token(struct registry_http *http,
                     const struct registry_token_request *q,
                     struct registry_http_response *response,
                     struct error *err)
{
    const struct registry_credential *c = q->credential;
    CLEANUP(base_freep) char *url = get_url(q);
    CLEANUP(registry_secret_freep)
    char *basic = c->username && c->password ? registry_token_basic(c) : NULL;
    const struct registry_http_request request = {
        .method = REGISTRY_HTTP_GET,
        .url = url,
        .authorization = basic,
    };

    return registry_http_perform(http, &request, response, err);
}

static int post_token(struct registry_http *http,
                      const struct registry_token_request *q,
                      struct registry_http_response *response,
                      struct error *err)
{
    static const char *const headers[] = {
        "Content-Type: application/x-www-form-urlencoded"};
    CLEANUP(secret_buf_release) struct buf form = BUF_INIT(LIMIT_HTTP_BODY_SMALL);

    form_add(&form, "grant_type", "refresh_token");
    form_add(&form, "client_id", CLIENT_ID);
    form_add(&form, "service", q->service ? q->service : "");
    form_add(&form, "scope", q->scopes);
    form_add(&form, "refresh_token", q->credential->identity_token);
    const struct registry_http_body body = {.bytes = buf_view(&form)};
    const struct registry_http_request request = {
        .method = REGISTRY_HTTP_POST,
        .url = q->realm,
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .body = &body,
    };

    if (buf_ok(&form, "the request for a token", err) < 0)
        return -1;
    return registry_http_perform(http, &request, response, err);
}

static bool token_ok(const char *token)
{
    if (!token || !*token)
        return false;
    for (const char *c = token; *c; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return false;
    }
    return true;
}

static int read_token(struct view text,
                      bool is_login,
                      char **token,
                      char **identity,
                      uint64_t *lifetime_s,
                      struct error *err)
{
    CLEANUP(error_clear)
    struct error detail = ERROR_INIT; /* would quote what it could not read */
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(text, &detail);
    const char *value = doc_text(doc_get(d, "token"));
    int64_t lifetime = 0;

    if (!value || !*value)
        value = doc_text(doc_get(d, "access_token"));
    if (!token_ok(value))
        return error_set(err, ERROR_INVALID, "the answer holds no token");
    if (!doc_int(doc_get(d, "expires_in"), &lifetime) || lifetime < LIFETIME_MIN_S)
        lifetime = LIFETIME_MIN_S;
    *lifetime_s = lifetime > LIFETIME_MAX_S ? LIFETIME_MAX_S : (uint64_t)lifetime;
    *token = base_strdup(value);
    value = doc_text(doc_get(d, "refresh_token"));
    *identity = is_login && token_ok(value) ? base_strdup(value) : NULL;
    return 0;
}

static int refused(const struct registry_token_request *q, int status, struct error *err)
{
    const bool anonymous = !registry_credential_is_set(q->credential);

    if (status >= 400 && status < 404)
        return error_set(err, ERROR_DENIED,
                         anonymous ? "it gives no token without a login (status %d)"
                                   : "it refuses the credentials (status %d)",
                         status);
    return error_set(err, registry_retry_is_status(status) ? ERROR_NETWORK : ERROR_INVALID,
                     "it answers with status %d", status);
}

static int fetch(struct registry_http *http,
                 const struct registry_retry_policy *policy,
                 const struct registry_token_request *q,
                 struct registry_http_response *response,
                 struct error *err)
{
    struct registry_retry retry = {.policy = policy};

    for (;;) {
        struct view after = {"", 0};
        const int rc = q->credential->identity_token ? post_token(http, q, response, err)
                                                     : get_token(http, q, response, err);

        if (rc == 0 && !registry_retry_is_status(response->status))
            return 0;
        if (rc == 0)
            (void)registry_http_header(response, "Retry-After", 0, &after);
        if ((rc < 0 && !registry_retry_is_error(err)) ||
            !registry_retry_wait(&retry, rc < 0 ? err : NULL, after))
            return rc;
        error_clear(err);
    }
}

static void response_release(struct registry_http_response *r)
{
    if (r->text.data)
        explicit_bzero(r->text.data, r->text.capacity);
    registry_http_response_release(r);
}

int registry_token_fetch(struct registry_http *http,
                         const struct registry_retry_policy *retry,
                         const struct registry_token_request *request,
                         char **token,
                         char **identity,
                         uint64_t *lifetime_s,
                         struct error *err)
{
    CLEANUP(response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(LIMIT_HTTP_BODY_SMALL);
    struct registry_url url;
    int rc;

    if (registry_url_parse(view_of(request->realm), &url, err) < 0)
        return error_wrap(err, "token server");
    rc = fetch(http, retry, request, &response, err);
    if (rc == 0 && response.status != 200)
        rc = refused(request, response.status, err);
    else if (rc == 0)
        rc = read_token(buf_view(&response.text), request->is_login, token, identity,
                        lifetime_s, err);
    return rc < 0 ? error_wrap(err, "token server %.*s", VIEW_ARG(url.authority)) : 0;
}
