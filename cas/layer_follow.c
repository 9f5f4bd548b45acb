#include "cas/layer_follow.h"

#include "base/alloc.h"
#include "cas/layer_priv.h"

#include <pthread.h>
#include <stdlib.h>

/* Below this a thread costs more than it gains. */
#define SMALL_BLOB ((uint64_t)64 << 10)

struct layer_follow {
    struct cas_layer *layer; /* borrowed */
    struct cas_arrival *arrival;
    pthread_t thread;
    /* The thread's, until it was joined. */
    int result;
    struct error failure;
};

static void *fetch(void *arg)
{
    struct layer_follow *f = arg;

    f->result = cas_layer_bring_blob(f->layer, f->arrival, &f->failure);
    cas_arrival_end(f->arrival, f->result == 0);
    return NULL;
}

int layer_follow_start(struct cas_layer *l, struct layer_follow **out, struct error *err)
{
    bool here = false;

    *out = NULL;
    if (cas_layer_is_here(l, &here, err) < 0)
        return -1;
    if (here || cas_layer_blob(l)->size <= SMALL_BLOB)
        return cas_layer_require_blob(l, err);

    struct layer_follow *f = base_alloc(sizeof *f);

    f->layer = l;
    f->arrival = cas_arrival_new(cas_layer_store(l), &cas_layer_blob(l)->digest);
    f->failure = (struct error)ERROR_INIT;
    if (pthread_create(&f->thread, NULL, fetch, f) == 0) {
        *out = f;
        return 0;
    }
    /* Without a thread it works as well. */
    cas_arrival_free(f->arrival);
    free(f);
    return cas_layer_require_blob(l, err);
}

struct cas_arrival *layer_follow_arrival(const struct layer_follow *f)
{
    return f->arrival;
}

void layer_follow_give_up(struct layer_follow *f, const struct error *why)
{
    cas_arrival_leave(f->arrival,
                      !error_is(why, ERROR_CORRUPT) && !error_is(why, ERROR_CANCELLED));
}

int layer_follow_end(struct layer_follow *f, struct error *err)
{
    (void)pthread_join(f->thread, NULL);

    const int result = f->result;

    /* One that the reader ended is not to blame. */
    if (result < 0 && !cas_arrival_is_stopped(f->arrival)) {
        error_clear(err);
        (void)error_move(err, &f->failure);
    }
    error_clear(&f->failure);
    cas_arrival_free(f->arrival);
    free(f);
    return result;
}
