/*
 * Pushing the image under each of its names. What was sent beside the steps is not sent
 * again: see export/ahead.h.
 */
#include "builder/export/export.h"

#include "base/alloc.h"
#include "registry/push.h"

#include <stdlib.h>

/* Without a tag: the manifest is there under its digest alone. */
static void by_digest(struct registry_reference *ref, const struct digest *digest)
{
    free(ref->tag);
    ref->tag = NULL;
    ref->digest = *digest;
}

static int push(const struct build_export *x, const char *name, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    struct digest confirmed;

    if (registry_reference_parse(view_of(name), &ref, err) < 0)
        return -1;
    if (x->output->by_digest)
        by_digest(&ref, &x->root->digest);
    return registry_pusher_finish(build_ahead_pusher(x->ahead, &ref), x->root, &ref,
                                  &confirmed, err);
}

int build_export_registry(const struct build_export *x, struct error *err)
{
    CLEANUP(build_names_release) struct build_names names = {0};

    if (build_names_of(x->output, x->names, x->name_count, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++)
        if (push(x, names.items[i], err) < 0)
            return -1;
    return 0;
}
