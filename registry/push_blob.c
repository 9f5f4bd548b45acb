/*
 * The blobs of a push: each is asked for, mounted or sent by a thread of a small pool, as
 * soon as it is written.
 */
#include "registry/push_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"
#include "cas/layer.h"
#include "registry/pull.h"
#include "registry/store_blob.h"
#include "registry/upload_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Up to this size a blob that was just made is sent without asking whether it is there: a
 * question is a round trip, and this much goes along with the next one. A larger one may
 * still be an old one made again (--no-cache), and is worth the question. */
#define UNASKED_SIZE (UINT64_C(64) << 10)

/* ---- One blob ---- */

/* Layers that may not be passed on stay where their URLs say. Spec: layer.md
 * "Non-Distributable Layers". */
static bool is_distributable(const struct descriptor *d)
{
    return !strstr(d->media_type, ".nondistributable.") &&
           !strstr(d->media_type, ".foreign.");
}

static const struct registry_reference *origin_of(const struct registry_pusher *p,
                                                  const struct digest *digest)
{
    const struct registry_reference *found = NULL;

    if (p->options.find_origin)
        found = p->options.find_origin(p->options.find_context, digest);
    for (size_t i = 0; !found && i < p->options.origin_count; i++) {
        if (digest_eq(&p->options.origins[i].digest, digest))
            found = p->options.origins[i].repository;
    }
    return found;
}

/* The path to mount from, if the origin is another repository of the same registry. */
static const char *mount_path(const struct registry_pusher *p,
                              const struct registry_reference *origin)
{
    if (!origin || strcmp(origin->host, p->repository.host) != 0 ||
        strcmp(origin->path, p->repository.path) == 0)
        return NULL;
    return origin->path;
}

static bool is_known_absent(const struct push_item *item)
{
    return item->is_new && item->blob.size <= UNASKED_SIZE;
}

/* A blob's file, until the push is given up. */
struct blob_file {
    const struct registry_pusher *pusher;
    int fd;
};

