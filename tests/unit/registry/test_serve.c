/* What the embedded registry reads of requests, and its password file. */
#include "base/alloc.h"
#include "base/fs.h"
#include "registry/serve/auth.h"
#include "registry/serve/header.h"
#include "registry/serve/listen.h"
#include "registry/serve/target.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- Targets --- */

static void reads(const char *text,
                  enum serve_route route,
                  const char *repository,
                  const char *reference)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_target_release) struct serve_target t = {0};

    assert_int_equal(serve_target_parse(view_of(text), &t, &err), 0);
    assert_int_equal(t.route, route);
    assert_true((t.repository != NULL) == (repository != NULL));
    if (repository)
        assert_string_equal(t.repository, repository);
    assert_true((t.reference != NULL) == (reference != NULL));
    if (reference)
        assert_string_equal(t.reference, reference);
}

static void test_targets_are_read_from_their_end(void **state)
{
    (void)state;
    reads("/", SERVE_ROUTE_PAGE, NULL, NULL);
    reads("/style.css", SERVE_ROUTE_STYLE, NULL, NULL);
    reads("/?repository=a", SERVE_ROUTE_PAGE, NULL, NULL);
    reads("/metrics", SERVE_ROUTE_METRICS, NULL, NULL);
    reads("/v2", SERVE_ROUTE_BASE, NULL, NULL);
    reads("/v2/?x=y", SERVE_ROUTE_BASE, NULL, NULL);
    reads("/v2/_catalog?n=3", SERVE_ROUTE_CATALOG, NULL, NULL);
    reads("/v2/a/manifests/1", SERVE_ROUTE_MANIFEST, "a", "1");
    reads("/v2/a/b/c/manifests/sha256:" HEX64, SERVE_ROUTE_MANIFEST, "a/b/c",
          "sha256:" HEX64);
    reads("/v2/a/blobs/sha256%3A" HEX64, SERVE_ROUTE_BLOB, "a", "sha256:" HEX64);
    reads("/v2/a%2Fb/tags/list", SERVE_ROUTE_TAGS, "a/b", NULL);
    reads("/v2/a/blobs/uploads/", SERVE_ROUTE_UPLOADS, "a", NULL);
    reads("/v2/a/blobs/uploads?mount=x", SERVE_ROUTE_UPLOADS, "a", NULL);
    reads("/v2/a/blobs/uploads/7", SERVE_ROUTE_UPLOAD, "a", "7");
    reads("/v2/a/referrers/x", SERVE_ROUTE_REFERRERS, "a", "x");
    /* Names may hold the words. */
    reads("/v2/manifests/manifests/manifests", SERVE_ROUTE_MANIFEST, "manifests",
          "manifests");
    reads("/v2/blobs/uploads/manifests/1", SERVE_ROUTE_MANIFEST, "blobs/uploads", "1");
    reads("/v2/tags/list/tags/list", SERVE_ROUTE_TAGS, "tags/list", NULL);
    reads("/v2/a/nothing/b", SERVE_ROUTE_UNKNOWN, NULL, NULL);
    reads("/v2/x", SERVE_ROUTE_UNKNOWN, NULL, NULL);
    reads("*", SERVE_ROUTE_UNKNOWN, NULL, NULL);
    reads("", SERVE_ROUTE_UNKNOWN, NULL, NULL);
}

static void test_names_against_the_grammar_are_refused(void **state)
{
    static const char *const wrong[] = {
        "/v2/A/manifests/1",      "/v2//manifests/1",        "/v2/../x/manifests/1",
        "/v2/a/../b/manifests/1", "/v2/%2e%2e/manifests/1",  "/v2/a%00b/manifests/1",
        "/v2/a%0ab/manifests/1",  "/v2/a\nb/manifests/1",    "/v2/a%7f/manifests/1",
        "/v2/a%/manifests/1",     "/v2/a%2/manifests/1",     "/v2/a%zz/manifests/1",
        "/v2/a:b/manifests/1",    "/v2/a@b/manifests/1",     "/v2/a__ _b/manifests/1",
        "/v2/a/manifests/1?x=%",  "/v2/a/manifests/1?x=%00", "/v2/\xc3\xa4/manifests/1",
        "/v2/manifests/1",        "/v2/a//b/manifests/1",    "/v2/-a/manifests/1",
    };
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct serve_target t;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (serve_target_parse(view_of(wrong[i]), &t, &err) == 0)
            fail_msg("'%s' was taken", wrong[i]);
        assert_true(error_is(&err, ERROR_INVALID));
    }
    char long_name[300] = "";
    memset(long_name, 'a', 256);
    assert_false(serve_is_repository(view_of(long_name)));
    assert_true(serve_is_repository((struct view){long_name, 255}));
    assert_true(serve_is_tag((struct view){long_name, 128}));
    assert_false(serve_is_tag((struct view){long_name, 129}));
    assert_false(serve_is_tag(view_of("..")));
    assert_false(serve_is_tag(view_of("a@sha256:" HEX64)));
    assert_false(serve_is_tag((struct view){"a\0b", 3}));
    assert_false(serve_is_repository((struct view){"a\0b", 3}));
}

