#include "builder/graph.h"

#include "base/alloc.h"

#include <stdlib.h>

struct build_node *build_graph_add(struct build_graph *g,
                                   enum build_op op,
                                   struct build_node *base,
                                   struct source_pos pos)
{
    struct build_node *n = base_alloc(sizeof *n);

    n->op = op;
    n->base = base;
    n->pos = pos;
    n->index = g->count;
    g->nodes = base_grow(g->nodes, g->count, &g->capacity, sizeof(struct build_node *));
    g->nodes[g->count++] = n;
    return n;
}

void build_graph_add_image(struct build_graph *g, struct build_image *image)
{
    g->images = base_grow(g->images, g->image_count, &g->image_capacity,
                          sizeof(struct build_image *));
    g->images[g->image_count++] = image;
}

static void free_texts(char **items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i]);
    free(items);
}

static void copy_release(struct build_copy_op *op)
{
    for (size_t i = 0; i < op->source_count; i++) {
        struct build_copy_source *s = &op->sources[i];

        free(s->path);
        free(s->pattern);
        free(s->required);
        if (s->from == BUILD_FROM_TEXT) {
            union {
                const char *in;
                char *out;
            } owned = {s->text.data};
            free(owned.out);
        }
    }
    free(op->sources);
    free(op->dest);
    free(op->chown);
    free(op->chmod);
    free(op->excludes);
}

static void run_release(struct build_run_op *op)
{
    free_texts(op->argv, op->argc);
    free_texts(op->env, op->env_count);
    free(op->env_is_arg);
    free_texts(op->proxy_env, op->proxy_env_count);
    free(op->workdir);
    free(op->user);
    free(op->script);
    free(op->script_name);
    for (size_t i = 0; i < op->mount_count; i++) {
        free(op->mounts[i].source);
        free(op->mounts[i].target);
        free(op->mounts[i].id);
        free(op->mounts[i].env);
    }
    free(op->mounts);
    for (size_t i = 0; i < op->device_count; i++)
        free(op->devices[i].name);
    free(op->devices);
}

static void node_free(struct build_node *n)
{
    switch (n->op) {
    case BUILD_OP_SOURCE:
        break;
    case BUILD_OP_COPY:
        copy_release(&n->copy);
        break;
    case BUILD_OP_MKDIR:
        free(n->mkdir.path);
        free(n->mkdir.user);
        break;
    case BUILD_OP_RUN:
        run_release(&n->run);
        break;
    }
    if (n->beside)
        run_release(n->beside);
    free(n->beside);
    free(n->title);
    free(n);
}

static void image_free(struct build_image *image)
{
    free(image->name);
    registry_image_release(&image->image);
    doc_unref(image->config);
    registry_reference_release(&image->ref);
    registry_layout_close(image->layout);
    free(image);
}

void build_graph_release(struct build_graph *g)
{
    for (size_t i = 0; i < g->count; i++)
        node_free(g->nodes[i]);
    for (size_t i = 0; i < g->image_count; i++)
        image_free(g->images[i]);
    free(g->nodes);
    free(g->images);
    *g = (struct build_graph){0};
}

const struct build_run_op *build_node_command(const struct build_node *n)
{
    return n->op == BUILD_OP_RUN ? &n->run : n->beside;
}

void build_node_inputs(const struct build_node *n,
                       void (*visit)(void *context, struct build_node *input),
                       void *context)
{
    if (n->base)
        visit(context, n->base);
    if (n->op == BUILD_OP_COPY) {
        for (size_t i = 0; i < n->copy.source_count; i++)
            if (n->copy.sources[i].node)
                visit(context, n->copy.sources[i].node);
    } else if (n->op == BUILD_OP_RUN) {
        for (size_t i = 0; i < n->run.mount_count; i++)
            if (n->run.mounts[i].from)
                visit(context, n->run.mounts[i].from);
    }
}
