#include "registry/serve/uploads.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define ID_BYTES 16
/* A request waits so long for another one to let go of its session. */
#define BUSY_WAIT_S 10
/* Of a request's bytes: whoever sends so many sends many more. */
#define HASH_BESIDE_FROM ((uint64_t)1 << 20)

struct serve_upload {
    struct serve_uploads *all;
    struct serve_upload *next;
    char id[2 * ID_BYTES + 1];
    char *repository;
    enum digest_alg alg;
    struct cas_blob_writer *writer; /* the acquirer's */
    uint64_t acquired_at;           /* the acquirer's: bytes that were there */
    bool is_beside;                 /* the acquirer's: hashed by `hashers` */
    bool is_busy;                   /* under the lock of `all` */
    int64_t used_s;
};

struct serve_uploads {
    uint64_t size_max;
    struct pool *hashers;
    pthread_mutex_t lock; /* guards everything below, and who acquired what */
    pthread_cond_t released;
    struct serve_upload *first;
    unsigned count;
};

static int64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

struct serve_uploads *serve_uploads_new(uint64_t size_max)
{
    struct serve_uploads *u = base_alloc(sizeof *u);

    u->size_max = size_max ? size_max : LIMIT_LAYER_SIZE;
    u->hashers = pool_new(0);
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->released, NULL);
    return u;
}

static void upload_free(struct serve_upload *up)
{
    cas_blob_writer_abort(up->writer);
    free(up->repository);
    free(up);
}

void serve_uploads_free(struct serve_uploads *u)
{
    if (!u)
        return;
    while (u->first) {
        struct serve_upload *up = u->first;
        assert(!up->is_busy);
        u->first = up->next;
        upload_free(up);
    }
    pool_free(u->hashers);
    pthread_cond_destroy(&u->released);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

unsigned serve_uploads_count(struct serve_uploads *u)
{
    pthread_mutex_lock(&u->lock);
    const unsigned count = u->count;
    pthread_mutex_unlock(&u->lock);
    return count;
}

static void take_out_locked(struct serve_uploads *u, struct serve_upload *up)
{
    struct serve_upload **at = &u->first;

    while (*at != up)
        at = &(*at)->next;
    *at = up->next;
    u->count--;
}

void serve_uploads_expire(struct serve_uploads *u, unsigned expiry_s)
{
    const int64_t now = now_s();

    pthread_mutex_lock(&u->lock);
    for (struct serve_upload *up = u->first; up;) {
        struct serve_upload *next = up->next;
        if (!up->is_busy && now - up->used_s >= (int64_t)expiry_s) {
            take_out_locked(u, up);
            upload_free(up);
        }
        up = next;
    }
    pthread_mutex_unlock(&u->lock);
}

static int make_id(char *id, struct error *err)
{
    uint8_t bytes[ID_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_sys(err, "getrandom");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static bool put_in(struct serve_uploads *u, struct serve_upload *up)
{
    pthread_mutex_lock(&u->lock);
    const bool has_room = u->count < SERVE_UPLOADS_MAX;
    if (has_room) {
        up->next = u->first;
        u->first = up;
        u->count++;
    }
    pthread_mutex_unlock(&u->lock);
    return has_room;
}

struct serve_upload *serve_upload_new(struct serve_uploads *u,
                                      struct cas_store *store,
                                      const char *repository,
                                      enum digest_alg alg,
                                      struct error *err)
{
    struct serve_upload *up = base_alloc(sizeof *up);

    up->all = u;
    up->repository = base_strdup(repository);
    up->alg = alg;
    up->is_busy = true;
    up->used_s = now_s();
    if (make_id(up->id, err) == 0)
        up->writer = cas_blob_writer_new(store, alg, err);
    if (up->writer && put_in(u, up))
        return up;
    if (up->writer)
        error_set(err, ERROR_LIMIT, "there are %d uploads already", SERVE_UPLOADS_MAX);
    upload_free(up);
    return NULL;
}

static struct serve_upload *find_locked(struct serve_uploads *u,
                                        const char *id,
                                        const char *repository)
{
    for (struct serve_upload *up = u->first; up; up = up->next) {
        if (strcmp(up->id, id) == 0 && strcmp(up->repository, repository) == 0)
            return up;
    }
    return NULL;
}

struct serve_upload *serve_upload_acquire(struct serve_uploads *u,
                                          const char *id,
                                          const char *repository,
                                          struct error *err)
{
    struct timespec until;
    struct serve_upload *up;
    int waited = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += BUSY_WAIT_S;
    pthread_mutex_lock(&u->lock);
    while ((up = find_locked(u, id, repository)) && up->is_busy && waited == 0)
        waited = pthread_cond_timedwait(&u->released, &u->lock, &until);
    const bool is_busy = up && up->is_busy;
    if (up && !is_busy)
        up->is_busy = true;
    pthread_mutex_unlock(&u->lock);
    if (up && !is_busy) {
        up->acquired_at = serve_upload_size(up);
        return up;
    }
    if (up)
        error_set(err, ERROR_EXISTS, "another request is at work on this upload");
    else
        error_set(err, ERROR_NOT_FOUND, "there is no such upload");
    return NULL;
}

void serve_upload_release(struct serve_upload *up)
{
    struct serve_uploads *u = up->all;

    /* A session that waits for its next request costs no buffer. */
    cas_blob_writer_hash_in(up->writer, NULL);
    up->is_beside = false;
    pthread_mutex_lock(&u->lock);
    up->is_busy = false;
    up->used_s = now_s();
    pthread_cond_broadcast(&u->released);
    pthread_mutex_unlock(&u->lock);
}

void serve_upload_end(struct serve_upload *up)
{
    struct serve_uploads *u = up->all;

    pthread_mutex_lock(&u->lock);
    take_out_locked(u, up);
    pthread_cond_broadcast(&u->released);
    pthread_mutex_unlock(&u->lock);
    upload_free(up);
}

const char *serve_upload_id(const struct serve_upload *up)
{
    return up->id;
}

uint64_t serve_upload_size(const struct serve_upload *up)
{
    return cas_blob_writer_size(up->writer);
}

int serve_upload_write(struct serve_upload *up,
                       const void *data,
                       size_t size,
                       struct error *err)
{
    const uint64_t max = up->all->size_max;

    if (size > max || serve_upload_size(up) > max - size)
        return error_set(err, ERROR_DENIED, "blobs may have %ju bytes at most",
                         (uintmax_t)max);
    if (!up->is_beside && serve_upload_size(up) - up->acquired_at >= HASH_BESIDE_FROM) {
        cas_blob_writer_hash_in(up->writer, up->all->hashers);
        up->is_beside = true;
    }
    return cas_blob_writer_write(up->writer, data, size, err);
}

int serve_upload_expect(struct serve_upload *up, enum digest_alg alg, struct error *err)
{
    if (alg == up->alg)
        return 0;
    up->alg = alg;
    return cas_blob_writer_rehash(up->writer, alg, err);
}

int serve_upload_commit(struct serve_upload *up,
                        const struct digest *want,
                        struct error *err)
{
    struct cas_blob_writer *writer = up->writer;

    up->writer = NULL;
    const int result = cas_blob_writer_commit(writer, want, UINT64_MAX, NULL, NULL, err);
    serve_upload_end(up);
    return result;
}
