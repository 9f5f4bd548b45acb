#include "builder/publish.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "builder/export/export.h"
#include "builder/image.h"
#include "builder/layers.h"
#include "builder/reshape.h"
#include "cas/ref.h"

#include <stdlib.h>

/* The image in the forms that were needed so far; the first is the store's. */
struct publishing {
    const struct build_publish *from;
    struct pool *pool;
    struct build_shape shape;
    struct build_image_made *images;
    size_t image_count;
};

static void publishing_release(struct publishing *p)
{
    for (size_t i = 0; i < p->image_count; i++)
        build_image_made_release(&p->images[i]);
    free(p->images);
    build_shape_release(&p->shape);
    pool_free(p->pool);
    *p = (struct publishing){0};
}

static int check_name(const struct build_output *o, size_t name_count, struct error *err)
{
    const bool is_named = o->name || name_count > 0;

    if (o->type == BUILD_OUTPUT_REGISTRY && !is_named)
        return error_set(err, ERROR_USAGE,
                         "nothing to push to: give the image a name with -t NAME");
    if (o->type == BUILD_OUTPUT_LOAD && !is_named)
        return error_set(err, ERROR_USAGE,
                         "nothing to load: give the image a name with -t NAME");
    return 0;
}

int build_publish_check(const struct build_environment *env,
                        const struct build_request *request,
                        const struct build_plan *plan,
                        size_t name_count,
                        struct error *err)
{
    for (size_t i = 0; i < request->output_count; i++) {
        const enum build_answer clamps = request->outputs[i].clamps;

        if (check_name(&request->outputs[i], name_count, err) < 0)
            return -1;

        if (clamps == BUILD_NO && plan->epoch >= 0)
            return error_set(
                err, ERROR_INVALID,
                "rewrite-timestamp=false cannot be had: with SOURCE_DATE_EPOCH "
                "no time in a new layer is later");
        if (clamps == BUILD_YES && plan->epoch < 0)
            event_send(&env->sink,
                       (struct event){.type = EVENT_WARNING,
                                      .name = "",
                                      .text = "rewrite-timestamp=true changes nothing "
                                              "without SOURCE_DATE_EPOCH"});
    }
    return 0;
}

/* Only files, or nothing, need no image. */
static bool wants_image(const struct build_publish *p)
{
    bool wanted = p->request->output_count == 0;
    bool is_cache_only = p->request->output_count > 0;

    for (size_t i = 0; i < p->request->output_count; i++) {
        wanted = wanted || build_output_is_image(p->request->outputs[i].type);
        is_cache_only = is_cache_only && p->request->outputs[i].type == BUILD_OUTPUT_CACHE;
    }
    return wanted || (p->name_count > 0 && !is_cache_only);
}

/* Then layers that are not here can stay where they are. */
static bool is_pushed_only(const struct build_publish *p)
{
    bool is_only = p->request->output_count > 0;

    for (size_t i = 0; i < p->request->output_count; i++)
        is_only = is_only && p->request->outputs[i].type == BUILD_OUTPUT_REGISTRY;
    return is_only;
}

static struct build_image_form form_of(const struct build_output *o)
{
    return (struct build_image_form){.compression = o->compression,
                                     .docker_media_types = o->docker_media_types,
                                     .keeps_nondistributable = o->keeps_nondistributable,
                                     .annotations = o->annotations,
                                     .annotation_count = o->annotation_count};
}

/* That of the first output that is an image. */
static struct build_image_form store_form(const struct build_request *r)
{
    for (size_t i = 0; i < r->output_count; i++)
        if (build_output_is_image(r->outputs[i].type))
            return form_of(&r->outputs[i]);
    return (struct build_image_form){
        .compression = {r->compression, r->compression_level, r->force_compression}};
}

static const struct build_image_made *make_image(struct publishing *p,
                                                 const struct build_image_form *form,
                                                 struct error *err)
{
    const struct build_image_source from = {.env = p->from->env,
                                            .request = p->from->request,
                                            .plan = p->from->plan,
                                            .solution = p->from->solution,
                                            .shape = &p->shape,
                                            .pool = p->pool,
                                            .may_lack_layers = is_pushed_only(p->from)};

