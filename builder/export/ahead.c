#include "builder/export/ahead.h"

#include "base/alloc.h"
#include "builder/cache/cache.h"
#include "builder/export/export.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct target {
    struct registry_reference ref;
    struct registry_pusher *pusher;
};

/* The layer that a step writes, on its way to every target. */
struct tap {
    struct tap *next;
    size_t step;
    struct cas_layer_tap tap;
    struct registry_push_stream **streams; /* one a target */
    size_t count;
};

/* A layer that was there before anything was new. */
struct held {
    size_t step;
    struct cas_layer *layer;
    bool is_base;
};

struct build_ahead {
    const struct build_environment *env;
    const struct build_request *request;
    struct build_layer_watch watch;
    struct registry_origin *origins; /* of the base image's layers */
    size_t origin_count;
    struct target *targets; /* one a repository */
    size_t target_count;
    size_t target_capacity;
    pthread_mutex_t lock; /* guards taps */
    struct tap *taps;
    bool sends; /* layers go out as the steps make them */
    bool has_begun;
    struct held *held;
    size_t held_count;
    size_t held_capacity;
};

/* --- What is sent --- */

static void grown(void *context, const struct cas_blob_writer *blob)
{
    const struct tap *t = context;

    for (size_t i = 0; i < t->count; i++)
        registry_push_stream_grown(t->streams[i], blob);
}

static struct tap *find_tap(struct build_ahead *a, size_t step)
{
    struct tap *t;

    pthread_mutex_lock(&a->lock);
    for (t = a->taps; t && t->step != step; t = t->next)
        continue;
    pthread_mutex_unlock(&a->lock);
    return t;
}

static const struct cas_layer_tap *on_tap(void *context, size_t step)
{
    struct build_ahead *a = context;
    struct tap *t;

    /* A step that writes a second time has had its chance. */
    if (find_tap(a, step))
        return NULL;
    t = base_alloc(sizeof *t);
    t->step = step;
    t->tap = (struct cas_layer_tap){grown, t};
    t->count = a->target_count;
    t->streams = base_alloc_array(t->count + 1, sizeof *t->streams);
    for (size_t i = 0; i < t->count; i++)
        t->streams[i] = registry_pusher_stream(a->targets[i].pusher);
    pthread_mutex_lock(&a->lock);
    t->next = a->taps;
    a->taps = t;
    pthread_mutex_unlock(&a->lock);
    return &t->tap;
}

static void send(struct build_ahead *a,
                 struct cas_layer *layer,
                 const struct tap *tap,
                 bool is_base,
                 bool is_new)
{
    /* A layer of the base that will be compressed anew goes out in that form. */
    if (is_base && a->request->force_compression)
        return;
    for (size_t i = 0; i < a->target_count; i++)
        registry_pusher_layer(a->targets[i].pusher, layer, is_new,
                              tap ? tap->streams[i] : NULL);
}

static void on_layer(
    void *context, size_t step, struct cas_layer *layer, bool is_base, bool is_new)
{
    struct build_ahead *a = context;

    if (!a->has_begun && !is_new) {
        a->held = base_grow(a->held, a->held_count, &a->held_capacity, sizeof *a->held);
        a->held[a->held_count++] = (struct held){step, cas_layer_ref(layer), is_base};
        return;
    }
    a->has_begun = true;
    for (size_t i = 0; i < a->held_count; i++) {
        send(a, a->held[i].layer, find_tap(a, a->held[i].step), a->held[i].is_base, false);
        cas_layer_unref(a->held[i].layer);
    }
    a->held_count = 0;
    send(a, layer, find_tap(a, step), is_base, is_new);
}

const struct build_layer_watch *build_ahead_watch(struct build_ahead *a)
{
    return a && a->sends ? &a->watch : NULL;
}

/* --- Where it goes --- */

static struct target *find(const struct build_ahead *a,
                           const struct registry_reference *ref)
{
    for (size_t i = 0; i < a->target_count; i++)
        if (strcmp(a->targets[i].ref.host, ref->host) == 0 &&
            strcmp(a->targets[i].ref.path, ref->path) == 0)
            return &a->targets[i];
    return NULL;
}

