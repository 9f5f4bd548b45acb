#include "registry/store_blob.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "cas/blob.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_SIZE ((size_t)256 << 10)

int registry_store_bytes(struct cas_store *store,
                         const struct descriptor *desc,
                         struct view bytes,
                         struct error *err)
{
    CLEANUP(cas_blob_writer_abortp)
    struct cas_blob_writer *w = cas_blob_writer_new(store, desc->digest.alg, err);

    if (!w || cas_blob_writer_write(w, bytes.data, bytes.size, err) < 0)
        return -1;
    struct cas_blob_writer *full = w;
    w = NULL;
    return cas_blob_writer_commit(full, &desc->digest, desc->size, NULL, NULL, err);
}

/* One byte more than there should be is enough to know. */
static int copy(struct cas_blob_writer *w, int fd, uint64_t size, struct error *err)
{
    CLEANUP(base_freep) char *block = base_alloc(COPY_SIZE);
    uint64_t total = 0;

    for (;;) {
        const ssize_t n = read(fd, block, COPY_SIZE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, "read");
        if (n == 0)
            return 0;
        total += (uint64_t)n;
        if (total > size)
            return error_set(err, ERROR_CORRUPT, "it is longer than %" PRIu64 " bytes",
                             size);
        if (cas_blob_writer_write(w, block, (size_t)n, err) < 0)
            return -1;
    }
}

int registry_store_fd(struct cas_store *store,
                      const struct descriptor *desc,
                      int fd,
                      struct error *err)
{
    CLEANUP(cas_blob_writer_abortp)
    struct cas_blob_writer *w = cas_blob_writer_new(store, desc->digest.alg, err);

    if (!w || copy(w, fd, desc->size, err) < 0)
        return -1;
    struct cas_blob_writer *full = w;
    w = NULL;
    return cas_blob_writer_commit(full, &desc->digest, desc->size, NULL, NULL, err);
}

int registry_store_has(struct cas_store *store,
                       const struct descriptor *desc,
                       bool *found,
                       struct error *err)
{
    uint64_t size = 0;

    if (cas_blob_find(store, &desc->digest, found, &size, err) < 0)
        return -1;
    if (*found && size != desc->size)
        return error_set(err, ERROR_CORRUPT,
                         "%s has %" PRIu64 " bytes, not %" PRIu64 " as is said of it",
                         digest_format(&desc->digest).text, size, desc->size);
    return 0;
}

/* ---- Many at once ---- */

struct batch {
    const struct registry_source *source;
    struct cas_store *store;
    atomic_bool failed;   /* what has not begun is left alone */
    pthread_mutex_t lock; /* guards `err` */
    struct error *err;    /* the first failure */
};

struct batch_item {
    struct batch *batch;
    const struct descriptor *blob;
};

static void run_item(void *arg)
{
    const struct batch_item *item = arg;
    struct batch *b = item->batch;
    struct error failure = ERROR_INIT;

    if (atomic_load(&b->failed))
        return;
    if (b->source->fetch(b->source->context, b->store, item->blob, &failure) == 0)
        return;
    pthread_mutex_lock(&b->lock);
    if (!atomic_exchange(&b->failed, true))
        (void)error_move(b->err, &failure);
    pthread_mutex_unlock(&b->lock);
    error_clear(&failure);
}

static bool is_earlier(const struct descriptor *const *blobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digest_eq(&blobs[i]->digest, &blobs[n]->digest))
            return true;
    }
    return false;
}

int registry_source_fetch_all(const struct registry_source *source,
                              struct cas_store *store,
                              const struct descriptor *const *blobs,
                              size_t n,
                              struct error *err)
{
    CLEANUP(base_freep) struct batch_item *items = base_alloc_array(n + 1, sizeof *items);
    struct batch batch = {.source = source, .store = store, .err = err};
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_earlier(blobs, i))
            items[count++] = (struct batch_item){&batch, blobs[i]};
    }
    if (count == 0)
        return 0;
    if (count == 1)
        return source->fetch(source->context, store, items[0].blob, err);
    pthread_mutex_init(&batch.lock, NULL);
    struct pool *pool =
        pool_new(source->parallel < count ? source->parallel : (unsigned)count);
    for (size_t i = 0; i < count; i++)
        pool_submit(pool, run_item, &items[i]);
    pool_free(pool);
    pthread_mutex_destroy(&batch.lock);
    return atomic_load(&batch.failed) ? -1 : 0;
}
