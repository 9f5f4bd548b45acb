/* Tags and referrers that the upstream lists. Spec: OCI distribution-spec 1.1 "Listing
 * Tags", "Listing Referrers". */
#include "registry/serve/upstream_priv.h"

#include "base/alloc.h"
#include "registry/referrers.h"

struct listing {
    serve_upstream_tag_fn *add;
    void *context;
};

static int add_tag(void *context, const char *tag, struct error *err)
{
    const struct listing *l = context;

    (void)err;
    l->add(l->context, tag);
    return 0;
}

int serve_upstream_tags(struct serve_upstream *u,
                        const char *repository,
                        serve_upstream_tag_fn *add,
                        void *context,
                        bool *known,
                        struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    struct listing l = {add, context};

    upstream_reference(u, repository, &ref);
    *known = registry_tags_list(u->client, &ref, add_tag, &l, &failure) == 0;
    if (*known || error_is(&failure, ERROR_NOT_FOUND))
        return 0;
    return error_move(err, &failure);
}

/* --- Referrers --- */

static bool has(const struct cas_repository_manifests *list, const struct digest *d)
{
    for (size_t i = 0; i < list->count; i++) {
        if (digest_eq(&list->items[i].target.digest, d))
            return true;
    }
    return false;
}

int serve_upstream_referrers(struct serve_upstream *u,
                             const char *repository,
                             const struct digest *subject,
                             const char *artifact_type,
                             struct cas_repository_manifests *list,
                             struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(registry_referrers_release) struct registry_referrers there = {0};
    const size_t local = list->count;
    size_t capacity = local;

    upstream_reference(u, repository, &ref);
    if (registry_referrers_list(u->client, &ref, subject, artifact_type, &there, err) < 0)
        return -1;
    for (size_t i = 0; i < there.count; i++) {
        struct cas_repository_manifest *m;
        /* Each of the upstream's comes once. */
        const struct cas_repository_manifests known = {list->items, local};
        if (has(&known, &there.items[i].digest))
            continue;
        list->items = base_grow(list->items, list->count, &capacity, sizeof *list->items);
        m = &list->items[list->count++];
        *m = (struct cas_repository_manifest){.subject = *subject};
        descriptor_copy(&m->target, &there.items[i]);
    }
    return 0;
}
