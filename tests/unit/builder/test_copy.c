/* COPY, seen through whole builds: where things land, and what is refused. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void build(struct rig *r, const char *dockerfile)
{
    rig_dockerfile(r, dockerfile);
    rig_must_build(r);
}

static void fails(struct rig *r,
                  const char *dockerfile,
                  enum error_code code,
                  const char *text)
{
    rig_dockerfile(r, dockerfile);
    if (rig_build(r) == 0)
        fail_msg("built: %s", dockerfile);
    rig_expect_failure(r, code, text);
}

static void test_a_file_lands_at_its_destination_or_in_it(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "x");
    rig_write(r, "g", "y");
    build(r, "FROM scratch\nWORKDIR /w\nCOPY f name\nCOPY f dir/\nCOPY f g several/\nCOPY "
             "f /w\nCOPY f .\n");
    rig_assert_file(r, "w/name", "x");
    rig_assert_file(r, "w/dir/f", "x");
    rig_assert_file(r, "w/several/g", "y");
    rig_assert_file(r, "w/f", "x");
}

static void test_of_a_directory_its_contents_are_copied(void **state)
{
    struct rig *r = *state;

    rig_write(r, "d/a/b", "x");
    rig_write(r, "d/c", "y");
    build(r, "FROM scratch\nCOPY d /one\nCOPY d/ /two/\nCOPY d /one/a\nCOPY d/* /three/\n");
    rig_assert_file(r, "one/a/b", "x");
    rig_assert_file(r, "one/a/c", "y");
    rig_assert_file(r, "two/c", "y");
    rig_assert_file(r, "three/b", "x");
    rig_assert_file(r, "three/c", "y");
}

static void test_links_in_the_destination_stay_inside(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *link = rig_path(r, "links/up");
    CLEANUP(base_freep) char *absolute = rig_path(r, "links/abs");

    rig_write(r, "links/f", "x");
    assert_int_equal(symlink("../../../target", link), 0);
    assert_int_equal(symlink("/other/./place", absolute), 0);
    build(r, "FROM scratch\nCOPY links /l\nCOPY links/f /l/up/one\nCOPY links/f /l/abs/\n");
    rig_assert_file(r, "target/one", "x");
    rig_assert_file(r, "other/place/f", "x");
}

static void test_types_that_do_not_fit_are_refused(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "x");
    rig_write(r, "d/f/g", "x");
    fails(r, "FROM scratch\nCOPY d /\nCOPY f /f/g/h\n", ERROR_INVALID, "not a directory");
    fails(r, "FROM scratch\nCOPY f /f\nCOPY d /\n", ERROR_INVALID, "/f");
    fails(r, "FROM scratch\nCOPY f /x\nCOPY d /x\n", ERROR_INVALID, "/x");
    fails(r, "FROM scratch\nCOPY nothing* missing /x/\n", ERROR_NOT_FOUND, "missing");
}

static void test_excluded_files_and_what_is_ignored_are_named(void **state)
{
    struct rig *r = *state;

    rig_write(r, "d/a.c", "a");
    rig_write(r, "d/a.o", "o");
    rig_write(r, "secret", "s");
    rig_write(r, ".dockerignore", "secret\n");
    build(r, "FROM scratch\nCOPY --exclude=*.o d /d\n");
    rig_assert_file(r, "d/a.c", "a");
    assert_null(rig_read(r, "d/a.o"));
    fails(r, "FROM scratch\nCOPY secret /\n", ERROR_NOT_FOUND, "dockerignore");
}

static void test_linked_layers_do_not_depend_on_their_base(void **state)
{
    struct rig *r = *state;
    struct digest first, second;

    rig_write(r, "f", "x");
    rig_write(r, "g", "y");
    build(r, "FROM scratch\nCOPY f /base\nCOPY --link g /d/g\n");
    first = rig_layer(r, -1);
    build(r, "FROM scratch\nCOPY g /other\nCOPY --link g /d/g\n");
    second = rig_layer(r, -1);
    assert_true(digest_eq(&first, &second));
    assert_int_equal(r->result.steps_cached, 1);
}

static void test_inline_files_and_their_variables(void **state)
{
    struct rig *r = *state;

    build(r, "FROM scratch\nARG V=value\nCOPY <<one <<\"two\" /d/\n$V\none\n$V\ntwo\n");
    rig_assert_file(r, "d/one", "value\n");
    rig_assert_file(r, "d/two", "$V\n");
}

static void test_deep_trees_are_copied(void **state)
{
    enum { DEPTH = 500 };
    struct rig *r = *state;
    CLEANUP(buf_release) struct buf path = BUF_INIT(LIMIT_PATH_SIZE);

    for (int i = 0; i < DEPTH; i++)
        buf_append_text(&path, "d/");
    buf_append_text(&path, "f");
    rig_write(r, buf_text(&path), "x");
    build(r, "FROM scratch AS a\nCOPY d /d\nFROM scratch\nCOPY --from=a /d /d\n");
    rig_assert_file(r, buf_text(&path), "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_a_file_lands_at_its_destination_or_in_it),
        rig_test(test_of_a_directory_its_contents_are_copied),
        rig_test(test_links_in_the_destination_stay_inside),
        rig_test(test_types_that_do_not_fit_are_refused),
        rig_test(test_excluded_files_and_what_is_ignored_are_named),
        rig_test(test_linked_layers_do_not_depend_on_their_base),
        rig_test(test_inline_files_and_their_variables),
        rig_test(test_deep_trees_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
