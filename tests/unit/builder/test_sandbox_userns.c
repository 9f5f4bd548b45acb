/* Promises about becoming root of a user namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/builder/sandbox_fixture.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static uid_t was;
static int grade;
static const char *why;

static int enter(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    was = geteuid();
    grade = sandbox_userns_enter(SANDBOX_ISOLATION_AUTO, &why, &err);
    assert_string_equal(error_text(&err), "no error");
    return 0;
}

static void read_file(const char *path, struct buf *out)
{
    struct error err = ERROR_INIT;

    buf_init(out, LIMIT_TEXT_SIZE);
    assert_int_equal(fs_read_file_at(AT_FDCWD, path, out, &err), 0);
}

static void test_the_grade_says_what_is_mapped(void **state)
{
    CLEANUP(buf_release) struct buf map = BUF_INIT(1);
    const char *expected = getenv("COOPER_TEST_RANGES");

    (void)state;
    read_file("/proc/self/uid_map", &map);
    if (was == 0) {
        assert_int_equal(grade, SANDBOX_GRADE_ROOT);
        assert_null(why);
    } else if (expected && expected[0]) {
        assert_int_equal(grade, SANDBOX_GRADE_SUBIDS);
        assert_null(why);
        assert_non_null(strstr(buf_text(&map), "300000      65536\n"));
    } else if (expected) {
        assert_int_equal(grade, SANDBOX_GRADE_SINGLE_ID);
        assert_non_null(strstr(why, "usermod --add-subuids"));
        assert_string_equal(strchr(buf_text(&map), '\n'), "\n"); /* one line */
    }
}

static void test_the_user_is_root_inside(void **state)
{
    (void)state;
    assert_int_equal(geteuid(), 0);
    assert_int_equal(getuid(), 0);
    assert_int_equal(getegid(), 0);
}

static void test_files_of_subordinate_ids_can_be_made(void **state)
{
    char path[] = "/tmp/cooper-userns-XXXXXX";
    struct stat st;

    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    if (grade == SANDBOX_GRADE_SINGLE_ID) {
        assert_int_equal(fchown(fd, 1000, 1000), -1);
        assert_int_equal(errno, EINVAL);
    } else {
        assert_int_equal(fchown(fd, 1000, 1000), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_uid, 1000);
    }
    close(fd);
}

static void test_mounts_stay_inside(void **state)
{
    (void)state;
    if (was == 0)
        return; /* root stays where it is: mounting here would be seen by all */
    assert_int_equal(mount("none", "/tmp", "tmpfs", 0, NULL), 0);
    assert_int_equal(umount("/tmp"), 0);
}

static void test_entering_again_changes_nothing(void **state)
{
    struct error err = ERROR_INIT;
    const char *reason = "untouched";
    char before[64] = "";
    char after[64] = "";

    (void)state;
    assert_true(readlink("/proc/self/ns/user", before, sizeof before - 1) > 0);
    assert_int_equal(sandbox_userns_enter(SANDBOX_ISOLATION_AUTO, &reason, &err),
                     grade == SANDBOX_GRADE_SINGLE_ID ? SANDBOX_GRADE_SINGLE_ID
                                                      : SANDBOX_GRADE_ROOT);
    assert_true(readlink("/proc/self/ns/user", after, sizeof after - 1) > 0);
    assert_string_equal(after, before);
}

static void test_grades_have_names(void **state)
{
    (void)state;
    assert_string_equal(sandbox_grade_name(SANDBOX_GRADE_ROOT), "root");
    assert_string_equal(sandbox_grade_name(SANDBOX_GRADE_SUBIDS), "subordinate ids");
    assert_string_equal(sandbox_grade_name(SANDBOX_GRADE_SINGLE_ID), "single id");
    assert_string_equal(sandbox_grade_name(SANDBOX_GRADE_NONE), "none");
}

static void test_isolation_is_one_of_five_words(void **state)
{
    static const char *const words[] = {"auto", "root", "subids", "single", "none"};
    enum sandbox_isolation isolation = SANDBOX_ISOLATION_NONE;
    struct error err = ERROR_INIT;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
        assert_int_equal(sandbox_isolation_parse(words[i], &isolation, &err), 0);
        assert_int_equal(isolation, i);
    }
    assert_int_equal(sandbox_isolation_parse("default", &isolation, &err), 0);
    assert_int_equal(isolation, SANDBOX_ISOLATION_AUTO);
    assert_int_equal(sandbox_isolation_parse("None", &isolation, &err), -1);
    assert_true(error_is(&err, ERROR_USAGE));
    error_clear(&err);
}

/* What cannot be had is never replaced by something else. */
static void test_a_grade_asked_for_by_name_is_had_or_refused(void **state)
{
    struct error err = ERROR_INIT;
    const char *reason = NULL;
    const enum sandbox_isolation other = grade == SANDBOX_GRADE_SINGLE_ID
                                             ? SANDBOX_ISOLATION_ROOT
                                             : SANDBOX_ISOLATION_SINGLE;

    (void)state;
    assert_int_equal(sandbox_userns_enter(other, &reason, &err), -1);
    assert_true(error_is(&err, ERROR_UNSUPPORTED));
    error_clear(&err);
}

static int group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_grade_says_what_is_mapped),
        cmocka_unit_test(test_the_user_is_root_inside),
        cmocka_unit_test(test_files_of_subordinate_ids_can_be_made),
        cmocka_unit_test(test_mounts_stay_inside),
        cmocka_unit_test(test_entering_again_changes_nothing),
        cmocka_unit_test(test_grades_have_names),
        cmocka_unit_test(test_isolation_is_one_of_five_words),
        cmocka_unit_test(test_a_grade_asked_for_by_name_is_had_or_refused),
    };

    return cmocka_run_group_tests(tests, enter, NULL);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, group);
}
