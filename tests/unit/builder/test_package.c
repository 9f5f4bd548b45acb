#include "builder/compare/package.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/compare/compare_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct list {
    struct cas_arena arena;
    struct build_packages packages;
    struct error err;
};

static int setup(void **state)
{
    struct list *const l = base_alloc(sizeof *l);

    l->packages.arena = &l->arena;
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct list *const l = *state;

    build_packages_release(&l->packages);
    cas_arena_release(&l->arena);
    error_clear(&l->err);
    free(l);
    return 0;
}

/* "name:arch=version;..." of everything that was read. */
static void packages_are(struct list *l, const char *want)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);

    for (size_t i = 0; i < l->packages.count; i++) {
        const struct build_package *const p = &l->packages.items[i];

        buf_printf(&got, "%s%s%s=%s;", p->name, p->architecture != NULL ? ":" : "",
                   p->architecture != NULL ? p->architecture : "", p->version);
    }
    assert_string_equal(buf_text(&got), want);
}

static void test_paths_tell_which_database_it_is(void **state)
{
    static const struct {
        const char *path;
        enum build_package_file file;
    } cases[] = {
        {"var/lib/dpkg/status", BUILD_PACKAGE_FILE_DPKG},
        {"var/lib/dpkg/status-old", BUILD_PACKAGE_FILE_NONE},
        {"var/lib/dpkg/status.d/tzdata", BUILD_PACKAGE_FILE_DPKG},
        {"var/lib/dpkg/status.d/tzdata.md5sums", BUILD_PACKAGE_FILE_NONE},
        {"x/var/lib/dpkg/status", BUILD_PACKAGE_FILE_NONE},
        {"lib/apk/db/installed", BUILD_PACKAGE_FILE_APK},
        {"usr/lib/apk/db/installed", BUILD_PACKAGE_FILE_APK},
        {"var/lib/rpm/rpmdb.sqlite", BUILD_PACKAGE_FILE_RPM},
        {"usr/lib/sysimage/rpm/rpmdb.sqlite-wal", BUILD_PACKAGE_FILE_RPM_LOG},
        {"var/lib/rpm/Packages", BUILD_PACKAGE_FILE_RPM_OTHER},
        {"usr/lib/sysimage/rpm/Packages.db", BUILD_PACKAGE_FILE_RPM_OTHER},
        {"a/site-packages/x-1.dist-info/METADATA", BUILD_PACKAGE_FILE_PIP},
        {"site-packages/x-1.dist-info/METADATA", BUILD_PACKAGE_FILE_PIP},
        {"a/site-packages/x-1.dist-info/RECORD", BUILD_PACKAGE_FILE_NONE},
        {"a/other/x-1.dist-info/METADATA", BUILD_PACKAGE_FILE_NONE},
        {"a/node_modules/x/package.json", BUILD_PACKAGE_FILE_NPM},
        {"a/node_modules/@s/x/package.json", BUILD_PACKAGE_FILE_NPM},
        {"a/node_modules/x/lib/package.json", BUILD_PACKAGE_FILE_NONE},
        {"a/node_modules/.bin/package.json", BUILD_PACKAGE_FILE_NONE},
        {"node_modules/package.json", BUILD_PACKAGE_FILE_NONE},
        {"package.json", BUILD_PACKAGE_FILE_NONE},
        {"", BUILD_PACKAGE_FILE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const enum build_package_file got = build_package_file_of(view_of(cases[i].path));

        if (got != cases[i].file)
            fail_msg("%s: %d", cases[i].path, (int)got);
    }
}

static void test_dpkg_lists_what_is_installed(void **state)
{
    struct list *l = *state;
    static const char text[] =
        "Package: a\nStatus: install ok installed\nVersion: 1:2-3\n"
        "Architecture: amd64\nDescription: x\n Package: no\n\n"
        "Package: b\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: c\nVersion: 4\n\n\n\nPackage: noversion\n\n"
        "Package: d\nStatus: hold ok installed\nVersion: 5";

    assert_int_equal(build_packages_dpkg(&l->packages, view_of(text), &l->err), 0);
    packages_are(l, "a:amd64=1:2-3;c=4;d=5;");
}

static void test_apk_lists_what_is_installed(void **state)
{
    struct list *l = *state;
    static const char text[] = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\nR:x\n\nP:"
                               "x\nV:1\nA:noarch\n\nF:P:no\n";

    assert_int_equal(build_packages_apk(&l->packages, view_of(text), &l->err), 0);
    packages_are(l, "musl:x86_64=1.2.4-r2;x:noarch=1;");
}

static void put_u32(struct buf *b, uint32_t v)
{
    const char bytes[] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};

    buf_append(b, bytes, sizeof bytes);
}

