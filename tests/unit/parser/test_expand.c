#include "base/alloc.h"
#include "base/limits.h"
#include "parser/expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "NAME=value" lines; the last of a name counts. */
static const char *const variables[] = {
    "PWD=/home",
    "KOREAN=한국어",
    "NULL=",
    "SP=  ab  c ",
    "FILE=a/b/c.tar.gz",
    "X=xxyy",
    "STAR=xx**",
    "Q=???y",
    "LINES=a\nb\n",
    "ключ=значение",
    "URL=/a/f/b/c",
    "DOLLAR=[$0$$]",
    "META=()[]{}^$.*?|\\x",
};

static bool look_up(void *context, struct view name, struct view *value)
{
    (void)context;
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++) {
        struct view head;
        view_cut(view_of(variables[i]), '=', &head, value);
        if (view_eq(head, name))
            return true;
    }
    return false;
}

static const struct dockerfile_expand plain = {.escape = '\\', .lookup = look_up};

struct expand_case {
    const char *word;
    const char *text; /* NULL: an error */
};

static void check(const struct expand_case *cases,
                  size_t count,
                  const struct dockerfile_expand *how)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
        const int result = dockerfile_expand(view_of(cases[i].word), how, &out, &err);
        if (!cases[i].text) {
            if (result == 0)
                fail_msg("%s: '%s', not an error", cases[i].word, buf_text(&out));
            assert_int_equal(err.code, ERROR_INVALID);
        } else if (result < 0) {
            fail_msg("%s: %s", cases[i].word, error_text(&err));
        } else if (strcmp(buf_text(&out), cases[i].text) != 0) {
            fail_msg("%s: '%s', not '%s'", cases[i].word, buf_text(&out), cases[i].text);
        }
    }
}

