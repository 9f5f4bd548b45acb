/* ADD of archives: what they mean, and what hostile ones cannot do. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct member {
    const char *name;
    char type;        /* 0: a file */
    const char *data; /* of a file, or the link's target */
    unsigned mode;
};

static void octal(char *field, size_t size, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%0*llo", (int)size - 1, (unsigned long long)value);
    memcpy(field, text, size);
}

/* A ustar archive in the context. */
static void write_tar(
    struct rig *r, const char *name, const struct member *members, size_t count, size_t cut)
{
    CLEANUP(buf_release) struct buf tar = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *path = rig_path(r, name);
    CLEANUP(fd_closep) int fd = -1;
    static const char zeros[1024];

    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        const bool is_file = m->type == 0;
        const size_t size = is_file ? strlen(m->data) : 0;
        char header[512] = "";
        unsigned sum = 0;

        memcpy(header, m->name, strlen(m->name));
        octal(header + 100, 8, m->mode ? m->mode : m->type == '5' ? 0755 : 0644);
        octal(header + 108, 8, 0);
        octal(header + 116, 8, 0);
        octal(header + 124, 12, size);
        octal(header + 136, 12, 1000000000);
        memset(header + 148, ' ', 8);
        header[156] = is_file ? '0' : m->type;
        if (!is_file && m->data)
            memcpy(header + 157, m->data, strlen(m->data));
        memcpy(header + 257,
               "ustar\0"
               "00",
               8);
        for (size_t k = 0; k < sizeof header; k++)
            sum += (unsigned char)header[k];
        snprintf(header + 148, 8, "%06o", sum);
        buf_append(&tar, header, sizeof header);
        if (size > 0) {
            buf_append(&tar, m->data, size);
            buf_append(&tar, zeros, (512 - size % 512) % 512);
        }
    }
    buf_append(&tar, zeros, sizeof zeros);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, tar.data, cut ? cut : tar.size, &r->err), 0);
}

#define TAR(r, ...)                                                                        \
    write_tar((r), "a.tar", (const struct member[]){__VA_ARGS__},                          \
              sizeof((const struct member[]){__VA_ARGS__}) / sizeof(struct member), 0)

static void add(struct rig *r)
{
    rig_dockerfile(r, "FROM scratch\nADD a.tar /in/\n");
    rig_must_build(r);
}

static void add_fails(struct rig *r, enum error_code code, const char *text)
{
    rig_dockerfile(r, "FROM scratch\nADD a.tar /in/\n");
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, code, text);
}

static void test_files_directories_and_links(void **state)
{
    struct rig *r = *state;

    TAR(r, {"d/", '5', NULL, 0}, {"d/f", 0, "text", 0}, {"h", '1', "d/f", 0},
        {"s", '2', "d/f", 0}, {"implied/parent/f", 0, "deep", 0});
    add(r);
    rig_assert_file(r, "in/d/f", "text");
    rig_assert_file(r, "in/h", "text");
    rig_assert_file(r, "in/s", "text");
    rig_assert_file(r, "in/implied/parent/f", "deep");
}

static void test_names_cannot_leave_the_destination(void **state)
{
    struct rig *r = *state;

    TAR(r, {"../../up", 0, "a", 0}, {"/abs", 0, "b", 0}, {"l", '2', "/", 0},
        {"l/through", 0, "c", 0}, {"m", '2', "../../..", 0}, {"m/climb", 0, "d", 0},
        {"n", '2', "../in/../..", 0}, {"n/../e", 0, "e", 0});
    add(r);
    assert_null(rig_read(r, "up"));
    assert_null(rig_read(r, "abs"));
    assert_null(rig_read(r, "through"));
    assert_null(rig_read(r, "climb"));
    assert_null(rig_read(r, "e"));
    rig_assert_file(r, "in/up", "a");
    rig_assert_file(r, "in/abs", "b");
    rig_assert_file(r, "in/through", "c");
}

static void test_links_to_what_is_not_there_are_errors(void **state)
{
    struct rig *r = *state;

    TAR(r, {"h", '1', "/etc/passwd", 0});
    add_fails(r, ERROR_INVALID, "hard link");
    TAR(r, {"d/", '5', NULL, 0}, {"h", '1', "d", 0});
    add_fails(r, ERROR_INVALID, "hard link");
    TAR(r, {"h", '1', "h", 0});
    add_fails(r, ERROR_INVALID, "hard link");
}

