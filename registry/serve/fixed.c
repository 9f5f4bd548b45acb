/* Immutable tags keep what they point to, and all of it. */
#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "cas/ref.h"

#include <string.h>

bool serve_may_remove_tag(struct serve_exchange *x,
                          const char *tag,
                          const struct digest *now)
{
    struct doc *detail;

    if (!serve_names_fixed(x->serve, x->target.repository, tag))
        return true;
    CLEANUP(base_freep)
    char *text = base_format("the tag '%s' is immutable and points to %s", tag,
                             digest_format(now).text);
    detail = doc_new_object();
    doc_set_text(detail, "tag", tag);
    doc_set_text(detail, "digest", digest_format(now).text);
    serve_refuse_detail(x, 409, "DENIED", text, detail);
    return false;
}

bool serve_may_remove(struct serve_exchange *x, const struct digest *d)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    CLEANUP(base_freep) char *prefix = serve_names_prefix(x->serve, x->target.repository);
    const char *const repository = x->target.repository;

    if (x->serve->options.immutable_count == 0)
        return true;
    if (cas_ref_page(x->serve->store, prefix, "", SIZE_MAX, &refs, &err) < 0) {
        serve_fail(x, &err);
        return false;
    }
    for (size_t i = 0; i < refs.count; i++) {
        const struct descriptor *target = &refs.items[i].target;
        const char *const tag = refs.items[i].name + strlen(prefix);
        if (serve_names_fixed(x->serve, repository, tag) &&
            serve_target_needs(x->serve, repository, target, d))
            return serve_may_remove_tag(x, tag, &target->digest);
    }
    return true;
}
