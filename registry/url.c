#include "registry/url.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Storage back ends sign their URLs: a few KiB are common. */
#define URL_SIZE_MAX ((size_t)16384)

static bool has_odd_characters(struct view text)
{
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];

        if (c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' ||
            c == '^' || c == '`' || c == '{' || c == '|' || c == '}')
            return true;
    }
    return false;
}

/* The end of the authority: the first of "/?#". */
static size_t authority_size(struct view rest)
{
    size_t n = 0;

    while (n < rest.size && !strchr("/?#", rest.data[n]))
        n++;
    return n;
}

static bool digits_only(struct view v)
{
    uint64_t port;

    return v.size == 0 || (view_to_u64(v, &port) && port <= 65535);
}

static bool split_authority(struct registry_url *u)
{
    const struct view a = u->authority;
    size_t end;

    if (a.size > 0 && a.data[0] == '[') {
        if (!view_find(a, ']', &end))
            return false;
        u->host = view_sub(a, 1, end - 1);
        u->port = view_sub(a, end + 1, a.size);
        if (u->port.size > 0 && u->port.data[0] != ':')
            return false;
        u->port = view_sub(u->port, 1, u->port.size);
    } else if (!view_cut(a, ':', &u->host, &u->port)) {
        u->port = (struct view){"", 0};
    }
    return u->host.size > 0 && digits_only(u->port);
}

int registry_url_parse(struct view text, struct registry_url *out, struct error *err)
{
    struct registry_url u = {0};
    struct view rest, ignored;
    size_t offset;

    if (text.size > URL_SIZE_MAX)
        return error_set(err, ERROR_INVALID, "a URL of more than %zu bytes", URL_SIZE_MAX);
    if (has_odd_characters(text))
        return error_set(err, ERROR_INVALID,
                         "a URL with characters that do not belong there");
    if (view_starts(text, "https://"))
        u.is_https = true;
    else if (!view_starts(text, "http://"))
        return error_set(err, ERROR_INVALID, "a URL that is neither http nor https");
    rest = view_sub(text, u.is_https ? 8 : 7, text.size);
    u.authority = view_sub(rest, 0, authority_size(rest));
    if (view_find(u.authority, '@', &offset))
        return error_set(err, ERROR_INVALID, "a URL with a user name in it");
    if (!split_authority(&u))
        return error_set(err, ERROR_INVALID, "a URL without a proper host and port");
    u.path = view_sub(rest, u.authority.size, rest.size);
    (void)view_cut(u.path, '#', &u.path, &ignored);
    *out = u;
    return 0;
}

static uint64_t port_of(const struct registry_url *u)
{
    uint64_t port = u->is_https ? 443 : 80;

    if (u->port.size > 0 && !view_to_u64(u->port, &port))
        return 0;
    return port;
}

bool registry_url_same_origin(const struct registry_url *a, const struct registry_url *b)
{
    return a->is_https == b->is_https && a->host.size == b->host.size &&
           strncasecmp(a->host.data, b->host.data, a->host.size) == 0 &&
           port_of(a) == port_of(b);
}

bool registry_url_is_loopback(struct view host)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;

    if (view_eq_nocase(host, "localhost") || view_ends(host, ".localhost"))
        return true;
    if (host.size >= sizeof text)
        return false;
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* "file:///x": a colon before anything that can only come later. RFC 3986 section 4.2. */
static bool has_scheme(struct view text)
{
    for (size_t i = 0; i < text.size && !strchr("/?#", text.data[i]); i++) {
        if (text.data[i] == ':')
            return true;
    }
    return false;
}

char *registry_url_resolve(const char *base, struct view location, struct error *err)
{
    struct registry_url u;
    char *absolute;

    if (registry_url_parse(view_of(base), &u, err) < 0)
        return NULL;
    const char *scheme = u.is_https ? "https" : "http";
    if (has_scheme(location)) {
        absolute = view_dup(location);
    } else if (view_starts(location, "//")) {
        absolute = base_format("%s:%.*s", scheme, VIEW_ARG(location));
    } else if (view_starts(location, "/")) {
        absolute =
            base_format("%s://%.*s%.*s", scheme, VIEW_ARG(u.authority), VIEW_ARG(location));
    } else {
        struct view path, query;

        (void)view_cut(u.path, '?', &path, &query);
        while (path.size > 0 && path.data[path.size - 1] != '/')
            path.size--;
        absolute = base_format("%s://%.*s%s%.*s%.*s", scheme, VIEW_ARG(u.authority),
                               path.size ? "" : "/", VIEW_ARG(path), VIEW_ARG(location));
    }
    if (registry_url_parse(view_of(absolute), &u, err) < 0) {
        free(absolute);
        return NULL;
    }
    return absolute;
}

static bool is_unreserved(unsigned char c)
{
    return (c < 0x80 && isalnum(c)) || strchr("-._~", c);
}

char *registry_url_encode(struct view text)
{
    struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&out, "");
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];

        if (c && is_unreserved(c))
            buf_append_char(&out, (char)c);
        else
            buf_printf(&out, "%%%02X", c);
    }
    return out.data ? buf_take(&out) : base_strdup("");
}

char *registry_url_add_query(const char *url, const char *name, struct view value)
{
    char *encoded = registry_url_encode(value);
    char *out = base_format("%s%c%s=%s", url, strchr(url, '?') ? '&' : '?', name, encoded);

    free(encoded);
    return out;
}