/* A header of name, version, release and, with an epoch, that. */
static void put_header(struct buf *b, bool epoch)
{
    static const char data[] = "tool\0001.0\0007\0noarch\0\0\0\0\3";
    const uint32_t tags[][3] = {
        {1000, 6, 0}, {1001, 6, 5}, {1002, 6, 9}, {1022, 6, 11}, {1003, 4, 18}};
    const uint32_t count = epoch ? 5 : 4;

    put_u32(b, count);
    put_u32(b, sizeof data - 1);
    for (uint32_t i = 0; i < count; i++) {
        for (size_t k = 0; k < 3; k++)
            put_u32(b, tags[i][k]);
        put_u32(b, 1);
    }
    buf_append(b, data, sizeof data - 1);
}

static void test_rpm_headers_tell_name_epoch_version_release(void **state)
{
    struct list *l = *state;
    CLEANUP(buf_release) struct buf plain = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf epoch = BUF_INIT(LIMIT_TEXT_SIZE);

    put_header(&plain, false);
    put_header(&epoch, true);
    assert_int_equal(build_packages_rpm_header(&l->packages, buf_view(&plain), &l->err), 0);
    assert_int_equal(build_packages_rpm_header(&l->packages, buf_view(&epoch), &l->err), 0);
    packages_are(l, "tool:noarch=1.0-7;tool:noarch=3:1.0-7;");
}

static void test_rpm_headers_that_lie_are_corrupt(void **state)
{
    struct list *l = *state;
    CLEANUP(buf_release) struct buf whole = BUF_INIT(LIMIT_TEXT_SIZE);

    put_header(&whole, true);
    for (size_t size = 0; size < whole.size; size++) {
        assert_int_equal(build_packages_rpm_header(
                             &l->packages, (struct view){whole.data, size}, &l->err),
                         -1);
        assert_int_equal(l->err.code, ERROR_CORRUPT);
        error_clear(&l->err);
    }
    memset(whole.data, 0xff, 8);
    assert_int_equal(build_packages_rpm_header(&l->packages, buf_view(&whole), &l->err),
                     -1);
    assert_int_equal(l->err.code, ERROR_CORRUPT);
    packages_are(l, "");
}

static void test_pip_names_are_as_pypi_compares_them(void **state)
{
    struct list *l = *state;
    static const char *const paths[] = {
        "usr/lib/python3/dist-packages/Foo__Bar.Baz-1.0+local.dist-info/METADATA",
        "x/site-packages/simple-2.dist-info/METADATA",
        "x/site-packages/noversion.dist-info/METADATA",
        "x/site-packages/simple-2.dist-info/RECORD",
    };

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        assert_int_equal(build_packages_pip(&l->packages, view_of(paths[i]), &l->err), 0);
    packages_are(l, "foo-bar-baz=1.0+local;simple=2;");
}

static void test_npm_names_are_those_of_directories(void **state)
{
    struct list *l = *state;

    assert_int_equal(
        build_packages_npm(&l->packages, view_of("a/node_modules/@s/x/package.json"),
                           view_of("{\"name\":\"lies\",\"version\":\"1.0.0\"}"), &l->err),
        0);
    assert_int_equal(build_packages_npm(&l->packages,
                                        view_of("a/node_modules/y/package.json"),
                                        view_of("{\"version\":\"a b\"}"), &l->err),
                     0);
    packages_are(l, "@s/x=1.0.0;");
    assert_int_equal(build_packages_npm(&l->packages,
                                        view_of("a/node_modules/z/package.json"),
                                        view_of("{"), &l->err),
                     -1);
    assert_int_equal(l->err.code, ERROR_INVALID);
}

static void put(struct build_packages *l, const char *name, const char *version)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    assert_int_equal(build_packages_add(l, "rpm", view_of(name), (struct view){NULL, 0},
                                        view_of(version), &err),
                     0);
}

static void test_several_versions_of_one_package_are_paired(void **state)
{
    struct list *l = *state;
    struct build_packages old = {.arena = &l->arena};
    struct build_packages new = {.arena = &l->arena};
    CLEANUP(build_compare_release) struct build_compare c = {0};
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);

    put(&old, "kernel", "1");
    put(&old, "kernel", "2");
    put(&old, "same", "1");
    put(&old, "same", "1");
    put(&old, "gone", "1");
    put(&new, "kernel", "3");
    put(&new, "kernel", "2");
    put(&new, "kernel", "4");
    put(&new, "same", "1");
    compare_packages_pair(&c, &old, &new);
    for (size_t i = 0; i < c.package_count; i++)
        buf_printf(&got, "%s %s>%s;", c.packages[i].name,
                   c.packages[i].before != NULL ? c.packages[i].before : "",
                   c.packages[i].after != NULL ? c.packages[i].after : "");
    assert_string_equal(buf_text(&got), "gone 1>;kernel 1>3;kernel >4;same 1>;");
    build_packages_release(&old);
    build_packages_release(&new);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_paths_tell_which_database_it_is),
        T(test_dpkg_lists_what_is_installed),
        T(test_apk_lists_what_is_installed),
        T(test_rpm_headers_tell_name_epoch_version_release),
        T(test_rpm_headers_that_lie_are_corrupt),
        T(test_pip_names_are_as_pypi_compares_them),
        T(test_npm_names_are_those_of_directories),
        T(test_several_versions_of_one_package_are_paired),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