static void test_parameters_are_decoded_and_counted(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_target_release) struct serve_target t = {0};

    (void)state;
    assert_int_equal(
        serve_target_parse(view_of("/v2/?tag=a&t=x&tag=b%2Fc+d%2B&empty=&bare&tag"), &t,
                           &err),
        0);
    CLEANUP(base_freep) char *first = serve_target_param(&t, "tag", 0);
    CLEANUP(base_freep) char *second = serve_target_param(&t, "tag", 1);
    CLEANUP(base_freep) char *third = serve_target_param(&t, "tag", 2);
    CLEANUP(base_freep) char *empty = serve_target_param(&t, "empty", 0);
    assert_string_equal(first, "a");
    assert_string_equal(second, "b/c+d+");
    assert_string_equal(third, "");
    assert_string_equal(empty, "");
    assert_null(serve_target_param(&t, "tag", 3));
    assert_null(serve_target_param(&t, "ta", 0));
}

/* --- Headers --- */

static void range_is(const char *text, uint64_t size, uint64_t first, uint64_t last)
{
    uint64_t from = 0;
    uint64_t to = 0;

    assert_int_equal(serve_range_parse(text, size, &from, &to), SERVE_RANGE_PART);
    assert_int_equal(from, first);
    assert_int_equal(to, last);
}

static void test_ranges(void **state)
{
    static const char *const all[] = {
        "",          "bytes",     "bytes=",
        "bytes=-",   "bytes=a-b", "bytes=1-2,4-5",
        "items=1-2", "bytes=1",   "bytes=99999999999999999999-"};
    uint64_t first;
    uint64_t last;

    (void)state;
    range_is("bytes=0-0", 10, 0, 0);
    range_is("bytes=2-", 10, 2, 9);
    range_is("bytes=2-100", 10, 2, 9);
    range_is("bytes=-3", 10, 7, 9);
    range_is("bytes=-30", 10, 0, 9);
    assert_int_equal(serve_range_parse(NULL, 10, &first, &last), SERVE_RANGE_ALL);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        assert_int_equal(serve_range_parse(all[i], 10, &first, &last), SERVE_RANGE_ALL);
    assert_int_equal(serve_range_parse("bytes=5-2", 10, &first, &last),
                     SERVE_RANGE_UNSATISFIABLE);
    assert_int_equal(serve_range_parse("bytes=10-", 10, &first, &last),
                     SERVE_RANGE_UNSATISFIABLE);
    assert_int_equal(serve_range_parse("bytes=-0", 10, &first, &last),
                     SERVE_RANGE_UNSATISFIABLE);
    assert_int_equal(serve_range_parse("bytes=0-0", 0, &first, &last),
                     SERVE_RANGE_UNSATISFIABLE);
    assert_true(serve_content_range_parse("0-5", &first, &last));
    assert_int_equal(last, 5);
    assert_true(serve_content_range_parse("bytes 7-9/10", &first, &last));
    assert_int_equal(first, 7);
    assert_false(serve_content_range_parse("9-7", &first, &last));
    assert_false(serve_content_range_parse("7", &first, &last));
    assert_false(serve_content_range_parse("-", &first, &last));
    assert_false(serve_content_range_parse("0-18446744073709551615", &first, &last));
}

static void test_entity_tags(void **state)
{
    const struct digest d = digest_of(DIGEST_SHA256, view_of("x"));
    const char *const text = digest_format(&d).text;
    CLEANUP(base_freep) char *quoted = base_format("\"%s\"", text);
    CLEANUP(base_freep) char *list = base_format("\"a\", W/\"%s\" ,\"b\"", text);
    struct digest single;

    (void)state;
    assert_true(serve_etags_any(" * "));
    assert_false(serve_etags_any(quoted));
    assert_true(serve_etags_match(quoted, &d));
    assert_true(serve_etags_match(text, &d));
    assert_true(serve_etags_match(list, &d));
    assert_false(serve_etags_match("\"a\"", &d));
    assert_false(serve_etags_match("", &d));
    assert_true(serve_etags_single(quoted, &single) && digest_eq(&single, &d));
    assert_false(serve_etags_single(list, &single));
    assert_true(view_eq_text(serve_media_type("a/b ; charset=x"), "a/b"));
    assert_true(view_eq_text(serve_media_type(NULL), ""));
}

