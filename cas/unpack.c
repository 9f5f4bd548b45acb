#include "cas/unpack.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/pool.h"
#include "cas/layer_dir.h"
#include "cas/layer_priv.h"
#include "cas/layer_scan.h"
#include "cas/store_priv.h"
#include "cas/tree.h"
#include "cas/unpacker.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* A name for what is asked for: by diffID, or by chainID of a chain whose lower diffIDs may
 * have to be waited for. */
static int chain_id_of(struct cas_layer *const *layers,
                       size_t which,
                       struct digest *out,
                       struct error *err)
{
    struct digest below;

    for (size_t i = 0; i <= which; i++) {
        if (cas_layer_wait(layers[i], err) < 0)
            return -1;
        *out = cas_layer_chain_id(i > 0 ? &below : NULL, cas_layer_diff_id(layers[i]));
        below = *out;
    }
    return 0;
}

static int dup_fd(int fd, struct error *err)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 ? error_sys(err, "duplicate a descriptor") : copy;
}

struct request {
    struct cas_layer *layer;
    struct cas_layer_unpacked_dir *dir; /* of the layer; locked */
    char *diff_path;
    char *chain_path;
    struct digest chain_id;
};

/* Does the handle remember a directory made for this chain? */
static bool is_remembered(const struct request *r)
{
    return r->dir->fd >= 0 && view_eq_text(view_of(r->dir->name), r->chain_path);
}

static int find_dir(struct request *r, bool *found, struct error *err)
{
    struct cas_store *s = cas_layer_store(r->layer);
    struct cas_layer_unpacked_dir dir = {.fd = -1};

    if (cas_layer_dir_open(s, r->diff_path, found, &dir, err) < 0 ||
        (!*found && cas_layer_dir_open(s, r->chain_path, found, &dir, err) < 0))
        return -1;
    if (!*found)
        return 0;
    fd_closep(&r->dir->fd);
    free(r->dir->name);
    *r->dir = dir;
    return 0;
}

static int unpack(struct request *r, struct cas_tree *below, struct error *err)
{
    CLEANUP(cas_unpacker_freep)
    struct cas_unpacker *u = cas_unpacker_new(cas_layer_store(r->layer), err);

    if (!u || cas_layer_scan(r->layer, u, CAS_LAYER_SCAN_INDEX, err) < 0 ||
        cas_unpacker_finish(u, below, err) < 0)
        return -1;
    return cas_unpacker_publish(u, cas_layer_diff_id(r->layer), &r->chain_id, err);
}

static int serve(struct request *r,
                 struct cas_layer *const *layers,
                 size_t which,
                 struct error *err)
{
    bool found = is_remembered(r);

    if (!found && find_dir(r, &found, err) < 0)
        return -1;
    if (!found) {
        CLEANUP(cas_tree_freep) struct cas_tree *below = cas_tree_new(layers, which);

        if (unpack(r, below, err) < 0 || find_dir(r, &found, err) < 0)
            return error_wrap(err, "unpack layer %s",
                              digest_format(cas_layer_diff_id(r->layer)).text);
    }
    if (!found)
        return error_set(err, ERROR_SYSTEM, "an unpacked layer vanished");
    return dup_fd(r->dir->fd, err);
}

/* Does the handle remember a directory that serves any chain? That of a layer that is being
 * written from a directory is there before it has a name. (Every step opens all layers
 * below: this way, without a digest of each chain.) */
static int dup_remembered(struct cas_layer *l, bool *found, struct error *err)
{
    const struct cas_layer_unpacked_dir *dir = cas_layer_lock_dir(l);
    int fd = -1;

    *found = dir->fd >= 0 && (!dir->name || cas_layer_dir_is_for_any_chain(dir->name));
    if (*found)
        fd = dup_fd(dir->fd, err);
    cas_layer_unlock_dir(l);
    return fd;
}

