#include "cli/build_value.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cli_texts texts(const char *const *items)
{
    struct cli_texts list = {0};

    for (; *items != NULL; items++)
        cli_texts_add(&list, *items);
    return list;
}

#define TEXTS(...)                                                                         \
    CLEANUP(cli_texts_release)                                                             \
    struct cli_texts from = texts((const char *const[]){__VA_ARGS__, NULL})

static void test_a_build_argument_without_value_is_left_to_the_environment(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_pairs_release) struct cli_pairs pairs = {0};
    TEXTS("A=1=2", "B", "C=");

    (void)state;
    assert_int_equal(cli_build_args(&from, &pairs, &err), 0);
    assert_int_equal(pairs.count, 3);
    assert_string_equal(pairs.items[0].name, "A");
    assert_string_equal(pairs.items[0].value, "1=2");
    assert_null(pairs.items[1].value);
    assert_string_equal(pairs.items[2].value, "");
}

static void test_hosts_take_either_separator_and_ipv6(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_pairs_release) struct cli_pairs pairs = {0};
    TEXTS("a:1.2.3.4", "b=::1", "c:[::1]");

    (void)state;
    assert_int_equal(cli_build_hosts(&from, &pairs, &err), 0);
    assert_string_equal(pairs.items[0].value, "1.2.3.4");
    assert_string_equal(pairs.items[1].value, "::1");
    assert_string_equal(pairs.items[2].value, "::1");
}

static void test_a_secret_is_a_file_a_variable_or_what_its_id_names(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_secrets_release) struct cli_secrets secrets = {0};
    TEXTS("id=a,src=/f", "id=b,env=V", "type=env,id=c,src=W", "id=TEST_SECRET_SET",
          "id=TEST_SECRET_UNSET", "\"id=d,e\",source=g");

    (void)state;
    setenv("TEST_SECRET_SET", "1", 1);
    unsetenv("TEST_SECRET_UNSET");
    assert_int_equal(cli_build_secrets(&from, &secrets, &err), 0);
    assert_string_equal(secrets.items[0].file, "/f");
    assert_null(secrets.items[0].env);
    assert_string_equal(secrets.items[1].env, "V");
    assert_string_equal(secrets.items[2].env, "W");
    assert_null(secrets.items[2].file);
    assert_string_equal(secrets.items[3].env, "TEST_SECRET_SET");
    assert_string_equal(secrets.items[4].file, "TEST_SECRET_UNSET");
    assert_string_equal(secrets.items[5].id, "d,e");
}

static void test_secrets_with_unknown_keys_are_refused(void **state)
{
    static const char *const wrong[] = {"id=a,mode=0400", "src", "env=", "type=x,id=a",
                                        "id=\"a"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(cli_secrets_release) struct cli_secrets secrets = {0};
        TEXTS(wrong[i]);

        assert_int_equal(cli_build_secrets(&from, &secrets, &err), -1);
        assert_int_equal(err.code, ERROR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_build_argument_without_value_is_left_to_the_environment),
        cmocka_unit_test(test_hosts_take_either_separator_and_ipv6),
        cmocka_unit_test(test_a_secret_is_a_file_a_variable_or_what_its_id_names),
        cmocka_unit_test(test_secrets_with_unknown_keys_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
