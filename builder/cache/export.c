#include "builder/cache/export.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/cache/cache.h"
#include "builder/cache/export_priv.h"
#include "builder/export/export.h"
#include "cas/blob.h"
#include "cas/record.h"
#include "registry/platform.h"

#include <stdlib.h>
#include <string.h>

/* --- Taking note --- */

const struct kept_layer *build_cache_kept(const struct build_cache_export *x,
                                          const struct digest *blob)
{
    for (size_t i = 0; i < x->layer_count; i++)
        if (digest_eq(&x->layers[i].blob.digest, blob))
            return &x->layers[i];
    return NULL;
}

char *build_cache_maker_of(const struct build_environment *env,
                           const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    char *maker = NULL;

    if (cas_layer_record_maker(env->store, &blob->digest, &maker, &ignored) < 0)
        return NULL;
    return maker ? maker : base_strdup(build_cache_maker(env->cache, &blob->digest));
}

static void keep_layer(struct build_cache_export *x,
                       const struct build_environment *env,
                       const struct digest *diff_id,
                       const struct descriptor *blob,
                       const struct registry_reference *origin,
                       const struct kept_layer *flags)
{
    struct kept_layer *l;

    if (build_cache_kept(x, &blob->digest))
        return;
    x->layers = base_grow(x->layers, x->layer_count, &x->layer_capacity, sizeof *x->layers);
    l = &x->layers[x->layer_count++];
    *l = *flags;
    l->diff_id = *diff_id;
    l->maker = build_cache_maker_of(env, blob);
    descriptor_copy(&l->blob, blob);
    if (origin && origin->host)
        registry_reference_copy(&l->origin, origin);
}

/* The solutions of several platforms tell of the same steps, and each which are its own. */
struct solutions {
    const struct build_plans *plans;
    const struct build_solution *items;
};

static bool is_in_result(const struct solutions *s, size_t step)
{
    for (size_t i = 0; i < s->plans->count; i++)
        if (s->items[i].solved[step].is_in_result)
            return true;
    return false;
}

static void keep_steps(struct build_cache_export *x,
                       const struct build_environment *env,
                       const struct solutions *s,
                       bool of_result)
{
    for (size_t i = 0; i < s->items[0].solved_count; i++) {
        const struct build_solved *step = &s->items[0].solved[i];
        const struct kept_layer flags = {.is_in_result = of_result};

        if (is_in_result(s, i) != of_result || step->record.count == 0)
            continue;
        keep_layer(x, env, &step->record.layers[0].diff_id, &step->blob,
                   build_cache_origin(env->cache, &step->blob.digest), &flags);
    }
}

static void keep_records(struct build_cache_export *x, const struct solutions *s)
{
    const struct build_solution *first = &s->items[0];

    x->records = base_alloc_array(first->solved_count + 1, sizeof *x->records);
    for (size_t i = 0; i < first->solved_count; i++)
        x->records[x->record_count++] =
            (struct kept_record){.operation = first->solved[i].operation,
                                 .record = first->solved[i].record,
                                 .is_in_result = is_in_result(s, i)};
}

static bool is_result_base(const struct build_plans *plans, const struct build_image *image)
{
    for (size_t i = 0; i < plans->count; i++) {
        const struct build_node *n = plans->items[i].result;

        while (n && n->base)
            n = n->base;
        if (n && n->op == BUILD_OP_SOURCE && n->image == image)
            return true;
    }
    return false;
}

static void keep_base_layers(struct build_cache_export *x,
                             const struct build_environment *env,
                             const struct build_image *image,
                             bool is_in_result)
{
    const struct doc *diff_ids = doc_get(doc_get(image->config, "rootfs"), "diff_ids");
    const struct kept_layer flags = {.is_in_result = is_in_result, .is_base = true};

    for (size_t i = 0; i < image->image.layer_count; i++) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        struct digest diff_id;

        if (digest_parse(doc_view(doc_at(diff_ids, i)), &diff_id, &ignored) == 0)
            keep_layer(x, env, &diff_id, &image->image.layers[i], &image->ref, &flags);
    }
}

