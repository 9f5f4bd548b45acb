#include "fixture.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define HEX    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIGEST "sha256:" HEX
#define A64    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A128   A64 A64

static const struct {
    const char *text, *full, *familiar;
} valid[] = {
    {"debian", "docker.io/library/debian", "debian"},
    {"debian:12", "docker.io/library/debian:12", "debian:12"},
    {"library/debian", "docker.io/library/debian", "debian"},
    {"docker.io/debian", "docker.io/library/debian", "debian"},
    {"docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"},
    {"index.docker.io/debian", "docker.io/library/debian", "debian"},
    {"index.docker.io/a/b", "docker.io/a/b", "a/b"},
    {"docker.io/a/b", "docker.io/a/b", "a/b"},
    {"a/b", "docker.io/a/b", "a/b"},
    {"a/b/c", "docker.io/a/b/c", "a/b/c"},
    {"library/a/b", "docker.io/library/a/b", "library/a/b"},
    {"localhost/a", "localhost/a", "localhost/a"},
    {"localhost:5000/a", "localhost:5000/a", "localhost:5000/a"},
    {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
    {"localhost", "docker.io/library/localhost", "localhost"},
    {"127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1"},
    {"[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"},
    {"[2001:db8::1]/a", "[2001:db8::1]/a", "[2001:db8::1]/a"},
    {"quay.io/a:b", "quay.io/a:b", "quay.io/a:b"},
    {"Host/a", "Host/a", "Host/a"},
    {"host.example:443/a", "host.example:443/a", "host.example:443/a"},
    {"xn--n3h.example/a", "xn--n3h.example/a", "xn--n3h.example/a"},
    {"a@" DIGEST, "docker.io/library/a@" DIGEST, "a@" DIGEST},
    {"a:1@" DIGEST, "docker.io/library/a:1@" DIGEST, "a:1@" DIGEST},
    {"x.y/a:1@" DIGEST, "x.y/a:1@" DIGEST, "x.y/a:1@" DIGEST},
    {"a_b", "docker.io/library/a_b", "a_b"},
    {"a__b", "docker.io/library/a__b", "a__b"},
    {"a-b", "docker.io/library/a-b", "a-b"},
    {"a---b", "docker.io/library/a---b", "a---b"},
    {"a.b", "docker.io/library/a.b", "a.b"},
    {"a.b/c", "a.b/c", "a.b/c"},
    {"0", "docker.io/library/0", "0"},
    {"a:_x", "docker.io/library/a:_x", "a:_x"},
    {"a:X.y-Z_0", "docker.io/library/a:X.y-Z_0", "a:X.y-Z_0"},
    {"a:" A128, "docker.io/library/a:" A128, "a:" A128},
    {A64 "a", "docker.io/library/" A64 "a", A64 "a"},
    {"docker.io/quay.io/a:1", "docker.io/quay.io/a:1", "docker.io/quay.io/a:1"},
    {"docker.io/localhost/a", "docker.io/localhost/a", "docker.io/localhost/a"},
    {"docker.io/" A64, "docker.io/library/" A64, "docker.io/library/" A64},
    {"b.gcr.io/test.example.com/my-app:test.example.com",
     "b.gcr.io/test.example.com/my-app:test.example.com",
     "b.gcr.io/test.example.com/my-app:test.example.com"},
    {"foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080", "foo/foo_bar.com:8080"},
};

static const struct {
    const char *text;
    const char *word; /* of the message */
} invalid[] = {
    {"", "empty"},
    {":1", "empty"},
    {"@" DIGEST, "empty"},
    {"Debian", "lower case"},
    {"a/Debian", "lower case"},
    {"docker.io/A", "lower case"},
    {"a:", "tag is empty"},
    {"a:-x", "tag"},
    {"a:.x", "tag"},
    {"a:x y", "blank"},
    {"a:x/y", "host"},
    {"a:1:2", "tag"},
    {"a:" A128 "a", "128"},
    {"a@", "digest"},
    {"a@sha256:", ""},
    {"a@sha256:abc", ""},
    {"a@sha256:" A64 "g", ""},
    {"a@" DIGEST "0", ""},
    {"a@SHA256:" HEX, ""},
    {"a//b", "empty"},
    {"a/", "empty"},
    {"/a", "empty"},
    {"a./b/c", "host"},
    {"-a.b/c", "host"},
    {"a..b/c", "host"},
    {"a_b.c/d", "host"},
    {"host:/a", "host"},
    {"host:port/a", "host"},
    {"host:123456/a", "host"},
    {"[::1/a", "host"},
    {"[::g]/a", "host"},
    {"[::1]5000/a", "host"},
    {"-a", "lower-case"},
    {"a-", "lower-case"},
    {"a.", "lower-case"},
    {"a..b", "lower-case"},
    {"a___b", "lower-case"},
    {"a._b", "lower-case"},
    {"_a/b", "lower-case"},
    {"a/../b", "lower-case"},
    {"a/./b", "lower-case"},
    {"x.y/..", "lower-case"},
    {A64, "image ID"},
    {"a\nb", "control"},
    {"a\x7f", "control"},
    {"\xc3\xa4", "ASCII"},
    {"https://a.b/c", ""},
    {"a#b", ""},
    {"a?b", ""},
    {"a%2fb", ""},
};

static void test_references_get_dockers_full_and_short_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(valid); i++) {
        struct registry_reference r = parse_reference(valid[i].text);
        CLEANUP(base_freep) char *full = registry_reference_text(&r);
        CLEANUP(base_freep) char *familiar = registry_reference_familiar(&r);

        assert_string_equal(full, valid[i].full);
        assert_string_equal(familiar, valid[i].familiar);
        registry_reference_release(&r);
    }
}