static void test_quotes_and_escapes_are_removed(void **state)
{
    static const struct expand_case cases[] = {
        {"", ""},
        {"hello", "hello"},
        {"he'll'o", "hello"},
        {"he'llo", NULL},
        {"he\\'llo", "he'llo"},
        {"he\\\\'llo", NULL},
        {"abc\\tdef", "abctdef"},
        {"\"abc\\tdef\"", "abc\\tdef"},
        {"\"abc\\\\tdef\"", "abc\\tdef"},
        {"'abc\\tdef'", "abc\\tdef"},
        {"hello\\", "hello"},
        {"hello\\\\", "hello\\"},
        {"\"hello", NULL},
        {"\"hello\\\"", NULL},
        {"\"hel'lo\"", "hel'lo"},
        {"'hello\\there'", "hello\\there"},
        {"\"''\"", "''"},
        {"'a'\"b\"c", "abc"},
        {"a<<b << c", "a<<b << c"},
        {"\xef\xbb\xbf$PWD", "/home"},
        {"'\xff'\xfe\\\xfd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };

    (void)state;
    check(cases, ARRAY_COUNT(cases), &plain);
}

static void test_variables(void **state)
{
    static const struct expand_case cases[] = {
        {"$PWD", "/home"},
        {"${PWD}x", "/homex"},
        {"he$PWD.", "he/home."},
        {"he\\$PWD", "he$PWD"},
        {"\"he\\$PWD\"", "he$PWD"},
        {"'$PWD'", "$PWD"},
        {"\"$PWD\"", "/home"},
        {"$.", "$."},
        {"he$", "he$"},
        {"$1x", "x"},
        {"$12PWD", "PWD"},
        {"$@PWD", "PWD"},
        {"$NONE|", "|"},
        {"$KOREAN", "한국어"},
        {"${KOREAN}안녕", "한국어안녕"},
        {"$ключ-", "значение-"},
        {"${}", NULL},
        {"${", NULL},
        {"${PWD", NULL},
        {"${{PWD}}", NULL},
        {"${:-x}", NULL},
        {"${PWD.}", NULL},
        {"${PWD=x}", NULL},
    };

    (void)state;
    check(cases, ARRAY_COUNT(cases), &plain);
}

static void test_defaults_alternatives_and_errors(void **state)
{
    static const struct expand_case cases[] = {
        {"${NONE-w}|${NONE:-w}|${NULL-w}|${NULL:-w}|${PWD:-w}", "w|w||w|/home"},
        {"${NONE+w}|${NONE:+w}|${NULL+w}|${NULL:+w}|${PWD:+w}", "||w||w"},
        {"${PWD?no}${PWD:?no}${NULL?no}", "/home/home"},
        {"${NONE?no}", NULL},
        {"${NONE:?}", NULL},
        {"${NULL:?no}", NULL},
        {"${NONE:-${NULL:-${PWD}}}", "/home"},
        {"${NONE:-a'}'b}", "a}b"},
        {"${NONE:-\"$PWD}\"}", "/home}"},
        {"${NONE:-\\}}", "}"},
        {"${NONE:-a b}", "a b"},
        {"${PWD:-${NONE?inner}}", NULL}, /* the word counts even if it is not used */
        {"${PWD:x}", NULL},
        {"${NONE:-", NULL},
        {"\"${NONE:-\"a\"b}\"", "ab"},
    };

    (void)state;
    check(cases, ARRAY_COUNT(cases), &plain);
}

static void test_prefixes_and_suffixes(void **state)
{
    static const struct expand_case cases[] = {
        {"${FILE#*/}|${FILE##*/}", "b/c.tar.gz|c.tar.gz"},
        {"${FILE%.*}|${FILE%%.*}", "a/b/c.tar|a/b/c"},
        {"${X#x}|${X##x*}|${X#?}|${X%y}|${X%%y*}|${X#*}|${X##*}", "xyy||xyy|xxy|xx|xxyy|"},
        {"${X#y}|${X%x}|${X#}|${X%}|${X##}", "xxyy|xxyy|xxyy|xxyy|xxyy"},
        {"${STAR%%\\**}|${STAR%\\*}", "xx|xx*"},
        {"${Q#?\\?}", "?y"},
        {"${X#*x*y}|${X##*x*y}", "y|"},
        {"${META#()[]{\\}^$.\\*\\?|\\\\}", "x"},
        {"${LINES#*b}", "a\nb\n"}, /* a star stops at a newline */
        {"${KOREAN%?}|${KOREAN#?}", "한국|국어"},
        {"${NONE#x}", ""},
        {"${X#\\x}", NULL},
        {"${X:#x}", NULL},
        {"${X%%", NULL},
    };

    (void)state;
    check(cases, ARRAY_COUNT(cases), &plain);
}

/* Each level multiplies by the number of x: the tenth would be 2^10 as long, the fiftieth
 * longer than any memory. */
static void test_replacements_within_replacements_are_bounded(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    for (unsigned i = 0; i < 50; i++)
        buf_append_text(&text, "${X//x/");
    buf_append_text(&text, "x");
    for (unsigned i = 0; i < 50; i++)
        buf_append_char(&text, '}');
    assert_int_equal(dockerfile_expand(buf_view(&text), &plain, &out, &err), -1);
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_replacements(void **state)
{
    static const struct expand_case cases[] = {
        {"${X/x/z}|${X//x/z}", "zxyy|zzyy"},
        {"${URL/\\/?\\//-}|${URL//\\/?\\//-}", "-f/b/c|-f-c"},
        {"${FILE//\\//\\/}", "a\\/b\\/c.tar.gz"},
        {"${X/x*y/z}", "z"},
        {"${X//x/}|${X/q/z}", "yy|xxyy"},
        {"${X/$NULL/w}|${X//$NULL/w}", "wxxyy|wxwxwywyw"},
        {"${X//x/$DOLLAR}|${X/x/$DOLLAR}", "[x$][x$]yy|[$0$$]xyy"},
        {"${NONE//a/b}", ""},
        {"${X//}", NULL},
        {"${X//ww}", NULL},
        {"${X/a", NULL},
        {"${X/a/b", NULL},
        {"${X///}", "xxyy"},
    };

    (void)state;
    check(cases, ARRAY_COUNT(cases), &plain);
}

static void test_backtick_escapes_instead(void **state)
{
    static const struct expand_case cases[] = {
        {"c:\\dir\\$PWD", "c:\\dir\\/home"},
        {"`$PWD", "$PWD"},
        {"\"`\"`x\"", "\"`x"},
        {"${NONE:-`}}", "}"},
    };
    const struct dockerfile_expand how = {.escape = '`', .lookup = look_up};

    (void)state;
    check(cases, ARRAY_COUNT(cases), &how);
}

/* RUN's name in the log, and a heredoc's own line. */
static void test_raw_forms_keep_what_they_are_told(void **state)
{
    static const struct expand_case raw[] = {
        {"a 'b' \"$PWD\" \\$x", "a 'b' \"/home\" \\$x"},
        {"$NONE ${NONE} ${NONE:-a} ${NONE/a/b} ${NONE:0:3} ${PWD:-x}",
         "$NONE ${NONE} ${NONE:-a} ${NONE/a/b} ${NONE:0:3} /home"},
        {"${NONE:-${NONE:-$PWD}}", "${NONE:-${NONE:-/home}}"},
    };
    static const struct expand_case content[] = {
        {"'$PWD' \"$NONE\" \\$PWD \\\\ it's", "'/home' \"\" $PWD \\ it's"},
    };
    const struct dockerfile_expand how_raw = {.flags = DOCKERFILE_EXPAND_RAW_QUOTES |
                                                       DOCKERFILE_EXPAND_RAW_ESCAPES |
                                                       DOCKERFILE_EXPAND_KEEP_UNSET,
                                              .lookup = look_up};
    const struct dockerfile_expand how_content = {.flags = DOCKERFILE_EXPAND_CONTENT,
                                                  .lookup = look_up};

    (void)state;
    check(raw, ARRAY_COUNT(raw), &how_raw);
    check(content, ARRAY_COUNT(content), &how_content);
}

static void test_words_split_outside_quotes(void **state)
{
    static const struct expand_case cases[] = {
        {"hello$NONE there", "hello|there"},
        {"a$SP", "a|ab|c"},
        {"a\"$SP\"b", "a  ab  c b"},
        {"  a\t b\n", "a|b"},
        {"a\\ b 'c d'", "a b|c d"},
        {"'' \"\" a", "a"},
        {"x << EOF y", "x|<< EOF|y"},
        {"${NONE:-8 9}", "8|9"},
        /* as in BuildKit, a nested word makes what stood before it be forgotten */
        {"1${NONE:-80}", "80"},
        {"$NONE", ""},
        {"'a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(dockerfile_strings_release) struct dockerfile_strings words = {NULL, 0, 0};
        CLEANUP(buf_release) struct buf joined = BUF_INIT(LIMIT_TEXT_SIZE);
        const int result =
            dockerfile_expand_words(view_of(cases[i].word), &plain, &words, &err);
        assert_int_equal(result < 0, cases[i].text == NULL);
        for (size_t j = 0; j < words.count; j++) {
            buf_append_text(&joined, j ? "|" : "");
            buf_append_text(&joined, words.items[j]);
        }
        assert_string_equal(buf_text(&joined), cases[i].text ? cases[i].text : "");
    }
}

static void note_variable(void *context, struct view name, bool found)
{
    buf_append_char(context, found ? '+' : '-');
    buf_append_view(context, name);
}

static void test_variables_are_reported(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf seen = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct dockerfile_expand how = {.on_variable = note_variable, .context = &seen};

    (void)state;
    assert_int_equal(dockerfile_expand(VIEW_LIT("$A '$B' ${C:-$D} \\$E"), &how, &out, &err),
                     0);
    assert_string_equal(buf_text(&seen), "-A-C-D");
}

static void append_times(struct buf *out, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_append_text(out, text);
}

static void test_ten_thousand_nested_substitutions_give_a_result(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf word = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    append_times(&word, "\"a${NONE:-", 10000);
    append_times(&word, "}\"", 10000);
    assert_int_equal(dockerfile_expand(buf_view(&word), &plain, &out, &err), 0);
    assert_int_equal(out.size, 10000);
}

static void test_deeper_nesting_is_refused(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf word = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    append_times(&word, "${NONE:-", LIMIT_DOCKERFILE_NESTING + 1);
    assert_int_equal(dockerfile_expand(buf_view(&word), &plain, &out, &err), -1);
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_output_past_its_maximum_is_refused(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(8);

    (void)state;
    assert_int_equal(dockerfile_expand(VIEW_LIT("$PWD${X//x/$PWD}"), &plain, &out, &err),
                     -1);
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_error_says_what_and_where(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    assert_int_equal(
        dockerfile_expand(VIEW_LIT("${NONE:?must be set}"), &plain, &out, &err), -1);
    assert_string_equal(error_text(&err),
                        "failed to process \"${NONE:?must be set}\": NONE: must be set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes_and_escapes_are_removed),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_defaults_alternatives_and_errors),
        cmocka_unit_test(test_prefixes_and_suffixes),
        cmocka_unit_test(test_replacements),
        cmocka_unit_test(test_replacements_within_replacements_are_bounded),
        cmocka_unit_test(test_backtick_escapes_instead),
        cmocka_unit_test(test_raw_forms_keep_what_they_are_told),
        cmocka_unit_test(test_words_split_outside_quotes),
        cmocka_unit_test(test_variables_are_reported),
        cmocka_unit_test(test_ten_thousand_nested_substitutions_give_a_result),
        cmocka_unit_test(test_deeper_nesting_is_refused),
        cmocka_unit_test(test_output_past_its_maximum_is_refused),
        cmocka_unit_test(test_error_says_what_and_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