static int request_init(struct request *r,
                        struct cas_layer *const *layers,
                        size_t which,
                        struct error *err)
{
    struct cas_layer_form form;

    *r = (struct request){.layer = layers[which]};
    if (cas_layer_form(&form, err) < 0 || chain_id_of(layers, which, &r->chain_id, err) < 0)
        return -1;
    r->diff_path = cas_layer_dir_path(&form, cas_layer_diff_id(r->layer), false);
    r->chain_path = cas_layer_dir_path(&form, &r->chain_id, true);
    return 0;
}

static void request_release(struct request *r)
{
    free(r->diff_path);
    free(r->chain_path);
}

int cas_layer_unpacked(struct cas_layer *const *layers, size_t which, struct error *err)
{
    struct request r;
    bool found = false;
    int fd = dup_remembered(layers[which], &found, err);

    if (found)
        return fd;
    if (request_init(&r, layers, which, err) < 0)
        return -1;
    r.dir = cas_layer_lock_dir(r.layer);
    fd = serve(&r, layers, which, err);
    cas_layer_unlock_dir(r.layer);
    request_release(&r);
    return fd;
}

/* --- A whole stack --- */

/* Two processors are busy with one large layer; the others of a pull wait for the network
 * more than for anything else. */
#define UNPACK_PARALLEL 4u

struct stack {
    struct cas_layer *const *layers;
    atomic_bool failed;   /* what has not begun is left alone */
    pthread_mutex_t lock; /* guards `err` */
    struct error *err;    /* the first failure */
};

struct stack_item {
    struct stack *stack;
    size_t which;
};

static void unpack_item(void *arg)
{
    const struct stack_item *item = arg;
    struct stack *s = item->stack;
    struct error failure = ERROR_INIT;

    if (atomic_load(&s->failed))
        return;
    CLEANUP(fd_closep) int fd = cas_layer_unpacked(s->layers, item->which, &failure);
    if (fd >= 0)
        return;
    pthread_mutex_lock(&s->lock);
    if (!atomic_exchange(&s->failed, true))
        (void)error_move(s->err, &failure);
    pthread_mutex_unlock(&s->lock);
    error_clear(&failure);
}

/* Is there a directory, as far as the handle or the store knows? */
static int is_unpacked(struct cas_layer *const *layers,
                       size_t which,
                       bool *found,
                       struct error *err)
{
    struct request r;
    int result = 0;

    *found = cas_layer_lock_dir(layers[which])->fd >= 0;
    cas_layer_unlock_dir(layers[which]);
    if (*found)
        return 0;
    if (request_init(&r, layers, which, err) < 0)
        return -1;
    r.dir = cas_layer_lock_dir(r.layer);
    result = find_dir(&r, found, err);
    cas_layer_unlock_dir(r.layer);
    request_release(&r);
    return result;
}

static int unpack_items(struct stack *s, struct stack_item *items, size_t count)
{
    const unsigned threads = count < UNPACK_PARALLEL ? (unsigned)count : UNPACK_PARALLEL;
    struct pool *pool = pool_new(threads);

    pthread_mutex_init(&s->lock, NULL);
    for (size_t i = 0; i < count; i++)
        pool_submit(pool, unpack_item, &items[i]);
    pool_free(pool);
    pthread_mutex_destroy(&s->lock);
    return atomic_load(&s->failed) ? -1 : 0;
}

int cas_layers_unpack(struct cas_layer *const *layers, size_t count, struct error *err)
{
    CLEANUP(base_freep)
    struct stack_item *items = base_alloc_array(count + 1, sizeof *items);
    struct stack stack = {.layers = layers, .err = err};
    size_t missing = 0;

    for (size_t i = 0; i < count; i++) {
        bool found = false;

        if (is_unpacked(layers, i, &found, err) < 0)
            return -1;
        if (!found)
            items[missing++] = (struct stack_item){&stack, i};
    }
    return missing > 0 ? unpack_items(&stack, items, missing) : 0;
}
