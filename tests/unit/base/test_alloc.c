#include "base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_memory_comes_zeroed(void **state)
{
    CLEANUP(base_freep) unsigned char *p = base_alloc(1000);
    CLEANUP(base_freep) unsigned char *q = base_alloc_array(10, 100);

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(p[i] | q[i], 0);
}

static void test_a_size_of_zero_is_an_address(void **state)
{
    CLEANUP(base_freep) void *p = base_alloc(0);
    CLEANUP(base_freep) void *q = base_alloc_array(0, 8);

    (void)state;
    assert_non_null(p);
    assert_non_null(q);
}

static void overflow(void)
{
    /* volatile: the compiler would rightly refuse constants. */
    volatile size_t many = SIZE_MAX / 2;

    free(base_alloc_array(many, 4));
}

static void test_an_overflowing_product_aborts(void **state)
{
    int status = 0;
    const pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        overflow();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    /* The sanitizers end the process themselves, with a code of their own. */
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_text_is_copied_and_formatted(void **state)
{
    CLEANUP(base_freep) char *a = base_strdup("text");
    CLEANUP(base_freep) char *b = base_strndup("text", 2);
    CLEANUP(base_freep) char *c = base_format("%s-%d", "x", 7);

    (void)state;
    assert_string_equal(a, "text");
    assert_string_equal(b, "te");
    assert_string_equal(c, "x-7");
    assert_null(base_strdup(NULL));
}

static void test_freep_empties_the_variable_and_keeps_errno(void **state)
{
    char *p = base_strdup("x");

    (void)state;
    errno = EINTR;
    base_freep(&p);
    assert_null(p);
    base_freep(&p);
    assert_int_equal(errno, EINTR);
}

static void test_grow_keeps_what_is_there(void **state)
{
    CLEANUP(base_freep) size_t *array = NULL;
    size_t capacity = 0;

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        array = base_grow(array, i, &capacity, sizeof *array);
        assert_true(capacity > i);
        array[i] = i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
}

static void test_sums_and_products_are_checked(void **state)
{
    size_t n = 0;

    (void)state;
    assert_true(size_add(1, 2, &n) && n == 3);
    assert_true(size_mul(3, 4, &n) && n == 12);
    assert_false(size_add(SIZE_MAX, 1, &n));
    assert_false(size_mul(SIZE_MAX / 2, 3, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_comes_zeroed),
        cmocka_unit_test(test_a_size_of_zero_is_an_address),
        cmocka_unit_test(test_an_overflowing_product_aborts),
        cmocka_unit_test(test_text_is_copied_and_formatted),
        cmocka_unit_test(test_freep_empties_the_variable_and_keeps_errno),
        cmocka_unit_test(test_grow_keeps_what_is_there),
        cmocka_unit_test(test_sums_and_products_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