    for (size_t i = 0; i < p->image_count; i++)
        if (build_image_form_eq(&p->images[i].form, form))
            return &p->images[i];
    /* There is room for one of each output, and the store's. */
    struct build_image_made *made = &p->images[p->image_count];
    if (build_image_make(&from, form, made, err) < 0) {
        (void)error_wrap(err, "export image");
        return NULL;
    }
    p->image_count++;
    return made;
}

static int export_one(struct publishing *p, const struct build_output *o, struct error *err)
{
    const struct build_image_form form = form_of(o);
    const bool is_image = build_output_is_image(o->type);
    const struct build_image_made *image = is_image ? make_image(p, &form, err) : NULL;

    if (is_image && !image)
        return -1;
    const struct build_export x = {
        .env = p->from->env,
        .output = o,
        .solution = p->from->solution,
        .platform = &p->from->plan->platform,
        .manifest = image ? &image->manifest : NULL,
        .ahead = p->from->ahead,
        .names = p->from->names,
        .name_count = p->from->name_count,
        .epoch = p->from->plan->epoch,
        .cancel = p->from->request->cancel,
    };
    return build_export(&x, err);
}

static int prepare(struct publishing *p, struct error *err)
{
    const struct build_request *r = p->from->request;
    const struct build_reshape_options options = {
        .store = p->from->env->store,
        .how = &r->reshape,
        .layer = {.compression = r->compression,
                  .level = r->compression_level,
                  .epoch = p->from->plan->epoch,
                  .pool = p->pool,
                  .cancel = r->cancel},
    };

    return build_reshape(p->from->solution, &options, &p->shape, err);
}

static int has_tags(const struct build_publish *from, bool *has, struct error *err)
{
    *has = false;
    for (size_t i = 0; i < from->name_count && !*has; i++) {
        struct cas_ref ref = {0};

        if (cas_ref_find(from->env->store, from->names[i], has, &ref, err) < 0)
            return -1;
        if (*has)
            cas_ref_release(&ref);
    }
    return 0;
}

/* What the store names is complete. An image of which some layers stayed in a registry is
 * completed only if the store knew the name, which else would stand for an older one. */
static int set_tags(struct publishing *p, const struct build_result *out, struct error *err)
{
    const struct build_publish *from = p->from;
    const struct build_solution *s = &p->shape.solution;
    size_t absent = 0;
    bool has = true;

    if (is_pushed_only(from) &&
        (build_layers_absent(s->layers, s->count, &absent, err) < 0 ||
         (absent > 0 && has_tags(from, &has, err) < 0)))
        return -1;
    if (!has) {
        CLEANUP(base_freep)
        char *text = base_format("%zu of %zu layers stayed in the registry: the store has "
                                 "no tag of the image",
                                 absent, s->count);
        event_send(&from->env->sink,
                   (struct event){.type = EVENT_NOTE, .name = "", .text = text});
        return 0;
    }
    if (absent > 0 && build_layers_bring(s->layers, s->count, err) < 0)
        return -1;
    return cas_ref_set_many(from->env->store, from->names, from->name_count, &out->manifest,
                            "build", err);
}

static int publish(struct publishing *p, struct build_result *out, struct error *err)
{
    const struct build_request *r = p->from->request;
    const struct build_image_form form = store_form(r);

    if (out->has_image) {
        const struct build_image_made *image =
            prepare(p, err) < 0 ? NULL : make_image(p, &form, err);

        if (!image)
            return -1;
        descriptor_copy(&out->manifest, &image->manifest);
        out->config = image->config;
    }
    for (size_t i = 0; i < r->output_count; i++)
        if (export_one(p, &r->outputs[i], err) < 0)
            return -1;
    if (p->from->name_count == 0 || !out->has_image || r->keeps_refs)
        return 0;
    return set_tags(p, out, err);
}

int build_publish(const struct build_publish *from,
                  struct build_result *out,
                  struct error *err)
{
    CLEANUP(publishing_release)
    struct publishing p = {
        .from = from,
        .pool = pool_new(0),
        .images = base_alloc_array(from->request->output_count + 1, sizeof *p.images)};

    out->steps = from->solution->steps;
    out->steps_cached = from->solution->steps_cached;
    out->has_image = wants_image(from);
    return publish(&p, out, err);
}
