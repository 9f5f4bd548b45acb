#include "cli/format.h"

#include "base/limits.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_sizes_as_docker_writes_them(void **state)
{
    (void)state;
    assert_string_equal(cli_format_size(0).text, "0B");
    assert_string_equal(cli_format_size(999).text, "999B");
    assert_string_equal(cli_format_size(1000).text, "1kB");
    assert_string_equal(cli_format_size(1144123).text, "1.14MB");
    assert_string_equal(cli_format_size(12345678901).text, "12.3GB");
    assert_string_equal(cli_format_size(UINT64_MAX).text, "18.4EB");
}

static void test_durations_as_docker_writes_them(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {-5, "Less than a second"}, {0, "Less than a second"}, {1, "1 second"},
        {59, "59 seconds"},         {60, "About a minute"},    {120, "2 minutes"},
        {3600, "About an hour"},    {7200, "2 hours"},         {47 * 3600, "47 hours"},
        {48 * 3600, "2 days"},      {14 * 86400, "2 weeks"},   {60 * 86400, "2 months"},
        {730 * 86400, "2 years"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_string_equal(cli_format_duration(cases[i].seconds).text, cases[i].text);
}

static void test_times_are_read_with_fractions_and_zones(void **state)
{
    int64_t time = 0;

    (void)state;
    assert_true(cli_time_parse("1970-01-01T00:00:10Z", &time));
    assert_int_equal(time, 10);
    assert_true(cli_time_parse("2023-11-14T22:13:20.123456789Z", &time));
    assert_int_equal(time, 1700000000);
    assert_true(cli_time_parse("2023-11-15T00:13:20+02:00", &time));
    assert_int_equal(time, 1700000000);
    assert_false(cli_time_parse("yesterday", &time));
    assert_false(cli_time_parse("2023-11-14T22:13:20", &time));
    assert_false(cli_time_parse(NULL, &time));
}

static void test_an_age_is_seen_from_now_and_absent_without_a_time(void **state)
{
    (void)state;
    assert_string_equal(cli_format_age("1970-01-01T00:00:00Z", 120).text, "2 minutes ago");
    assert_string_equal(cli_format_age("0001-01-01T00:00:00Z", 120).text, "N/A");
    assert_string_equal(cli_format_age(NULL, 120).text, "N/A");
}

static void test_times_are_written_with_nanoseconds_if_there_are_any(void **state)
{
    (void)state;
    assert_string_equal(cli_format_time(1700000000, 0).text, "2023-11-14T22:13:20Z");
    assert_string_equal(cli_format_time(1700000000, 5).text,
                        "2023-11-14T22:13:20.000000005Z");
}

static void test_columns_are_aligned_by_characters(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;

    (void)state;
    cli_table_init(&table, 2);
    cli_table_add(&table, "HEAD");
    cli_table_add(&table, "LAST");
    cli_table_add(&table, "\xc3\xa4\xc3\xb6\xc3\xbc");
    cli_table_add(&table, "x");
    cli_table_write(&table, &text);
    assert_string_equal(buf_text(&text), "HEAD   LAST\n\xc3\xa4\xc3\xb6\xc3\xbc    x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_as_docker_writes_them),
        cmocka_unit_test(test_durations_as_docker_writes_them),
        cmocka_unit_test(test_times_are_read_with_fractions_and_zones),
        cmocka_unit_test(test_an_age_is_seen_from_now_and_absent_without_a_time),
        cmocka_unit_test(test_times_are_written_with_nanoseconds_if_there_are_any),
        cmocka_unit_test(test_columns_are_aligned_by_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
