#include "registry/reference.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <ctype.h>
#include <string.h>

#define DEFAULT_HOST    "docker.io"
#define LEGACY_HOST     "index.docker.io"
#define OFFICIAL_PREFIX "library/"
#define PATH_SIZE_MAX   255 /* distribution/reference RepositoryNameTotalLengthMax */
#define TAG_SIZE_MAX    128
/* Host, path, tag and digest at their longest stay far below; a DNS name has at most 253.
 */
#define REFERENCE_SIZE_MAX 2048

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool has_upper(struct view v)
{
    for (size_t i = 0; i < v.size; i++) {
        if (v.data[i] >= 'A' && v.data[i] <= 'Z')
            return true;
    }
    return false;
}

static bool contains(struct view v, char c)
{
    size_t offset;

    return view_find(v, c, &offset);
}

/* ---- The host: domain-component { "." domain-component } | "[" ipv6 "]", [ ":" port ]
 * ---- */

static bool domain_component_ok(struct view v)
{
    if (v.size == 0 || v.data[0] == '-' || v.data[v.size - 1] == '-')
        return false;
    for (size_t i = 0; i < v.size; i++) {
        if (!is_word(v.data[i]) && v.data[i] != '-')
            return false;
        if (v.data[i] == '_')
            return false;
    }
    return true;
}

static bool domain_ok(struct view v)
{
    struct view head, rest = v;
    bool more;

    do {
        more = view_cut(rest, '.', &head, &rest);
        if (!domain_component_ok(head))
            return false;
    } while (more);
    return true;
}

static bool port_ok(struct view v)
{
    for (size_t i = 0; i < v.size; i++) {
        if (!is_digit(v.data[i]))
            return false;
    }
    return v.size > 0 && v.size <= 5;
}

static bool ipv6_ok(struct view v)
{
    for (size_t i = 0; i < v.size; i++) {
        if (!isxdigit((unsigned char)v.data[i]) && v.data[i] != ':')
            return false;
    }
    return v.size > 0;
}

static bool host_ok(struct view v)
{
    struct view name, port;

    if (v.size > 0 && v.data[0] == '[') {
        size_t end;

        if (!view_find(v, ']', &end) || !ipv6_ok(view_sub(v, 1, end - 1)))
            return false;
        port = view_sub(v, end + 1, v.size);
        return port.size == 0 ||
               (port.data[0] == ':' && port_ok(view_sub(port, 1, port.size)));
    }
    if (!view_cut(v, ':', &name, &port))
        return domain_ok(v);
    return domain_ok(name) && port_ok(port);
}

/* ---- The path: component { "/" component } ---- */

/* separator = "." | "_" | "__" | "-" { "-" }; the number of its bytes, 0 if there is none.
 */
static size_t separator_size(struct view v)
{
    size_t n = 0;

    if (v.size == 0)
        return 0;
    if (v.data[0] == '.')
        return 1;
    while (n < v.size && v.data[n] == v.data[0] && (v.data[0] == '-' || v.data[0] == '_'))
        n++;
    return v.data[0] == '_' && n > 2 ? 0 : n;
}

/* component = alphanumeric { separator alphanumeric } */
static bool path_component_ok(struct view v)
{
    size_t i = 0;

    for (;;) {
        const size_t start = i;

        while (i < v.size && is_lower_or_digit(v.data[i]))
            i++;
        if (i == start)
            return false;
        if (i == v.size)
            return true;
        const size_t n = separator_size(view_sub(v, i, v.size));
        if (n == 0)
            return false;
        i += n;
    }
}

static int path_check(struct view path, struct view text, struct error *err)
{
    struct view head, rest = path;
    bool more;

    if (has_upper(path))
        return error_set(
            err, ERROR_INVALID,
            "image name '%.*s': the repository name '%.*s' must be in lower case",
            VIEW_ARG(text), VIEW_ARG(path));
    do {
        more = view_cut(rest, '/', &head, &rest);
        if (head.size == 0)
            return error_set(err, ERROR_INVALID,
                             "image name '%.*s': a part of the repository name is empty",
                             VIEW_ARG(text));
        if (!path_component_ok(head))
            return error_set(
                err, ERROR_INVALID,
                "image name '%.*s': '%.*s' is not made of lower-case letters and digits "
                "separated by '.', '_', '__' or '-'",
                VIEW_ARG(text), VIEW_ARG(head));
    } while (more);
    return 0;
}

