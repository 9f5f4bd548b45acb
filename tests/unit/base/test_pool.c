#include "base/pool.h"

#include "base/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void count_one(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void test_every_job_runs_once(void **state)
{
    atomic_uint count = 0;
    struct pool *p = pool_new(4);

    (void)state;
    for (int i = 0; i < 20000; i++)
        pool_submit(p, count_one, &count);
    pool_free(p);
    assert_int_equal(count, 20000);
}

static void test_a_pool_without_jobs_ends(void **state)
{
    struct pool *p = pool_new(0);

    (void)state;
    assert_true(pool_threads(p) >= 1);
    pool_freep(&p);
    assert_null(p);
    pool_free(NULL);
}

/* --- Order --- */

struct trace {
    unsigned seen[100];
    unsigned count;
};

struct traced {
    struct trace *trace;
    unsigned number;
};

static void record(void *arg)
{
    const struct traced *t = arg;

    t->trace->seen[t->trace->count++] = t->number;
}

static void test_one_thread_runs_jobs_in_order(void **state)
{
    struct trace trace = {.count = 0};
    struct traced jobs[100];
    struct pool *p = pool_new(1);

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        jobs[i] = (struct traced){&trace, i};
        pool_submit(p, record, &jobs[i]);
    }
    pool_free(p);
    assert_int_equal(trace.count, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(trace.seen[i], i);
}

/* --- Jobs that submit jobs --- */

struct tree {
    struct pool *pool;
    atomic_uint *count;
    unsigned depth;
};

static void branch(void *arg)
{
    CLEANUP(base_freep) struct tree *t = arg;

    atomic_fetch_add(t->count, 1);
    for (int i = 0; i < 2 && t->depth > 0; i++) {
        struct tree *child = base_alloc(sizeof *child);

        *child = (struct tree){t->pool, t->count, t->depth - 1};
        pool_submit(t->pool, branch, child);
    }
}

static void test_jobs_may_submit_jobs_even_while_the_pool_ends(void **state)
{
    atomic_uint count = 0;
    struct pool *p = pool_new(3);
    struct tree *root = base_alloc(sizeof *root);

    (void)state;
    *root = (struct tree){p, &count, 11};
    pool_submit(p, branch, root);
    pool_free(p);
    assert_int_equal(count, (1 << 12) - 1);
}

/* --- Jobs at once --- */

static void meet(void *arg)
{
    pthread_barrier_wait(arg);
}

/* Ends only if as many threads as asked for run at the same time. */
static void test_as_many_jobs_run_at_once_as_there_are_threads(void **state)
{
    pthread_barrier_t barrier;
    struct pool *p = pool_new(6);

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 6), 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 6; i++)
            pool_submit(p, meet, &barrier);
    }
    pool_free(p);
    pthread_barrier_destroy(&barrier);
}

struct gate {
    atomic_bool reached;
    atomic_bool open;
};

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void wait_at_gate(void *arg)
{
    struct gate *gate = arg;

    atomic_store(&gate->reached, true);
    while (!atomic_load(&gate->open))
        pause_briefly();
}

static void test_who_waits_can_help(void **state)
{
    struct gate gate = {false, false};
    atomic_uint count = 0;
    struct pool *p = pool_new(1);

    (void)state;
    pool_submit(p, wait_at_gate, &gate);
    while (!atomic_load(&gate.reached))
        pause_briefly();
    pool_submit(p, count_one, &count);
    pool_submit(p, count_one, &count);
    /* The only worker is held up; this thread does its work. */
    assert_true(pool_help(p));
    assert_true(pool_help(p));
    assert_false(pool_help(p));
    assert_int_equal(count, 2);
    atomic_store(&gate.open, true);
    pool_free(p);
}

/* --- Queue --- */

static void test_a_queue_keeps_order(void **state)
{
    struct queue *q = queue_new();
    int items[3];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            queue_push(q, &items[i]);
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(queue_pop(q, -1), &items[i]);
    }
    /* What is left in it belongs to whoever pushed it. */
    queue_push(q, &items[0]);
    queue_freep(&q);
    assert_null(q);
}

static void test_an_empty_queue_times_out(void **state)
{
    struct queue *q = queue_new();
    struct timespec before;
    struct timespec after;

    (void)state;
    assert_null(queue_pop(q, 0));
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_null(queue_pop(q, 30));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000 +
                    (after.tv_nsec - before.tv_nsec) / 1000000 >=
                29);
    queue_free(q);
}

struct parcel {
    struct queue *to;
    unsigned value;
};

static void deliver(void *arg)
{
    struct parcel *parcel = arg;

    parcel->value *= 2;
    queue_push(parcel->to, parcel);
}

/* The way of a job: through the pool to a worker, and back through a queue. */
static void test_results_come_back_through_a_queue(void **state)
{
    enum { COUNT = 5000 };
    struct queue *q = queue_new();
    struct pool *p = pool_new(4);
    uint64_t sum = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        struct parcel *parcel = base_alloc(sizeof *parcel);

        *parcel = (struct parcel){q, i};
        pool_submit(p, deliver, parcel);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        CLEANUP(base_freep) struct parcel *parcel = queue_pop(q, -1);

        assert_non_null(parcel);
        sum += parcel->value;
    }
    assert_null(queue_pop(q, 0));
    assert_int_equal(sum, (uint64_t)COUNT * (COUNT - 1));
    pool_free(p);
    queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_job_runs_once),
        cmocka_unit_test(test_a_pool_without_jobs_ends),
        cmocka_unit_test(test_one_thread_runs_jobs_in_order),
        cmocka_unit_test(test_jobs_may_submit_jobs_even_while_the_pool_ends),
        cmocka_unit_test(test_as_many_jobs_run_at_once_as_there_are_threads),
        cmocka_unit_test(test_who_waits_can_help),
        cmocka_unit_test(test_a_queue_keeps_order),
        cmocka_unit_test(test_an_empty_queue_times_out),
        cmocka_unit_test(test_results_come_back_through_a_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
