#include "cli/args.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct values {
    const char *file;
    struct cli_texts tags;
    struct cli_time time;
    uint64_t bytes;
    unsigned count;
    bool quiet;
    bool tty;
};

static const struct cli_option table[] = {
    {'f', "file", CLI_OPTION_TEXT, "FILE", "A file", offsetof(struct values, file)},
    {'t', "tag", CLI_OPTION_TEXTS, "NAME", "A name", offsetof(struct values, tags)},
    {0, "time", CLI_OPTION_TIME, "SECONDS", "A time", offsetof(struct values, time)},
    {0, "bytes", CLI_OPTION_BYTES, "SIZE", "A size", offsetof(struct values, bytes)},
    {'n', "count", CLI_OPTION_COUNT, "N", "A count", offsetof(struct values, count)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Quiet", offsetof(struct values, quiet)},
    {'y', "tty", CLI_OPTION_SWITCH, NULL, "Terminal", offsetof(struct values, tty)},
};

/* A command line, read. */
struct line {
    struct values values;
    struct cli_texts rest;
    struct error err;
    bool help;
    int result;
};

static void line_release(struct line *l)
{
    cli_args_release(table, ARRAY_COUNT(table), &l->values);
    cli_texts_release(&l->rest);
    error_clear(&l->err);
}

static void line_read(struct line *l,
                      enum cli_args_parse_flags flags,
                      const char *const *words)
{
    /* argv is not const in C; the parser only reads it. */
    char *argv[16];
    int argc = 0;

    *l = (struct line){0};
    for (; words[argc] != NULL; argc++) {
        union {
            const char *in;
            char *out;
        } word = {words[argc]};

        argv[argc] = word.out;
    }
    l->result = cli_args_parse(table, ARRAY_COUNT(table), flags, argc, argv, &l->values,
                               &l->rest, &l->help, &l->err);
}

#define READ(flags, ...)                                                                   \
    CLEANUP(line_release) struct line l;                                                   \
    line_read(&l, flags, (const char *const[]){__VA_ARGS__, NULL})

static void test_every_way_to_give_a_value(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "-ta", "-t", "b", "-t=c", "--tag", "d", "--tag=e", "--tag=");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.values.tags.count, 6);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(l.values.tags.items[i][0], (int)('a' + i));
        assert_int_equal(l.values.tags.items[i][1], 0);
    }
    assert_string_equal(l.values.tags.items[5], "");
}

static void test_switches_bundle_and_the_last_letter_may_take_a_value(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "-qyfname");
    assert_int_equal(l.result, 0);
    assert_true(l.values.quiet);
    assert_true(l.values.tty);
    assert_string_equal(l.values.file, "name");
}

static void test_a_switch_can_be_put_off_again(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "-q", "--quiet=false", "-y=1");
    assert_int_equal(l.result, 0);
    assert_false(l.values.quiet);
    assert_true(l.values.tty);
}

static void test_options_and_arguments_mix_up_to_two_dashes(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "a", "-q", "-", "--", "-y", "--");
    assert_int_equal(l.result, 0);
    assert_true(l.values.quiet);
    assert_false(l.values.tty);
    assert_int_equal(l.rest.count, 4);
    assert_string_equal(l.rest.items[1], "-");
    assert_string_equal(l.rest.items[2], "-y");
    assert_string_equal(l.rest.items[3], "--");
}

static void test_with_stop_the_first_argument_ends_the_options(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_STOP, "-q", "image", "-y", "--nothing");
    assert_int_equal(l.result, 0);
    assert_true(l.values.quiet);
    assert_int_equal(l.rest.count, 3);
}

static void test_the_last_of_repeated_texts_counts(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "-f", "one", "-f", "two");
    assert_string_equal(l.values.file, "two");
}

static void test_numbers_sizes_and_times(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "-n3", "--bytes", "1.5kb", "--time=0");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.values.count, 3);
    assert_int_equal(l.values.bytes, 1536);
    assert_true(l.values.time.given);
    assert_int_equal(l.values.time.seconds, 0);
}

