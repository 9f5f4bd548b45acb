#include "cas/layer.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"
#include "cas/layer_priv.h"
#include "cas/layer_scan.h"
#include "cas/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum layer_state { LAYER_PENDING, LAYER_READY, LAYER_FAILED };

struct cas_layer {
    atomic_uint references;
    struct cas_store *store;

    pthread_mutex_t lock; /* guards state and failure */
    pthread_cond_t settled;
    enum layer_state state;
    struct error failure; /* of LAYER_FAILED */

    /* Constant once the state is LAYER_READY. */
    struct digest diff_id;
    struct descriptor blob;

    pthread_mutex_t blob_lock; /* guards present; held while fetching */
    bool present;
    cas_layer_fetch_fn *fetch;
    void *context;

    pthread_mutex_t index_lock; /* held while the index is made */
    struct cas_index *index;

    pthread_mutex_t dir_lock; /* guards dir; held while unpacking */
    struct cas_layer_unpacked_dir dir;
    char *scratch;

    bool has_thread;
    pthread_t thread;
    bool cancel; /* atomic access */
};

static struct cas_layer *new_layer(struct cas_store *s, enum layer_state state)
{
    struct cas_layer *l = base_alloc(sizeof *l);

    atomic_init(&l->references, 1);
    l->store = s;
    l->state = state;
    l->dir.fd = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->settled, NULL);
    pthread_mutex_init(&l->blob_lock, NULL);
    pthread_mutex_init(&l->index_lock, NULL);
    pthread_mutex_init(&l->dir_lock, NULL);
    return l;
}

struct cas_layer *cas_layer_new(struct cas_store *s,
                                const struct digest *diff_id,
                                const struct descriptor *blob,
                                cas_layer_fetch_fn *fetch,
                                void *context)
{
    struct cas_layer *l = new_layer(s, LAYER_READY);

    l->diff_id = *diff_id;
    descriptor_copy(&l->blob, blob);
    l->fetch = fetch;
    l->context = context;
    return l;
}

struct cas_layer *cas_layer_new_ready(struct cas_store *s,
                                      const struct digest *diff_id,
                                      const struct descriptor *blob,
                                      struct cas_index *index)
{
    struct cas_layer *l = cas_layer_new(s, diff_id, blob, NULL, NULL);

    l->present = true;
    l->index = index;
    return l;
}

struct cas_layer *cas_layer_new_pending(struct cas_store *s)
{
    return new_layer(s, LAYER_PENDING);
}

struct cas_layer *cas_layer_ref(struct cas_layer *l)
{
    atomic_fetch_add(&l->references, 1);
    return l;
}

static void join_thread(struct cas_layer *l)
{
    if (!l->has_thread)
        return;
    __atomic_store_n(&l->cancel, true, __ATOMIC_RELAXED);
    pthread_join(l->thread, NULL);
}

static void remove_scratch(struct cas_layer *l)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* What cannot be removed now is left to the clean-up of the lease. */
    if (l->scratch && fs_remove_tree_at(l->store->fd, l->scratch, &ignored) < 0)
        error_clear(&ignored);
    free(l->scratch);
}

