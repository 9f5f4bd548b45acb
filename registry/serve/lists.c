/* Content discovery: tags, repositories, referrers. */
#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/ref.h"
#include "registry/serve/lists.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>

/* Of one answer; more follow by its Link. */
#define PAGE_MAX      ((size_t)10000)
#define REFERRERS_MAX ((size_t)500)

/* --- Names in order, without doubles --- */

void serve_list_release(struct serve_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct serve_list){0};
}

void serve_list_add(struct serve_list *l, char *consumed)
{
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count++] = consumed;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void serve_list_settle(struct serve_list *l, const char *after)
{
    size_t kept = 0;

    if (l->count)
        qsort(l->items, l->count, sizeof *l->items, compare);
    for (size_t i = 0; i < l->count; i++) {
        char *item = l->items[i];
        if (strcmp(item, after) <= 0 || (kept && strcmp(item, l->items[kept - 1]) == 0))
            free(item);
        else
            l->items[kept++] = item;
    }
    l->count = kept;
}

/* --- Tags --- */

static int add_tags(struct serve *s,
                    const char *prefix,
                    const char *after,
                    size_t limit,
                    struct serve_list *out,
                    struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (!prefix)
        return 0;
    if (cas_ref_page(s->store, prefix, after, limit, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        const char *tag = refs.items[i].name + strlen(prefix);
        if (serve_is_tag(view_of(tag)))
            serve_list_add(out, base_strdup(tag));
    }
    return 0;
}

int serve_list_tags(struct serve *s,
                    const char *repository,
                    const char *after,
                    size_t limit,
                    struct serve_list *out,
                    struct error *err)
{
    CLEANUP(base_freep) char *prefix = serve_names_prefix(s, repository);
    CLEANUP(base_freep) char *own = serve_names_own_prefix(s, repository);

    if (add_tags(s, prefix, after, limit, out, err) < 0 ||
        add_tags(s, own, after, limit, out, err) < 0)
        return -1;
    serve_list_settle(out, after);
    return 0;
}

int serve_list_is_known(struct serve *s,
                        const char *repository,
                        bool *known,
                        struct error *err)
{
    CLEANUP(serve_list_release) struct serve_list any = {0};

    if (serve_list_tags(s, repository, "", 1, &any, err) < 0)
        return -1;
    *known = any.count > 0;
    return *known ? 0 : cas_repository_find(s->store, repository, known, err);
}

/* --- Pages --- */

/* *n from "?n=", at most PAGE_MAX; answers 400 if it is no number. */
static bool read_page(struct serve_exchange *x, size_t *n, char **last)
{
    CLEANUP(base_freep) char *text = serve_target_param(&x->target, "n", 0);
    uint64_t value = PAGE_MAX;

    if (text && !view_to_u64(view_of(text), &value)) {
        serve_refuse(x, 400, "PAGINATION_NUMBER_INVALID", "n is no number");
        return false;
    }
    *n = value < PAGE_MAX ? (size_t)value : PAGE_MAX;
    *last = serve_target_param(&x->target, "last", 0);
    if (!*last)
        *last = base_strdup("");
    return true;
}

/* RFC 8288. */
static void link_next(struct serve_exchange *x, const char *path, const char *parameters)
{
    serve_reply_header(x, "Link", "<%s?%s>; rel=\"next\"", path, parameters);
}

static void answer_page(struct serve_exchange *x,
                        struct doc *body,
                        const char *member,
                        const struct serve_list *list,
                        size_t n)
{
    const size_t count = list->count < n ? list->count : n;
    struct doc *items = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append_text(items, list->items[i]);
    doc_set(body, member, items);
    serve_reply(x, 200);
    if (count > 0 && list->count > count) {
        CLEANUP(base_freep)
        char *last = registry_url_encode(view_of(list->items[count - 1]));
        CLEANUP(base_freep) char *parameters = base_format("n=%zu&last=%s", n, last);
        link_next(x, x->target.path, parameters);
    }
    serve_reply_doc(x, "application/json", body);
}

static void get_tags(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_list_release) struct serve_list list = {0};
    CLEANUP(base_freep) char *last = NULL;
    const char *const repository = x->target.repository;
    size_t n;
    bool known;

    if (!read_page(x, &n, &last))
        return;
    if (serve_list_is_known(x->serve, repository, &known, &err) < 0 ||
        serve_list_tags(x->serve, repository, last, n + 1, &list, &err) < 0) {
        serve_fail(x, &err);
        return;
    }
    if (serve_behind_is_asked(x) && !serve_behind_tags(x, last, &known, &list))
        return;
    if (!known) {
        serve_refuse(x, 404, "NAME_UNKNOWN", "there is no repository '%s'", repository);
        return;
    }
    CLEANUP(doc_unrefp) struct doc *body = doc_new_object();
    doc_set_text(body, "name", repository);
    answer_page(x, body, "tags", &list, n);
}

