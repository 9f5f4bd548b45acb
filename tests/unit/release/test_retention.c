#include "release/retention.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000
#define DAY 86400

static void policy_of(const char *json, struct release_policy *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(view_of(json), &err);

    if (doc == NULL || release_policy_read(doc, out, &err) < 0)
        fail_msg("%s: %s", json, error_text(&err));
}

/* Tags with blanks between, each with its age in days after "@" if that is known. What
 * stays must be `want`. */
static void kept_is(const char *json, const char *tags, const char *want)
{
    CLEANUP(release_policy_release) struct release_policy policy = {0};
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *copy = base_strdup(tags);
    struct release_retained all[32] = {{0}};
    size_t count = 0;
    char *rest = copy;

    policy_of(json, &policy);
    for (char *tag = strtok_r(rest, " ", &rest); tag != NULL;
         tag = strtok_r(NULL, " ", &rest)) {
        char *const age = strchr(tag, '@');

        all[count].has_created = age != NULL;
        if (age != NULL) {
            *age = '\0';
            all[count].created = NOW - strtol(age + 1, NULL, 10) * DAY;
        }
        all[count++].tag = tag;
    }
    release_policy_decide(&policy, all, count, NOW);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(all[i].why);
        if (all[i].is_kept)
            buf_printf(&got, "%s%s", got.size > 0 ? " " : "", all[i].tag);
    }
    assert_string_equal(buf_text(&got), want);
    release_retained_release(all, count);
}

static void test_versions_are_ordered_as_versions(void **state)
{
    (void)state;
    kept_is("{\"versions\":{\"newest\":2}}", "1.9.0 1.10.0 1.2.0 1.10.0-rc.1",
            "1.9.0 1.10.0 1.10.0-rc.1");
    kept_is("{\"versions\":{\"newest\":0},\"prereleases\":{\"newest\":1}}",
            "1.0.0 1.1.0-rc.2 1.1.0-rc.10", "1.1.0-rc.10");
    kept_is("{\"versions\":{\"newest\":1}}", "v1.0.0 v1.0.1 v1.0 v1 latest",
            "v1.0.1 v1.0 v1 latest");
}

static void test_lines_are_major_or_minor(void **state)
{
    static const char tags[] = "1.0.0 1.0.1 1.1.0 2.0.0 2.0.1 3.0.0";

    (void)state;
    kept_is("{\"versions\":{\"per-line\":1}}", tags, "1.1.0 2.0.1 3.0.0");
    kept_is("{\"line\":\"minor\",\"versions\":{\"per-line\":1}}", tags,
            "1.0.1 1.1.0 2.0.1 3.0.0");
    kept_is("{\"versions\":{\"per-line\":2,\"lines\":2}}", tags, "2.0.0 2.0.1 3.0.0");
}

static void test_one_rule_is_enough(void **state)
{
    (void)state;
    kept_is("{\"versions\":{\"newest\":1,\"younger\":\"30d\"},\"keep\":[\"1.0.?\"]}",
            "1.0.0@900 1.1.0@300 1.2.0@29 1.3.0@400", "1.0.0 1.2.0 1.3.0");
}

static void test_moving_tags_stay_also_those_whose_versions_are_gone(void **state)
{
    (void)state;
    kept_is("{\"versions\":{\"newest\":1},\"others\":{\"newest\":0}}",
            "2.0.0 2.0 2 latest 1.4 1 main", "2.0.0 2.0 2 latest 1.4 1");
    kept_is("{\"moving\":\"edge\",\"versions\":{\"newest\":1},\"others\":{\"newest\":0}}",
            "2.0.0 2.0 edge latest", "2.0.0 edge");
}

static void test_records_of_the_repository_stay(void **state)
{
    (void)state;
    kept_is("{\"others\":{\"newest\":0}}",
            "x cooper-releases cooper-log-1 "
            "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "cooper-releases cooper-log-1 "
            "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

static void test_others_are_ordered_by_age_and_unknown_age_is_not_old(void **state)
{
    (void)state;
    kept_is("{\"others\":{\"newest\":2}}", "a@5 b@3 c@9", "a b");
    kept_is("{\"others\":{\"younger\":\"4w\"}}", "a@27 b@29 c", "a c");
    kept_is("{\"others\":{\"newest\":0,\"younger\":\"4w\"}}", "a@27 b@29 c", "a c");
}

static void test_calendar_versions_of_other_shapes_have_no_order(void **state)
{
    (void)state;
    kept_is("{\"scheme\":\"calver\",\"moving\":\"latest\",\"versions\":{\"per-line\":1}}",
            "2026.1 2026.11 2026.11.2 2026.11.3 2025.12", "2026.11 2026.11.3 2025.12");
    kept_is("{\"scheme\":\"calver\",\"versions\":{\"newest\":1}}",
            "2026.11 2026.11.2 2026.11.3", "2026.11 2026.11.3");
}

static void test_what_a_section_does_not_say_stays(void **state)
{
    (void)state;
    kept_is("{\"prereleases\":{\"newest\":0}}", "1.0.0 1.0.0-a main", "1.0.0 main");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_are_ordered_as_versions),
        cmocka_unit_test(test_lines_are_major_or_minor),
        cmocka_unit_test(test_one_rule_is_enough),
        cmocka_unit_test(test_moving_tags_stay_also_those_whose_versions_are_gone),
        cmocka_unit_test(test_records_of_the_repository_stay),
        cmocka_unit_test(test_others_are_ordered_by_age_and_unknown_age_is_not_old),
        cmocka_unit_test(test_calendar_versions_of_other_shapes_have_no_order),
        cmocka_unit_test(test_what_a_section_does_not_say_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
