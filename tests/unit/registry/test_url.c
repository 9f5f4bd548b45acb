#include "fixture.h"

#include "base/alloc.h"
#include "registry/retry.h"
#include "registry/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_urls_are_taken_apart(void **state)
{
    struct registry_url u;
    struct error err = ERROR_INIT;

    (void)state;
    OK(registry_url_parse(VIEW_LIT("https://[::1]:5000/v2/x?a=b#c"), &u, &err), &err);
    assert_true(u.is_https);
    assert_true(view_eq_text(u.authority, "[::1]:5000"));
    assert_true(view_eq_text(u.host, "::1"));
    assert_true(view_eq_text(u.port, "5000"));
    assert_true(view_eq_text(u.path, "/v2/x?a=b"));
    OK(registry_url_parse(VIEW_LIT("http://h"), &u, &err), &err);
    assert_false(u.is_https);
    assert_int_equal(u.port.size, 0);
    assert_int_equal(u.path.size, 0);
}

static void test_odd_urls_are_refused_without_repeating_them(void **state)
{
    static const char *const cases[] = {
        "",
        "ftp://h/geheim",
        "http:/h/geheim",
        "http://",
        "http:///geheim",
        "http://u:geheim@h/",
        "http://h:99999/geheim",
        "http://h:x/geheim",
        "http://[::1/geheim",
        "http://[::1]x/geheim",
        "http://h/geheim\r\nHost: x",
        "http://h/ geheim",
        "HTTP://h/geheim",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct registry_url u;
        struct error err = ERROR_INIT;

        assert_int_equal(registry_url_parse(view_of(cases[i]), &u, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        assert_null(strstr(error_text(&err), "geheim"));
        error_clear(&err);
    }
}

static void test_locations_are_resolved_against_where_they_came_from(void **state)
{
    static const struct {
        const char *location, *want;
    } cases[] = {
        {"/v2/u/1?x=y", "https://h:1/v2/u/1?x=y"},
        {"http://other/x", "http://other/x"},
        {"//other/x", "https://other/x"},
        {"next", "https://h:1/a/next"},
        {"file:///etc/passwd", NULL},
        {"javascript:1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(base_freep)
        char *got =
            registry_url_resolve("https://h:1/a/b?q=/", view_of(cases[i].location), &err);

        if (cases[i].want)
            assert_string_equal(got, cases[i].want);
        else
            assert_null(got);
        error_clear(&err);
    }
}

static void test_origins_compare_with_default_ports_filled_in(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"https://h/x", "https://H:443/y", true}, {"http://h", "http://h:80", true},
        {"https://h", "http://h", false},         {"https://h", "https://h:444", false},
        {"https://h", "https://hh", false},       {"http://h:443", "https://h", false},
    };
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct registry_url a, b;

        OK(registry_url_parse(view_of(cases[i].a), &a, &err), &err);
        OK(registry_url_parse(view_of(cases[i].b), &b, &err), &err);
        assert_int_equal(registry_url_same_origin(&a, &b), cases[i].same);
    }
}

static void test_queries_are_percent_encoded(void **state)
{
    CLEANUP(base_freep)
    char *first = registry_url_add_query("/u", "a", VIEW_LIT("sha256:x/y z&"));
    CLEANUP(base_freep) char *second = registry_url_add_query(first, "b", VIEW_LIT(""));

    (void)state;
    assert_string_equal(second, "/u?a=sha256%3Ax%2Fy%20z%26&b=");
}

static void test_loopback_is_recognised(void **state)
{
    static const char *const yes[] = {"localhost", "LOCALHOST", "a.localhost",
                                      "127.0.0.1", "127.9.9.9", "::1"};
    static const char *const no[] = {"localhost.x", "128.0.0.1",   "0127.0.0.1",
                                     "::2",         "127.0.0.1.x", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++)
        assert_true(registry_url_is_loopback(view_of(yes[i])));
    for (size_t i = 0; i < ARRAY_COUNT(no); i++)
        assert_false(registry_url_is_loopback(view_of(no[i])));
}

static void test_retry_after_is_seconds_or_a_date(void **state)
{
    uint64_t s;

    (void)state;
    assert_true(registry_retry_after_parse(VIEW_LIT("120"), 0, &s));
    assert_int_equal(s, 120);
    assert_true(registry_retry_after_parse(VIEW_LIT("Sun, 06 Nov 1994 08:49:37 GMT"),
                                           784111770, &s));
    assert_int_equal(s, 7);
    assert_true(registry_retry_after_parse(VIEW_LIT("Sun, 06 Nov 1994 08:49:37 GMT"),
                                           784111999, &s));
    assert_int_equal(s, 0);
    assert_false(registry_retry_after_parse(VIEW_LIT("soon"), 0, &s));
    assert_false(registry_retry_after_parse(VIEW_LIT("-1"), 0, &s));
}

static void test_waiting_ends_with_the_tries_or_by_the_flag(void **state)
{
    atomic_bool cancelled = false;
    const struct registry_retry_policy policy = {
        .attempts = 3, .backoff_ms = 1, .cancelled = &cancelled};
    struct registry_retry r = {.policy = &policy};

    (void)state;
    assert_true(registry_retry_wait(&r, NULL, (struct view){"", 0}));
    assert_true(registry_retry_wait(&r, NULL, VIEW_LIT("0")));
    assert_false(registry_retry_wait(&r, NULL, (struct view){"", 0}));
    r.made = 0;
    atomic_store(&cancelled, true);
    assert_false(registry_retry_wait(&r, NULL, VIEW_LIT("60")));
}

/* The wait is no part of the promise; that there are few tries is. */
static void test_where_nobody_listens_is_asked_three_times_at_most(void **state)
{
    const struct registry_retry_policy policy = {.attempts = 9, .backoff_ms = 60000};
    const struct error refused = {.code = ERROR_NETWORK, .sys = ECONNREFUSED};
    struct registry_retry r = {.policy = &policy};

    (void)state;
    assert_true(registry_retry_wait(&r, &refused, VIEW_LIT("")));
    assert_true(registry_retry_wait(&r, &refused, VIEW_LIT("")));
    assert_false(registry_retry_wait(&r, &refused, VIEW_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_are_taken_apart),
        cmocka_unit_test(test_odd_urls_are_refused_without_repeating_them),
        cmocka_unit_test(test_locations_are_resolved_against_where_they_came_from),
        cmocka_unit_test(test_origins_compare_with_default_ports_filled_in),
        cmocka_unit_test(test_queries_are_percent_encoded),
        cmocka_unit_test(test_loopback_is_recognised),
        cmocka_unit_test(test_retry_after_is_seconds_or_a_date),
        cmocka_unit_test(test_waiting_ends_with_the_tries_or_by_the_flag),
        cmocka_unit_test(test_where_nobody_listens_is_asked_three_times_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
