#include "base/error.h"

#include "base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct source_pos here = {.source = "Dockerfile", .line = 3, .column = 7};

static void test_set_gives_code_and_text(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(error_set(&err, ERROR_CORRUPT, "size %d, not %d", 12, 40), -1);
    assert_true(error_is(&err, ERROR_CORRUPT));
    assert_string_equal(error_text(&err), "size 12, not 40");
    assert_int_equal(err.sys, 0);
    assert_int_equal(err.pos.line, 0);
}

static void test_wrap_puts_context_outermost_first(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    error_at(&err, here, ERROR_INVALID, "no such flag");
    assert_int_equal(error_wrap(&err, "COPY"), -1);
    error_wrap(&err, "stage '%s'", "build");
    assert_string_equal(error_text(&err), "stage 'build': COPY: no such flag");
    assert_true(error_is(&err, ERROR_INVALID));
    assert_int_equal(err.pos.line, 3);
    assert_int_equal(err.pos.column, 7);
}

static void test_sys_takes_errno_and_names_it(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    errno = ENOSPC;
    assert_int_equal(error_sys(&err, "write %s", "blob"), -1);
    assert_int_equal(errno, ENOSPC);
    assert_true(error_is(&err, ERROR_SYSTEM));
    assert_int_equal(err.sys, ENOSPC);
    assert_string_equal(error_text(&err), "write blob: No space left on device");
}

static void test_sys_maps_errno_to_what_callers_act_on(void **state)
{
    static const struct {
        int sys;
        enum error_code code;
    } cases[] = {
        {ENOENT, ERROR_NOT_FOUND}, {EEXIST, ERROR_EXISTS}, {EACCES, ERROR_DENIED},
        {EPERM, ERROR_DENIED},     {EIO, ERROR_SYSTEM},
    };
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        errno = cases[i].sys;
        error_sys(&err, "x");
        assert_int_equal(err.code, cases[i].code);
    }
}

static void test_setting_again_replaces_everything(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    errno = EIO;
    error_sys(&err, "first");
    error_locate(&err, here);
    /* The new text may be made from the old one. */
    error_set(&err, ERROR_LIMIT, "second after %s", error_text(&err));
    assert_true(error_is(&err, ERROR_LIMIT));
    assert_string_equal(error_text(&err), "second after first: Input/output error");
    assert_int_equal(err.sys, 0);
    assert_int_equal(err.pos.line, 0);
}

static void test_locate_keeps_the_innermost_position(void **state)
{
    const struct source_pos outer = {.source = "Dockerfile", .line = 9};
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERROR_INVALID, "x");
    assert_int_equal(error_locate(&err, here), -1);
    error_locate(&err, outer);
    assert_int_equal(err.pos.line, 3);
}

static void test_take_and_move_leave_the_source_empty(void **state)
{
    CLEANUP(error_clear) struct error a = ERROR_INIT;
    CLEANUP(error_clear) struct error b = ERROR_INIT;

    (void)state;
    error_set(&a, ERROR_DENIED, "a");
    error_set(&b, ERROR_INVALID, "b");
    assert_int_equal(error_move(&b, &a), -1);
    assert_true(error_is(&a, ERROR_NONE));
    assert_null(a.chain);
    assert_string_equal(error_text(&b), "a");

    CLEANUP(error_clear) struct error c = error_take(&b);

    assert_true(error_is(&b, ERROR_NONE));
    assert_true(error_is(&c, ERROR_DENIED));
}

static void test_clear_is_idempotent_and_keeps_errno(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERROR_DENIED, "a");
    errno = EAGAIN;
    error_clear(&err);
    error_clear(&err);
    assert_int_equal(errno, EAGAIN);
    assert_true(error_is(&err, ERROR_NONE));
    assert_non_null(error_text(&err));
}

static void test_every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = ERROR_NONE; a <= ERROR_USAGE; a++) {
        assert_string_not_equal(error_code_name((enum error_code)a), "unknown");
        for (int b = a + 1; b <= ERROR_USAGE; b++)
            assert_string_not_equal(error_code_name((enum error_code)a),
                                    error_code_name((enum error_code)b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_gives_code_and_text),
        cmocka_unit_test(test_wrap_puts_context_outermost_first),
        cmocka_unit_test(test_sys_takes_errno_and_names_it),
        cmocka_unit_test(test_sys_maps_errno_to_what_callers_act_on),
        cmocka_unit_test(test_setting_again_replaces_everything),
        cmocka_unit_test(test_locate_keeps_the_innermost_position),
        cmocka_unit_test(test_take_and_move_leave_the_source_empty),
        cmocka_unit_test(test_clear_is_idempotent_and_keeps_errno),
        cmocka_unit_test(test_every_code_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
