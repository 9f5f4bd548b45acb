#include "base/alloc.h"
#include "base/fs.h"
#include "base/module.h"
#include "builder/archive.h"
#include "builder/archive_module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void test_module_of_another_version_is_refused(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    assert_non_null(base_module_load(BUILD_ARCHIVE_MODULE_FILE, BUILD_ARCHIVE_MODULE_SYMBOL,
                                     BUILD_ARCHIVE_MODULE_VERSION, &err));
    assert_null(base_module_load(BUILD_ARCHIVE_MODULE_FILE, BUILD_ARCHIVE_MODULE_SYMBOL,
                                 BUILD_ARCHIVE_MODULE_VERSION + 1, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(error_text(&err), "another version"));
}

static void test_missing_module_is_named(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    (void)state;
    assert_null(base_module_load("libcooper-none.so", "none", 1, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(error_text(&err), "libcooper-none.so"));
}

static bool is_tar(const char *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int fd = memfd_create("archive", MFD_CLOEXEC);
    bool is = false;

    assert_int_equal(write(fd, data, size), (ssize_t)size);
    assert_int_equal(build_archive_is_tar(fd, &is, &err), 0);
    return is;
}

static void test_tar_is_told_from_other_files(void **state)
{
    static const char zeros[1024];
    static const char text[] = "FROM scratch\n";

    (void)state;
    assert_true(is_tar(zeros, sizeof zeros)); /* the end of an archive without entries */
    assert_false(is_tar(text, sizeof text - 1));
    assert_false(is_tar("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module_of_another_version_is_refused),
        cmocka_unit_test(test_missing_module_is_named),
        cmocka_unit_test(test_tar_is_told_from_other_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