/* ---- Tag and digest ---- */

bool registry_reference_is_tag(struct view tag)
{
    for (size_t i = 0; i < tag.size; i++) {
        if (!is_word(tag.data[i]) && (i == 0 || (tag.data[i] != '.' && tag.data[i] != '-')))
            return false;
    }
    return tag.size > 0 && tag.size <= TAG_SIZE_MAX;
}

static int tag_check(struct view tag, struct view text, struct error *err)
{
    if (tag.size == 0)
        return error_set(err, ERROR_INVALID, "image name '%.*s': the tag is empty",
                         VIEW_ARG(text));
    if (tag.size > TAG_SIZE_MAX)
        return error_set(err, ERROR_INVALID,
                         "image name '%.*s': the tag has more than %d characters",
                         VIEW_ARG(text), TAG_SIZE_MAX);
    if (!registry_reference_is_tag(tag))
        return error_set(
            err, ERROR_INVALID,
            "image name '%.*s': the tag '%.*s' may hold letters, digits, '_', and "
            "after the first character '.' and '-'",
            VIEW_ARG(text), VIEW_ARG(tag));
    return 0;
}

/* ---- Splitting, as distribution's splitDockerDomain ---- */

static bool looks_like_host(struct view first)
{
    return view_eq_text(first, "localhost") || contains(first, '.') ||
           contains(first, ':') || has_upper(first);
}

/* `name` is everything before the digest. */
static void split_host(struct view name, struct view *host, struct view *remainder)
{
    struct view first, rest;

    *host = VIEW_LIT(DEFAULT_HOST);
    *remainder = name;
    if (!view_cut(name, '/', &first, &rest) || !looks_like_host(first))
        return;
    *remainder = rest;
    if (!view_eq_text(first, LEGACY_HOST))
        *host = first;
}

/* Exactly the name of a local image ID: docker refuses it as a name, so that one cannot be
 * mistaken for the other. */
static bool is_identifier(struct view text)
{
    if (text.size != 64)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i]) && (text.data[i] < 'a' || text.data[i] > 'f'))
            return false;
    }
    return true;
}

static int text_check(struct view text, struct error *err)
{
    if (text.size == 0)
        return error_set(err, ERROR_INVALID, "the image name is empty");
    if (text.size > REFERENCE_SIZE_MAX)
        return error_set(err, ERROR_INVALID, "the image name has more than %d characters",
                         REFERENCE_SIZE_MAX);
    for (size_t i = 0; i < text.size; i++) {
        /* Said without repeating it: control characters do not belong into a message. */
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return error_set(err, ERROR_INVALID,
                             "the image name has a blank, a control or a non-ASCII "
                             "character at position %zu",
                             i + 1);
    }
    if (is_identifier(text))
        return error_set(
            err, ERROR_INVALID,
            "image name '%.*s': 64 hexadecimal digits are an image ID and cannot be a name",
            VIEW_ARG(text));
    return 0;
}

struct parts {
    struct view host, path, tag, digest;
    bool has_tag, has_digest;
};

static int parts_check(const struct parts *p,
                       struct view text,
                       struct digest *digest,
                       struct error *err)
{
    if (!host_ok(p->host))
        return error_set(
            err, ERROR_INVALID,
            "image name '%.*s': '%.*s' is not a host name with an optional port",
            VIEW_ARG(text), VIEW_ARG(p->host));
    if (path_check(p->path, text, err) < 0 ||
        (p->has_tag && tag_check(p->tag, text, err) < 0))
        return -1;
    if (p->has_digest && digest_parse(p->digest, digest, err) < 0)
        return error_wrap(err, "image name '%.*s'", VIEW_ARG(text));
    return 0;
}

