#include "fixture.h"

#include "registry/auth.h"

#include <string.h>

static void parse(const char *text, struct registry_challenge_list *out)
{
    struct error err = ERROR_INIT;

    OK(registry_challenge_parse(view_of(text), out, &err), &err);
}

static void test_bearer_parameters_are_read(void **state)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};

    (void)state;
    parse(
        "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
        "scope=\"repository:a/b:pull,push repository:c:pull\" , error = insufficient_scope",
        &l);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.items[0].scheme, REGISTRY_AUTH_BEARER);
    assert_string_equal(l.items[0].realm, "https://auth.docker.io/token");
    assert_string_equal(l.items[0].service, "registry.docker.io");
    assert_string_equal(l.items[0].scope, "repository:a/b:pull,push repository:c:pull");
    assert_string_equal(l.items[0].error, "insufficient_scope");
}

static void test_several_challenges_in_one_header_are_told_apart(void **state)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};

    (void)state;
    parse("Negotiate dG9rZW4=, Basic realm=\"a, b\", charset=\"UTF-8\",, bearer realm=x, "
          "Digest",
          &l);
    assert_int_equal(l.count, 4);
    assert_int_equal(l.items[0].scheme, REGISTRY_AUTH_OTHER);
    assert_null(l.items[0].realm);
    assert_int_equal(l.items[1].scheme, REGISTRY_AUTH_BASIC);
    assert_string_equal(l.items[1].realm, "a, b");
    assert_int_equal(l.items[2].scheme, REGISTRY_AUTH_BEARER);
    assert_string_equal(l.items[2].realm, "x");
    assert_int_equal(l.items[3].scheme, REGISTRY_AUTH_OTHER);
}

static void test_headers_add_up(void **state)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};

    (void)state;
    parse("Basic", &l);
    parse("", &l);
    parse("Bearer realm=\"y\\\"z\"", &l);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.items[1].realm, "y\"z");
}

static void test_first_of_repeated_parameters_counts(void **state)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};

    (void)state;
    parse("Bearer realm=a, REALM=b", &l);
    assert_string_equal(l.items[0].realm, "a");
}

static void test_malformed_challenges_leave_the_list_alone(void **state)
{
    static const char *const cases[] = {
        "=",
        "\"",
        "Bearer realm=\"x",
        "Bearer realm=\"x\\",
        "Bearer realm=\"a\nb\"",
        "Bearer realm=\"x\"y\"z\"",
        "Bearer\x01",
        "Basic, Bearer realm=\"",
    };
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};

    (void)state;
    parse("Basic realm=\"kept\"", &l);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = ERROR_INIT;
        const int rc = registry_challenge_parse(view_of(cases[i]), &l, &err);

        if (rc == 0)
            fail_msg("accepted: %s", cases[i]);
        assert_int_equal(err.code, ERROR_INVALID);
        error_clear(&err);
    }
    assert_string_equal(l.items[0].realm, "kept");
}

static void test_trailing_equals_sign_makes_a_token68(void **state)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};

    (void)state;
    parse("Bearer realm=, Basic", &l);
    assert_int_equal(l.count, 2);
    assert_null(l.items[0].realm);
}

static void test_endless_lists_are_refused(void **state)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(100000);
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_append_text(&text, "Basic, ");
    assert_int_equal(registry_challenge_parse(buf_view(&text), &l, &err), -1);
    assert_int_equal(l.count, 0);
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bearer_parameters_are_read),
        cmocka_unit_test(test_several_challenges_in_one_header_are_told_apart),
        cmocka_unit_test(test_headers_add_up),
        cmocka_unit_test(test_first_of_repeated_parameters_counts),
        cmocka_unit_test(test_malformed_challenges_leave_the_list_alone),
        cmocka_unit_test(test_trailing_equals_sign_makes_a_token68),
        cmocka_unit_test(test_endless_lists_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
