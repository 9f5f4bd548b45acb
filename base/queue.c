#include "base/pool.h"

#include "base/alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct queue_item {
    struct queue_item *next;
    void *item;
};

/* A list with a pointer to where the next item is hung in. */
struct queue {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;  /* on CLOCK_MONOTONIC */
    struct queue_item *first;
    struct queue_item **end;
};

struct queue *queue_new(void)
{
    struct queue *q = base_alloc(sizeof *q);
    pthread_condattr_t attr;

    q->end = &q->first;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    /* A clock that is set back must not lengthen a wait. */
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->wake, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    while (q->first) {
        struct queue_item *next = q->first->next;

        free(q->first);
        q->first = next;
    }
    pthread_cond_destroy(&q->wake);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void queue_freep(struct queue **q)
{
    const int saved = errno;

    queue_free(*q);
    *q = NULL;
    errno = saved;
}

void queue_push(struct queue *q, void *item)
{
    struct queue_item *node = base_alloc(sizeof *node);

    node->item = item;
    pthread_mutex_lock(&q->lock);
    *q->end = node;
    q->end = &node->next;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Waits until there is an item or the time is over. */
static void wait_locked(struct queue *q, int timeout_ms)
{
    const struct timespec deadline = deadline_after(timeout_ms < 0 ? 0 : timeout_ms);

    while (!q->first) {
        const int r = timeout_ms < 0
                          ? pthread_cond_wait(&q->wake, &q->lock)
                          : pthread_cond_timedwait(&q->wake, &q->lock, &deadline);

        if (r == ETIMEDOUT)
            return;
    }
}

void *queue_pop(struct queue *q, int timeout_ms)
{
    struct queue_item *node = NULL;
    void *item = NULL;

    pthread_mutex_lock(&q->lock);
    wait_locked(q, timeout_ms);
    node = q->first;
    if (node) {
        q->first = node->next;
        if (!q->first)
            q->end = &q->first;
        item = node->item;
    }
    pthread_mutex_unlock(&q->lock);
    free(node);
    return item;
}
