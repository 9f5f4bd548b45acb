#include "fixture.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "registry/hosts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* JSON is YAML, as far as it is needed here. */
static struct doc *parse(struct view text, struct error *err)
{
    return doc_parse(text, err);
}

static int setup(void **state)
{
    if (fixture_setup(state) < 0)
        return -1;
    struct fixture *f = *state;
    static const char *const dirs[] = {"etc/containers/registries.conf.d", "etc/cooper",
                                       "etc/docker", "home/containers", "home/cooper"};

    (void)unsetenv("COOPER_REGISTRIES");
    (void)unsetenv("CONTAINERS_REGISTRIES_CONF");
    for (size_t i = 0; i < ARRAY_COUNT(dirs); i++) {
        CLEANUP(base_freep) char *path = fixture_path(f, dirs[i]);

        OK(fs_mkdir_all_at(AT_FDCWD, path, 0755, &f->err), &f->err);
    }
    return 0;
}

static struct registry_hosts *open_hosts(const struct fixture *f)
{
    CLEANUP(base_freep) char *etc = fixture_path(f, "etc");
    CLEANUP(base_freep) char *home = fixture_path(f, "home");

    return registry_hosts_new(&(struct registry_hosts_options){
        .reads_files = true, .etc = etc, .home = home, .parse_yaml = parse});
}

/* "MIRROR MIRROR PLACE", or the error; malloc'ed. */
static char *places(const struct fixture *f, const char *name, enum registry_hosts_use use)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(registry_endpoints_release) struct registry_endpoints e = {0};
    CLEANUP(registry_reference_release) struct registry_reference r = parse_reference(name);
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct registry_hosts *h = open_hosts(f);
    const int rc = registry_hosts_find(h, &r, use, &e, &err);

    registry_hosts_free(h);
    if (rc < 0)
        return base_strdup(error_text(&err));
    for (size_t i = 0; i < e.count; i++) {
        assert_int_equal(e.items[i].is_mirror, i + 1 < e.count);
        buf_printf(&out, "%s%s/%s", i ? " " : "", e.items[i].repository.host,
                   e.items[i].repository.path);
    }
    return base_strdup(buf_text(&out));
}

static void check(const struct fixture *f,
                  const char *name,
                  enum registry_hosts_use use,
                  const char *want)
{
    CLEANUP(base_freep) char *got = places(f, name, use);

    assert_string_equal(got, want);
}

static void test_without_files_a_name_is_where_it_says(void **state)
{
    const struct fixture *f = *state;

    check(f, "debian", REGISTRY_HOSTS_PULL_TAG, "docker.io/library/debian");
    check(f, "a.example:5000/b/c:1", REGISTRY_HOSTS_PUSH, "a.example:5000/b/c");
}

static void test_the_longest_prefix_counts_and_ends_at_a_component(void **state)
{
    const struct fixture *f = *state;

    fixture_write(f, "home/cooper/registries.yaml",
                  "{\"registries\": ["
                  "{\"prefix\": \"a.example\", \"location\": \"one.example\"},"
                  "{\"prefix\": \"a.example/team\", \"location\": \"two.example/x\"},"
                  "{\"prefix\": \"*.b.example\", \"location\": \"three.example/y\"},"
                  "{\"prefix\": \"c.b.example\", \"location\": \"four.example\"}]}");
    check(f, "a.example/other", REGISTRY_HOSTS_PUSH, "one.example/other");
    check(f, "a.example/team/app", REGISTRY_HOSTS_PUSH, "two.example/x/app");
    check(f, "a.example/teams/app", REGISTRY_HOSTS_PUSH, "one.example/teams/app");
    check(f, "a.example.org/team/app", REGISTRY_HOSTS_PUSH, "a.example.org/team/app");
    check(f, "z.b.example/app", REGISTRY_HOSTS_PUSH, "three.example/y/app");
    check(f, "c.b.example/app", REGISTRY_HOSTS_PUSH, "four.example/app");
    check(f, "b.example/app", REGISTRY_HOSTS_PUSH, "b.example/app");
}

static void test_mirrors_serve_what_they_are_for(void **state)
{
    const struct fixture *f = *state;

    fixture_write(f, "etc/cooper/registries.yaml",
                  "{\"registries\": [{\"prefix\": \"docker.io\", \"mirrors\": ["
                  "\"all.example/hub\","
                  "{\"location\": \"d.example\", \"pull-from-mirror\": \"digest-only\"},"
                  "{\"location\": \"t.example\", \"pull-from-mirror\": \"tag-only\"}]}]}");
    check(f, "x", REGISTRY_HOSTS_PULL_TAG,
          "all.example/hub/library/x t.example/library/x docker.io/library/x");
    check(f, "x", REGISTRY_HOSTS_PULL_IMMUTABLE,
          "all.example/hub/library/x d.example/library/x docker.io/library/x");
    check(f, "x", REGISTRY_HOSTS_PUSH, "docker.io/library/x");
}

