/* What is a git repository, and which part of it is meant. */
#include "builder/git_url.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void parse(const char *text, struct build_git_url *out)
{
    struct error err = ERROR_INIT;
    bool is_git;

    if (build_git_url_parse(text, BUILD_GIT_URL_CONTEXT, &is_git, out, &err) < 0)
        fail_msg("%s: %s", text, error_text(&err));
    if (!is_git)
        fail_msg("%s is taken for no repository", text);
}

static void means(const char *text,
                  const char *remote,
                  const char *host,
                  const char *ref,
                  const char *subdir)
{
    struct build_git_url u;

    parse(text, &u);
    assert_string_equal(u.remote, remote);
    assert_string_equal(u.host, host);
    assert_string_equal(u.ref, ref);
    assert_string_equal(u.subdir, subdir);
    build_git_url_release(&u);
}

static void is_none(const char *text)
{
    struct error err = ERROR_INIT;
    struct build_git_url u;
    bool is_git = true;

    assert_int_equal(build_git_url_parse(text, BUILD_GIT_URL_SOURCE, &is_git, &u, &err), 0);
    if (is_git)
        fail_msg("%s is taken for a repository", text);
}

static void fails(const char *text, const char *why)
{
    struct error err = ERROR_INIT;
    struct build_git_url u;
    bool is_git;

    if (build_git_url_parse(text, BUILD_GIT_URL_SOURCE, &is_git, &u, &err) == 0)
        fail_msg("%s is accepted", text);
    assert_int_equal(err.code, ERROR_INVALID);
    if (!strstr(error_text(&err), why))
        fail_msg("%s: %s", text, error_text(&err));
    error_clear(&err);
}

static void test_forms(void **state)
{
    (void)state;
    means("https://h.example/o/r.git", "https://h.example/o/r.git", "h.example", "", "");
    means("https://h:8443/r.git#dev", "https://h:8443/r.git", "h:8443", "dev", "");
    means("https://h/r.git#dev:a/b", "https://h/r.git", "h", "dev", "a/b");
    means("https://h/r.git#:a/../b/", "https://h/r.git", "h", "", "b");
    means("https://h/r.git#:../../b", "https://h/r.git", "h", "", "b");
    means("HTTPS://h/r.git", "HTTPS://h/r.git", "h", "", "");
    means("git://h/any#refs/heads/x", "git://h/any", "h", "refs/heads/x", "");
    means("ssh://git@h:22/r", "ssh://git@h:22/r", "h:22", "", "");
    means("git@h.example:o/r.git#v1:d", "git@h.example:o/r.git", "h.example", "v1", "d");
    means("me_2@h-1:r", "me_2@h-1:r", "h-1", "", "");
    means("github.com/o/r#main", "https://github.com/o/r", "github.com", "main", "");
}

static void test_queries(void **state)
{
    struct build_git_url u;

    (void)state;
    means("https://h/r.git?branch=b", "https://h/r.git", "h", "refs/heads/b", "");
    means("https://h/r.git?tag=t&subdir=/s/", "https://h/r.git", "h", "refs/tags/t", "s");
    means("https://h/r.git?ref=a%2Fb", "https://h/r.git", "h", "a/b", "");
    means("https://h/r.git?branch=refs/heads/b#refs/heads/b", "https://h/r.git", "h",
          "refs/heads/b", "");
    means("git@h:r?tag=t", "git@h:r", "h", "refs/tags/t", "");
    parse("https://h/r.git?keep-git-dir&submodules=false&commit=abc&mtime=checkout", &u);
    assert_true(u.has_keep_git_dir && u.keep_git_dir && u.skip_submodules);
    assert_true(u.times_of_checkout);
    assert_string_equal(u.checksum, "abc");
    build_git_url_release(&u);
    parse("https://h/r.git?checksum=1234567890123456789012345678901234567890&"
          "fetch-by-commit=1",
          &u);
    assert_true(u.by_commit);
    build_git_url_release(&u);
}

static void test_what_is_no_repository(void **state)
{
    static const char *const texts[] = {
        "https://h/r",
        "https://h/r.tar.gz",
        "http://h/a.git/b",
        "./git@h:x",
        "../git://h/x",
        "file.git",
        "git/x",
        "a:b",
        "github.com/o/r",
        "ftp://h/r.git",
        "file:///r.git",
        "docker-image://x",
        "https://h/?x.git",
        "@h:x",
        "",
        "/git://h/r",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        is_none(texts[i]);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    fails("https://h/r.git?colour=red", "unexpected query");
    fails("https://h/r.git?ref=a&ref=b", "multiple values");
    fails("https://h/r.git?ref=", "no value");
    fails("https://h/r.git?ref=a#b", "conflicts");
    fails("https://h/r.git?subdir=a#b:c", "conflicts");
    fails("https://h/r.git?tag=a&branch=b", "branch conflicts with tag");
    fails("https://h/r.git?checksum=a&commit=b", "conflicts");
    fails("https://h/r.git?submodules=maybe", "invalid submodules value");
    fails("https://h/r.git?mtime=now", "invalid mtime value");
    fails("https://h/r.git?checksum=xyz", "expected hex");
    fails("https://h/r.git?checksum=abc&fetch-by-commit=1", "full commit");
    fails("https://h/r.git#--upload-pack=x", "no name of a branch");
    fails("https://h/r.git#a..b", "no name of a branch");
    fails("https://h/r.git#a%0ab", "control character");
    fails("https://h/r.git#a%00b", "NUL");
    fails("git://-oProxyCommand=x/r", "no host");
    fails("-x@h:r", "no host");
    fails("https:///r.git", "no host");
    fails("https://h/a b.git", "blank");
}

static void test_a_password_is_shown_nowhere(void **state)
{
    struct build_git_url u;

    (void)state;
    parse("https://me:s3cret@h/r.git#x", &u);
    assert_string_equal(u.remote, "https://me:s3cret@h/r.git");
    assert_string_equal(u.shown, "https://h/r.git");
    assert_string_equal(u.scope, "https://h/r.git");
    assert_string_equal(u.host, "h");
    build_git_url_release(&u);
    parse("ssh://git@h/r", &u);
    assert_null(u.scope);
    build_git_url_release(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_what_is_no_repository),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_a_password_is_shown_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
