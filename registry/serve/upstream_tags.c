/* Tags that the upstream lists. Spec: OCI distribution-spec 1.1 "Listing Tags". */
#include "registry/serve/upstream_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/client_priv.h"
#include "registry/serve/target.h"
#include "registry/url.h"

#include <string.h>

/* Requests for one list: some registries give a hundred tags at once. */
#define PAGES_MAX 200u

struct listing {
    serve_upstream_tag_fn *add;
    void *context;
    size_t count; /* that were given */
    char *last;   /* the greatest of them */
};

/* False if the page brought nothing new: there is no use in asking on. */
static bool take_page(struct listing *l, const struct doc *tags)
{
    const size_t before = l->count;

    for (size_t i = 0; i < doc_count(tags); i++) {
        const char *tag = doc_text(doc_at(tags, i));
        if (!tag || !serve_is_tag(view_of(tag)))
            continue;
        l->add(l->context, tag);
        if (strcmp(tag, l->last) <= 0)
            continue;
        base_freep(&l->last);
        l->last = base_strdup(tag);
        l->count++;
    }
    return l->count > before;
}

static int get_page(struct serve_upstream *u,
                    const struct registry_reference *ref,
                    struct listing *l,
                    size_t limit,
                    bool *known,
                    bool *more,
                    struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response =
        REGISTRY_HTTP_RESPONSE_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(base_freep) char *after = registry_url_encode(view_of(l->last));
    CLEANUP(base_freep)
    char *path = base_format("tags/list?n=%zu%s%s", limit, *after ? "&last=" : "", after);
    const struct registry_call call = {
        .repository = ref, .method = REGISTRY_HTTP_GET, .path = path};
    struct view link;

    *more = false;
    if (registry_call_perform(u->client, &call, &response, err) < 0)
        return -1;
    *known = response.status == 200;
    if (response.status != 200)
        return response.status == 404 ? 0 : registry_call_failed(&call, &response, err);
    CLEANUP(doc_unrefp) struct doc *body = doc_parse(buf_view(&response.text), err);
    if (!body)
        return -1;
    *more = take_page(l, doc_get(body, "tags")) &&
            registry_http_header(&response, "Link", 0, &link);
    return 0;
}

int serve_upstream_tags(struct serve_upstream *u,
                        const char *repository,
                        const char *after,
                        size_t limit,
                        serve_upstream_tag_fn *add,
                        void *context,
                        bool *known,
                        struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    struct listing l = {.add = add, .context = context, .last = base_strdup(after)};
    bool more = true;
    int result = 0;

    upstream_reference(u, repository, &ref);
    for (unsigned page = 0; result == 0 && more && l.count < limit && page < PAGES_MAX;
         page++)
        result = get_page(u, &ref, &l, limit - l.count, known, &more, err);
    base_freep(&l.last);
    return result;
}
