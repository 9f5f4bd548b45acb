#include "base/view.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct view empty = {NULL, 0};

static void test_equality_knows_size_and_bytes(void **state)
{
    (void)state;
    assert_true(view_eq(empty, VIEW_LIT("")));
    assert_true(view_eq_text(VIEW_LIT("abc"), "abc"));
    assert_false(view_eq_text(VIEW_LIT("abc"), "ab"));
    assert_false(view_eq_text(VIEW_LIT("a\0c"), "a"));
    assert_true(view_eq_nocase(VIEW_LIT("FrOm"), "from"));
    assert_false(view_eq_nocase(VIEW_LIT("FrOm"), "fro"));
    /* '@' and '`' differ by the bit that tells the letters' case. */
    assert_false(view_eq_nocase(VIEW_LIT("@"), "`"));
}

static void test_starts_and_ends(void **state)
{
    (void)state;
    assert_true(view_starts(VIEW_LIT("sha256:x"), "sha256:"));
    assert_false(view_starts(VIEW_LIT("sha"), "sha256:"));
    assert_true(view_ends(VIEW_LIT("a.tar"), ".tar"));
    assert_false(view_ends(VIEW_LIT("tar"), ".tar"));
    assert_true(view_starts(empty, ""));
    assert_true(view_ends(empty, ""));
}

static void test_order_is_bytewise_and_unsigned(void **state)
{
    (void)state;
    assert_true(view_compare(VIEW_LIT("a"), VIEW_LIT("b")) < 0);
    assert_true(view_compare(VIEW_LIT("a"), VIEW_LIT("ab")) < 0);
    assert_true(view_compare(VIEW_LIT("\xff"), VIEW_LIT("a")) > 0);
    assert_true(view_compare(VIEW_LIT("same"), VIEW_LIT("same")) == 0);
    assert_true(view_compare(empty, VIEW_LIT("")) == 0);
    assert_true(view_compare(empty, VIEW_LIT("a")) < 0);
}

static void test_trim_takes_ascii_space_off_both_sides(void **state)
{
    (void)state;
    assert_true(view_eq_text(view_trim(VIEW_LIT(" \t\r\n a b \v\f")), "a b"));
    assert_int_equal(view_trim(VIEW_LIT("  \n")).size, 0);
    assert_int_equal(view_trim(empty).size, 0);
}

static void test_sub_is_clamped(void **state)
{
    (void)state;
    assert_true(view_eq_text(view_sub(VIEW_LIT("abcdef"), 2, 2), "cd"));
    assert_true(view_eq_text(view_sub(VIEW_LIT("abc"), 1, SIZE_MAX), "bc"));
    assert_int_equal(view_sub(VIEW_LIT("abc"), 7, 1).size, 0);
    assert_int_equal(view_sub(empty, 1, 1).size, 0);
}

static void test_cut_splits_at_the_first_separator(void **state)
{
    struct view rest = VIEW_LIT("a=b=c");
    struct view head;

    (void)state;
    assert_true(view_cut(rest, '=', &head, &rest));
    assert_true(view_eq_text(head, "a"));
    assert_true(view_eq_text(rest, "b=c"));
    assert_true(view_cut(VIEW_LIT("="), '=', &head, &rest));
    assert_int_equal(head.size, 0);
    assert_int_equal(rest.size, 0);
    assert_false(view_cut(VIEW_LIT("abc"), '=', &head, &rest));
    assert_true(view_eq_text(head, "abc"));
    assert_int_equal(rest.size, 0);
}

static void test_numbers_are_digits_within_64_bits(void **state)
{
    uint64_t n = 0;

    (void)state;
    assert_true(view_to_u64(VIEW_LIT("0"), &n));
    assert_int_equal(n, 0);
    assert_true(view_to_u64(VIEW_LIT("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);
    assert_false(view_to_u64(VIEW_LIT("18446744073709551616"), &n));
    assert_false(view_to_u64(VIEW_LIT("99999999999999999999"), &n));
    assert_false(view_to_u64(VIEW_LIT(""), &n));
    assert_false(view_to_u64(VIEW_LIT("-1"), &n));
    assert_false(view_to_u64(VIEW_LIT("+1"), &n));
    assert_false(view_to_u64(VIEW_LIT(" 1"), &n));
    assert_false(view_to_u64(VIEW_LIT("1x"), &n));
}

static void test_dup_ends_in_nul(void **state)
{
    CLEANUP(base_freep) char *part = view_dup(view_sub(VIEW_LIT("abcdef"), 1, 2));
    CLEANUP(base_freep) char *none = view_dup(empty);

    (void)state;
    assert_string_equal(part, "bc");
    assert_string_equal(none, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality_knows_size_and_bytes),
        cmocka_unit_test(test_starts_and_ends),
        cmocka_unit_test(test_order_is_bytewise_and_unsigned),
        cmocka_unit_test(test_trim_takes_ascii_space_off_both_sides),
        cmocka_unit_test(test_sub_is_clamped),
        cmocka_unit_test(test_cut_splits_at_the_first_separator),
        cmocka_unit_test(test_numbers_are_digits_within_64_bits),
        cmocka_unit_test(test_dup_ends_in_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
