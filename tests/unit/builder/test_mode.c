#include "builder/mode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void mode_is(const char *text, uint32_t from, bool is_dir, uint32_t want)
{
    struct error err = ERROR_INIT;
    uint32_t got;

    if (build_mode_check(view_of(text), &err) < 0)
        fail_msg("%s: %s", text, error_text(&err));
    got = build_mode_apply(view_of(text), from, is_dir);
    if (got != want)
        fail_msg("%s of %o: %o, not %o", text, from, got, want);
}

static void is_refused(const char *text)
{
    struct error err = ERROR_INIT;

    if (build_mode_check(view_of(text), &err) == 0)
        fail_msg("%s was accepted", text);
    assert_int_equal(err.code, ERROR_INVALID);
    error_clear(&err);
}

static void test_octal_replaces_the_mode(void **state)
{
    (void)state;
    mode_is("0", 0777, false, 0);
    mode_is("644", 0777, false, 0644);
    mode_is("0644", 04777, true, 0644);
    mode_is("7777", 0, false, 07777);
    mode_is("0000755", 0, false, 0755);
}

static void test_symbolic_changes_what_it_names(void **state)
{
    (void)state;
    mode_is("u+x", 0644, false, 0744);
    mode_is("+x", 0644, false, 0755);
    mode_is("a-w", 0666, false, 0444);
    mode_is("go=", 0777, false, 0700);
    mode_is("u=rw,go=r", 0777, false, 0644);
    mode_is("u=rwx,g=u,o=g", 0, false, 0777);
    mode_is("g=u-w", 0640, false, 0640);
    mode_is("ug+rw-x", 0751, false, 0661);
}

static void test_capital_x_is_for_directories_and_programs(void **state)
{
    (void)state;
    mode_is("a+X", 0644, false, 0644);
    mode_is("a+X", 0644, true, 0755);
    mode_is("a+X", 0744, false, 0755);
    mode_is("u=rwX,go=rX", 0600, true, 0755);
    mode_is("u=rwX,go=rX", 0600, false, 0644);
}

static void test_set_id_and_sticky_bits(void **state)
{
    (void)state;
    mode_is("u+s", 0755, false, 04755);
    mode_is("g+s", 0755, true, 02755);
    mode_is("+t", 0777, true, 01777);
    mode_is("u-s", 04755, false, 0755);
    mode_is("o+s", 0755, false, 0755);
}

static void test_a_class_is_copied_without_set_id_bits(void **state)
{
    (void)state;
    mode_is("u=g", 04750, false, 04550);
    mode_is("u=", 04750, false, 0050);
    mode_is("g=u", 02740, false, 02770);
    mode_is("go=u-w", 0700, false, 0755);
    mode_is("u=rg", 04710, false, 0110);
    mode_is("o+u", 0710, false, 0717);
}

static void test_nonsense_is_refused(void **state)
{
    static const char *const texts[] = {
        "",    "8",   "0o755", "10000", "77777777777777777777",
        "u",   "rwx", "u+q",   "u+x,",  ",u+x",
        "z=r", "u x", "-1",    " 755",  "755 "};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        is_refused(texts[i]);
}

static void test_only_octal_is_octal(void **state)
{
    uint32_t mode = 1;

    (void)state;
    assert_true(build_mode_octal(VIEW_LIT("0750"), &mode));
    assert_int_equal(mode, 0750);
    assert_false(build_mode_octal(VIEW_LIT("u+x"), &mode));
    assert_false(build_mode_octal(VIEW_LIT(""), &mode));
    assert_false(build_mode_octal(VIEW_LIT("17777"), &mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_octal_replaces_the_mode),
        cmocka_unit_test(test_symbolic_changes_what_it_names),
        cmocka_unit_test(test_capital_x_is_for_directories_and_programs),
        cmocka_unit_test(test_set_id_and_sticky_bits),
        cmocka_unit_test(test_a_class_is_copied_without_set_id_bits),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_only_octal_is_octal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
