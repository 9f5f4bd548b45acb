#include "builder/publish.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "builder/export/export.h"
#include "builder/image.h"
#include "builder/layers.h"
#include "builder/reshape.h"
#include "cas/ref.h"
#include "registry/platform.h"

#include <stdlib.h>

/* The images in a form that was needed. */
struct published {
    struct build_image_form form;
    struct build_image_made *images; /* one a platform */
    size_t count;
    struct descriptor root; /* the image, or the index of several */
};

struct publishing {
    const struct build_publish *from;
    struct pool *pool;
    struct build_shape *shapes; /* one a platform */
    struct published *forms;    /* the first is the store's */
    size_t form_count;
};

static void published_release(struct published *f)
{
    for (size_t i = 0; i < f->count; i++)
        build_image_made_release(&f->images[i]);
    free(f->images);
    descriptor_release(&f->root);
    *f = (struct published){0};
}

static void publishing_release(struct publishing *p)
{
    for (size_t i = 0; i < p->form_count; i++)
        published_release(&p->forms[i]);
    free(p->forms);
    for (size_t i = 0; p->shapes && i < p->from->plans->count; i++)
        build_shape_release(&p->shapes[i]);
    free(p->shapes);
    pool_free(p->pool);
    *p = (struct publishing){0};
}

/* --- What can be told beforehand --- */

static int check_name(const struct build_output *o, size_t name_count, struct error *err)
{
    const bool is_named = o->name || name_count > 0;

    if (o->type == BUILD_OUTPUT_REGISTRY && !is_named)
        return error_set(err, ERROR_USAGE,
                         "nothing to push to: give the image a name with -t NAME");
    if (o->type == BUILD_OUTPUT_LOAD && o->into == BUILD_LOAD_CONTAINERD && !is_named)
        return error_set(err, ERROR_USAGE, BUILD_LOAD_NEEDS_NAME);
    return 0;
}

static int check_times(const struct build_environment *env,
                       const struct build_output *o,
                       int64_t epoch,
                       struct error *err)
{
    if (o->clamps == BUILD_NO && epoch >= 0)
        return error_set(err, ERROR_INVALID,
                         "rewrite-timestamp=false cannot be had: with SOURCE_DATE_EPOCH "
                         "no time in a new layer is later");
    if (o->clamps == BUILD_YES && epoch < 0)
        event_send(&env->sink, (struct event){.type = EVENT_WARNING,
                                              .name = "",
                                              .text = "rewrite-timestamp=true changes "
                                                      "nothing without SOURCE_DATE_EPOCH"});
    return 0;
}

/* Where there is room for one image only. */
static int check_several(const struct build_output *o, struct error *err)
{
    if (o->type == BUILD_OUTPUT_DOCKER)
        return error_set(err, ERROR_USAGE,
                         "type=docker: an archive for 'docker load' holds the image of one "
                         "platform: use type=oci, or build each platform by itself");
    if (o->type == BUILD_OUTPUT_LOAD)
        return error_set(err, ERROR_USAGE,
                         "--load: an engine takes the image of one platform: build that "
                         "one by itself (the others are then in the cache)");
    if (o->splits_platforms == BUILD_NO)
        return error_set(err, ERROR_USAGE,
                         "platform-split=false: the files of one platform would replace "
                         "those of the other");
    return 0;
}

/* What would not be in any image is a mistake. */
static int check_annotations(const struct build_annotation *list,
                             size_t count,
                             const struct build_plans *plans,
                             struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const bool is_image = list[i].on == BUILD_ANNOTATED_MANIFEST ||
                              list[i].on == BUILD_ANNOTATED_MANIFEST_DESCRIPTOR;
        struct registry_platform wanted;
        bool fits = !list[i].platform;

        if (!is_image && plans->count == 1)
            return error_set(err, ERROR_USAGE,
                             "annotation %s: the image of one platform has no index that "
                             "could be annotated: use manifest: or manifest-descriptor:",
                             list[i].name);
        if (!fits && registry_platform_parse(view_of(list[i].platform), &wanted, err) < 0)
            return -1;
        for (size_t k = 0; !fits && k < plans->count; k++)
            fits = registry_platform_rank(&wanted, &plans->items[k].platform) == 0;
        if (!fits)
            return error_set(err, ERROR_INVALID,
                             "annotation %s: the image is not for the platform %s",
                             list[i].name, list[i].platform);
    }
    return 0;
}

int build_publish_check(const struct build_environment *env,
                        const struct build_request *request,
                        const struct build_plans *plans,
                        size_t name_count,
                        struct error *err)
{
    if (check_annotations(request->annotations, request->annotation_count, plans, err) < 0)
        return -1;
    for (size_t i = 0; i < request->output_count; i++) {
        const struct build_output *o = &request->outputs[i];

        if (check_name(o, name_count, err) < 0 ||
            check_times(env, o, plans->items[0].epoch, err) < 0 ||
            (plans->count > 1 && check_several(o, err) < 0) ||
            check_annotations(o->annotations, o->annotation_count, plans, err) < 0)
            return -1;
    }
    return 0;
}