/* --- Repositories --- */

int serve_list_repositories(struct serve *s,
                            const char *after,
                            struct serve_list *out,
                            struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    char **names = NULL;
    size_t count = 0;

    if (cas_ref_list(s->store, &refs, err) < 0 ||
        cas_repository_list(s->store, after, SIZE_MAX, &names, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        serve_list_add(out, names[i]);
    free(names);
    for (size_t i = 0; i < refs.count; i++) {
        char *name = serve_names_repository(s, refs.items[i].name);
        if (name)
            serve_list_add(out, name);
    }
    serve_list_settle(out, after);
    return 0;
}

static void get_catalog(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_list_release) struct serve_list list = {0};
    CLEANUP(doc_unrefp) struct doc *body = doc_new_object();
    CLEANUP(base_freep) char *last = NULL;
    size_t n;

    if (!read_page(x, &n, &last))
        return;
    if (serve_list_repositories(x->serve, last, &list, &err) < 0)
        serve_fail(x, &err);
    else
        answer_page(x, body, "repositories", &list, n);
}

/* --- Referrers --- */

static struct doc *referrers_doc(const struct cas_repository_manifests *list, size_t count)
{
    struct doc *index = doc_new_object();
    struct doc *entries = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append(entries, descriptor_doc(&list->items[i].target));
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", entries);
    return index;
}

static void link_referrers(struct serve_exchange *x,
                           const struct digest *last,
                           const char *type)
{
    CLEANUP(base_freep) char *encoded = type ? registry_url_encode(view_of(type)) : NULL;
    CLEANUP(base_freep)
    char *parameters = base_format("last=%s%s%s", digest_format(last).text,
                                   encoded ? "&artifactType=" : "", encoded ? encoded : "");

    link_next(x, x->target.path, parameters);
}

static void get_referrers(struct serve_exchange *x)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cas_repository_manifests_release) struct cas_repository_manifests list = {0};
    CLEANUP(base_freep) char *type = serve_target_param(&x->target, "artifactType", 0);
    CLEANUP(base_freep) char *last = serve_target_param(&x->target, "last", 0);
    struct digest subject;
    struct digest after = {.alg = DIGEST_NONE};

    if (!serve_digest_read(x, x->target.reference, &subject) ||
        (last && !serve_digest_read(x, last, &after)))
        return;
    if (cas_repository_referrers(x->serve->store, x->target.repository, &subject, type,
                                 &after, REFERRERS_MAX + 1, &list, &err) < 0) {
        serve_fail(x, &err);
        return;
    }
    if (serve_behind_is_asked(x))
        serve_behind_referrers(x, &subject, type, &after, &list);
    const size_t count = list.count < REFERRERS_MAX ? list.count : REFERRERS_MAX;
    CLEANUP(doc_unrefp) struct doc *index = referrers_doc(&list, count);
    serve_reply(x, 200);
    if (type)
        serve_reply_header(x, "OCI-Filters-Applied", "artifactType");
    if (list.count > count)
        link_referrers(x, &list.items[count - 1].target.digest, type);
    serve_reply_doc(x, MEDIA_OCI_INDEX, index);
}

const struct serve_action serve_actions_lists[] = {
    {SERVE_ROUTE_TAGS, SERVE_METHOD_GET, .finish = get_tags},
    {SERVE_ROUTE_TAGS, SERVE_METHOD_HEAD, .finish = get_tags},
    {SERVE_ROUTE_CATALOG, SERVE_METHOD_GET, .finish = get_catalog},
    {SERVE_ROUTE_CATALOG, SERVE_METHOD_HEAD, .finish = get_catalog},
    {SERVE_ROUTE_REFERRERS, SERVE_METHOD_GET, .finish = get_referrers},
    {SERVE_ROUTE_REFERRERS, SERVE_METHOD_HEAD, .finish = get_referrers},
    {.route = SERVE_ROUTE_UNKNOWN},
};
