#include "cas/digest_set.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct digest numbered(unsigned i)
{
    char text[16];
    const int size = snprintf(text, sizeof text, "%u", i);

    return digest_of(DIGEST_SHA256, (struct view){text, (size_t)size});
}

static void test_an_empty_set_has_nothing(void **state)
{
    CLEANUP(digest_set_release) struct digest_set set = {0};
    const struct digest d = numbered(0);

    (void)state;
    assert_false(digest_set_has(&set, &d));
}

static void test_what_was_added_is_there_and_nothing_else(void **state)
{
    CLEANUP(digest_set_release) struct digest_set set = {0};

    (void)state;
    for (unsigned i = 0; i < 2000; i += 2) {
        const struct digest d = numbered(i);
        assert_true(digest_set_add(&set, &d));
        assert_false(digest_set_add(&set, &d));
    }
    assert_int_equal(set.count, 1000);
    for (unsigned i = 0; i < 2000; i++) {
        const struct digest d = numbered(i);
        assert_int_equal(digest_set_has(&set, &d), i % 2 == 0);
    }
}

static void test_colliding_digests_are_told_apart(void **state)
{
    CLEANUP(digest_set_release) struct digest_set set = {0};
    struct digest a = {.alg = DIGEST_SHA256, .bytes = {1}};
    struct digest b = a;

    (void)state;
    b.bytes[31] = 1;
    assert_true(digest_set_add(&set, &a));
    assert_false(digest_set_has(&set, &b));
    assert_true(digest_set_add(&set, &b));
    assert_true(digest_set_has(&set, &a));
    assert_true(digest_set_has(&set, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_set_has_nothing),
        cmocka_unit_test(test_what_was_added_is_there_and_nothing_else),
        cmocka_unit_test(test_colliding_digests_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
