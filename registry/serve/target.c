#include "registry/serve/target.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>

/* --- Names --- */

/* The client's own grammar decides, so that what is taken here can be asked for. */
static bool parses_as(const char *text, struct registry_reference *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return registry_reference_parse(view_of(text), out, &ignored) == 0;
}

bool serve_is_repository(struct view name)
{
    CLEANUP(registry_reference_release) struct registry_reference r = {0};
    CLEANUP(base_freep) char *copy = view_dup(name);
    CLEANUP(base_freep) char *text = base_format("localhost/%s", copy);

    return name.size <= LIMIT_NAME_SIZE && parses_as(text, &r) && !r.tag &&
           !digest_is_set(&r.digest) && view_eq_text(name, r.path);
}

bool serve_is_tag(struct view tag)
{
    return registry_reference_is_tag(tag);
}

/* --- Escapes --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* malloc'ed; NULL for a broken escape or a control character, written or decoded. */
static char *decode(struct view text)
{
    char *out = base_alloc(text.size + 1);
    size_t n = 0;

    for (size_t i = 0; i < text.size; i++) {
        int c = (unsigned char)text.data[i];
        if (c == '%') {
            const int high = i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
            const int low = i + 2 < text.size ? hex_value(text.data[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : high << 4 | low;
            i += 2;
        }
        if (c < ' ' || c == 0x7f) {
            free(out);
            return NULL;
        }
        out[n++] = (char)c;
    }
    return out;
}

/* --- Paths --- */

/* Cuts "/LAST" off the end of *path. */
static struct view cut_last(struct view *path)
{
    size_t at = path->size;

    while (at > 0 && path->data[at - 1] != '/')
        at--;
    const struct view last = view_sub(*path, at, path->size);
    *path = view_sub(*path, 0, at > 0 ? at - 1 : 0);
    return last;
}

static enum serve_route route_of_kind(struct view kind, struct view last)
{
    if (view_eq_text(kind, "manifests"))
        return SERVE_ROUTE_MANIFEST;
    if (view_eq_text(kind, "referrers"))
        return SERVE_ROUTE_REFERRERS;
    if (view_eq_text(kind, "tags") && view_eq_text(last, "list"))
        return SERVE_ROUTE_TAGS;
    if (view_eq_text(kind, "blobs"))
        return view_eq_text(last, "uploads") ? SERVE_ROUTE_UPLOADS : SERVE_ROUTE_BLOB;
    return SERVE_ROUTE_UNKNOWN;
}

/* A name may hold any of the words; so the end decides. */
static struct view split(struct view rest, struct serve_target *t)
{
    struct view name = rest;
    const struct view last = cut_last(&name);
    const struct view kind = cut_last(&name);

    t->route = route_of_kind(kind, last);
    if (view_eq_text(kind, "uploads")) {
        struct view above = name;
        if (view_eq_text(cut_last(&above), "blobs")) {
            t->route = last.size ? SERVE_ROUTE_UPLOAD : SERVE_ROUTE_UPLOADS;
            name = above;
        }
    }
    if (t->route != SERVE_ROUTE_UNKNOWN && t->route != SERVE_ROUTE_TAGS &&
        t->route != SERVE_ROUTE_UPLOADS)
        t->reference = view_dup(last);
    return name;
}

static int read_path(struct serve_target *t, struct error *err)
{
    const struct view path = view_of(t->path);
    struct view name;

    if (view_eq_text(path, "/"))
        t->route = SERVE_ROUTE_PAGE;
    else if (view_eq_text(path, "/style.css"))
        t->route = SERVE_ROUTE_STYLE;
    else if (view_eq_text(path, "/metrics"))
        t->route = SERVE_ROUTE_METRICS;
    else if (view_eq_text(path, "/v2/") || view_eq_text(path, "/v2"))
        t->route = SERVE_ROUTE_BASE;
    else if (view_eq_text(path, "/v2/_catalog"))
        t->route = SERVE_ROUTE_CATALOG;
    if (t->route != SERVE_ROUTE_UNKNOWN || !view_starts(path, "/v2/"))
        return 0;
    name = split(view_sub(path, 4, path.size), t);
    if (t->route == SERVE_ROUTE_UNKNOWN)
        return 0;
    if (!serve_is_repository(name))
        return error_set(err, ERROR_INVALID, "'%.*s' is no repository's name",
                         VIEW_ARG(view_sub(name, 0, LIMIT_NAME_SIZE)));
    t->repository = view_dup(name);
    return 0;
}

int serve_target_parse(struct view text, struct serve_target *out, struct error *err)
{
    struct view path;
    struct view query;

    *out = (struct serve_target){0};
    view_cut(text, '?', &path, &query);
    CLEANUP(base_freep) char *checked = decode(query);
    out->path = decode(path);
    out->query = view_dup(query);
    if (!out->path || !checked || read_path(out, err) < 0) {
        if (!out->path || !checked)
            (void)error_set(err, ERROR_INVALID,
                            "the URL has a broken escape or a control character");
        serve_target_release(out);
        return -1;
    }
    return 0;
}

void serve_target_release(struct serve_target *t)
{
    free(t->path);
    free(t->repository);
    free(t->reference);
    free(t->query);
    *t = (struct serve_target){0};
}

char *serve_target_param(const struct serve_target *t, const char *name, size_t index)
{
    struct view rest = view_of(t->query);

    while (rest.size > 0) {
        struct view pair;
        struct view key;
        struct view value;
        view_cut(rest, '&', &pair, &rest);
        view_cut(pair, '=', &key, &value);
        if (view_eq_text(key, name) && index-- == 0)
            return decode(value);
    }
    return NULL;
}
