#include "builder/reshape.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/index.h"

#include <stdlib.h>

void build_shape_release(struct build_shape *s)
{
    build_solution_release(&s->solution);
    free(s->pieces);
    *s = (struct build_shape){0};
}

static void solution_init(struct build_solution *s, size_t count)
{
    s->layers = base_alloc_array(count + 1, sizeof(struct cas_layer *));
    s->created = base_alloc_array(count + 1, sizeof *s->created);
}

/* Consumes the layer. */
static void solution_add(struct build_solution *s, struct cas_layer *layer, int64_t created)
{
    s->layers[s->count] = layer;
    s->created[s->count++] = created;
}

static void copy(const struct build_solution *in, size_t count, struct build_solution *out)
{
    for (size_t i = 0; i < count; i++)
        solution_add(out, cas_layer_ref(in->layers[i]), in->created[i]);
}

/* The layers that came with the base image have no time of their own. */
static size_t base_count(const struct build_solution *s)
{
    size_t count = 0;

    while (count < s->count && s->created[count] < 0)
        count++;
    return count;
}

/* When the newest of them was made; that of a base image is not known. */
static int64_t last_created(const struct build_solution *s, size_t from)
{
    int64_t last = -1;

    for (size_t i = from; i < s->count; i++)
        last = s->created[i] > last ? s->created[i] : last;
    return last;
}

static int join(const struct build_solution *in,
                const struct build_reshape_options *o,
                struct build_shape *out,
                struct error *err)
{
    const size_t from = o->how->squash_all ? 0 : base_count(in);
    const int64_t created = last_created(in, from);
    struct cas_layer *joined;

    if (in->count - from < 2) {
        copy(in, in->count, &out->solution);
        return 0;
    }
    joined = build_squash(o->store, in, from, &o->layer, err);
    if (!joined)
        return error_wrap(err, "join the layers");
    copy(in, from, &out->solution);
    /* It is the build's own, even where every layer came with the base. */
    solution_add(&out->solution, joined, created < 0 ? 0 : created);
    out->joined_from = from;
    out->joined_count = in->count - from;
    return 0;
}

/* Adds one layer's pieces. */
static int split_layer(struct cas_layer *layer,
                       int64_t created,
                       const struct build_reshape_options *o,
                       struct build_solution *out,
                       size_t *pieces,
                       struct error *err)
{
    const struct cas_index *index = created < 0 ? NULL : cas_layer_index(layer, err);
    struct cas_layer **made = NULL;

    *pieces = 1;
    if (created >= 0 && !index)
        return -1;
    if (!index || cas_index_tar_size(index) <= o->how->split_size) {
        solution_add(out, cas_layer_ref(layer), created);
        return 0;
    }
    if (build_split(o->store, layer, o->how->split_size, &o->layer, &made, pieces, err) < 0)
        return error_wrap(err, "split a layer");
    out->layers = base_realloc_array(out->layers, out->count + *pieces + LIMIT_LAYERS,
                                     sizeof(struct cas_layer *));
    out->created = base_realloc_array(out->created, out->count + *pieces + LIMIT_LAYERS,
                                      sizeof *out->created);
    for (size_t i = 0; i < *pieces; i++)
        solution_add(out, made[i], created);
    free(made);
    return 0;
}

static int split(const struct build_reshape_options *o,
                 struct build_shape *shape,
                 struct error *err)
{
    struct build_solution in = shape->solution;
    struct build_solution *out = &shape->solution;
    int status = 0;

    *out = (struct build_solution){0};
    solution_init(out, in.count + LIMIT_LAYERS);
    shape->pieces = base_alloc_array(in.count + 1, sizeof *shape->pieces);
    for (size_t i = 0; status == 0 && i < in.count; i++)
        status = split_layer(in.layers[i], in.created[i], o, out, &shape->pieces[i], err);
    build_solution_release(&in);
    if (status == 0 && out->count > LIMIT_LAYERS)
        status = error_set(err, ERROR_LIMIT,
                           "--split: that makes %zu layers, and nobody takes more than "
                           "%d: give a larger size",
                           out->count, LIMIT_LAYERS);
    return status;
}

int build_reshape(const struct build_solution *in,
                  const struct build_reshape_options *options,
                  struct build_shape *out,
                  struct error *err)
{
    int status = 0;

    *out = (struct build_shape){0};
    solution_init(&out->solution, in->count);
    if (options->how->squash || options->how->squash_all)
        status = join(in, options, out, err);
    else
        copy(in, in->count, &out->solution);
    if (status == 0 && options->how->split_size > 0)
        status = split(options, out, err);
    if (status < 0)
        build_shape_release(out);
    return status;
}
