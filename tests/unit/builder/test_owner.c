#include "builder/owner.h"

#include "builder/source_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char PASSWD[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# a comment\n"
                             "broken\n"
                             "bob:x:1000:100:Bob:/home/bob:/bin/sh\n"
                             "homeless:x:7:7::\n"
                             "short:x:8\n"
                             "twin:x:1000:12::/home/twin:\n"
                             "far:x:4294967296:1:::\n"
                             "neg:x:-1:1:::\n"
                             "bob:x:9:9:second::\n";
static const char GROUP[] =
    "root:x:0:\nusers:x:100:\nwheel:x:10:alice,bob\nbobby:x:11:bobby\n"
    "audio:x:29:bob\nfar:x:99999999999:bob\n";

static int read_files(void *context, const char *path, struct buf *out, struct error *err)
{
    (void)context;
    (void)err;
    buf_append_text(out, strcmp(path, "etc/passwd") == 0 ? PASSWD : GROUP);
    return 0;
}

static int read_nothing(void *context, const char *path, struct buf *out, struct error *err)
{
    (void)context;
    (void)path;
    (void)out;
    (void)err;
    return 0;
}

static struct build_process_user user_of(const char *spec)
{
    const struct build_user_files files = {.read = read_files};
    struct build_process_user u;
    struct error err = ERROR_INIT;

    if (build_user_of_process_in(&files, spec, &u, &err) < 0)
        fail_msg("%s: %s", spec ? spec : "NULL", error_text(&err));
    return u;
}

static void user_is(const char *spec, uint32_t uid, uint32_t gid, const char *home)
{
    struct build_process_user u = user_of(spec);

    assert_int_equal(u.uid, uid);
    assert_int_equal(u.gid, gid);
    assert_string_equal(u.home, home);
    assert_int_equal(u.groups[0], gid);
    build_process_user_release(&u);
}

static void user_fails(const char *spec)
{
    const struct build_user_files files = {.read = read_files};
    struct build_process_user u;
    struct error err = ERROR_INIT;

    assert_int_equal(build_user_of_process_in(&files, spec, &u, &err), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    error_clear(&err);
    build_process_user_release(&u);
}

static void test_names_and_ids_are_looked_up(void **state)
{
    (void)state;
    user_is(NULL, 0, 0, "/root");
    user_is("", 0, 0, "/root");
    user_is("bob", 1000, 100, "/home/bob");
    user_is("1000", 1000, 100, "/home/bob");
    user_is("bob:wheel", 1000, 10, "/home/bob");
    user_is("bob:77", 1000, 77, "/home/bob");
    user_is("4321", 4321, 0, "/");
    user_is("homeless", 7, 7, "");
    user_is("short", 8, 0, "");
    user_is("twin", 1000, 12, "/home/bob");
}

static void test_a_name_in_no_file_is_an_error(void **state)
{
    (void)state;
    user_fails("nobody-here");
    user_fails("bob:nothing");
    user_fails("far");
    user_fails("neg");
    user_fails("broken");
    user_fails("4294967296");
}

static void test_an_id_past_what_runc_takes_is_an_error(void **state)
{
    const struct build_user_files files = {.read = read_files};
    struct build_process_user u;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(build_user_of_process_in(&files, "2147483648", &u, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
    error_clear(&err);
    build_process_user_release(&u);
    user_is("2147483647", 2147483647, 0, "/");
}

static void test_supplementary_groups_list_the_user(void **state)
{
    struct build_process_user u = user_of("bob");

    (void)state;
    assert_int_equal(u.group_count, 3);
    assert_int_equal(u.groups[0], 100);
    assert_int_equal(u.groups[1], 10);
    assert_int_equal(u.groups[2], 29);
    build_process_user_release(&u);
    u = user_of("bob:audio");
    assert_int_equal(u.group_count, 1);
    assert_int_equal(u.groups[0], 29);
    build_process_user_release(&u);
}

static void test_an_image_without_files_knows_ids_only(void **state)
{
    const struct build_user_files files = {.read = read_nothing};
    struct build_process_user u;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(build_user_of_process_in(&files, "5:6", &u, &err), 0);
    assert_int_equal(u.uid, 5);
    assert_int_equal(u.gid, 6);
    build_process_user_release(&u);
    assert_int_equal(build_user_of_process_in(&files, "root", &u, &err), -1);
    error_clear(&err);
    build_process_user_release(&u);
}

static void owner_is(const char *spec, uint32_t uid, uint32_t gid)
{
    struct build_layer_tree *tree = build_layer_tree_new(NULL, 0);
    struct error err = ERROR_INIT;
    uint32_t got_uid, got_gid;

    assert_int_equal(
        build_owner_of_files(build_layer_tree_cas(tree), spec, &got_uid, &got_gid, &err),
        0);
    assert_int_equal(got_uid, uid);
    assert_int_equal(got_gid, gid);
    build_layer_tree_free(tree);
}

/* What is scratch has nowhere to look a name up. */
static void test_an_empty_image_takes_numbers_only(void **state)
{
    struct error err = ERROR_INIT;
    uint32_t uid, gid;

    (void)state;
    assert_int_equal(build_owner_of_files(NULL, "root:7", &uid, &gid, &err), 0);
    assert_int_equal(uid, 0);
    assert_int_equal(gid, 7);
    assert_int_equal(build_owner_of_files(NULL, "app", &uid, &gid, &err), -1);
    assert_true(error_is(&err, ERROR_NOT_FOUND));
    error_clear(&err);
    assert_int_equal(build_owner_of_files(NULL, "5:app", &uid, &gid, &err), -1);
    error_clear(&err);
}

/* As BuildKit has it: an id alone is the group too, and an unknown name is root. */
static void test_owners_of_files_without_passwd(void **state)
{
    (void)state;
    owner_is("5", 5, 5);
    owner_is("5:6", 5, 6);
    owner_is("5:", 5, 0);
    owner_is(":", 0, 0);
    owner_is("+5", 5, 5);
    owner_is("root", 0, 0);
    owner_is(":6", 0, 6);
    owner_is("name", 0, 0);
    owner_is("5:name", 5, 5);
    owner_is("2147483647", INT32_MAX, INT32_MAX);
    owner_is("2147483648", 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_ids_are_looked_up),
        cmocka_unit_test(test_a_name_in_no_file_is_an_error),
        cmocka_unit_test(test_an_id_past_what_runc_takes_is_an_error),
        cmocka_unit_test(test_supplementary_groups_list_the_user),
        cmocka_unit_test(test_an_image_without_files_knows_ids_only),
        cmocka_unit_test(test_owners_of_files_without_passwd),
        cmocka_unit_test(test_an_empty_image_takes_numbers_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
