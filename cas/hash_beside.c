#include "cas/hash_beside.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A few reads of a socket. A server has one for each large blob that comes in. */
#define RING_SIZE ((size_t)512 << 10)
/* Hashed at once: what was taken out makes room for more. */
#define PART_SIZE ((size_t)64 << 10)

struct hash_beside {
    struct hasher *hasher; /* of whoever is hashing */
    struct pool *pool;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t moved;
    size_t head; /* where the next byte to hash is */
    size_t used; /* the bytes that wait, from there on and round */
    bool is_hashing;
    bool is_queued;
    char ring[RING_SIZE]; /* what waits is the hashing one's, the rest the putting one's */
};

struct hash_beside *hash_beside_new(struct hasher *hasher, struct pool *pool)
{
    struct hash_beside *b = base_alloc(sizeof *b);

    b->hasher = hasher;
    b->pool = pool;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->moved, NULL);
    return b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* At most what is in the ring now: others wait for the worker too. */
static void hash_locked(struct hash_beside *b)
{
    b->is_hashing = true;
    for (size_t left = b->used; left > 0;) {
        const size_t part = smaller(smaller(left, PART_SIZE), RING_SIZE - b->head);
        const size_t head = b->head;

        pthread_mutex_unlock(&b->lock);
        hasher_update(b->hasher, b->ring + head, part);
        pthread_mutex_lock(&b->lock);
        b->head = (head + part) % RING_SIZE;
        b->used -= part;
        left -= part;
        pthread_cond_signal(&b->moved);
    }
    b->is_hashing = false;
    pthread_cond_signal(&b->moved);
}

static void run(void *arg);

static void call_worker_locked(struct hash_beside *b)
{
    if (b->used == 0 || b->is_queued || b->is_hashing)
        return;
    b->is_queued = true;
    pool_submit(b->pool, run, b);
}

static void run(void *arg)
{
    struct hash_beside *b = arg;

    pthread_mutex_lock(&b->lock);
    b->is_queued = false;
    if (!b->is_hashing)
        hash_locked(b);
    call_worker_locked(b);
    pthread_cond_signal(&b->moved);
    pthread_mutex_unlock(&b->lock);
}

/* Room for at least one byte. */
static void make_room_locked(struct hash_beside *b)
{
    while (b->used == RING_SIZE) {
        if (b->is_hashing)
            pthread_cond_wait(&b->moved, &b->lock);
        else
            hash_locked(b);
    }
}

void hash_beside_put(struct hash_beside *b, const void *data, size_t size)
{
    const char *from = data;

    pthread_mutex_lock(&b->lock);
    while (size > 0) {
        make_room_locked(b);
        const size_t tail = (b->head + b->used) % RING_SIZE;
        const size_t part = smaller(smaller(size, RING_SIZE - b->used), RING_SIZE - tail);
        pthread_mutex_unlock(&b->lock);
        memcpy(b->ring + tail, from, part);
        pthread_mutex_lock(&b->lock);
        b->used += part;
        from += part;
        size -= part;
        call_worker_locked(b);
    }
    pthread_mutex_unlock(&b->lock);
}

/* A job that waits in the pool's queue has its pointer still. */
static void settle(struct hash_beside *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->used > 0 || b->is_hashing || b->is_queued) {
        if (b->used > 0 && !b->is_hashing)
            hash_locked(b);
        else
            pthread_cond_wait(&b->moved, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

void hash_beside_free(struct hash_beside *b)
{
    if (!b)
        return;
    settle(b);
    pthread_cond_destroy(&b->moved);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
