#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/glob.h"
#include "parser/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dockerfile_ignore *make(const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct dockerfile_ignore *set =
        dockerfile_ignore_parse(view_of(text), ".dockerignore", &err);

    if (!set)
        fail_msg("%s: %s", text, error_text(&err));
    return set;
}

/* The verdict of a walk from the top down to `path`. */
static bool walk(const struct dockerfile_ignore *set, struct view path)
{
    uint8_t states[2][64];
    const uint8_t *parent = NULL;
    bool result = false;
    unsigned depth = 0;

    assert_true(dockerfile_ignore_state_size(set) <= sizeof states[0]);
    for (size_t i = 1; i <= path.size; i++) {
        if (i < path.size && path.data[i] != '/')
            continue;
        uint8_t *own = states[depth++ % 2];
        result = dockerfile_ignore_step(set, view_sub(path, 0, i), parent, own);
        parent = own;
    }
    return result;
}

static void test_patterns_match_as_mobys(void **state)
{
    static const struct {
        const char *patterns;
        const char *path;
        bool match;
    } cases[] = {
        {"**", "file", true},
        {"**/", "dir/file", true},
        {"**/**", "dir/file", true},
        {"dir/**", "dir/file", true},
        {"dir/**", "dir/a/file", true},
        {"dir/**", "dir", false},
        {"**/dir", "dir/file", true},
        {"**/dir", "a/b/dir", true},
        {"**/dir", "a/xdir", false},
        {"**/dir/*", "a/dir/b/file", true},
        {"**/dir/**", "a/dir/b/file", true},
        {"**file", "dir/file", true},
        {"**file", "dir/xfile", true},
        {"**/file*txt", "a/b/file.txt", true},
        {"**/**/*.txt", "file.txt", true},
        {"**/*.txt2", "a/file.txt", false},
        {"a**/*.txt", "a/dir/dir/file.txt", true},
        {"a/*.txt", "a/dir/file.txt", false},
        {"a/*.txt", "a/file.txt", true},
        {"a/*.txt**", "a/file.txt", true},
        {"a[b-d]e", "ae", false},
        {"a[b-d]e", "ace", true},
        {"a[^b-d]e", "aze", true},
        {"a[^b]c", "a/c", true}, /* a negated class takes a slash */
        {".*", ".foo", true},
        {".*", "foo", false},
        {"abc.def", "abcZdef", false},
        {"abc?def", "abcZdef", true},
        {"abc?def", "abc/def", false},
        {"a\\*b", "a*b", true},
        {"a\\*b", "axb", false},
        {"a\\\\", "a\\", true},
        {"v\\d", "v7", true}, /* an escaped letter is what it is in an expression */
        {"dist\\build", "dist/build", false},
        {"**/.foo", "bar.foo", false},
        {"a(b)c/def", "a(b)c/def", true},
        {"a.|)$(}+{bc", "a.|)$(}+{bc", true},
        {"dist/*.whl", "dist/p.py-2.4.0rc3+g08-py3.whl", true},
        {"foo", "foo/bar/baz", true},
        {"foo", "foobar", false},
        {"файл?", "файлы", true},
        {"/abs/x", "abs/x", true},
        {"./a/../b//c/", "b/c", true},
        {"  spaced  ", "spaced", true},
        {"**\n!keep", "keep/x", false},
        {"**\n!keep", "other", true},
        {"*\n!a/b\na/b/c", "a/b/c", true},
        {"*\n!a/b\na/b/c", "a/b/d", false},
        {"*\n! keep", "keep", false},
        {"#c\n\xef\xbb\xbf#", "#c", false},
        {" # no comment", "# no comment", true},
        {"\xef\xbb\xbf"
         "bom",
         "bom", true},
        {"cr\r\nlf\r\n", "cr", true},
        {"*", ".", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(dockerfile_ignore_freep)
        struct dockerfile_ignore *set = make(cases[i].patterns);
        const struct view path = view_of(cases[i].path);
        if (dockerfile_ignore_match(set, path) != cases[i].match)
            fail_msg("'%s' on %s", cases[i].patterns, cases[i].path);
        if (walk(set, path) != cases[i].match)
            fail_msg("walk: '%s' on %s", cases[i].patterns, cases[i].path);
    }
}

static void test_malformed_patterns_are_refused_with_their_line(void **state)
{
    static const char *const texts[] = {"ok\n[a", "ok\n!",    "ok\n a\\",
                                        "ok\n[]", "x\n[b-a]", "x\n\\y"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_null(dockerfile_ignore_parse(view_of(texts[i]), "x.dockerignore", &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(err.pos.line, 2);
        assert_string_equal(err.pos.source, "x.dockerignore");
    }
}

static void test_a_walk_differs_where_a_pattern_is_repeated(void **state)
{
    CLEANUP(dockerfile_ignore_freep) struct dockerfile_ignore *set = make("d\n!d/x\nd");

    (void)state;
    assert_true(dockerfile_ignore_match(set, VIEW_LIT("d/x")));
    assert_false(walk(set, VIEW_LIT("d/x")));
}

static void test_directories_are_pruned_where_no_exception_reaches(void **state)
{
    static const struct {
        const char *patterns;
        const char *path;
        bool may;
    } cases[] = {
        {"node_modules", "node_modules", false},
        {"*\n!src", "vendor", false},
        {"*\n!src/lib/*.c", "src", true},
        {"*\n!src/lib/*.c", "src/lib", true},
        {"*\n!src/lib/*.c", "src/bin", false},
        {"*\n!**/keep", "anything/at/all", true},
        {"*\n!src/**", "src/deep", true},
        {"*\n!s?c/x", "sac", true},
        {"*\n!s?c/x", "sad", false},
        {"*\n!src", "src", false}, /* it matches itself, nothing beneath */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(dockerfile_ignore_freep)
        struct dockerfile_ignore *set = make(cases[i].patterns);
        if (dockerfile_ignore_may_reinclude(set, view_of(cases[i].path)) != cases[i].may)
            fail_msg("'%s' beneath %s", cases[i].patterns, cases[i].path);
    }
}

static void test_long_patterns_and_files_are_refused(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *text = base_alloc(LIMIT_DOCKERIGNORE_SIZE + 1);

    (void)state;
    memset(text, 'a', LIMIT_DOCKERIGNORE_SIZE + 1);
    const struct view all = {text, LIMIT_DOCKERIGNORE_SIZE + 1};
    const struct view line = {text, LIMIT_PATTERN_SIZE + 1};
    assert_null(dockerfile_ignore_parse(all, "x", &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    error_clear(&err);
    assert_null(dockerfile_ignore_new(&line, 1, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

/* A pattern that a backtracking matcher would never finish. */
static void test_many_stars_take_linear_time(void **state)
{
    CLEANUP(buf_release) struct buf pattern = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf path = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    for (int i = 0; i < 100; i++)
        buf_append_text(&pattern, "**/*a*");
    buf_append_text(&pattern, "b");
    for (int i = 0; i < 2000; i++)
        buf_append_text(&path, "a");
    CLEANUP(dockerfile_ignore_freep)
    struct dockerfile_ignore *set = make(buf_text(&pattern));
    assert_false(dockerfile_ignore_match(set, buf_view(&path)));
    assert_false(dockerfile_glob_match(buf_view(&pattern), buf_view(&path)));
}

static void test_globs_match_as_gos(void **state)
{
    static const struct {
        const char *pattern;
        const char *name;
        int match; /* -1: malformed */
    } cases[] = {
        {"abc", "abc", 1},
        {"*", "abc", 1},
        {"*c", "abc", 1},
        {"a*", "a", 1},
        {"a*", "ab/c", 0},
        {"a*/b", "abc/b", 1},
        {"a*/b", "a/c/b", 0},
        {"a*b*c*d*e*/f", "axbxcxdxe/f", 1},
        {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", 0},
        {"a*b?c*x", "abxbbxdbxebxczzx", 1},
        {"a*b?c*x", "abxbbxdbxebxczzy", 0},
        {"ab[c]", "abc", 1},
        {"ab[b-d]", "abc", 1},
        {"ab[e-g]", "abc", 0},
        {"ab[^c]", "abc", 0},
        {"ab[^e-g]", "abc", 1},
        {"a\\*b", "a*b", 1},
        {"a\\*b", "ab", 0},
        {"a?b", "a☺b", 1},
        {"a[^a]b", "a☺b", 1},
        {"a???b", "a☺b", 0},
        {"[a-ζ]*", "α", 1},
        {"*[a-ζ]", "A", 0},
        {"a?b", "a/b", 0},
        {"a*b", "a/b", 0},
        {"[\\]a]", "]", 1},
        {"[\\-]", "-", 1},
        {"[x\\-]", "x", 1},
        {"[-]", "-", -1},
        {"[x-]", "x", -1},
        {"[-x]", "x", -1},
        {"\\", "a", -1},
        {"[a-b-c]", "a", -1},
        {"[", "a", -1},
        {"[^", "a", -1},
        {"[^bc", "a", -1},
        {"a[", "a", -1},
        {"a[", "ab", -1},
        {"*x", "xxx", 1},
        {"", "", 1},
        {"", "x", 0},
        {"[]a]", "]", -1},
        {"**", "ab", 1},
        {"a**b", "axxb", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        const struct view pattern = view_of(cases[i].pattern);
        if ((dockerfile_glob_check(pattern, &err) < 0) != (cases[i].match < 0) ||
            dockerfile_glob_match(pattern, view_of(cases[i].name)) != (cases[i].match > 0))
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].name);
    }
}

static void test_escaped_wildcards_are_none(void **state)
{
    (void)state;
    assert_true(dockerfile_glob_has_wildcards(VIEW_LIT("a*")));
    assert_true(dockerfile_glob_has_wildcards(VIEW_LIT("a\\\\?")));
    assert_false(dockerfile_glob_has_wildcards(VIEW_LIT("a\\*\\[b]")));
}

static void rule_is(const struct dockerfile_ignore *set,
                    const char *path,
                    bool ignored,
                    unsigned line)
{
    struct dockerfile_ignore_rule rule;

    assert_int_equal(dockerfile_ignore_find_rule(set, view_of(path), &rule), ignored);
    assert_int_equal(rule.line, line);
}

static void test_the_line_that_decides_is_known(void **state)
{
    static const char text[] = "# comment\n\n*.log\nbuild\n!build/keep\n  /x/y  \n!*.log\n";
    CLEANUP(dockerfile_ignore_freep) struct dockerfile_ignore *set = NULL;
    struct dockerfile_ignore_rule rule;
    struct error err = ERROR_INIT;

    (void)state;
    set = dockerfile_ignore_parse(view_of(text), "web.dockerignore", &err);
    assert_non_null(set);
    rule_is(set, "build", true, 4);
    rule_is(set, "build/a/b", true, 4);
    rule_is(set, "build/keep/a", false, 5);
    rule_is(set, "x/y/z", true, 6);
    rule_is(set, "x/z", false, 0);
    rule_is(set, "a.log", false, 7);
    assert_true(dockerfile_ignore_find_rule(set, VIEW_LIT("build"), &rule));
    assert_string_equal(rule.source, "web.dockerignore");
    assert_true(view_eq_text(rule.pattern, "build"));
    assert_false(rule.exception);
    rule = dockerfile_ignore_rule_at(set, 2);
    assert_true(rule.exception && view_eq_text(rule.pattern, "build/keep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_that_decides_is_known),
        cmocka_unit_test(test_patterns_match_as_mobys),
        cmocka_unit_test(test_malformed_patterns_are_refused_with_their_line),
        cmocka_unit_test(test_a_walk_differs_where_a_pattern_is_repeated),
        cmocka_unit_test(test_directories_are_pruned_where_no_exception_reaches),
        cmocka_unit_test(test_long_patterns_and_files_are_refused),
        cmocka_unit_test(test_many_stars_take_linear_time),
        cmocka_unit_test(test_globs_match_as_gos),
        cmocka_unit_test(test_escaped_wildcards_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
