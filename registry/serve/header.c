#include "registry/serve/header.h"

#include "base/alloc.h"
#include "registry/base64.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- Ranges --- */

static enum serve_range suffix(struct view count, uint64_t size, uint64_t *first)
{
    uint64_t n;

    if (!view_to_u64(count, &n))
        return SERVE_RANGE_ALL;
    if (n == 0 || size == 0)
        return SERVE_RANGE_UNSATISFIABLE;
    *first = n < size ? size - n : 0;
    return SERVE_RANGE_PART;
}

enum serve_range serve_range_parse(const char *text,
                                   uint64_t size,
                                   uint64_t *first,
                                   uint64_t *last)
{
    const struct view v = view_trim(view_of(text));
    struct view from;
    struct view to;

    if (!view_starts(v, "bytes=") || !view_cut(view_sub(v, 6, v.size), '-', &from, &to))
        return SERVE_RANGE_ALL;
    *last = size - 1;
    if (from.size == 0)
        return suffix(to, size, first);
    if (!view_to_u64(from, first) || (to.size > 0 && !view_to_u64(to, last)))
        return SERVE_RANGE_ALL;
    if (*first >= size || *last < *first)
        return SERVE_RANGE_UNSATISFIABLE;
    if (to.size == 0 || *last >= size)
        *last = size - 1;
    return SERVE_RANGE_PART;
}

bool serve_content_range_parse(const char *text, uint64_t *first, uint64_t *last)
{
    struct view v = view_trim(view_of(text));
    struct view range;
    struct view from;
    struct view to;
    struct view total;

    if (view_starts(v, "bytes "))
        v = view_trim(view_sub(v, 6, v.size));
    view_cut(v, '/', &range, &total);
    return view_cut(range, '-', &from, &to) && view_to_u64(from, first) &&
           view_to_u64(to, last) && *first <= *last && *last < UINT64_MAX;
}

struct view serve_media_type(const char *text)
{
    struct view type;
    struct view parameters;

    view_cut(view_of(text), ';', &type, &parameters);
    return view_trim(type);
}

/* --- Entity tags --- */

static bool read_tag(struct view tag, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    tag = view_trim(tag);
    if (view_starts(tag, "W/"))
        tag = view_sub(tag, 2, tag.size);
    if (tag.size >= 2 && tag.data[0] == '"' && tag.data[tag.size - 1] == '"')
        tag = view_sub(tag, 1, tag.size - 2);
    return digest_parse(tag, out, &ignored) == 0;
}

bool serve_etags_any(const char *text)
{
    return view_eq_text(view_trim(view_of(text)), "*");
}

bool serve_etags_match(const char *text, const struct digest *d)
{
    struct view rest = view_of(text);

    while (rest.size > 0) {
        struct view tag;
        struct digest named;
        view_cut(rest, ',', &tag, &rest);
        if (read_tag(tag, &named) && digest_eq(&named, d))
            return true;
    }
    return false;
}

bool serve_etags_single(const char *text, struct digest *out)
{
    return read_tag(view_of(text), out);
}

/* --- Credentials --- */

bool serve_basic_parse(const char *text, char **user, char **password)
{
    size_t size = 0;

    if (!text || strncasecmp(text, "basic ", 6) != 0)
        return false;
    char *pair = registry_base64_decode(view_trim(view_of(text + 6)), &size);
    if (!pair)
        return false;
    char *const colon = memchr(pair, ':', size);
    const bool is_whole = colon && !memchr(pair, '\0', size);
    if (is_whole) {
        *user = base_strndup(pair, (size_t)(colon - pair));
        *password = base_strndup(colon + 1, size - (size_t)(colon + 1 - pair));
    }
    explicit_bzero(pair, size);
    free(pair);
    return is_whole;
}
