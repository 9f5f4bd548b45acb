/*
 * FROM an image: its layers, whose bytes are fetched when somebody needs them.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "registry/pull.h"

/* The layers outlive the solver, the image lives as long as the plan. */
static int fetch_layer(void *context,
                       const struct descriptor *blob,
                       struct cas_arrival *arrival,
                       struct error *err)
{
    const struct build_image *image = context;
    const struct build_environment *env = image->env;
    const struct registry_progress progress = {.sink = &env->sink};
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    bool done = false;

    /* A cache may be at hand where the image's registry is not. */
    if (build_cache_fetch_blob(env->cache, blob, &done, &failure) == 0 && done)
        return 0;
    if (image->layout)
        return registry_layout_fetch_blob(image->layout, env->store, blob, err);
    return registry_fetch_followed(env->registry, env->store, &image->ref, blob, arrival,
                                   &progress, err);
}

int step_source(struct solve_node *n, struct error *err)
{
    const struct registry_image *image = &n->node->image->image;
    const struct doc *diff_ids =
        doc_get(doc_get(n->node->image->config, "rootfs"), "diff_ids");

    n->layers = base_alloc_array(image->layer_count + 1, sizeof(struct cas_layer *));
    n->created = base_alloc_array(image->layer_count + 1, sizeof *n->created);
    n->contents = base_alloc_array(image->layer_count + 1, sizeof *n->contents);
    for (size_t i = 0; i < image->layer_count; i++) {
        struct digest diff_id;

        if (digest_parse(doc_view(doc_at(diff_ids, i)), &diff_id, err) < 0)
            return error_wrap(err, "%s: image config: diff_ids", n->node->image->name);
        n->layers[n->count] =
            cas_layer_new(n->solver->env->store, &diff_id, &image->layers[i],
                          n->solver->is_dry ? NULL : fetch_layer, n->node->image);
        n->created[n->count++] = -1;
    }
    return 0;
}