static void test_both_forms_parse_to_the_same_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(valid); i++) {
        struct registry_reference full = parse_reference(valid[i].full);
        CLEANUP(base_freep) char *text = registry_reference_text(&full);

        assert_string_equal(text, valid[i].full);
        registry_reference_release(&full);
    }
}

static void test_bad_references_are_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(invalid); i++) {
        struct registry_reference r = {0};
        struct error err = ERROR_INIT;

        if (registry_reference_parse(view_of(invalid[i].text), &r, &err) == 0)
            fail_msg("accepted: '%s'", invalid[i].text);
        assert_int_equal(err.code, ERROR_INVALID);
        if (!strstr(error_text(&err), invalid[i].word))
            fail_msg("'%s': %s", invalid[i].text, error_text(&err));
        error_clear(&err);
    }
}

static void test_repository_path_has_at_most_255_characters(void **state)
{
    struct registry_reference r = {0};
    struct error err = ERROR_INIT;

    (void)state;
    CLEANUP(base_freep) char *fits = base_format("x.y/%0255d", 0);
    CLEANUP(base_freep) char *over = base_format("x.y/%0256d", 0);
    CLEANUP(base_freep) char *official = base_format("%0248d", 0);
    OK(registry_reference_parse(view_of(fits), &r, &err), &err);
    registry_reference_release(&r);
    assert_int_equal(registry_reference_parse(view_of(over), &r, &err), -1);
    assert_non_null(strstr(error_text(&err), "255"));
    /* "library/" counts. */
    assert_int_equal(registry_reference_parse(view_of(official), &r, &err), -1);
    error_clear(&err);
}

static void test_unknown_digest_algorithm_is_unsupported(void **state)
{
    struct registry_reference r = {0};
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(registry_reference_parse(VIEW_LIT("a@blake3:" HEX), &r, &err), -1);
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    error_clear(&err);
}

static void test_normalize_adds_latest_unless_there_is_tag_or_digest(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"debian", "docker.io/library/debian:latest"},
        {"debian:12", "docker.io/library/debian:12"},
        {"debian@" DIGEST, "docker.io/library/debian@" DIGEST},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(base_freep)
        char *got = registry_reference_normalize(view_of(cases[i].text), &err);

        assert_non_null(got);
        assert_string_equal(got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references_get_dockers_full_and_short_forms),
        cmocka_unit_test(test_both_forms_parse_to_the_same_reference),
        cmocka_unit_test(test_bad_references_are_refused_in_words),
        cmocka_unit_test(test_repository_path_has_at_most_255_characters),
        cmocka_unit_test(test_unknown_digest_algorithm_is_unsupported),
        cmocka_unit_test(test_normalize_adds_latest_unless_there_is_tag_or_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
