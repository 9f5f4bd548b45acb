#include "builder/link_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_thousands_of_keys_are_kept_apart(void **state)
{
    enum { COUNT = 5000 };
    struct build_link_names l = {0};
    char path[16];

    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        const uint64_t key[2] = {i / 7, i};

        if (i > 0)
            assert_null(build_link_names_find(&l, key));
        snprintf(path, sizeof path, "p%d", (int)i);
        build_link_names_add(&l, key, view_of(path));
    }
    for (uint64_t i = 1; i < COUNT; i++) {
        const uint64_t key[2] = {i / 7, i};

        snprintf(path, sizeof path, "p%d", (int)i);
        assert_string_equal(build_link_names_find(&l, key), path);
    }
    build_link_names_release(&l);
    build_link_names_release(&l);
}

static void test_the_only_name_is_never_remembered(void **state)
{
    const uint64_t none[2] = {0, 0};
    struct build_link_names l = {0};

    (void)state;
    build_link_names_add(&l, none, VIEW_LIT("a"));
    assert_null(build_link_names_find(&l, none));
    assert_int_equal(l.count, 0);
    build_link_names_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousands_of_keys_are_kept_apart),
        cmocka_unit_test(test_the_only_name_is_never_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
