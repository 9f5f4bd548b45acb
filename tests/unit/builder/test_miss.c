/* Why a step misses: matching steps of two builds, and telling what differs. */
#include "builder/describe.h"
#include "builder/match.h"
#include "builder/miss.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct doc *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct doc *d = doc_parse(view_of(text), &err);

    if (!d)
        fail_msg("%s", error_text(&err));
    return d;
}

static void expect(const char *was_text, const char *is_text, const char *want)
{
    struct doc *was = parse(was_text);
    struct doc *is = parse(is_text);
    char *got = build_miss_difference(was, is);

    if (!want)
        assert_null(got);
    else
        assert_string_equal(got, want);
    free(got);
    doc_unref(was);
    doc_unref(is);
}

static void test_build_arguments_tell_both_values(void **state)
{
    (void)state;
    expect("{\"op\":\"run\",\"args\":{\"VERSION\":\"1.2\"}}",
           "{\"op\":\"run\",\"args\":{\"VERSION\":\"1.3\"}}",
           "build argument VERSION was 1.2, is 1.3");
    expect("{\"op\":\"run\",\"args\":{}}", "{\"op\":\"run\",\"args\":{\"V\":\"\"}}",
           "build argument V was not set, is \"\"");
    expect("{\"op\":\"run\",\"args\":{\"V\":\"1\"}}", "{\"op\":\"run\",\"args\":{}}",
           "build argument V was 1, is not set");
}

static void test_secret_values_are_never_told(void **state)
{
    (void)state;
    expect("{\"op\":\"run\",\"args\":{\"TOKEN\":\"\\u00010123\"}}",
           "{\"op\":\"run\",\"args\":{\"TOKEN\":\"\\u00014567\"}}",
           "build argument TOKEN changed");
}

static void test_commands_are_told_without_their_shell(void **state)
{
    (void)state;
    expect("{\"op\":\"run\",\"command\":[\"/bin/sh\",\"-c\",\"make\"]}",
           "{\"op\":\"run\",\"command\":[\"/bin/sh\",\"-c\",\"make -j2\"]}",
           "the command was \"make\", is \"make -j2\"");
}

static void test_long_texts_are_told_where_they_part(void **state)
{
    char was[400], is[400], *got;
    struct doc *a, *b;

    (void)state;
    snprintf(was, sizeof was, "{\"op\":\"run\",\"command\":[\"%0100d first\"]}", 0);
    snprintf(is, sizeof is, "{\"op\":\"run\",\"command\":[\"%0100d second\"]}", 0);
    a = parse(was);
    b = parse(is);
    got = build_miss_difference(a, b);
    assert_non_null(strstr(got, "first\""));
    assert_non_null(strstr(got, "second\""));
    assert_true(strlen(got) < 120);
    free(got);
    doc_unref(a);
    doc_unref(b);
}

static void test_further_differences_are_counted(void **state)
{
    (void)state;
    expect("{\"op\":\"run\",\"user\":\"root\",\"workdir\":\"/\",\"network\":\"default\"}",
           "{\"op\":\"run\",\"user\":\"bob\",\"workdir\":\"/w\",\"network\":\"none\"}",
           "the working directory was /, is /w, and 2 more");
}

static void test_a_moved_tag_tells_both_digests(void **state)
{
    (void)state;
    expect("{\"op\":\"from\",\"image\":\"debian:12\",\"digest\":\"sha256:00112233445566\"}",
           "{\"op\":\"from\",\"image\":\"debian:12\",\"digest\":\"sha256:66554433221100\"}",
           "tag moved from sha256:001122334455 to sha256:665544332211");
    expect("{\"op\":\"from\",\"image\":\"debian:11\",\"digest\":\"sha256:00\"}",
           "{\"op\":\"from\",\"image\":\"debian:12\",\"digest\":\"sha256:11\"}",
           "the image was debian:11, is debian:12");
}

static void test_equal_steps_do_not_differ(void **state)
{
    (void)state;
    expect("{\"op\":\"copy\",\"destination\":\"/a\",\"sources\":[\"a\"]}",
           "{\"op\":\"copy\",\"destination\":\"/a\",\"sources\":[\"a\"]}", NULL);
}