static int add_target(struct build_ahead *a, const char *name, struct error *err)
{
    const struct registry_push_options options = {
        .origins = a->origins,
        .origin_count = a->origin_count,
        .find_origin = build_cache_origin,
        .on_lost = build_cache_lost,
        .find_context = a->env->cache,
        .progress = {.sink = &a->env->sink},
    };
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};

    if (registry_reference_parse(view_of(name), &ref, err) < 0)
        return -1;
    if (find(a, &ref))
        return 0;
    a->targets =
        base_grow(a->targets, a->target_count, &a->target_capacity, sizeof *a->targets);
    struct target *t = &a->targets[a->target_count++];
    *t = (struct target){0};
    registry_reference_copy(&t->ref, &ref);
    t->pusher = registry_pusher_new(a->env->registry, a->env->store, &t->ref, &options);
    return 0;
}

static int add_output(struct build_ahead *a,
                      const struct build_output *o,
                      const char *const *names,
                      size_t name_count,
                      struct error *err)
{
    CLEANUP(build_names_release) struct build_names all = {0};

    if (build_names_of(o, names, name_count, &all, err) < 0)
        return -1;
    for (size_t i = 0; i < all.count; i++)
        if (add_target(a, all.items[i], err) < 0)
            return -1;
    return 0;
}

/* Where the bases' layers came from: there a registry may take them over by itself. */
static void find_origins(struct build_ahead *a, const struct build_plans *plans)
{
    size_t capacity = 0;

    for (size_t k = 0; k < plans->count; k++) {
        const struct build_node *n = plans->items[k].result;

        while (n && n->base)
            n = n->base;
        if (!n || n->op != BUILD_OP_SOURCE || !n->image->ref.host)
            continue;
        for (size_t i = 0; i < n->image->image.layer_count; i++) {
            a->origins =
                base_grow(a->origins, a->origin_count, &capacity, sizeof *a->origins);
            a->origins[a->origin_count++] =
                (struct registry_origin){n->image->image.layers[i].digest, &n->image->ref};
        }
    }
}

/* Layers go out as they are made where they go out unchanged. */
static bool is_as_made(const struct build_request *r, const struct build_output *o)
{
    return o->compression.type == r->compression &&
           o->compression.level == r->compression_level && !r->reshape.squash &&
           !r->reshape.squash_all && r->reshape.split_size == 0;
}

int build_ahead_new(const struct build_environment *env,
                    const struct build_request *request,
                    const struct build_plans *plans,
                    const char *const *names,
                    size_t name_count,
                    struct build_ahead **out,
                    struct error *err)
{
    struct build_ahead *a = NULL;

    *out = NULL;
    for (size_t i = 0; i < request->output_count; i++) {
        if (request->outputs[i].type != BUILD_OUTPUT_REGISTRY)
            continue;
        if (!a) {
            a = base_alloc(sizeof *a);
            a->env = env;
            a->request = request;
            a->watch = (struct build_layer_watch){on_layer, on_tap, a};
            pthread_mutex_init(&a->lock, NULL);
            a->sends = true;
            find_origins(a, plans);
        }
        a->sends = a->sends && is_as_made(request, &request->outputs[i]);
        if (add_output(a, &request->outputs[i], names, name_count, err) < 0) {
            build_ahead_free(a);
            return -1;
        }
    }
    *out = a;
    return 0;
}

void build_ahead_free(struct build_ahead *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->target_count; i++) {
        registry_pusher_free(a->targets[i].pusher);
        registry_reference_release(&a->targets[i].ref);
    }
    for (size_t i = 0; i < a->held_count; i++)
        cas_layer_unref(a->held[i].layer);
    for (struct tap *t = a->taps, *next; t; t = next) {
        next = t->next;
        free(t->streams);
        free(t);
    }
    pthread_mutex_destroy(&a->lock);
    free(a->held);
    free(a->targets);
    free(a->origins);
    free(a);
}

struct registry_pusher *build_ahead_pusher(struct build_ahead *a,
                                           const struct registry_reference *ref)
{
    return find(a, ref)->pusher;
}

const struct registry_origin *build_ahead_origins(const struct build_ahead *a,
                                                  size_t *count)
{
    *count = a->origin_count;
    return a->origins;
}
