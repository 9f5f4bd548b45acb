#include "cli/message.h"

#include "base/limits.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void excerpt_is(const char *text, unsigned line, unsigned line_end, const char *want)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct source_pos pos = {.line = line, .line_end = line_end};

    cli_message_excerpt(view_of(text), "Dockerfile", pos, &out);
    assert_string_equal(buf_text(&out), want);
}

#define RULE "--------------------\n"

static void test_a_line_is_shown_with_two_on_either_side(void **state)
{
    (void)state;
    excerpt_is("1\n2\n3\n4\n5\n6\n7", 4, 4,
               "Dockerfile:4\n" RULE
               "   2 |     2\n   3 |     3\n   4 | >>> 4\n   5 |     5\n"
               "   6 |     6\n" RULE);
}

static void test_at_the_ends_more_of_the_other_side_is_shown(void **state)
{
    (void)state;
    excerpt_is("1\n2\n3\n4\n5", 1, 1,
               "Dockerfile:1\n" RULE "   1 | >>> 1\n   2 |     2\n   3 |     3\n" RULE);
    excerpt_is("only", 1, 1, "Dockerfile:1\n" RULE "   1 | >>> only\n" RULE);
}

static void test_every_line_of_a_construct_is_marked(void **state)
{
    (void)state;
    excerpt_is("1\n2\n3\n4\n5", 2, 3,
               "Dockerfile:2\n" RULE
               "   1 |     1\n   2 | >>> 2\n   3 | >>> 3\n   4 |     4\n" RULE);
}

static void test_the_word_at_a_column_is_underlined(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct source_pos pos = {.line = 1, .column = 7};

    (void)state;
    cli_message_excerpt(view_of("\t\xc3\xa4 R word x"), "F", pos, &out);
    assert_string_equal(buf_text(&out), "F:1:7\n" RULE "   1 | >>> \t\xc3\xa4 R word x\n"
                                        "     |     \t    ^^^^\n" RULE);
}

static void test_a_position_outside_of_the_text_shows_nothing(void **state)
{
    (void)state;
    excerpt_is("1\n2", 0, 0, "");
    excerpt_is("1\n2", 3, 3, "");
}

static void test_a_range_that_ends_behind_the_text_is_cut(void **state)
{
    (void)state;
    excerpt_is("1\n2", 2, 9, "Dockerfile:2\n" RULE "   1 |     1\n   2 | >>> 2\n" RULE);
}

static void test_control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    excerpt_is("a\033[2J\tb\r", 1, 1, "Dockerfile:1\n" RULE "   1 | >>> a?[2J\tb\n" RULE);
}

static void test_the_exit_status_follows_the_error(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERROR_USAGE, "x");
    assert_int_equal(cli_message_status(&err), 2);
    error_set(&err, ERROR_CANCELLED, "x");
    assert_int_equal(cli_message_status(&err), 130);
    error_set(&err, ERROR_NETWORK, "x");
    assert_int_equal(cli_message_status(&err), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_shown_with_two_on_either_side),
        cmocka_unit_test(test_at_the_ends_more_of_the_other_side_is_shown),
        cmocka_unit_test(test_every_line_of_a_construct_is_marked),
        cmocka_unit_test(test_the_word_at_a_column_is_underlined),
        cmocka_unit_test(test_a_position_outside_of_the_text_shows_nothing),
        cmocka_unit_test(test_a_range_that_ends_behind_the_text_is_cut),
        cmocka_unit_test(test_control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(test_the_exit_status_follows_the_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