static void test_nothing_is_made_behind_links_to_nowhere(void **state)
{
    struct rig *r = *state;

    TAR(r, {"l", '2', "/etc", 0}, {"l/passwd", 0, "x", 0});
    add_fails(r, ERROR_INVALID, "does not exist");
    TAR(r, {"l", '2', "real", 0}, {"real/", '5', NULL, 0}, {"l/f", 0, "x", 0});
    add(r);
    rig_assert_file(r, "in/real/f", "x");
}

static void test_later_entries_replace_earlier_ones(void **state)
{
    struct rig *r = *state;

    TAR(r, {"x", 0, "file", 0}, {"x", '5', NULL, 0}, {"x/y", 0, "in", 0},
        {"z/w", 0, "gone", 0}, {"z", 0, "file", 0}, {"a", 0, "first", 0},
        {"b", '1', "a", 0}, {"a", 0, "second", 0});
    add(r);
    rig_assert_file(r, "in/x/y", "in");
    rig_assert_file(r, "in/z", "file");
    rig_assert_file(r, "in/a", "second");
    rig_assert_file(r, "in/b", "first");
}

static void test_damaged_archives_are_errors(void **state)
{
    struct rig *r = *state;
    const struct member members[] = {{"first", 0, "text", 0}, {"second", 0, "more", 0}};

    write_tar(r, "a.tar", members, 2, 1024 + 512 + 100);
    add_fails(r, ERROR_CORRUPT, "a.tar");
    write_tar(r, "a.tar", members, 2, 512 + 2);
    add_fails(r, ERROR_CORRUPT, "a.tar");
}

static void test_what_is_no_archive_is_copied(void **state)
{
    struct rig *r = *state;

    rig_write(r, "a.tar", "not a tar");
    add(r);
    rig_assert_file(r, "in/a.tar", "not a tar");
    rig_write(r, "a.tar", "");
    add(r);
    rig_assert_file(r, "in/a.tar", "");
    write_tar(r, "a.tar", NULL, 0, 0);
    add(r);
    CLEANUP(base_freep) char *empty = rig_read(r, "in/a.tar");
    assert_non_null(empty);
    TAR(r, {"f", 0, "text", 0});
    rig_dockerfile(r,
                   "FROM scratch\nCOPY a.tar /copied\nADD --unpack=false a.tar /added\n");
    rig_must_build(r);
    CLEANUP(base_freep) char *copied = rig_read(r, "copied");
    assert_non_null(copied);
    assert_string_equal(copied, "f");
    rig_assert_file(r, "added", "f");
}

static void test_an_archive_goes_over_what_is_below(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "old");
    TAR(r, {"d", 0, "a file now", 0}, {"f", 0, "new", 0});
    rig_dockerfile(r, "FROM scratch\nCOPY f /in/f\nCOPY f /in/d/x\nADD a.tar /in/\n");
    rig_must_build(r);
    rig_assert_file(r, "in/f", "new");
    rig_assert_file(r, "in/d", "a file now");
    assert_null(rig_read(r, "in/d/x"));
}

static void test_whiteout_names_remove_what_is_below(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "old");
    TAR(r, {"d/.wh.f", 0, "", 0}, {"d/g", 0, "new", 0}, {"d/.wh.nothing", 0, "", 0});
    rig_dockerfile(r, "FROM scratch\nCOPY f f /in/d/\nCOPY f /in/d/h\nADD a.tar /in/\n");
    rig_must_build(r);
    assert_null(rig_read(r, "in/d/f"));
    rig_assert_file(r, "in/d/g", "new");
    rig_assert_file(r, "in/d/h", "old");
    TAR(r, {"d/.wh..wh..opq", 0, "", 0});
    add_fails(r, ERROR_UNSUPPORTED, ".wh.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_files_directories_and_links),
        rig_test(test_names_cannot_leave_the_destination),
        rig_test(test_links_to_what_is_not_there_are_errors),
        rig_test(test_nothing_is_made_behind_links_to_nowhere),
        rig_test(test_later_entries_replace_earlier_ones),
        rig_test(test_damaged_archives_are_errors),
        rig_test(test_what_is_no_archive_is_copied),
        rig_test(test_whiteout_names_remove_what_is_below),
        rig_test(test_an_archive_goes_over_what_is_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
