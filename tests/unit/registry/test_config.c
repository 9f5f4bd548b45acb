#include "fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "registry/base64.h"
#include "registry/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct registry_config *open_config(const struct fixture *f)
{
    return registry_config_new(&(struct registry_config_options){.docker_dir = f->dir});
}

static void expect(struct registry_config *c,
                   const char *host,
                   const char *path,
                   const char *username,
                   const char *password)
{
    CLEANUP(registry_credential_release) struct registry_credential got = {0};
    struct error err = ERROR_INIT;
    bool found;

    OK(registry_config_find(c, host, path, &found, &got, &err), &err);
    assert_int_equal(found, username != NULL);
    if (!username)
        return;
    assert_string_equal(got.username, username);
    assert_string_equal(got.password, password);
}

static void test_entries_are_found_by_every_form_of_their_key(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "config.json",
                  "{\"auths\":{"
                  "\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnNlY3JldA==\"},"
                  "\"a.example\":{\"auth\":\"YTpiOmM=\"},"
                  "\"https://b.example/v2/\":{\"username\":\"u\",\"password\":\"p\"},"
                  "\"c.example:5000\":{\"auth\":\"eDp5AAA=\"},"
                  "\"empty.example\":{}}}");
    struct registry_config *c = open_config(f);
    expect(c, "docker.io", "library/debian", "hub", "secret");
    expect(c, "a.example", NULL, "a", "b:c");
    expect(c, "b.example", "x", "u", "p");
    expect(c, "c.example:5000", "x", "x", "y");
    expect(c, "c.example", "x", NULL, NULL);
    expect(c, "empty.example", "x", NULL, NULL);
    expect(c, "other.example", "x", NULL, NULL);
    registry_config_free(c);
}

static void test_most_specific_repository_of_auth_json_counts(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *path = fixture_path(f, "auth.json");

    fixture_write(f, "auth.json",
                  "{\"auths\":{\"q.io\":{\"auth\":\"aG9zdDox\"},"
                  "\"q.io/team\":{\"auth\":\"dGVhbToy\"},"
                  "\"q.io/team/app\":{\"auth\":\"YXBwOjM=\"}}}");
    fixture_write(f, "config.json",
                  "{\"auths\":{\"q.io\":{\"auth\":\"ZG9ja2VyOjQ=\"},\"d.io\":{\"auth\":"
                  "\"ZG9ja2VyOjQ=\"}}}");
    struct registry_config *c = registry_config_new(
        &(struct registry_config_options){.docker_dir = f->dir, .auth_file = path});
    expect(c, "q.io", "other", "host", "1");
    expect(c, "q.io", "team/x", "team", "2");
    expect(c, "q.io", "teams", "host", "1");
    expect(c, "q.io", "team/app", "app", "3");
    expect(c, "d.io", "x", "docker", "4");
    registry_config_free(c);
}

static void test_missing_and_empty_files_are_no_error(void **state)
{
    struct fixture *f = *state;
    struct registry_config *c = open_config(f);

    expect(c, "a.example", NULL, NULL, NULL);
    registry_config_free(c);
    fixture_write(f, "config.json", "");
    c = open_config(f);
    expect(c, "a.example", NULL, NULL, NULL);
    registry_config_free(c);
}

static void test_malformed_files_are_named_but_not_quoted(void **state)
{
    static const char *const cases[] = {
        "{\"auths\":",
        "{\"auths\":{\"a.example\":{\"auth\":\"!!\"}}}",
        "{\"auths\":{\"a.example\":{\"auth\":\"c2VjcmV0\"}}}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct registry_credential got = {0};
        bool found;

        fixture_write(f, "config.json", cases[i]);
        struct registry_config *c = open_config(f);
        assert_int_equal(registry_config_find(c, "a.example", NULL, &found, &got, &f->err),
                         -1);
        assert_int_equal(f->err.code, ERROR_INVALID);
        assert_non_null(strstr(error_text(&f->err), "config.json"));
        assert_null(strstr(error_text(&f->err), "c2VjcmV0"));
        registry_config_free(c);
    }
}

