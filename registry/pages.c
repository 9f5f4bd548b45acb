/* Lists that come in pages: tags, referrers. */
#include "registry/client_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>

/* A registry that never comes to an end gives ten million tags by then. */
#define PAGES_MAX 10000

/* `<URL>; rel="next"` among the links of a header; false if none of them is. */
static bool link_next(struct view header, struct view *target)
{
    struct view rest = header, before, parameters;

    while (view_cut(rest, '<', &before, &rest)) {
        if (!view_cut(rest, '>', target, &rest))
            return false;
        (void)view_cut(rest, ',', &parameters, &before);
        for (struct view p = parameters, one; p.size > 0;) {
            (void)view_cut(p, ';', &one, &p);
            one = view_trim(one);
            if (view_eq_nocase(one, "rel=\"next\"") || view_eq_nocase(one, "rel=next"))
                return true;
        }
    }
    return false;
}

static bool is_same_origin(const char *a, const char *b)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* an odd URL is another's */
    struct registry_url x, y;

    return registry_url_parse(view_of(a), &x, &ignored) == 0 &&
           registry_url_parse(view_of(b), &y, &ignored) == 0 &&
           registry_url_same_origin(&x, &y);
}

/* Where the list goes on: *next malloc'ed, NULL at its end. */
static int find_next(const struct registry_http_response *response,
                     char **next,
                     struct error *err)
{
    struct view header, target;

    *next = NULL;
    for (size_t i = 0; registry_http_header(response, "Link", i, &header); i++) {
        if (!link_next(header, &target))
            continue;
        *next = registry_url_resolve(response->url, target, err);
        if (!*next)
            return error_wrap(err, "where the list goes on");
        if (is_same_origin(*next, response->url) && strcmp(*next, response->url) != 0)
            return 0;
        base_freep(next);
        return error_set(err, ERROR_INVALID,
                         "the registry continues the list at another host, or in a circle");
    }
    return 0;
}

static int read_page(const struct registry_http_response *response,
                     registry_page_fn *each,
                     void *context,
                     struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *page = doc_parse(buf_view(&response->text), err);

    if (!page)
        return error_wrap(err, "the registry's list");
    return each(context, response, page, err);
}

static bool is_quiet(const int *quiet, int status)
{
    for (; quiet && *quiet; quiet++) {
        if (*quiet == status)
            return true;
    }
    return false;
}

int registry_pages_get(struct registry_client *c,
                       const struct registry_reference *repository,
                       const char *path,
                       const int *quiet,
                       registry_page_fn *each,
                       void *context,
                       int *status,
                       struct error *err)
{
    static const char *const headers[] = {"Accept: " MEDIA_OCI_INDEX ", application/json"};
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(base_freep) char *next = NULL;
    struct registry_call call = {
        .repository = repository,
        .method = REGISTRY_HTTP_GET,
        .path = path,
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
    };

    for (int pages = 0; pages < PAGES_MAX; pages++) {
        if (registry_call_perform(c, &call, &response, err) < 0)
            return -1;
        if (pages == 0)
            *status = response.status;
        if (pages == 0 && is_quiet(quiet, response.status))
            return 0;
        if (response.status != 200)
            return registry_call_failed(&call, &response, err);
        base_freep(&next);
        if (read_page(&response, each, context, err) < 0 ||
            find_next(&response, &next, err) < 0)
            return -1;
        if (!next)
            return 0;
        call.url = next;
    }
    return error_set(err, ERROR_LIMIT, "the list has more than %d pages", PAGES_MAX);
}

/* ---- Tags ---- */

struct tags {
    int (*each)(void *context, const char *tag, struct error *err);
    void *context;
};

static int tags_page(void *context,
                     const struct registry_http_response *response,
                     const struct doc *page,
                     struct error *err)
{
    const struct tags *t = context;
    const struct doc *list = doc_get(page, "tags");

    (void)response;
    /* null is how Go prints a list without entries. */
    if (doc_type(list) != DOC_ARRAY && doc_type(list) != DOC_NULL)
        return error_set(err, ERROR_INVALID, "the registry's answer holds no list of tags");
    for (size_t i = 0; i < doc_count(list); i++) {
        const char *tag = doc_text(doc_at(list, i));

        /* It goes to a terminal, and into the next request. */
        if (!tag || !registry_reference_is_tag(view_of(tag)))
            return error_set(err, ERROR_INVALID, "the registry lists what is no tag");
        if (t->each(t->context, tag, err) < 0)
            return -1;
    }
    return 0;
}

int registry_tags_list(struct registry_client *c,
                       const struct registry_reference *repository,
                       int (*each)(void *context, const char *tag, struct error *err),
                       void *context,
                       struct error *err)
{
    struct tags t = {each, context};
    int status = 0;

    if (registry_pages_get(c, repository, "tags/list?n=1000", NULL, tags_page, &t, &status,
                           err) == 0)
        return 0;
    CLEANUP(base_freep) char *name = registry_reference_name(repository);
    return error_wrap(err, "tags of %s", name);
}