/* Its documents, as far as the store has them: what is missing is asked for by others. */
static void keep_documents(const struct build_environment *env,
                           const struct build_image *image,
                           struct build_bundle_image *to)
{
    const struct registry_image *i = &image->image;
    const struct descriptor *const all[] = {&i->root, &i->manifest, &i->config};

    for (size_t k = 0; k < ARRAY_COUNT(all); k++) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);

        if (k > 0 && digest_eq(&all[k]->digest, &all[k - 1]->digest))
            continue;
        if (cas_blob_read(env->store, &all[k]->digest, &text, &ignored) == 0)
            build_bundle_add_document(to, buf_view(&text));
    }
}

static bool has_image(const struct build_bundle *b, const char *name, const char *platform)
{
    for (size_t i = 0; i < b->image_count; i++)
        if (strcmp(b->images[i].name, name) == 0 &&
            strcmp(b->images[i].platform, platform) == 0)
            return true;
    return false;
}

/* That of the result first: a layer is kept once, for its first user. */
static void keep_images(struct build_cache_export *x,
                        const struct build_environment *env,
                        const struct build_plans *plans,
                        bool of_result)
{
    for (size_t i = 0; i < plans->graph.image_count; i++) {
        const struct build_image *image = plans->graph.images[i];
        const struct registry_platform_text platform =
            registry_platform_format(&image->platform);

        if (!image->ref.host || is_result_base(plans, image) != of_result)
            continue;
        keep_base_layers(x, env, image, of_result);
        if (!has_image(x->images, image->name, platform.text))
            keep_documents(env, image,
                           build_bundle_add_image(x->images, image->name, platform.text,
                                                  &image->image.root));
    }
}

/* Names were checked when they were pushed to. */
static void keep_pushed(struct build_cache_export *x,
                        const struct build_request *request,
                        const char *const *names,
                        size_t count)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    for (size_t i = 0; i < request->output_count; i++) {
        CLEANUP(build_names_release) struct build_names all = {0};

        if (request->outputs[i].type != BUILD_OUTPUT_REGISTRY ||
            build_names_of(&request->outputs[i], names, count, &all, &ignored) < 0)
            continue;
        x->pushed =
            base_realloc_array(x->pushed, x->pushed_count + all.count, sizeof *x->pushed);
        for (size_t k = 0; k < all.count; k++)
            if (registry_reference_parse(view_of(all.items[k]), &x->pushed[x->pushed_count],
                                         &ignored) == 0)
                x->pushed_count++;
    }
}

static bool wants_export(const struct build_request *request)
{
    for (size_t i = 0; i < request->cache_to_count; i++)
        if (request->cache_to[i].type != BUILD_CACHE_INLINE)
            return true;
    return false;
}

struct build_cache_export *build_cache_export_new(const struct build_environment *env,
                                                  const struct build_request *request,
                                                  const struct build_plans *plans,
                                                  const struct build_solution *solutions,
                                                  const char *const *names,
                                                  size_t name_count)
{
    const struct solutions all = {plans, solutions};
    struct build_cache_export *x;

    if (!wants_export(request))
        return NULL;
    x = base_alloc(sizeof *x);
    x->images = build_bundle_new();
    keep_records(x, &all);
    keep_steps(x, env, &all, true);
    keep_steps(x, env, &all, false);
    keep_images(x, env, plans, true);
    keep_images(x, env, plans, false);
    keep_pushed(x, request, names, name_count);
    return x;
}

void build_cache_export_free(struct build_cache_export *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->layer_count; i++) {
        descriptor_release(&x->layers[i].blob);
        free(x->layers[i].maker);
        registry_reference_release(&x->layers[i].origin);
    }
    for (size_t i = 0; i < x->pushed_count; i++)
        registry_reference_release(&x->pushed[i]);
    free(x->pushed);
    free(x->layers);
    free(x->records);
    build_bundle_free(x->images);
    free(x);
}