static void test_control_characters_do_not_reach_the_line(void **state)
{
    (void)state;
    expect("{\"op\":\"run\",\"user\":\"a\"}",
           "{\"op\":\"run\",\"user\":\"b\\nc\\u001b[2J\"}", "the user was a, is b c [2J");
}

/* --- Matching --- */

/* `want[i]` is the number of the old step that new step i is, or -1. */
static void expect_match(const char *was_text, const char *is_text, const int *want)
{
    struct doc *was = parse(was_text);
    struct doc *is = parse(is_text);
    const size_t count = doc_count(is);
    struct doc **items = base_alloc_array(count + 1, sizeof(struct doc *));
    const struct doc **out = base_alloc_array(count + 1, sizeof(struct doc *));

    for (size_t i = 0; i < count; i++)
        items[i] = doc_copy(doc_at(is, i));
    build_match(was, items, count, out);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(out[i], want[i] < 0 ? NULL : doc_at(was, (size_t)want[i]));
        doc_unref(items[i]);
    }
    free(items);
    free(out);
    doc_unref(was);
    doc_unref(is);
}

#define RUN(text) "{\"op\":\"run\",\"stage\":\"\",\"text\":\"RUN " text "\"}"

static void test_an_inserted_step_is_new_and_the_others_keep_theirs(void **state)
{
    const int want[] = {0, -1, 1, 2};

    (void)state;
    expect_match("[" RUN("apt-get update") "," RUN("make") "," RUN("make install") "]",
                 "[" RUN("apt-get update") "," RUN("xyz") "," RUN("make") "," RUN(
                     "make install") "]",
                 want);
}

static void test_an_edited_step_is_matched_by_its_likeness(void **state)
{
    const int want[] = {0, 1, 2};

    (void)state;
    expect_match("[" RUN("first") "," RUN("make all") "," RUN("last") "]",
                 "[" RUN("first") "," RUN("make all -j4") "," RUN("last") "]", want);
}

static void test_a_removed_step_shifts_nobody(void **state)
{
    const int want[] = {0, 2};

    (void)state;
    expect_match("[" RUN("a one") "," RUN("quite another") "," RUN("c three") "]",
                 "[" RUN("a one") "," RUN("c three") "]", want);
}

static void test_nothing_is_matched_with_nothing(void **state)
{
    const int want[] = {-1};

    (void)state;
    expect_match("[]", "[" RUN("a") "]", want);
    expect_match("[" RUN("a") "]", "[]", want);
    expect_match("[{\"op\":\"copy\",\"stage\":\"\",\"text\":\"RUN a\"}]", "[" RUN("a") "]",
                 want);
}

static void test_titles_are_taken_apart(void **state)
{
    (void)state;
    assert_true(view_eq_text(build_title_stage("[web 2/5] RUN make"), "web"));
    assert_true(view_eq_text(build_title_text("[web 2/5] RUN make"), "RUN make"));
    assert_int_equal(build_title_stage("[ 2/12] RUN make").size, 0);
    assert_int_equal(build_title_stage("RUN make").size, 0);
    assert_true(view_eq_text(build_title_text("RUN make"), "RUN make"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build_arguments_tell_both_values),
        cmocka_unit_test(test_secret_values_are_never_told),
        cmocka_unit_test(test_commands_are_told_without_their_shell),
        cmocka_unit_test(test_long_texts_are_told_where_they_part),
        cmocka_unit_test(test_further_differences_are_counted),
        cmocka_unit_test(test_a_moved_tag_tells_both_digests),
        cmocka_unit_test(test_equal_steps_do_not_differ),
        cmocka_unit_test(test_control_characters_do_not_reach_the_line),
        cmocka_unit_test(test_an_inserted_step_is_new_and_the_others_keep_theirs),
        cmocka_unit_test(test_an_edited_step_is_matched_by_its_likeness),
        cmocka_unit_test(test_a_removed_step_shifts_nobody),
        cmocka_unit_test(test_nothing_is_matched_with_nothing),
        cmocka_unit_test(test_titles_are_taken_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
