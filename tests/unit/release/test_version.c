#include "release/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool parses(enum release_scheme scheme, const char *text)
{
    CLEANUP(release_version_release) struct release_version v = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const bool ok = release_version_parse(scheme, view_of(text), &v, &err) == 0;

    if (!ok)
        assert_int_equal(err.code, ERROR_INVALID);
    return ok;
}

static int order(enum release_scheme scheme, const char *a, const char *b)
{
    CLEANUP(release_version_release) struct release_version x = {0};
    CLEANUP(release_version_release) struct release_version y = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    int result;

    assert_int_equal(release_version_parse(scheme, view_of(a), &x, &err), 0);
    assert_int_equal(release_version_parse(scheme, view_of(b), &y, &err), 0);
    result = release_version_compare(&x, &y);
    assert_int_equal(release_version_compare(&y, &x) > 0, result < 0);
    return result < 0 ? -1 : result > 0;
}

/* Of semver.org's own list of examples. */
static void test_what_semver_allows_is_a_version_and_nothing_else(void **state)
{
    static const char *const valid[] = {
        "0.0.4",
        "1.2.3",
        "10.20.30",
        "1.1.2-prerelease+meta",
        "1.1.2+meta",
        "1.0.0-alpha.beta.1",
        "1.0.0-alpha0.valid",
        "1.0.0-rc.1+build.1",
        "1.2.3----RC-SNAPSHOT.12.9.1--.12",
        "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
        "999999999999999999999.99999999999999999.9",
        "1.0.0-0A.is.legal",
        "v1.4.2",
    };
    static const char *const invalid[] = {
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "01.1.1",
        "1.01.1",
        "1.1.01",
        "1.2.3-",
        "1.2.3+",
        "1.2.3-01",
        "1.2.3-a..b",
        "1.2.3+a..b",
        "1.2.3-a_b",
        "1.2.3_b",
        "1.2.3 ",
        " 1.2.3",
        "-1.0.3",
        "+invalid",
        "alpha",
        "1.2.3+a+b",
        "V1.2.3",
        "vv1.2.3",
        "v",
        "1..3",
        "1.2.3-rc:1",
        "a.b.c",
        "1.2.3-\xc3\xa4",
        "1.2.3-rc/1",
        "1.2.3-alpha@",
        "latest",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(valid); i++)
        assert_true(parses(RELEASE_SEMVER, valid[i]));
    for (size_t i = 0; i < ARRAY_COUNT(invalid); i++)
        assert_false(parses(RELEASE_SEMVER, invalid[i]));
}

/* semver.org section 11. */
static void test_precedence_is_that_of_semver(void **state)
{
    static const char *const rising[] = {
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.9.0",
        "1.10.0",
        "2.0.0",
        "2.1.0",
        "18446744073709551615.0.0",
        "18446744073709551616.0.0",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rising); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(rising); j++)
            assert_int_equal(order(RELEASE_SEMVER, rising[i], rising[j]),
                             i < j ? -1 : i > j);
    }
    assert_int_equal(order(RELEASE_SEMVER, "1.0.0+a", "1.0.0+b"), 0);
    assert_int_equal(order(RELEASE_SEMVER, "v1.0.0", "1.0.0"), 0);
}

static void test_build_metadata_go_through_a_tag_and_back(void **state)
{
    CLEANUP(release_version_release) struct release_version v = {0};
    CLEANUP(release_version_release) struct release_version again = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(
        release_version_parse(RELEASE_SEMVER, VIEW_LIT("1.2.3-rc.1+b5"), &v, &err), 0);
    assert_string_equal(v.tag, "1.2.3-rc.1_b5");
    assert_true(release_version_from_tag(RELEASE_SEMVER, v.tag, &again));
    char *text = release_version_text(&again);
    assert_string_equal(text, "1.2.3-rc.1+b5");
    free(text);
}

static void test_calendar_versions_have_two_to_four_numbers(void **state)
{
    (void)state;
    assert_true(parses(RELEASE_CALVER, "2026.11"));
    assert_true(parses(RELEASE_CALVER, "2026.04.1"));
    assert_true(parses(RELEASE_CALVER, "26.4.0.7-rc01"));
    assert_false(parses(RELEASE_CALVER, "2026"));
    assert_false(parses(RELEASE_CALVER, "2026.1.2.3.4"));
    assert_false(parses(RELEASE_CALVER, "2026-11"));
    assert_int_equal(order(RELEASE_CALVER, "2026.09", "2026.10"), -1);
    assert_int_equal(order(RELEASE_CALVER, "2026.09", "2026.9"), 0);
    assert_int_equal(order(RELEASE_CALVER, "2026.9-rc1", "2026.9"), -1);
    /* One may be the moving tag of the other. */
    assert_int_equal(order(RELEASE_CALVER, "2026.9", "2026.9.1"), 0);
}

static void test_any_is_whatever_is_a_tag(void **state)
{
    (void)state;
    assert_true(parses(RELEASE_ANY, "build_77"));
    assert_true(parses(RELEASE_ANY, "1.2"));
    assert_false(parses(RELEASE_ANY, ".hidden"));
    assert_false(parses(RELEASE_ANY, "a/b"));
    assert_false(parses(RELEASE_ANY, ""));
    assert_int_equal(order(RELEASE_ANY, "1", "2"), 0);
}

static void test_versions_have_a_maximal_length(void **state)
{
    char text[RELEASE_VERSION_MAX + 2];

    (void)state;
    memset(text, '1', sizeof text);
    memcpy(text, "1.2.3-", 6);
    text[sizeof text - 1] = '\0';
    assert_false(parses(RELEASE_SEMVER, text));
    text[sizeof text - 2] = '\0';
    assert_true(parses(RELEASE_SEMVER, text));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_semver_allows_is_a_version_and_nothing_else),
        cmocka_unit_test(test_precedence_is_that_of_semver),
        cmocka_unit_test(test_build_metadata_go_through_a_tag_and_back),
        cmocka_unit_test(test_calendar_versions_have_two_to_four_numbers),
        cmocka_unit_test(test_any_is_whatever_is_a_tag),
        cmocka_unit_test(test_versions_have_a_maximal_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