static ptrdiff_t read_blob(void *context, uint64_t offset, void *out, size_t size)
{
    const struct blob_file *file = context;
    ssize_t n;

    do {
        if (atomic_load(&file->pusher->stop))
            return -1;
        n = pread(file->fd, out, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n;
}

static int send(const struct push_item *item,
                const char *mount_from,
                bool has_bytes,
                struct error *err)
{
    const struct registry_pusher *p = item->pusher;
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(upload_session_freep)
    struct upload_session *session =
        has_bytes ? upload_session_new(p->store, &p->repository, &item->blob) : NULL;
    const struct registry_upload_options options = {
        .memory = upload_session_memory(session),
        .mount_from = mount_from,
        .chunk_size = p->options.chunk_size,
        .is_known_absent = is_known_absent(item),
    };
    enum registry_upload_result result;

    if (has_bytes && (fd = cas_blob_open(p->store, &item->blob.digest, err)) < 0)
        return -1;
    struct blob_file file = {p, fd};
    const struct registry_http_body body = {
        .read_at = read_blob, .context = &file, .size = item->blob.size};
    return registry_blob_upload(p->client, &p->repository, &item->blob,
                                has_bytes ? &body : NULL, &options, &p->options.progress,
                                &result, err);
}

/* A blob that the store never fetched: perhaps the registry can take it over by itself; if
 * not it has to come from its origin first. */
static int send_absent(const struct push_item *item,
                       const struct registry_reference *origin,
                       struct error *err)
{
    const struct registry_pusher *p = item->pusher;
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    if (send(item, mount_path(p, origin), false, &failure) == 0)
        return 0;
    if (!error_is(&failure, ERROR_NOT_FOUND) || !origin)
        return error_move(err, &failure);
    if (registry_fetch_blob(p->client, p->store, origin, &item->blob, &p->options.progress,
                            err) < 0) {
        if (p->options.on_lost && !error_is(err, ERROR_CANCELLED))
            p->options.on_lost(p->options.find_context, &item->blob.digest);
        return -1;
    }
    return send(item, NULL, true, err);
}

static struct push_item *find_item(const struct registry_pusher *p,
                                   const struct digest *digest)
{
    for (struct push_item *i = p->items; i; i = i->next)
        if (i->blob.media_type && digest_eq(&i->blob.digest, digest))
            return i;
    return NULL;
}

/* Now that its layer is written. False: another layer has the same blob, and sees to it. */
static bool claim_blob(struct push_item *item)
{
    const struct descriptor *blob = cas_layer_blob(item->layer);
    struct registry_pusher *p = item->pusher;

    pthread_mutex_lock(&p->lock);
    const bool is_first = !find_item(p, &blob->digest);
    if (is_first)
        descriptor_copy(&item->blob, blob);
    pthread_mutex_unlock(&p->lock);
    return is_first;
}

static int push_blob(struct push_item *item, struct error *err)
{
    struct registry_pusher *p = item->pusher;
    bool found;

    if (item->layer && cas_layer_wait(item->layer, err) < 0)
        return -1;
    if (item->layer && !claim_blob(item))
        return 0;
    if (atomic_load(&p->stop))
        return error_set(err, ERROR_CANCELLED, "the push was given up");
    if (!is_distributable(&item->blob) ||
        (item->stream && push_stream_end(item->stream, &item->blob)))
        return 0;

    const struct registry_reference *origin = origin_of(p, &item->blob.digest);

    if (registry_store_has(p->store, &item->blob, &found, err) < 0)
        return -1;
    if (!found)
        return send_absent(item, origin, err);
    return send(item, mount_path(p, origin), true, err);
}

/* ---- Many ---- */

static void run_item(void *arg)
{
    struct push_item *item = arg;
    struct registry_pusher *p = item->pusher;
    struct error failure = ERROR_INIT;

    /* After one failure the others would only be told the same, one time-out after another.
     */
    if (push_blob(item, &failure) < 0)
        atomic_store(&p->stop, true);
    pthread_mutex_lock(&p->lock);
    item->error = error_take(&failure);
    if (--p->unsettled == 0)
        pthread_cond_broadcast(&p->calm);
    pthread_mutex_unlock(&p->lock);
}

struct pool *push_pool(struct registry_pusher *p)
{
    pthread_mutex_lock(&p->lock);
    if (!p->pool)
        p->pool = pool_new(registry_client_parallel(p->client));
    pthread_mutex_unlock(&p->lock);
    return p->pool;
}

/* Consumes the item. */
static void queue_item(struct registry_pusher *p, struct push_item *item)
{
    item->pusher = p;
    pthread_mutex_lock(&p->lock);
    item->next = p->items;
    p->items = item;
    p->unsettled++;
    p->has_new = p->has_new || item->is_new;
    pthread_mutex_unlock(&p->lock);
    pool_submit(push_pool(p), run_item, item);
}

void registry_pusher_layer(struct registry_pusher *p,
                           struct cas_layer *layer,
                           bool is_new,
                           struct registry_push_stream *stream)
{
    struct push_item *item = base_alloc(sizeof *item);

    item->layer = cas_layer_ref(layer);
    item->is_new = is_new;
    item->stream = stream;
    queue_item(p, item);
}

void push_add_blob(struct registry_pusher *p, const struct descriptor *blob, bool is_new)
{
    struct push_item *item = NULL;

    pthread_mutex_lock(&p->lock);
    if (!find_item(p, &blob->digest)) {
        item = base_alloc(sizeof *item);
        descriptor_copy(&item->blob, blob);
        item->is_new = is_new;
    }
    pthread_mutex_unlock(&p->lock);
    if (item)
        queue_item(p, item);
}

int push_settle(struct registry_pusher *p, struct error *err)
{
    struct push_item *failed = NULL;

    pthread_mutex_lock(&p->lock);
    while (p->unsettled > 0)
        pthread_cond_wait(&p->calm, &p->lock);
    /* What was given up because of a failure elsewhere is not the reason. */
    for (struct push_item *i = p->items; i; i = i->next)
        if (i->error.code != ERROR_NONE &&
            (!failed || error_is(&failed->error, ERROR_CANCELLED) ||
             error_is(&failed->error, ERROR_FAILED)))
            failed = i;
    pthread_mutex_unlock(&p->lock);
    return failed ? error_move(err, &failed->error) : 0;
}

/* ---- Life ---- */

struct registry_pusher *registry_pusher_new(struct registry_client *client,
                                            struct cas_store *store,
                                            const struct registry_reference *repository,
                                            const struct registry_push_options *options)
{
    struct registry_pusher *p = base_alloc(sizeof *p);

    p->client = client;
    p->store = store;
    registry_reference_copy(&p->repository, repository);
    if (options)
        p->options = *options;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->calm, NULL);
    return p;
}

void registry_pusher_free(struct registry_pusher *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    for (struct registry_push_stream *s = p->streams; s; s = push_stream_next(s))
        push_stream_stop(s);
    pool_free(p->pool);
    for (struct registry_push_stream *s = p->streams, *next; s; s = next) {
        next = push_stream_next(s);
        push_stream_free(s);
    }
    for (struct push_item *i = p->items, *next; i; i = next) {
        next = i->next;
        cas_layer_unref(i->layer);
        descriptor_release(&i->blob);
        error_clear(&i->error);
        free(i);
    }
    registry_reference_release(&p->repository);
    pthread_cond_destroy(&p->calm);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