int registry_reference_parse(struct view text,
                             struct registry_reference *out,
                             struct error *err)
{
    struct view name, remainder;
    struct parts p = {0};
    struct digest digest = {0};

    if (text_check(text, err) < 0)
        return -1;
    p.has_digest = view_cut(text, '@', &name, &p.digest);
    split_host(name, &p.host, &remainder);
    p.has_tag = view_cut(remainder, ':', &p.path, &p.tag);
    if (parts_check(&p, text, &digest, err) < 0)
        return -1;

    const bool official = view_eq_text(p.host, DEFAULT_HOST) && !contains(p.path, '/');
    if (p.path.size + (official ? strlen(OFFICIAL_PREFIX) : 0) > PATH_SIZE_MAX)
        return error_set(
            err, ERROR_INVALID,
            "image name '%.*s': the repository name has more than %d characters",
            VIEW_ARG(text), PATH_SIZE_MAX);
    *out = (struct registry_reference){
        .host = view_dup(p.host),
        .path = base_format("%s%.*s", official ? OFFICIAL_PREFIX : "", VIEW_ARG(p.path)),
        .tag = p.has_tag ? view_dup(p.tag) : NULL,
        .digest = digest,
    };
    return 0;
}

void registry_reference_copy(struct registry_reference *to,
                             const struct registry_reference *from)
{
    *to = (struct registry_reference){
        .host = base_strdup(from->host),
        .path = base_strdup(from->path),
        .tag = base_strdup(from->tag),
        .digest = from->digest,
    };
}

void registry_reference_release(struct registry_reference *r)
{
    free(r->host);
    free(r->path);
    free(r->tag);
    *r = (struct registry_reference){0};
}

void registry_reference_add_default_tag(struct registry_reference *r)
{
    if (!r->tag && !digest_is_set(&r->digest))
        r->tag = base_strdup("latest");
}

bool registry_reference_same_repository(const struct registry_reference *a,
                                        const struct registry_reference *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0;
}

char *registry_reference_name(const struct registry_reference *r)
{
    return base_format("%s/%s", r->host, r->path);
}

/* `name` with the tag and digest of `r`. Consumes `name`. */
static char *with_tag_and_digest(char *name, const struct registry_reference *r)
{
    const bool has_digest = digest_is_set(&r->digest);
    const struct digest_text digest =
        has_digest ? digest_format(&r->digest) : (struct digest_text){""};
    char *text = base_format("%s%s%s%s%s", name, r->tag ? ":" : "", r->tag ? r->tag : "",
                             has_digest ? "@" : "", digest.text);

    free(name);
    return text;
}

char *registry_reference_text(const struct registry_reference *r)
{
    return with_tag_and_digest(registry_reference_name(r), r);
}

/* The name without what docker fills in by itself. */
static struct view short_name(const struct registry_reference *r)
{
    const struct view path = view_of(r->path);
    const struct view rest = view_sub(path, strlen(OFFICIAL_PREFIX), path.size);

    return view_starts(path, OFFICIAL_PREFIX) && !contains(rest, '/') ? rest : path;
}

/* docker.io/quay.io/x would become quay.io/x, which is another image (docker prints it so);
 * and 64 hexadecimal digits are no name. */
static bool means_the_same(const char *text, const struct registry_reference *r)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then it does not */
    CLEANUP(registry_reference_release) struct registry_reference again = {0};

    return registry_reference_parse(view_of(text), &again, &ignored) == 0 &&
           registry_reference_same_repository(&again, r);
}

char *registry_reference_familiar(const struct registry_reference *r)
{
    char *text;

    if (strcmp(r->host, DEFAULT_HOST) != 0)
        return registry_reference_text(r);
    text = with_tag_and_digest(view_dup(short_name(r)), r);
    if (means_the_same(text, r))
        return text;
    free(text);
    return registry_reference_text(r);
}

char *registry_reference_normalize(struct view text, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference r = {0};

    if (registry_reference_parse(text, &r, err) < 0)
        return NULL;
    registry_reference_add_default_tag(&r);
    return registry_reference_text(&r);
}