/* --- Images --- */

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

static int make_images(const struct publishing *p, struct published *f, struct error *err)
{
    const struct build_publish *from = p->from;

    f->images = base_alloc_array(from->plans->count, sizeof *f->images);
    for (size_t i = 0; i < from->plans->count; i++) {
        const struct build_image_source source = {.env = from->env,
                                                  .request = from->request,
                                                  .plan = &from->plans->items[i],
                                                  .solution = &from->solutions[i],
                                                  .shape = &p->shapes[i],
                                                  .pool = p->pool,
                                                  .may_lack_layers = is_pushed_only(from)};

        if (build_image_make(&source, &f->form, &f->images[i], err) < 0)
            return -1;
        f->count++;
    }
    if (f->count > 1)
        return build_image_index(from->env->store, from->request, f->images, f->count,
                                 &f->root, err);
    descriptor_copy(&f->root, &f->images[0].manifest);
    return 0;
}

static const struct published *take_form(struct publishing *p,
                                         const struct build_image_form *form,
                                         struct error *err)
{
    for (size_t i = 0; i < p->form_count; i++)
        if (build_image_form_eq(&p->forms[i].form, form))
            return &p->forms[i];
    /* There is room for one of each output, and the store's. */
    struct published *f = &p->forms[p->form_count++];
    f->form = *form;
    if (make_images(p, f, err) == 0)
        return f;
    (void)error_wrap(err, "export image");
    return NULL;
}

static int export_one(struct publishing *p, const struct build_output *o, struct error *err)
{
    const struct build_publish *from = p->from;
    const struct build_image_form form = form_of(o);
    const bool is_image = build_output_is_image(o->type);
    const struct published *image = is_image ? take_form(p, &form, err) : NULL;

    if (is_image && !image)
        return -1;
    const struct build_export x = {
        .env = from->env,
        .output = o,
        .plans = from->plans,
        .solutions = from->solutions,
        .root = image ? &image->root : NULL,
        .ahead = from->ahead,
        .names = from->names,
        .name_count = from->name_count,
        .epoch = from->plans->items[0].epoch,
        .cancel = from->request->cancel,
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
                  .epoch = p->from->plans->items[0].epoch,
                  .pool = p->pool,
                  .cancel = r->cancel},
    };

    for (size_t i = 0; i < p->from->plans->count; i++)
        if (build_reshape(&p->from->solutions[i], &options, &p->shapes[i], err) < 0)
            return -1;
    return 0;
}

/* --- Names --- */

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

/* Of the layers of all platforms: how many are there, and not here? */
static int count_absent(const struct publishing *p,
                        size_t *absent,
                        size_t *count,
                        struct error *err)
{
    for (size_t i = 0; i < p->from->plans->count; i++) {
        const struct build_solution *s = &p->shapes[i].solution;
        size_t n = 0;

        if (build_layers_absent(s->layers, s->count, &n, err) < 0)
            return -1;
        *absent += n;
        *count += s->count;
    }
    return 0;
}

/* What the store names is complete. An image of which some layers stayed in a registry is
 * completed only if the store knew the name, which else would stand for an older one. */
static int set_tags(struct publishing *p, const struct build_result *out, struct error *err)
{
    const struct build_publish *from = p->from;
    size_t absent = 0, count = 0;
    bool has = true;

    if (is_pushed_only(from) && (count_absent(p, &absent, &count, err) < 0 ||
                                 (absent > 0 && has_tags(from, &has, err) < 0)))
        return -1;
    if (!has) {
        CLEANUP(base_freep)
        char *text = base_format("%zu of %zu layers stayed in the registry: the store has "
                                 "no tag of the image",
                                 absent, count);
        event_send(&from->env->sink,
                   (struct event){.type = EVENT_NOTE, .name = "", .text = text});
        return 0;
    }
    for (size_t i = 0; absent > 0 && i < from->plans->count; i++) {
        const struct build_solution *s = &p->shapes[i].solution;

        if (build_layers_bring(s->layers, s->count, err) < 0)
            return -1;
    }
    return cas_ref_set_many(from->env->store, from->names, from->name_count, &out->manifest,
                            "build", err);
}

static int publish(struct publishing *p, struct build_result *out, struct error *err)
{
    const struct build_request *r = p->from->request;
    const struct build_image_form form = store_form(r);

    if (out->has_image) {
        const struct published *image =
            prepare(p, err) < 0 ? NULL : take_form(p, &form, err);

        if (!image)
            return -1;
        descriptor_copy(&out->manifest, &image->root);
        if (image->count == 1)
            out->config = image->images[0].config;
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
        .shapes = base_alloc_array(from->plans->count, sizeof *p.shapes),
        .forms = base_alloc_array(from->request->output_count + 1, sizeof *p.forms)};

    out->steps = from->solutions[0].steps;
    out->steps_cached = from->solutions[0].steps_cached;
    out->has_image = wants_image(from);
    return publish(&p, out, err);
}
