#include "base/event.h"

#include "base/log.h"
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    atomic_uint count;
    struct event last;
};

static void remember(void *context, const struct event *event)
{
    struct seen *seen = context;

    atomic_fetch_add(&seen->count, 1);
    seen->last = *event;
}

static void test_an_event_reaches_the_sink_with_its_time(void **state)
{
    struct seen seen = {0};
    const struct event_sink sink = {remember, &seen};

    (void)state;
    event_send(&sink, (struct event){.type = EVENT_STEP_START, .step = 3, .name = "RUN x"});

    const uint64_t first = seen.last.time_ns;

    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.step, 3);
    assert_string_equal(seen.last.name, "RUN x");
    assert_true(first > 0);
    event_send(&sink, (struct event){.type = EVENT_STEP_DONE, .step = 3});
    assert_true(seen.last.time_ns >= first);
}

static void test_no_sink_is_silence(void **state)
{
    const struct event_sink mute = {NULL, NULL};

    (void)state;
    event_send(NULL, (struct event){.type = EVENT_NOTE});
    event_send(&mute, (struct event){.type = EVENT_NOTE});
}

static void count_event(void *context, const struct event *event)
{
    if (event->type == EVENT_PROGRESS)
        atomic_fetch_add((atomic_uint *)context, 1);
}

static void send_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        event_send(arg, (struct event){.type = EVENT_PROGRESS});
}

static void test_threads_may_send_at_once(void **state)
{
    atomic_uint count = 0;
    const struct event_sink sink = {count_event, &count};
    struct pool *p = pool_new(4);
    struct event_sink shared = sink;

    (void)state;
    for (int i = 0; i < 4; i++)
        pool_submit(p, send_many, &shared);
    pool_free(p);
    assert_int_equal(count, 4000);
}

/* --- Log: standard error is a file meanwhile --- */

static long logged_bytes(void)
{
    FILE *file = tmpfile();
    const int saved = dup(STDERR_FILENO);

    assert_non_null(file);
    assert_true(saved >= 0);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    log_debug("state %s -> %s", "a", "b");
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    fseek(file, 0, SEEK_END);

    const long size = ftell(file);

    fclose(file);
    return size;
}

static void test_the_log_is_silent_until_it_is_switched_on(void **state)
{
    (void)state;
    assert_false(log_enabled());
    assert_int_equal(logged_bytes(), 0);
    log_init(true);
    assert_true(log_enabled());
    assert_true(logged_bytes() > 0);
    log_init(false);
    assert_int_equal(logged_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_reaches_the_sink_with_its_time),
        cmocka_unit_test(test_no_sink_is_silence),
        cmocka_unit_test(test_threads_may_send_at_once),
        cmocka_unit_test(test_the_log_is_silent_until_it_is_switched_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