static void test_stored_credentials_are_found_again_and_the_file_is_private(void **state)
{
    struct fixture *f = *state;
    char user[] = "u", password[] = "p:q", token[] = "T";
    const struct registry_credential plain = {.username = user, .password = password};
    const struct registry_credential identity = {.identity_token = token};
    CLEANUP(registry_credential_release) struct registry_credential got = {0};
    CLEANUP(base_freep) char *path = fixture_path(f, "config.json");
    CLEANUP(buf_release) struct buf text = BUF_INIT(100000);
    struct stat st;
    bool found;

    fixture_write(f, "config.json",
                  "{\"other\":{\"kept\":true},\"auths\":{\"z\":{\"auth\":\"YTpi\"}}}");
    struct registry_config *c = open_config(f);
    OK(registry_config_store(c, "a.example", &plain, &f->err), &f->err);
    OK(registry_config_store(c, "docker.io", &identity, &f->err), &f->err);
    expect(c, "a.example", NULL, "u", "p:q");
    expect(c, "z", NULL, "a", "b");
    OK(registry_config_find(c, "docker.io", NULL, &found, &got, &f->err), &f->err);
    assert_true(found);
    assert_string_equal(got.identity_token, "T");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    OK(fs_read_file_at(AT_FDCWD, path, &text, &f->err), &f->err);
    assert_non_null(strstr(buf_text(&text), "kept"));
    assert_non_null(strstr(buf_text(&text), "https://index.docker.io/v1/"));
    OK(registry_config_erase(c, "a.example", &f->err), &f->err);
    expect(c, "a.example", NULL, NULL, NULL);
    expect(c, "z", NULL, "a", "b");
    assert_int_equal(registry_config_erase(c, "a.example", &f->err), -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
    registry_config_free(c);
}

/* A helper that keeps its one secret in a file beside it and tells its arguments. */
static void install_helper(struct fixture *f)
{
    CLEANUP(base_freep)
    char *script =
        base_format("#!/bin/sh\n"
                    "cd %s\n"
                    "echo \"$@\" >> arguments\n"
                    "case $1 in\n"
                    "store) cat > kept;;\n"
                    "erase) rm kept;;\n"
                    "get) if [ -e kept ]; then cat kept; else\n"
                    "  echo 'credentials not found in native keychain'; exit 1; fi;;\n"
                    "esac\n",
                    f->dir);
    CLEANUP(base_freep) char *path = fixture_path(f, "docker-credential-test");
    CLEANUP(base_freep) char *search = base_format("%s:%s", f->dir, getenv("PATH"));

    fixture_write(f, "docker-credential-test", script);
    assert_int_equal(chmod(path, 0755), 0);
    (void)setenv("PATH", search, 1);
}

static void test_helpers_keep_secrets_that_never_are_arguments(void **state)
{
    struct fixture *f = *state;
    char user[] = "u", password[] = "geheim";
    const struct registry_credential plain = {.username = user, .password = password};
    CLEANUP(base_freep) char *arguments = fixture_path(f, "arguments");
    CLEANUP(buf_release) struct buf text = BUF_INIT(100000);
    CLEANUP(buf_release) struct buf config = BUF_INIT(100000);
    CLEANUP(base_freep) char *path = fixture_path(f, "config.json");

    install_helper(f);
    fixture_write(f, "config.json", "{\"credHelpers\":{\"a.example\":\"test\"}}");
    struct registry_config *c = open_config(f);
    expect(c, "a.example", NULL, NULL, NULL);
    OK(registry_config_store(c, "a.example", &plain, &f->err), &f->err);
    expect(c, "a.example", NULL, "u", "geheim");
    expect(c, "b.example", NULL, NULL, NULL);
    OK(fs_read_file_at(AT_FDCWD, arguments, &text, &f->err), &f->err);
    assert_null(strstr(buf_text(&text), "geheim"));
    OK(fs_read_file_at(AT_FDCWD, path, &config, &f->err), &f->err);
    assert_null(strstr(buf_text(&config), "geheim"));
    OK(registry_config_erase(c, "a.example", &f->err), &f->err);
    expect(c, "a.example", NULL, NULL, NULL);
    registry_config_free(c);
}

static void test_absent_or_strange_helpers_are_errors(void **state)
{
    static const char *const names[] = {"no-such-helper-anywhere", "../../bin/true", "a b"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        CLEANUP(base_freep) char *text = base_format("{\"credsStore\":\"%s\"}", names[i]);
        struct registry_credential got = {0};
        bool found;

        fixture_write(f, "config.json", text);
        struct registry_config *c = open_config(f);
        assert_int_equal(registry_config_find(c, "a.example", NULL, &found, &got, &f->err),
                         -1);
        assert_true(f->err.code == ERROR_INVALID || f->err.code == ERROR_NOT_FOUND);
        registry_config_free(c);
    }
}

static void test_base64_round_trips_and_is_strict(void **state)
{
    static const char *const bad[] = {"a", "ab=c", "a b", "ab==x", "ab-_", "a==="};

    (void)state;
    for (size_t n = 0; n < 20; n++) {
        CLEANUP(base_freep)
        char *text =
            registry_base64_encode(view_sub(VIEW_LIT("\0\xff~abcdefghijklmnopqrst"), 0, n));
        size_t size;
        CLEANUP(base_freep) char *back = registry_base64_decode(view_of(text), &size);

        assert_non_null(back);
        assert_int_equal(size, n);
        assert_memory_equal(back, "\0\xff~abcdefghijklmnopqrst", n);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        size_t size;

        assert_null(registry_base64_decode(view_of(bad[i]), &size));
    }
}

#define WITH_DIR(test)                                                                     \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_entries_are_found_by_every_form_of_their_key),
        WITH_DIR(test_most_specific_repository_of_auth_json_counts),
        WITH_DIR(test_missing_and_empty_files_are_no_error),
        WITH_DIR(test_malformed_files_are_named_but_not_quoted),
        WITH_DIR(test_stored_credentials_are_found_again_and_the_file_is_private),
        WITH_DIR(test_helpers_keep_secrets_that_never_are_arguments),
        WITH_DIR(test_absent_or_strange_helpers_are_errors),
        cmocka_unit_test(test_base64_round_trips_and_is_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
