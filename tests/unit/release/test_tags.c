#include "release/tags.h"

#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct release_version version(enum release_scheme scheme, const char *text)
{
    struct release_version v;
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    assert_int_equal(release_version_parse(scheme, view_of(text), &v, &err), 0);
    return v;
}

/* The tags that move, each followed by a blank. */
static void check_moves(enum release_scheme scheme,
                        const char *text,
                        const char *templates,
                        const char *want)
{
    CLEANUP(release_version_release) struct release_version v = version(scheme, text);
    CLEANUP(release_names_release) struct release_names names = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);

    assert_int_equal(release_moves_parse(templates, &names, &err), 0);
    for (size_t i = 0; i < names.count; i++) {
        char *tag = release_move_render(names.items[i], &v);

        if (tag)
            buf_printf(&got, "%s ", tag);
        free(tag);
    }
    assert_string_equal(buf_text(&got), want);
}

static void test_moving_tags_are_rendered_from_templates(void **state)
{
    (void)state;
    check_moves(RELEASE_SEMVER, "1.4.2", NULL, "1.4 1 latest ");
    check_moves(RELEASE_SEMVER, "v1.4.2", NULL, "v1.4 v1 latest ");
    check_moves(RELEASE_SEMVER, "1.4.2+b1", NULL, "1.4 1 latest ");
    check_moves(RELEASE_SEMVER, "1.4.2", "none", "");
    check_moves(RELEASE_SEMVER, "1.4.2", "stable, r{major}", "stable r1 ");
    check_moves(RELEASE_CALVER, "2026.11.2", NULL, "2026.11 2026 latest ");
    check_moves(RELEASE_ANY, "nightly-7", NULL, "latest ");
}

static void test_a_prerelease_moves_nothing(void **state)
{
    (void)state;
    check_moves(RELEASE_SEMVER, "1.4.2-rc.1", NULL, "");
    check_moves(RELEASE_CALVER, "2026.11-rc1", NULL, "");
}

static void test_a_version_is_not_its_own_moving_tag(void **state)
{
    (void)state;
    check_moves(RELEASE_CALVER, "2026.11", NULL, "2026 latest ");
}

static void test_templates_that_are_no_tags_are_refused(void **state)
{
    static const char *const wrong[] = {"",        "a,,b",   "{mayor}",         "a b",
                                        ".hidden", "{major", "cooper-releases", "a/b"};
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(release_names_release) struct release_names names = {0};
        assert_int_equal(release_moves_parse(wrong[i], &names, &err), -1);
        assert_int_equal(err.code, ERROR_USAGE);
    }
}

static const char *owner(const char *text, const char *template)
{
    static const char *const there[] = {"1.4.1",  "1.4.3",        "1.5.0", "2.0.0-rc.1",
                                        "latest", "cooper-log-1", "1.4",   "0.9.0"};
    static struct release_names tags;
    CLEANUP(release_version_release)
    struct release_version v = version(RELEASE_SEMVER, text);
    const char *found;

    release_names_release(&tags);
    for (size_t i = 0; i < ARRAY_COUNT(there); i++)
        release_names_add(&tags, there[i]);
    found =
        template ? release_move_owner(template, &v, &tags) : release_line_newest(&v, &tags);
    /* The literal, which outlives the list. */
    for (size_t i = 0; found && i < ARRAY_COUNT(there); i++) {
        if (strcmp(found, there[i]) == 0)
            found = there[i];
    }
    release_names_release(&tags);
    return found;
}

static void test_a_moving_tag_belongs_to_the_newest_of_its_line(void **state)
{
    (void)state;
    assert_string_equal(owner("1.4.2", "{major}.{minor}"), "1.4.3");
    assert_string_equal(owner("1.4.2", "{major}"), "1.5.0");
    assert_string_equal(owner("1.4.2", "latest"), "1.5.0");
    assert_null(owner("1.5.1", "latest"));
    assert_null(owner("0.9.1", "{major}.{minor}"));
    assert_string_equal(owner("0.9.1", "latest"), "1.5.0");
    /* A pre-release owns nothing. */
    assert_null(owner("1.5.1", "latest"));
}

static void test_an_older_version_of_a_line_is_noticed(void **state)
{
    (void)state;
    assert_string_equal(owner("1.4.2", NULL), "1.5.0");
    assert_null(owner("0.9.1", NULL));
    assert_null(owner("1.5.1", NULL));
    assert_null(owner("2.0.0", NULL));
    assert_string_equal(owner("2.0.0-beta.1", NULL), "2.0.0-rc.1");
}

static void test_tags_of_cooper_and_of_referrers_are_told_apart(void **state)
{
    (void)state;
    assert_true(release_tag_is_internal("cooper-releases"));
    assert_true(release_tag_is_internal("cooper-log-0123"));
    assert_true(release_tag_is_internal("cooper-claim-1.2.3.x"));
    assert_true(release_tag_is_internal(
        "sha256-0123456789012345678901234567890123456789012345678901234567890123"));
    assert_false(release_tag_is_internal("sha256-abc"));
    assert_false(release_tag_is_internal("latest"));
    assert_false(release_tag_is_internal("cooper"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moving_tags_are_rendered_from_templates),
        cmocka_unit_test(test_a_prerelease_moves_nothing),
        cmocka_unit_test(test_a_version_is_not_its_own_moving_tag),
        cmocka_unit_test(test_templates_that_are_no_tags_are_refused),
        cmocka_unit_test(test_a_moving_tag_belongs_to_the_newest_of_its_line),
        cmocka_unit_test(test_an_older_version_of_a_line_is_noticed),
        cmocka_unit_test(test_tags_of_cooper_and_of_referrers_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