static void test_credentials(void **state)
{
    char *user = NULL;
    char *password = NULL;

    (void)state;
    /* "me:a:b" */
    assert_true(serve_basic_parse("basic bWU6YTpi", &user, &password));
    assert_string_equal(user, "me");
    assert_string_equal(password, "a:b");
    free(user);
    free(password);
    assert_false(serve_basic_parse(NULL, &user, &password));
    assert_false(serve_basic_parse("Bearer bWU6YTpi", &user, &password));
    assert_false(serve_basic_parse("Basic !!", &user, &password));
    assert_false(serve_basic_parse("Basic bWU=", &user, &password));
    /* "a\0:b": a NUL would cut the name. */
    assert_false(serve_basic_parse("Basic YQA6Yg==", &user, &password));
}

/* --- Passwords; the comparison itself is the module's --- */

static unsigned checks;

static bool fake_check(const char *password, const char *hash)
{
    checks++;
    return strcmp(password, "right") == 0 && hash[59] == 'x';
}

#define HASH "$2y$05$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcd"

static char *password_file(const char *text)
{
    char *path = base_strdup("/tmp/cooper-test-htpasswd-XXXXXX");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, text, strlen(text), &err), 0);
    close(fd);
    return path;
}

static void test_a_right_password_is_computed_once(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *path = password_file("# people\n\nme:" HASH "x\n");
    struct serve_auth *a = serve_auth_open(path, fake_check, &err);

    (void)state;
    assert_non_null(a);
    checks = 0;
    assert_true(serve_auth_check(a, "me", "right"));
    assert_true(serve_auth_check(a, "me", "right"));
    assert_int_equal(checks, 1);
    assert_false(serve_auth_check(a, "me", "wrong"));
    assert_false(serve_auth_check(a, "me", "wrong"));
    assert_int_equal(checks, 3);
    /* As long as for one who is known. */
    assert_false(serve_auth_check(a, "you", "right"));
    assert_int_equal(checks, 4);
    /* Who is taken out of the file is out. */
    assert_int_equal(
        fs_replace_file_at(AT_FDCWD, path, view_of("you:" HASH "x\n"), 0600, &err), 0);
    assert_int_equal(serve_auth_refresh(a, &err), 0);
    assert_false(serve_auth_check(a, "me", "right"));
    assert_true(serve_auth_check(a, "you", "right"));
    /* A broken file changes nothing. */
    assert_int_equal(fs_replace_file_at(AT_FDCWD, path, view_of("you\n"), 0600, &err), 0);
    assert_int_equal(serve_auth_refresh(a, &err), -1);
    assert_true(error_is(&err, ERROR_INVALID));
    assert_true(serve_auth_check(a, "you", "right"));
    serve_auth_close(a);
    unlink(path);
}

static void test_password_files_hold_bcrypt_only(void **state)
{
    static const char *const wrong[] = {"me\n", ":" HASH "x\n", "me:secret\n",
                                        "me:$apr1$abc$def\n", "me:{SHA}abc\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(base_freep) char *path = password_file(wrong[i]);
        assert_null(serve_auth_open(path, fake_check, &err));
        assert_true(error_is(&err, ERROR_INVALID));
        assert_non_null(strstr(error_text(&err), "line 1"));
        assert_null(strstr(error_text(&err), "secret"));
        unlink(path);
    }
}

/* --- Listening --- */

static void test_listening_places(void **state)
{
    static const char *const wrong[] = {"x",    "127.0.0.1:",      "127.0.0.1:http",
                                        "[]:0", "127.0.0.1:65536", ""};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct serve_listener l;

    (void)state;
    assert_int_equal(serve_listen("0", &l, &err), 0);
    assert_true(l.is_loopback);
    assert_int_equal(strncmp(l.address, "127.0.0.1:", 10), 0);
    assert_int_not_equal(l.port, 0);
    /* Nobody else gets it meanwhile. */
    CLEANUP(base_freep) char *same = base_strdup(l.address);
    struct serve_listener second;
    assert_int_equal(serve_listen(same, &second, &err), -1);
    assert_true(error_is(&err, ERROR_SYSTEM));
    serve_listener_release(&l);
    assert_int_equal(serve_listen("0.0.0.0:0", &l, &err), 0);
    assert_false(l.is_loopback);
    serve_listener_release(&l);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_int_equal(serve_listen(wrong[i], &l, &err), -1);
        assert_true(error_is(&err, ERROR_INVALID));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets_are_read_from_their_end),
        cmocka_unit_test(test_names_against_the_grammar_are_refused),
        cmocka_unit_test(test_parameters_are_decoded_and_counted),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_entity_tags),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_a_right_password_is_computed_once),
        cmocka_unit_test(test_password_files_hold_bcrypt_only),
        cmocka_unit_test(test_listening_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
