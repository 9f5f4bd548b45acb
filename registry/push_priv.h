/*
 * The inside of a push: what is sent of one repository's blobs, and what became of it. For
 * registry/push*.c.
 *
 *     queued --a thread of the pool--> sent | failed
 *
 * Items are added by any thread; the list only grows until the pusher is freed.
 */
#pragma once

#include "registry/push.h"

#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>

/* A blob of the image, or a layer that will have one. */
struct push_item {
    struct push_item *next;
    struct registry_pusher *pusher;
    struct cas_layer *layer; /* a reference; NULL: `blob` is known from the start */
    struct registry_push_stream *stream; /* its bytes may be on their way; or NULL */
    struct descriptor blob; /* the item's thread sets it once the layer is written */
    bool is_new;
    struct error error; /* the thread's, until all are settled */
};

struct registry_pusher {
    struct registry_client *client;
    struct cas_store *store;
    struct registry_reference repository;
    struct registry_push_options options; /* borrows as the caller's does */
    size_t visits;                        /* manifests seen so far */
    bool has_new;                         /* the image cannot be there yet */
    atomic_bool stop;     /* what has not begun is left alone, what is under way ends */
    pthread_mutex_t lock; /* guards all below */
    struct pool *pool;    /* NULL until something is sent */
    pthread_cond_t calm;  /* `unsettled` became 0 */
    struct push_item *items;
    struct registry_push_stream *streams;
    size_t unsettled;
};

/* push_blob.c */

/* Queues a blob unless one with its digest was; all layers are written by now. */
void push_add_blob(struct registry_pusher *p, const struct descriptor *blob, bool is_new);
/* Waits for all that is queued; the first failure is the error. */
MUST_CHECK int push_settle(struct registry_pusher *p, struct error *err);
/* Made when it is first asked for. */
struct pool *push_pool(struct registry_pusher *p);

/* push_stream.c */

/* The layer became `blob`. True if the registry has it; false: it is to be sent. */
bool push_stream_end(struct registry_push_stream *s, const struct descriptor *blob);
struct registry_push_stream *push_stream_next(const struct registry_push_stream *s);
/* Ends what is under way soon. */
void push_stream_stop(struct registry_push_stream *s);
void push_stream_free(struct registry_push_stream *s);
