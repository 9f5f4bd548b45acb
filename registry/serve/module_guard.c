#include "registry/serve/module_priv.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define LOOK_EVERY_S 2

struct serve_guarded {
    struct serve_guarded *next;
    struct serve_guarded **to_me;
    int fd;
    enum serve_guard_state state;
    int64_t since_s;            /* when the state, or the window of a body's rate, began */
    uint64_t window_bytes;      /* `bytes` at that time */
    atomic_uint_fast64_t bytes; /* of the body, so far */
};

struct serve_guard {
    unsigned header_s;
    uint64_t body_rate_min;
    pthread_t thread;
    pthread_mutex_t lock; /* guards everything below, and the members' fields */
    pthread_cond_t stop;
    bool stopping;
    struct serve_guarded *first;
    unsigned count;
};

static int64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static bool is_too_slow(const struct serve_guard *g, struct serve_guarded *c, int64_t now)
{
    if (c->state == SERVE_GUARD_ANSWER || now - c->since_s < (int64_t)g->header_s)
        return false;
    if (c->state == SERVE_GUARD_WAITING)
        return true;
    const uint64_t bytes = atomic_load(&c->bytes);
    if (bytes - c->window_bytes < g->body_rate_min * (uint64_t)(now - c->since_s))
        return true;
    c->since_s = now;
    c->window_bytes = bytes;
    return false;
}

/* A connection leaves, under the lock, before its descriptor is closed: so the descriptor
 * is still its own here. Its thread sees the end and does the rest. */
static void look(struct serve_guard *g)
{
    const int64_t now = now_s();

    for (struct serve_guarded *c = g->first; c; c = c->next) {
        if (is_too_slow(g, c, now))
            shutdown(c->fd, SHUT_RDWR);
    }
}

static void *watch(void *arg)
{
    struct serve_guard *g = arg;

    pthread_mutex_lock(&g->lock);
    while (!g->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_EVERY_S;
        pthread_cond_timedwait(&g->stop, &g->lock, &until);
        look(g);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

struct serve_guard *serve_guard_new(unsigned header_s, uint64_t body_rate_min)
{
    struct serve_guard *g = base_alloc(sizeof *g);

    g->header_s = header_s;
    g->body_rate_min = body_rate_min;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->stop, NULL);
    if (pthread_create(&g->thread, NULL, watch, g) == 0)
        return g;
    pthread_cond_destroy(&g->stop);
    pthread_mutex_destroy(&g->lock);
    free(g);
    return NULL;
}

void serve_guard_free(struct serve_guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stopping = true;
    pthread_cond_signal(&g->stop);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->stop);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

struct serve_guarded *serve_guard_join(struct serve_guard *g, int fd)
{
    struct serve_guarded *c = base_alloc(sizeof *c);

    c->fd = fd;
    c->since_s = now_s();
    pthread_mutex_lock(&g->lock);
    c->next = g->first;
    c->to_me = &g->first;
    if (c->next)
        c->next->to_me = &c->next;
    g->first = c;
    g->count++;
    pthread_mutex_unlock(&g->lock);
    return c;
}

void serve_guard_leave(struct serve_guard *g, struct serve_guarded *c)
{
    pthread_mutex_lock(&g->lock);
    *c->to_me = c->next;
    if (c->next)
        c->next->to_me = c->to_me;
    g->count--;
    pthread_mutex_unlock(&g->lock);
    free(c);
}

unsigned serve_guard_count(struct serve_guard *g)
{
    pthread_mutex_lock(&g->lock);
    const unsigned count = g->count;
    pthread_mutex_unlock(&g->lock);
    return count;
}

void serve_guard_enter(struct serve_guard *g,
                       struct serve_guarded *c,
                       enum serve_guard_state state)
{
    pthread_mutex_lock(&g->lock);
    c->state = state;
    c->since_s = now_s();
    c->window_bytes = atomic_load(&c->bytes);
    pthread_mutex_unlock(&g->lock);
}

void serve_guard_count_bytes(struct serve_guarded *c, uint64_t size)
{
    atomic_fetch_add(&c->bytes, size);
}
