#include "builder/run_spec.h"

#include "base/macros.h"

#include <fcntl.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct doc *config_of(const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct doc *const config = doc_parse(view_of(text), &err);

    assert_non_null(config);
    return config;
}

static void argv_is(const char *config_text,
                    const struct build_run_options *options,
                    const char *const *want)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *config = config_of(config_text);
    CLEANUP(run_texts_release) struct run_texts argv = {0};
    size_t count = 0;

    assert_int_equal(run_spec_argv(config, options, &argv, &err), 0);
    for (; want[count] != NULL; count++)
        assert_string_equal(argv.items[count], want[count]);
    assert_int_equal(argv.count, count);
    assert_null(run_texts_list(&argv)[count]);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define BOTH      "{\"config\":{\"Entrypoint\":[\"e\",\"1\"],\"Cmd\":[\"c\"]}}"

static void test_arguments_replace_cmd_but_not_the_entrypoint(void **state)
{
    const struct build_run_options plain = {0};
    const struct build_run_options given = {.argv = LIST("a", "b"), .argc = 2};

    (void)state;
    argv_is(BOTH, &plain, LIST("e", "1", "c"));
    argv_is(BOTH, &given, LIST("e", "1", "a", "b"));
    argv_is("{\"config\":{\"Cmd\":[\"c\"]}}", &given, LIST("a", "b"));
}

static void test_another_entrypoint_drops_cmd(void **state)
{
    const struct build_run_options other = {.entrypoint = "x"};
    const struct build_run_options with = {.entrypoint = "x", .argv = LIST("a"), .argc = 1};
    const struct build_run_options none = {.entrypoint = "", .argv = LIST("a"), .argc = 1};

    (void)state;
    argv_is(BOTH, &other, LIST("x"));
    argv_is(BOTH, &with, LIST("x", "a"));
    argv_is(BOTH, &none, LIST("a"));
}

static void test_nothing_to_run_is_an_error(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *config = config_of("{\"config\":{\"Cmd\":null}}");
    CLEANUP(run_texts_release) struct run_texts argv = {0};
    const struct build_run_options plain = {0};

    (void)state;
    assert_int_equal(run_spec_argv(config, &plain, &argv, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
}

static bool env_has(const struct run_texts *env, const char *entry)
{
    for (size_t i = 0; i < env->count; i++) {
        if (strcmp(env->items[i], entry) == 0)
            return true;
    }
    return false;
}

static void test_the_environment_is_the_images_with_what_every_container_has(void **state)
{
    CLEANUP(doc_unrefp)
    struct doc *config =
        config_of("{\"config\":{\"Env\":[\"A=1\",\"HOME=/mine\",\"AB=2\"]}}");
    CLEANUP(run_texts_release) struct run_texts env = {0};
    const struct build_pair given[] = {{"A", "new"}, {"C", ""}, {"D", NULL}};
    const struct build_run_options options = {.env = given, .env_count = 3, .tty = true};

    (void)state;
    run_spec_env(config, &options, "/root", "host", &env);
    assert_string_equal(env.items[0], "A=new");
    assert_true(env_has(&env, "AB=2"));
    assert_true(env_has(&env, "HOME=/mine"));
    assert_true(env_has(&env, "HOSTNAME=host"));
    assert_true(env_has(&env, "TERM=xterm"));
    assert_true(env_has(&env, "C="));
    assert_true(
        env_has(&env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    assert_int_equal(env.count, 7);
}

static void test_mounts_come_with_their_modes_and_sizes(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(run_mounts_release) struct run_mounts mounts = {0};
    const struct build_pair volumes[] = {{"/", "/a:ro"}, {"/", "/b"}};
    const struct build_pair tmpfs[] = {{"/t", "size=64m,mode=0700"}, {"/u", NULL}};
    const struct build_run_options options = {
        .volumes = volumes, .volume_count = 2, .tmpfs = tmpfs, .tmpfs_count = 2};

    (void)state;
    assert_int_equal(run_spec_mounts(&options, &mounts, &err), 0);
    assert_int_equal(mounts.count, 4);
    assert_int_equal(mounts.items[0].size, 64 << 20);
    assert_int_equal(mounts.items[0].mode, 0700);
    assert_int_equal(mounts.items[1].size, 0);
    assert_string_equal(mounts.items[2].target, "/a");
    assert_true(mounts.items[2].readonly);
    assert_false(mounts.items[3].readonly);
    assert_true(fcntl(mounts.items[3].source_fd, F_GETFD) & FD_CLOEXEC);
}

static void mount_fails(const struct build_run_options *options, enum error_code code)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(run_mounts_release) struct run_mounts mounts = {0};

    assert_int_equal(run_spec_mounts(options, &mounts, &err), -1);
    assert_int_equal(err.code, code);
}

static void test_mounts_that_cannot_be_are_refused(void **state)
{
    static const char *const wrong[] = {
        "size=", "size=x", "size=99999999999999999999", "size=99999999999g", "mode=8",
        "mode=", "noexec"};
    const struct build_pair missing[] = {{"/nothere/at/all", "/a"}};
    const struct build_pair mode[] = {{"/", "/a:rx"}};

    (void)state;
    mount_fails(&(struct build_run_options){.volumes = missing, .volume_count = 1},
                ERROR_NOT_FOUND);
    mount_fails(&(struct build_run_options){.volumes = mode, .volume_count = 1},
                ERROR_INVALID);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const struct build_pair tmpfs[] = {{"/t", wrong[i]}};

        mount_fails(&(struct build_run_options){.tmpfs = tmpfs, .tmpfs_count = 1},
                    ERROR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_replace_cmd_but_not_the_entrypoint),
        cmocka_unit_test(test_another_entrypoint_drops_cmd),
        cmocka_unit_test(test_nothing_to_run_is_an_error),
        cmocka_unit_test(test_the_environment_is_the_images_with_what_every_container_has),
        cmocka_unit_test(test_mounts_come_with_their_modes_and_sizes),
        cmocka_unit_test(test_mounts_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