static void usage_error(const char *const *words, const char *part)
{
    CLEANUP(line_release) struct line l;

    line_read(&l, CLI_ARGS_PARSE_MIXED, words);
    assert_int_equal(l.result, -1);
    assert_int_equal(l.err.code, ERROR_USAGE);
    assert_non_null(strstr(error_text(&l.err), part));
}

static void test_wrong_usage_names_what_is_wrong(void **state)
{
    (void)state;
    usage_error((const char *const[]){"--fiel", "x", NULL}, "did you mean --file?");
    usage_error((const char *const[]){"--xyzzy", NULL}, "unknown flag: --xyzzy");
    usage_error((const char *const[]){"-x", NULL}, "'x' in -x");
    usage_error((const char *const[]){"--file", NULL}, "--file");
    usage_error((const char *const[]){"-qf", NULL}, "'f'");
    usage_error((const char *const[]){"--quiet=maybe", NULL}, "--quiet: 'maybe'");
    usage_error((const char *const[]){"-n", "-1", NULL}, "-n: '-1'");
    usage_error((const char *const[]){"-n", "4294967296", NULL}, "-n");
    usage_error((const char *const[]){"--time", "1e9", NULL}, "--time");
    usage_error((const char *const[]){"--bytes", "0x10", NULL}, "--bytes");
    usage_error((const char *const[]){"--bytes", "inf", NULL}, "--bytes");
    usage_error((const char *const[]){"--bytes", "1q", NULL}, "--bytes");
    usage_error((const char *const[]){"--bytes", "-1", NULL}, "--bytes");
    usage_error((const char *const[]){"--bytes", "", NULL}, "--bytes");
    usage_error((const char *const[]){"--bytes", "99999999999g", NULL}, "--bytes");
}

static void test_sizes_have_binary_units_in_any_case(void **state)
{
    static const struct {
        const char *text;
        unsigned long long size;
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"1b", 1},
        {"2k", 2048},
        {"2K", 2048},
        {"2kb", 2048},
        {"2KiB", 2048},
        {"64m", 64ULL << 20},
        {"1g", 1ULL << 30},
        {"1 GB", 1ULL << 30},
        {"0.5t", 1ULL << 39},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        unsigned long long size = 7;

        assert_int_equal(cli_bytes_parse(cases[i].text, &size, &err), 0);
        assert_int_equal(size, cases[i].size);
    }
}

static void test_help_is_asked_for_by_flag(void **state)
{
    (void)state;
    READ(CLI_ARGS_PARSE_MIXED, "-q", "--help", "--unknown");
    assert_int_equal(l.result, 0);
    assert_true(l.help);
}

static void test_the_description_names_every_option(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    cli_args_describe(table, ARRAY_COUNT(table), &text);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        assert_non_null(strstr(buf_text(&text), table[i].name));
        assert_non_null(strstr(buf_text(&text), table[i].help));
    }
    assert_non_null(strstr(buf_text(&text), "  -f, --file FILE   "));
    assert_non_null(strstr(buf_text(&text), "      --time SECONDS   "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_way_to_give_a_value),
        cmocka_unit_test(test_switches_bundle_and_the_last_letter_may_take_a_value),
        cmocka_unit_test(test_a_switch_can_be_put_off_again),
        cmocka_unit_test(test_options_and_arguments_mix_up_to_two_dashes),
        cmocka_unit_test(test_with_stop_the_first_argument_ends_the_options),
        cmocka_unit_test(test_the_last_of_repeated_texts_counts),
        cmocka_unit_test(test_numbers_sizes_and_times),
        cmocka_unit_test(test_wrong_usage_names_what_is_wrong),
        cmocka_unit_test(test_sizes_have_binary_units_in_any_case),
        cmocka_unit_test(test_help_is_asked_for_by_flag),
        cmocka_unit_test(test_the_description_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
