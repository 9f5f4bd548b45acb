/* Tags that the upstream lists. Spec: OCI distribution-spec 1.1 "Listing Tags". */
#include "registry/serve/upstream_priv.h"

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
