#include "builder/step_output.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/mask.h"
#include "builder/secret.h"

#include <stdlib.h>

struct step_stream {
    struct solve_node *n;
    int number; /* 1 or 2 */
    struct build_mask_stream *masked;
};

struct step_output {
    struct step_stream streams[2];
};

/* A secret that cannot be read now is told by the step that mounts it. */
static struct build_mask *mask_make(const struct build_request *request)
{
    struct build_mask *m = build_mask_new();

    for (size_t i = 0; i < request->secret_count; i++) {
        CLEANUP(buf_release) struct buf value = BUF_INIT(LIMIT_SECRET_SIZE);
        CLEANUP(error_clear) struct error unread = ERROR_INIT;
        bool found = false;

        if (build_secret_find(request, request->secrets[i].id, &found, &value, &unread) ==
                0 &&
            found)
            build_mask_add(m, buf_view(&value));
        if (value.data)
            explicit_bzero(value.data, value.size);
    }
    return m;
}

/* One for the whole build, made by the first step that runs. */
static const struct build_mask *mask_of(struct solver *s)
{
    pthread_mutex_lock(&s->lock);
    if (!s->mask)
        s->mask = mask_make(s->request);
    pthread_mutex_unlock(&s->lock);
    return s->mask;
}

static void emit(void *context, const char *data, size_t size)
{
    const struct step_stream *s = context;
    const struct event e = {.type = EVENT_STEP_OUTPUT,
                            .step = s->n->step,
                            .stream = s->number,
                            .name = s->n->node->title,
                            .data = {data, size}};

    event_send(&s->n->solver->env->sink, e);
}

struct step_output *step_output_new(struct solve_node *n)
{
    const struct build_mask *mask = mask_of(n->solver);
    struct step_output *o = base_alloc(sizeof *o);

    for (int i = 0; i < 2; i++) {
        struct step_stream *s = &o->streams[i];

        *s = (struct step_stream){.n = n, .number = i + 1};
        s->masked = build_mask_stream_new(mask, emit, s);
    }
    return o;
}

void step_output_write(struct step_output *o, int stream, const char *data, size_t size)
{
    build_mask_stream_write(o->streams[stream == 2].masked, data, size);
}

void step_output_end(struct step_output *o)
{
    for (size_t i = 0; i < 2; i++)
        build_mask_stream_end(o->streams[i].masked);
    free(o);
}