static void test_files_count_in_their_order(void **state)
{
    const struct fixture *f = *state;

    fixture_write(f, "etc/docker/daemon.json",
                  "{\"registry-mirrors\": [\"https://docker.example/\"]}");
    check(f, "x", REGISTRY_HOSTS_PULL_TAG, "docker.example/library/x docker.io/library/x");
    fixture_write(f, "etc/containers/registries.conf",
                  "[[registry]]\nlocation=\"docker.io\"\n[[registry.mirror]]\n"
                  "location=\"etc.example\"\n");
    check(f, "x", REGISTRY_HOSTS_PULL_TAG, "etc.example/library/x docker.io/library/x");
    fixture_write(f, "etc/containers/registries.conf.d/b.conf",
                  "[[registry]]\nlocation=\"docker.io\"\n[[registry.mirror]]\n"
                  "location=\"b.example\"\n");
    fixture_write(f, "etc/containers/registries.conf.d/a.conf",
                  "[[registry]]\nlocation=\"docker.io\"\n[[registry.mirror]]\n"
                  "location=\"a.example\"\n");
    check(f, "x", REGISTRY_HOSTS_PULL_TAG, "b.example/library/x docker.io/library/x");
    fixture_write(f, "home/cooper/registries.yaml",
                  "{\"registries\": [{\"prefix\": \"docker.io\"}]}");
    check(f, "x", REGISTRY_HOSTS_PULL_TAG, "docker.io/library/x");
}

static void test_blocked_names_are_denied(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_endpoints_release) struct registry_endpoints e = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference r = parse_reference("a.example/x");

    fixture_write(f, "etc/containers/registries.conf",
                  "[[registry]]\nprefix=\"a.example\"\nblocked=true\n");
    struct registry_hosts *h = open_hosts(f);
    assert_int_equal(registry_hosts_find(h, &r, REGISTRY_HOSTS_PULL_TAG, &e, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    registry_hosts_free(h);
}

static void test_what_is_wrong_is_told_each_time(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "etc/docker/daemon.json", "{\"registry-mirrors\": [\"ftp://x\"]}");
    struct registry_hosts *h = open_hosts(f);
    for (int i = 0; i < 2; i++) {
        CLEANUP(registry_endpoints_release) struct registry_endpoints e = {0};
        CLEANUP(registry_reference_release)
        struct registry_reference r = parse_reference("a.example/x");

        assert_int_equal(registry_hosts_find(h, &r, REGISTRY_HOSTS_PUSH, &e, &f->err), -1);
        assert_int_equal(f->err.code, ERROR_INVALID);
        assert_non_null(strstr(error_text(&f->err), "etc/docker/daemon.json"));
        error_clear(&f->err);
    }
    registry_hosts_free(h);
}

static void test_locations_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {
        "https://a.example", "a.example/x:1", "a b", "", "a.example/../b", "/x",
        "a.example/X"};
    const struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CLEANUP(base_freep)
        char *text = base_format("{\"registries\": [{\"prefix\": \"a.example\", "
                                 "\"mirrors\": [\"%s\"]}]}",
                                 bad[i]);
        CLEANUP(base_freep) char *got = NULL;

        fixture_write(f, "home/cooper/registries.yaml", text);
        got = places(f, "a.example/x", REGISTRY_HOSTS_PUSH);
        assert_non_null(strstr(got, "home/cooper/registries.yaml: registry 1: "));
    }
}

static void test_trust_is_a_hosts_whoever_speaks_of_it(void **state)
{
    const struct fixture *f = *state;
    struct registry_host_trust t;

    fixture_write(f, "etc/docker/daemon.json",
                  "{\"insecure-registries\": [\"i.example:5000\", \"10.0.0.0/8\"],"
                  "\"registry-mirrors\": [\"http://m.example\"]}");
    fixture_write(
        f, "home/cooper/registries.yaml",
        "{\"registries\": [{\"prefix\": \"docker.io\", \"ca\": \"/ca.pem\"},"
        "{\"prefix\": \"c.example\", \"cert\": \"/c.pem\", \"key\": \"/k.pem\"}]}");
    struct registry_hosts *h = open_hosts(f);
    registry_hosts_trust(h, VIEW_LIT("i.example:5000"), &t);
    assert_true(t.is_insecure);
    registry_hosts_trust(h, VIEW_LIT("i.example"), &t);
    assert_false(t.is_insecure);
    registry_hosts_trust(h, VIEW_LIT("m.example"), &t);
    assert_true(t.is_insecure);
    registry_hosts_trust(h, VIEW_LIT("registry-1.docker.io"), &t);
    assert_false(t.is_insecure);
    assert_string_equal(t.ca_file, "/ca.pem");
    registry_hosts_trust(h, VIEW_LIT("c.example"), &t);
    assert_null(t.ca_file);
    assert_string_equal(t.cert_file, "/c.pem");
    assert_string_equal(t.key_file, "/k.pem");
    assert_false(registry_hosts_is_lost(h, "c.example"));
    registry_hosts_lose(h, "c.example");
    assert_true(registry_hosts_is_lost(h, "c.example"));
    registry_hosts_free(h);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(test_without_files_a_name_is_where_it_says),
        WITH_FILES(test_the_longest_prefix_counts_and_ends_at_a_component),
        WITH_FILES(test_mirrors_serve_what_they_are_for),
        WITH_FILES(test_files_count_in_their_order),
        WITH_FILES(test_blocked_names_are_denied),
        WITH_FILES(test_what_is_wrong_is_told_each_time),
        WITH_FILES(test_locations_that_are_none_are_refused),
        WITH_FILES(test_trust_is_a_hosts_whoever_speaks_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
