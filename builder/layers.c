#include "builder/layers.h"

#include "base/alloc.h"
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>

/* As many transfers at once as a pull has. */
enum { PARALLEL = 6 };

struct bringing {
    struct cas_layer *layer;
    struct queue *done;
    struct error error;
};

static void run(void *arg)
{
    struct bringing *b = arg;

    if (cas_layer_require_blob(b->layer, &b->error) < 0)
        assert(b->error.code != ERROR_NONE);
    queue_push(b->done, b);
}

static int bring_many(struct bringing *all, size_t count, struct error *err)
{
    CLEANUP(pool_freep) struct pool *pool = pool_new(PARALLEL);
    CLEANUP(queue_freep) struct queue *done = queue_new();

    for (size_t i = 0; i < count; i++) {
        all[i].done = done;
        pool_submit(pool, run, &all[i]);
    }
    for (size_t i = 0; i < count; i++) {
        struct bringing *b = queue_pop(done, -1);

        if (b->error.code != ERROR_NONE && err->code == ERROR_NONE)
            error_move(err, &b->error);
        error_clear(&b->error);
    }
    return err->code == ERROR_NONE ? 0 : -1;
}

int build_layers_bring(struct cas_layer *const *layers, size_t count, struct error *err)
{
    CLEANUP(base_freep) struct bringing *all = base_alloc_array(count + 1, sizeof *all);
    size_t absent = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_here = false;

        if (cas_layer_is_here(layers[i], &is_here, err) < 0)
            return -1;
        if (!is_here)
            all[absent++].layer = layers[i];
    }
    if (absent == 0)
        return 0;
    return absent == 1 ? cas_layer_require_blob(all[0].layer, err)
                       : bring_many(all, absent, err);
}

int build_layers_absent(struct cas_layer *const *layers,
                        size_t count,
                        size_t *absent,
                        struct error *err)
{
    *absent = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_here = false;

        if (cas_layer_is_here(layers[i], &is_here, err) < 0)
            return -1;
        *absent += !is_here;
    }
    return 0;
}