void cas_layer_unref(struct cas_layer *l)
{
    if (!l || atomic_fetch_sub(&l->references, 1) != 1)
        return;
    join_thread(l);
    fd_closep(&l->dir.fd);
    free(l->dir.name);
    remove_scratch(l);
    cas_index_close(l->index);
    descriptor_release(&l->blob);
    error_clear(&l->failure);
    pthread_mutex_destroy(&l->dir_lock);
    pthread_mutex_destroy(&l->index_lock);
    pthread_mutex_destroy(&l->blob_lock);
    pthread_cond_destroy(&l->settled);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void cas_layer_unrefp(struct cas_layer **l)
{
    cas_layer_unref(*l);
    *l = NULL;
}

/* --- Pending layers --- */

static void settle(struct cas_layer *l, enum layer_state state)
{
    assert(l->state == LAYER_PENDING);
    l->state = state;
    pthread_cond_broadcast(&l->settled);
}

void cas_layer_finish(struct cas_layer *l,
                      const struct digest *diff_id,
                      const struct descriptor *blob)
{
    pthread_mutex_lock(&l->lock);
    l->diff_id = *diff_id;
    descriptor_copy(&l->blob, blob);
    l->present = true;
    settle(l, LAYER_READY);
    pthread_mutex_unlock(&l->lock);
}

void cas_layer_fail(struct cas_layer *l, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    l->failure = error_take(err);
    settle(l, LAYER_FAILED);
    pthread_mutex_unlock(&l->lock);
}

int cas_layer_start(struct cas_layer *l, void *(*run)(void *), void *arg, struct error *err)
{
    const int sys = pthread_create(&l->thread, NULL, run, arg);

    if (sys != 0) {
        errno = sys;
        return error_sys(err, "start a thread");
    }
    l->has_thread = true;
    return 0;
}

void cas_layer_cancel(struct cas_layer *l)
{
    __atomic_store_n(&l->cancel, true, __ATOMIC_RELAXED);
}

const bool *cas_layer_cancel_flag(const struct cas_layer *l)
{
    return &l->cancel;
}

/* Everybody who waits owns the error that he gets. */
static int copy_failure(const struct error *failure, struct error *err)
{
    error_set(err, failure->code, "%s", error_text(failure));
    err->sys = failure->sys;
    err->pos = failure->pos;
    return -1;
}

int cas_layer_wait(struct cas_layer *l, struct error *err)
{
    int result = 0;

    pthread_mutex_lock(&l->lock);
    while (l->state == LAYER_PENDING)
        pthread_cond_wait(&l->settled, &l->lock);
    if (l->state == LAYER_FAILED)
        result = copy_failure(&l->failure, err);
    pthread_mutex_unlock(&l->lock);
    return result;
}

/* --- What is known --- */

const struct digest *cas_layer_diff_id(const struct cas_layer *l)
{
    return &l->diff_id;
}

const struct descriptor *cas_layer_blob(const struct cas_layer *l)
{
    return &l->blob;
}

struct cas_store *cas_layer_store(const struct cas_layer *l)
{
    return l->store;
}

/* The caller holds blob_lock. */
static int bring_blob(struct cas_layer *l, struct cas_arrival *arrival, struct error *err)
{
    bool found = false;

    if (cas_blob_find(l->store, &l->blob.digest, &found, NULL, err) < 0)
        return -1;
    if (found)
        return 0;
    if (l->fetch)
        return l->fetch(l->context, &l->blob, arrival, err);
    return error_set(err, ERROR_NOT_FOUND, "layer %s is not in the store",
                     digest_format(&l->blob.digest).text);
}

int cas_layer_is_here(struct cas_layer *l, bool *here, struct error *err)
{
    int result = cas_layer_wait(l, err);

    if (result < 0)
        return -1;
    pthread_mutex_lock(&l->blob_lock);
    *here = l->present;
    if (!l->present)
        result = cas_blob_find(l->store, &l->blob.digest, here, NULL, err);
    pthread_mutex_unlock(&l->blob_lock);
    return result;
}

int cas_layer_bring_blob(struct cas_layer *l,
                         struct cas_arrival *arrival,
                         struct error *err)
{
    if (cas_layer_wait(l, err) < 0)
        return -1;
    pthread_mutex_lock(&l->blob_lock);

    const int result = l->present ? 0 : bring_blob(l, arrival, err);

    l->present = result == 0;
    pthread_mutex_unlock(&l->blob_lock);
    return result;
}

int cas_layer_require_blob(struct cas_layer *l, struct error *err)
{
    return cas_layer_bring_blob(l, NULL, err);
}

/* The caller holds index_lock. */
static int bring_index(struct cas_layer *l, struct error *err)
{
    struct error failure = ERROR_INIT;
    bool found = false;

    for (unsigned pass = 0; pass < 2; pass++) {
        l->index = cas_index_open(l->store, &l->diff_id, &found, &failure);
        if (l->index)
            return 0;
        if (failure.code != ERROR_NONE)
            return error_move(err, &failure);
        if (pass == 0 && cas_layer_scan(l, NULL, CAS_LAYER_SCAN_INDEX, err) < 0)
            return error_wrap(err, "layer %s", digest_format(&l->blob.digest).text);
    }
    return error_set(err, ERROR_CORRUPT, "the layer's index vanished while it was opened");
}

const struct cas_index *cas_layer_index(struct cas_layer *l, struct error *err)
{
    if (cas_layer_wait(l, err) < 0)
        return NULL;
    pthread_mutex_lock(&l->index_lock);
    if (!l->index) {
        /* One who unpacks the layer makes the index on the way. He may need the indexes of
         * layers below his own, and so waits only downwards. */
        pthread_mutex_lock(&l->dir_lock);
        pthread_mutex_unlock(&l->dir_lock);
    }
    if (!l->index && bring_index(l, err) < 0)
        assert(!l->index);

    const struct cas_index *index = l->index;

    pthread_mutex_unlock(&l->index_lock);
    return index;
}

int cas_layer_content_key(struct cas_layer *l, struct digest *out, struct error *err)
{
    const struct cas_index *index = cas_layer_index(l, err);

    if (!index)
        return -1;
    *out = cas_index_content_key(index);
    return 0;
}

/* --- Unpacked directory --- */

struct cas_layer_unpacked_dir *cas_layer_lock_dir(struct cas_layer *l)
{
    pthread_mutex_lock(&l->dir_lock);
    return &l->dir;
}

void cas_layer_unlock_dir(struct cas_layer *l)
{
    pthread_mutex_unlock(&l->dir_lock);
}

void cas_layer_keep_scratch(struct cas_layer *l, char *path)
{
    pthread_mutex_lock(&l->dir_lock);
    assert(!l->scratch);
    l->scratch = path;
    pthread_mutex_unlock(&l->dir_lock);
}
