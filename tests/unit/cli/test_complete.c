/* What is offered as values fits the options that there are. */
#include "cli/command.h"
#include "cli/complete_value.h"
#include "cli/globals.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool has_option(const struct cli_option *options, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return true;
    return false;
}

static bool is_used(const struct cli_complete_rule *r)
{
    if (r->command == NULL &&
        has_option(cli_global_options, cli_global_option_count, r->option))
        return true;
    for (size_t i = 0; i < cli_command_count; i++)
        if ((r->command == NULL || strcmp(r->command, cli_commands[i]->name) == 0) &&
            has_option(cli_commands[i]->options, cli_commands[i]->option_count, r->option))
            return true;
    return false;
}

static void test_every_rule_is_of_an_option_that_exists(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_complete_rule_count; i++)
        if (!is_used(&cli_complete_rules[i]))
            fail_msg("no command has the option --%s", cli_complete_rules[i].option);
}

static void test_positional_arguments_are_told_by_the_usage(void **state)
{
    static const struct {
        const char *usage;
        const char *first;
        const char *later;
    } cases[] = {
        {"[OPTIONS] PATH | URL | -", "@files", "@files"},
        {"[OPTIONS] [rm BUILD...]", "rm|@builds", "@builds"},
        {"create [OPTIONS] -t NAME IMAGE... | inspect [--raw] IMAGE",
         "create|@images|inspect", "@images"},
        {"[OPTIONS] --policy FILE REPOSITORY", "@images", "@images"},
        {"[OPTIONS]", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct cli_command command = {.name = "x", .usage = cases[i].usage};
        struct buf first = BUF_INIT(1000);
        struct buf later = BUF_INIT(1000);

        cli_complete_positionals(&command, true, &first);
        cli_complete_positionals(&command, false, &later);
        assert_string_equal(buf_text(&first), cases[i].first);
        assert_string_equal(buf_text(&later), cases[i].later);
        buf_release(&first);
        buf_release(&later);
    }
}

static void test_values_are_told_by_their_name(void **state)
{
    const struct cli_option file = {.name = "some", .value = "FILE"};
    const struct cli_option words = {.name = "some", .value = "one|two"};
    const struct cli_option free_text = {.name = "some", .value = "TEXT"};
    const struct cli_option format = {.name = "format", .value = "FORMAT"};

    (void)state;
    assert_string_equal(cli_complete_values(NULL, &file), "@files");
    assert_string_equal(cli_complete_values(NULL, &words), "one|two");
    assert_null(cli_complete_values(NULL, &free_text));
    assert_string_equal(cli_complete_values(&cli_command_check, &format),
                        "text|json|sarif|github");
    assert_string_equal(cli_complete_values(&cli_command_df, &format), "table|json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_is_of_an_option_that_exists),
        cmocka_unit_test(test_positional_arguments_are_told_by_the_usage),
        cmocka_unit_test(test_values_are_told_by_their_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
