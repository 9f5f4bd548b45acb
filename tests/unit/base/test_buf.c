#include "base/buf.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_appends_end_in_nul(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);

    (void)state;
    assert_string_equal(buf_text(&b), "");
    buf_append_text(&b, "one");
    buf_append_char(&b, ' ');
    buf_append_view(&b, VIEW_LIT("two"));
    buf_printf(&b, " %d", 3);
    assert_string_equal(buf_text(&b), "one two 3");
    assert_int_equal(b.size, 9);
    assert_int_equal(b.data[b.size], 0);
}

static void test_grows_over_many_appends(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(1 << 20);

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_append_char(&b, (char)('a' + i % 26));
    assert_false(b.failed);
    assert_int_equal(b.size, 100000);
    for (size_t i = 0; i < b.size; i++)
        assert_int_equal(b.data[i], 'a' + (int)(i % 26));
}

static void test_exactly_the_maximum_fits(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(4);
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    buf_append_text(&b, "1234");
    assert_int_equal(buf_ok(&b, "text", &err), 0);
    assert_string_equal(buf_text(&b), "1234");
}

static void test_past_the_maximum_fails_and_stays_failed(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(4);
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    buf_append_text(&b, "123");
    buf_append_text(&b, "45");
    assert_true(b.failed);
    /* This one would fit, but the text would have a hole. */
    buf_append_char(&b, '6');
    buf_printf(&b, "%d", 7);
    assert_null(buf_reserve(&b, 0));
    assert_string_equal(buf_text(&b), "123");
    assert_int_equal(buf_ok(&b, "the manifest", &err), -1);
    assert_true(error_is(&err, ERROR_LIMIT));
    assert_string_equal(error_text(&err), "the manifest is larger than 4 bytes");
}

static void test_clear_forgets_the_failure_and_the_bytes(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(4);

    (void)state;
    buf_append_text(&b, "too long");
    buf_clear(&b);
    buf_append_text(&b, "ok");
    assert_false(b.failed);
    assert_string_equal(buf_text(&b), "ok");
}

static void test_reserving_does_not_overflow(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(SIZE_MAX);

    (void)state;
    buf_append_text(&b, "x");
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
}

static void test_reserve_and_commit_count_in_what_was_written(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(100);
    char *room = buf_reserve(&b, 50);

    (void)state;
    assert_non_null(room);
    assert_string_equal(buf_text(&b), "");
    memcpy(room, "abc", 3);
    buf_commit(&b, 3);
    assert_string_equal(buf_text(&b), "abc");
}

static void test_integers_are_little_endian(void **state)
{
    static const unsigned char expected[] = {4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1};
    CLEANUP(buf_release) struct buf b = BUF_INIT(100);

    (void)state;
    buf_append_u32le(&b, 0x01020304);
    buf_append_u64le(&b, 0x0102030405060708);
    assert_int_equal(b.size, sizeof expected);
    assert_memory_equal(b.data, expected, sizeof expected);
}

static void test_take_gives_the_bytes_away(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(100);
    CLEANUP(base_freep) char *empty = buf_take(&b);

    (void)state;
    assert_string_equal(empty, "");
    buf_append_text(&b, "mine");

    CLEANUP(base_freep) char *taken = buf_take(&b);

    assert_string_equal(taken, "mine");
    assert_int_equal(b.size, 0);
    assert_int_equal(b.max, 100);
    buf_append_text(&b, "again");
    assert_string_equal(buf_text(&b), "again");
    assert_string_equal(taken, "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_end_in_nul),
        cmocka_unit_test(test_grows_over_many_appends),
        cmocka_unit_test(test_exactly_the_maximum_fits),
        cmocka_unit_test(test_past_the_maximum_fails_and_stays_failed),
        cmocka_unit_test(test_clear_forgets_the_failure_and_the_bytes),
        cmocka_unit_test(test_reserving_does_not_overflow),
        cmocka_unit_test(test_reserve_and_commit_count_in_what_was_written),
        cmocka_unit_test(test_integers_are_little_endian),
        cmocka_unit_test(test_take_gives_the_bytes_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
