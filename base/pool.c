#include "base/pool.h"

#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct job {
    void (*run)(void *arg);
    void *arg;
};

/*
 * Jobs wait in a ring that doubles when full:
 *
 *     ring:  [ . . j2 j3 j4 . . . ]      head = 2, queued = 3, capacity a power of two
 */
struct pool {
    unsigned limit;       /* threads at most; constant */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;  /* a job was queued, or `ending` was set */
    pthread_cond_t calm;  /* nothing queued, nothing running */
    struct job *ring;
    size_t capacity;
    size_t head;
    size_t queued;
    size_t running; /* jobs inside `run`, on workers and helpers */
    unsigned idle;  /* workers waiting for `wake` */
    unsigned started;
    bool ending;
    pthread_t *workers; /* `limit` slots, `started` in use */
};

/* These calls fail only for uses that are wrong: not owning the lock, bad arguments. */
static void lock(pthread_mutex_t *m)
{
    const int r = pthread_mutex_lock(m);

    assert(r == 0);
    (void)r;
}

static void unlock(pthread_mutex_t *m)
{
    const int r = pthread_mutex_unlock(m);

    assert(r == 0);
    (void)r;
}

static unsigned usable_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        const int count = CPU_COUNT(&set);

        if (count > 0)
            return (unsigned)count;
    }
    return 1;
}

struct pool *pool_new(unsigned threads)
{
    struct pool *p = base_alloc(sizeof *p);

    p->limit = threads ? threads : usable_processors();
    p->workers = base_alloc_array(p->limit, sizeof *p->workers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->calm, NULL);
    return p;
}

static void enqueue_locked(struct pool *p, struct job job)
{
    if (p->queued == p->capacity) {
        const size_t capacity = p->capacity ? 2 * p->capacity : 64;
        struct job *ring = base_alloc_array(capacity, sizeof *ring);

        for (size_t i = 0; i < p->queued; i++)
            ring[i] = p->ring[(p->head + i) & (p->capacity - 1)];
        free(p->ring);
        p->ring = ring;
        p->capacity = capacity;
        p->head = 0;
    }
    p->ring[(p->head + p->queued) & (p->capacity - 1)] = job;
    p->queued++;
}

/* Runs the oldest job with the lock released meanwhile. */
static void run_one_locked(struct pool *p)
{
    const struct job job = p->ring[p->head];

    p->head = (p->head + 1) & (p->capacity - 1);
    p->queued--;
    p->running++;
    unlock(&p->lock);
    job.run(job.arg);
    lock(&p->lock);
    p->running--;
    if (p->queued == 0 && p->running == 0)
        pthread_cond_broadcast(&p->calm);
}

static void *worker_main(void *arg)
{
    struct pool *p = arg;

    lock(&p->lock);
    for (;;) {
        if (p->queued > 0) {
            run_one_locked(p);
        } else if (p->ending) {
            break;
        } else {
            p->idle++;
            pthread_cond_wait(&p->wake, &p->lock);
            p->idle--;
        }
    }
    unlock(&p->lock);
    return NULL;
}

/* A machine that refuses further threads still has those it gave; with none at all there is
 * nobody to run the job, which is as final as having no memory. */
static void start_worker_locked(struct pool *p)
{
    if (pthread_create(&p->workers[p->started], NULL, worker_main, p) == 0)
        p->started++;
    else if (p->started == 0)
        abort();
}

void pool_submit(struct pool *p, void (*run)(void *arg), void *arg)
{
    lock(&p->lock);
    assert(!p->ending || p->running > 0);
    enqueue_locked(p, (struct job){run, arg});
    /* Compared with what is queued, not with zero: an idle worker that was woken for an
     * earlier job still counts as idle until it runs. */
    if (p->idle < p->queued && p->started < p->limit && !p->ending)
        start_worker_locked(p);
    if (p->idle > 0)
        pthread_cond_signal(&p->wake);
    unlock(&p->lock);
}

bool pool_help(struct pool *p)
{
    lock(&p->lock);
    const bool some = p->queued > 0;

    if (some)
        run_one_locked(p);
    unlock(&p->lock);
    return some;
}

unsigned pool_threads(const struct pool *p)
{
    return p->limit;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    lock(&p->lock);
    while (p->queued > 0 || p->running > 0)
        pthread_cond_wait(&p->calm, &p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->wake);
    unlock(&p->lock);
    /* `started` is stable now: nobody may submit any more. */
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->workers[i], NULL);
    pthread_cond_destroy(&p->calm);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p->ring);
    free(p);
}

void pool_freep(struct pool **p)
{
    const int saved = errno;

    pool_free(*p);
    *p = NULL;
    errno = saved;
}
