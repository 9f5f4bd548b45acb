#include "base/alloc.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The table of Go's path_test.go, and some more. */
static void test_clean_follows_go(void **state)
{
    static const struct {
        const char *path;
        const char *clean;
    } cases[] = {
        {"", "."},
        {"abc", "abc"},
        {"abc/def", "abc/def"},
        {"a/b/c", "a/b/c"},
        {".", "."},
        {"..", ".."},
        {"../..", "../.."},
        {"../../abc", "../../abc"},
        {"/abc", "/abc"},
        {"/", "/"},
        {"abc/", "abc"},
        {"abc/def/", "abc/def"},
        {"a/b/c/", "a/b/c"},
        {"./", "."},
        {"../", ".."},
        {"../../", "../.."},
        {"/abc/", "/abc"},
        {"abc//def//ghi", "abc/def/ghi"},
        {"//abc", "/abc"},
        {"///abc", "/abc"},
        {"//abc//", "/abc"},
        {"abc//", "abc"},
        {"abc/./def", "abc/def"},
        {"/./abc/def", "/abc/def"},
        {"abc/.", "abc"},
        {"abc/def/ghi/../jkl", "abc/def/jkl"},
        {"abc/def/../ghi/../jkl", "abc/jkl"},
        {"abc/def/..", "abc"},
        {"abc/def/../..", "."},
        {"/abc/def/../..", "/"},
        {"abc/def/../../..", ".."},
        {"/abc/def/../../..", "/"},
        {"abc/def/../../../ghi/jkl/../../../mno", "../../mno"},
        {"/../abc", "/abc"},
        {"abc/./../def", "def"},
        {"abc//./../def", "def"},
        {"abc/../../././../def", "../../def"},
        {"...", "..."},
        {"a/...", "a/..."},
        {"..a/../b", "b"},
        {"../a/..", ".."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(buf_release) struct buf out = BUF_INIT(100);

        path_clean(view_of(cases[i].path), &out);
        assert_string_equal(buf_text(&out), cases[i].clean);
    }
}

static void test_clean_appends_and_leaves_alone_what_was_there(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);

    (void)state;
    buf_append_text(&out, "x/y");
    path_clean(VIEW_LIT("a/../.."), &out);
    assert_string_equal(buf_text(&out), "x/y..");
}

static void test_rooted_cannot_climb_above_the_root(void **state)
{
    CLEANUP(base_freep) char *a = path_clean_rooted(VIEW_LIT("../../etc/passwd"));
    CLEANUP(base_freep) char *b = path_clean_rooted(VIEW_LIT(""));
    CLEANUP(base_freep) char *c = path_clean_rooted(VIEW_LIT("/a/./b/"));

    (void)state;
    assert_string_equal(a, "/etc/passwd");
    assert_string_equal(b, "/");
    assert_string_equal(c, "/a/b");
}

static void test_a_nul_does_not_hide_a_climb(void **state)
{
    CLEANUP(base_freep) char *a = path_clean_rooted(VIEW_LIT("..\0x"));
    CLEANUP(base_freep) char *b = path_join(VIEW_LIT("/a"), VIEW_LIT("..\0x"));

    (void)state;
    assert_string_equal(a, "/");
    assert_string_equal(b, "/");
}

static void test_join_lets_absolute_replace(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        const char *joined;
    } cases[] = {
        {"a", "b", "a/b"}, {"/app", "../x", "/x"}, {"/app", "/x", "/x"}, {"", "b", "b"},
        {"a", "", "a"},    {"", "", "."},          {"/", "..", "/"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(base_freep)
        char *joined = path_join(view_of(cases[i].a), view_of(cases[i].b));

        assert_string_equal(joined, cases[i].joined);
    }
}

static void test_base_and_dir_split_as_go(void **state)
{
    static const struct {
        const char *path;
        const char *base;
        const char *dir;
    } cases[] = {
        {"", ".", "."},   {"a", "a", "."},   {"/", "/", "/"},      {"//", "/", "/"},
        {"/a", "a", "/"}, {"a/b", "b", "a"}, {"/a/b/", "b", "/a"}, {"a//b", "b", "a"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_true(view_eq_text(path_base(view_of(cases[i].path)), cases[i].base));
        assert_true(view_eq_text(path_dir(view_of(cases[i].path)), cases[i].dir));
    }
}

static void test_prefix_ends_at_a_component(void **state)
{
    (void)state;
    assert_true(path_has_prefix(VIEW_LIT("/a/b"), VIEW_LIT("/a")));
    assert_true(path_has_prefix(VIEW_LIT("/a"), VIEW_LIT("/a")));
    assert_false(path_has_prefix(VIEW_LIT("/ab"), VIEW_LIT("/a")));
    assert_false(path_has_prefix(VIEW_LIT("/"), VIEW_LIT("/a")));
    assert_true(path_has_prefix(VIEW_LIT("/a"), VIEW_LIT("/")));
    assert_false(path_has_prefix(VIEW_LIT("a"), VIEW_LIT("/")));
    assert_true(path_has_prefix(VIEW_LIT("a/b"), VIEW_LIT(".")));
    assert_true(path_has_prefix(VIEW_LIT("..a"), VIEW_LIT(".")));
    assert_false(path_has_prefix(VIEW_LIT("../a"), VIEW_LIT(".")));
    assert_false(path_has_prefix(VIEW_LIT("/a"), VIEW_LIT(".")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_follows_go),
        cmocka_unit_test(test_clean_appends_and_leaves_alone_what_was_there),
        cmocka_unit_test(test_rooted_cannot_climb_above_the_root),
        cmocka_unit_test(test_a_nul_does_not_hide_a_climb),
        cmocka_unit_test(test_join_lets_absolute_replace),
        cmocka_unit_test(test_base_and_dir_split_as_go),
        cmocka_unit_test(test_prefix_ends_at_a_component),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
