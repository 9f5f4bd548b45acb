/* link: -larchive */
#include "cas/tar_write.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ROOM ((size_t)1 << 20)

static void headers(const struct cas_entry *e, struct buf *out)
{
    buf_init(out, ROOM);
    tar_headers_append(e, out);
    assert_false(out->failed);
    assert_int_equal(out->size % TAR_BLOCK, 0);
    assert_int_equal(out->size, tar_headers_size(e));
}

/* --- By hand --- */

static void test_a_plain_file_has_these_very_bytes(void **state)
{
    const struct cas_entry e = {
        .path = VIEW_LIT("bin/true"),
        .type = CAS_ENTRY_FILE,
        .mode = 04755,
        .uid = 1000,
        .gid = 8,
        .size = 0777,
        .mtime_s = 1234567890,
    };
    /* Written down from `tar --format=ustar`, whose mode, uid, gid, size and mtime are the
     * same; it leaves the device numbers of a file empty or zero by version. */
    static const struct {
        size_t at;
        const char *text;
    } fields[] = {{0, "bin/true"},
                  {100, "0004755"},
                  {108, "0001750"},
                  {116, "0000010"},
                  {124, "00000000777"},
                  {136, "11145401322"},
                  {156, "0"},
                  {157, ""},
                  {257, "ustar"},
                  {265, ""},
                  {297, ""},
                  {329, "0000000"},
                  {337, "0000000"},
                  {345, ""}};
    CLEANUP(buf_release) struct buf out;
    unsigned sum = 0;

    (void)state;
    headers(&e, &out);
    assert_int_equal(out.size, TAR_BLOCK);
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        assert_memory_equal(out.data + fields[i].at, fields[i].text,
                            strlen(fields[i].text) + (fields[i].at != 156));
    assert_memory_equal(out.data + 263, "00", 2);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)out.data[i];
    assert_int_equal(strtoul(out.data + 148, NULL, 8), sum);
    assert_memory_equal(out.data + 154, "\0 ", 2);
}

static void test_equal_entries_give_equal_bytes(void **state)
{
    const struct cas_xattr xattr = {VIEW_LIT("user.x"), VIEW_LIT("y")};
    const struct cas_entry e = {.path = VIEW_LIT("d"),
                                .type = CAS_ENTRY_DIR,
                                .mode = 01777,
                                .uid = 1u << 30,
                                .opaque = true,
                                .xattrs = &xattr,
                                .xattr_count = 1};
    CLEANUP(buf_release) struct buf a;
    CLEANUP(buf_release) struct buf b;

    (void)state;
    headers(&e, &a);
    headers(&e, &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
}

static void test_times_are_whole_seconds_up_to_the_epoch(void **state)
{
    struct cas_entry e = {
        .path = VIEW_LIT("f"), .type = CAS_ENTRY_FILE, .mtime_s = 2000, .mtime_ns = 5};

    (void)state;
    assert_int_equal(tar_entry_written(&e, TAR_NO_EPOCH).mtime_s, 2000);
    assert_int_equal(tar_entry_written(&e, TAR_NO_EPOCH).mtime_ns, 0);
    assert_int_equal(tar_entry_written(&e, 1000).mtime_s, 1000);
    assert_int_equal(tar_entry_written(&e, 0).mtime_s, 0);
    assert_int_equal(tar_entry_written(&e, 3000).mtime_s, 2000);
    e.mtime_s = -5;
    assert_int_equal(tar_entry_written(&e, 1000).mtime_s, -5);
}

static void test_a_whiteout_has_no_attributes(void **state)
{
    const struct cas_entry e = {.path = VIEW_LIT("etc/gone"),
                                .type = CAS_ENTRY_WHITEOUT,
                                .mode = 0777,
                                .uid = 5,
                                .mtime_s = 77};
    const struct cas_entry w = tar_entry_written(&e, TAR_NO_EPOCH);
    CLEANUP(buf_release) struct buf out;

    (void)state;
    headers(&w, &out);
    assert_string_equal(out.data, "etc/.wh.gone");
    assert_string_equal(out.data + 100, "0000000");
    assert_string_equal(out.data + 108, "0000000");
    assert_string_equal(out.data + 136, "00000000000");
    assert_int_equal(out.data[156], '0');
}

static void test_an_opaque_directory_is_followed_by_its_mark(void **state)
{
    const struct cas_entry e = {
        .path = VIEW_LIT("var"), .type = CAS_ENTRY_DIR, .opaque = true};
    const struct cas_entry root = {
        .path = VIEW_LIT(""), .type = CAS_ENTRY_DIR, .opaque = true};
    CLEANUP(buf_release) struct buf out;
    CLEANUP(buf_release) struct buf of_root;

    (void)state;
    headers(&e, &out);
    assert_int_equal(out.size, 2 * TAR_BLOCK);
    assert_string_equal(out.data, "var/");
    assert_string_equal(out.data + TAR_BLOCK, "var/.wh..wh..opq");
    headers(&root, &of_root);
    assert_string_equal(of_root.data, "./");
    assert_string_equal(of_root.data + TAR_BLOCK, ".wh..wh..opq");
}

/* --- Read by libarchive --- */

/* An archive of these headers, contents left out (sizes are 0 where it matters). */
static struct archive *open_archive(struct buf *tar)
{
    static const char zeros[TAR_END_SIZE];
    struct archive *a = archive_read_new();

    buf_append(tar, zeros, sizeof zeros);
    assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(a, tar->data, tar->size), ARCHIVE_OK);
    return a;
}

static char *repeated(const char *piece, size_t count)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(ROOM);

    for (size_t i = 0; i < count; i++)
        buf_append_text(&b, piece);
    return buf_take(&b);
}

/* What libarchive reads is what was written: the name, link and numbers. */
static void assert_reads_back(const struct cas_entry *e, const char *name, bool pax)
{
    CLEANUP(buf_release) struct buf tar;
    struct archive_entry *got;

    headers(e, &tar);
    assert_int_equal(tar.data[156] == 'x', pax);
    struct archive *a = open_archive(&tar);
    assert_int_equal(archive_read_next_header(a, &got), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(got), name);
    assert_int_equal(archive_entry_uid(got), e->uid);
    assert_int_equal(archive_entry_gid(got), e->gid);
    assert_int_equal(archive_entry_mtime(got), e->mtime_s);
    assert_int_equal(archive_entry_perm(got), e->mode);
    assert_int_equal(archive_entry_size(got), e->size);
    if (e->type == CAS_ENTRY_SYMLINK)
        assert_string_equal(archive_entry_symlink(got), e->target.data);
    if (e->type == CAS_ENTRY_HARDLINK)
        assert_string_equal(archive_entry_hardlink(got), e->target.data);
    archive_read_free(a);
}

static void test_names_of_every_length_read_back(void **state)
{
    (void)state;
    for (size_t size = 1; size<600; size += size> 90 && size < 270 ? 1 : 7) {
        CLEANUP(base_freep) char *flat = repeated("n", size);
        struct cas_entry e = {.path = view_of(flat), .type = CAS_ENTRY_FILE, .mode = 0644};
        assert_reads_back(&e, flat, size > 100);
    }
}

static void test_deep_names_are_split_where_they_can_be(void **state)
{
    (void)state;
    for (size_t count = 1; count < 60; count++) {
        CLEANUP(base_freep) char *file = repeated("dir56/", count);
        CLEANUP(base_freep) char *dir = base_strndup(file, strlen(file) - 1);
        struct cas_entry e = {.path = view_of(dir), .type = CAS_ENTRY_DIR, .mode = 0755};
        assert_reads_back(&e, file, strlen(file) > 256);
        e.type = CAS_ENTRY_FILE;
        assert_reads_back(&e, dir, strlen(dir) > 256);
    }
}

static void test_long_links_read_back(void **state)
{
    (void)state;
    for (size_t size = 90; size < 300; size += 5) {
        CLEANUP(base_freep) char *target = repeated("t", size);
        struct cas_entry e = {.path = VIEW_LIT("link"),
                              .type = CAS_ENTRY_SYMLINK,
                              .mode = 0777,
                              .target = view_of(target)};
        assert_reads_back(&e, "link", size > 100);
        e.type = CAS_ENTRY_HARDLINK;
        assert_reads_back(&e, "link", size > 100);
    }
}

static void test_large_numbers_read_back(void **state)
{
    struct cas_entry e = {.path = VIEW_LIT("f"), .type = CAS_ENTRY_FILE, .mode = 0600};

    (void)state;
    e.uid = 2097151;
    e.gid = 2097151;
    assert_reads_back(&e, "f", false);
    e.uid = 2097152;
    assert_reads_back(&e, "f", true);
    e.gid = UINT32_MAX - 1;
    assert_reads_back(&e, "f", true);
    e = (struct cas_entry){.path = VIEW_LIT("f"), .type = CAS_ENTRY_FILE, .mtime_s = -1};
    assert_reads_back(&e, "f", true);
    e.mtime_s = (int64_t)1 << 33;
    assert_reads_back(&e, "f", true);
    e.mtime_s = ((int64_t)1 << 33) - 1;
    assert_reads_back(&e, "f", false);
    e = (struct cas_entry){.path = VIEW_LIT("f"), .type = CAS_ENTRY_FILE};
    e.size = ((uint64_t)1 << 33) - 1;
    assert_reads_back(&e, "f", false);
    e.size = (uint64_t)1 << 33;
    assert_reads_back(&e, "f", true);
}

static void test_names_are_bytes(void **state)
{
    static const char raw[] = "\xff\xfe \x80name";
    static const char text[] = "F\xc3\xa4sser/\xe6\xa8\xbd";
    CLEANUP(base_freep) char *long_raw = repeated("\xff", 300);
    struct cas_entry e = {.path = view_of(raw), .type = CAS_ENTRY_FILE};

    (void)state;
    assert_reads_back(&e, raw, false);
    e.path = view_of(text);
    assert_reads_back(&e, text, false);
    e.path = view_of(long_raw);
    assert_reads_back(&e, long_raw, true);
}

static void test_devices_read_back(void **state)
{
    const struct cas_entry e = {.path = VIEW_LIT("dev/sda"),
                                .type = CAS_ENTRY_BLOCK,
                                .mode = 0660,
                                .rdev_major = 4095,
                                .rdev_minor = 1048575};
    CLEANUP(buf_release) struct buf tar;
    struct archive_entry *got;

    (void)state;
    headers(&e, &tar);
    struct archive *a = open_archive(&tar);
    assert_int_equal(archive_read_next_header(a, &got), ARCHIVE_OK);
    assert_int_equal(archive_entry_filetype(got), S_IFBLK);
    assert_int_equal(archive_entry_rdevmajor(got), 4095);
    assert_int_equal(archive_entry_rdevminor(got), 1048575);
    archive_read_free(a);
}

static void test_attributes_of_any_size_read_back(void **state)
{
    (void)state;
    for (size_t size = 0; size < 2200; size += size < 130 ? 1 : 97) {
        CLEANUP(base_freep) char *value = base_alloc(size + 1);
        for (size_t i = 0; i < size; i++)
            value[i] = (char)(i * 7);
        const struct cas_xattr xattrs[] = {
            {VIEW_LIT("security.capability"), {value, size}},
            {VIEW_LIT("user.a b"), VIEW_LIT("line\nbreak=")},
        };
        const struct cas_entry e = {.path = VIEW_LIT("f"),
                                    .type = CAS_ENTRY_FILE,
                                    .xattrs = xattrs,
                                    .xattr_count = ARRAY_COUNT(xattrs)};
        CLEANUP(buf_release) struct buf tar;
        struct archive_entry *got;
        const char *name;
        const void *read;
        size_t read_size;
        headers(&e, &tar);
        struct archive *a = open_archive(&tar);
        assert_int_equal(archive_read_next_header(a, &got), ARCHIVE_OK);
        assert_int_equal(archive_entry_xattr_reset(got), 2);
        do {
            assert_int_equal(archive_entry_xattr_next(got, &name, &read, &read_size),
                             ARCHIVE_OK);
        } while (strcmp(name, "security.capability") != 0);
        assert_int_equal(read_size, size);
        if (size)
            assert_memory_equal(read, value, size);
        archive_read_free(a);
    }
}

static void test_what_tar_cannot_say_is_refused(void **state)
{
    const struct cas_xattr equals = {VIEW_LIT("user.a=b"), VIEW_LIT("v")};
    const struct cas_xattr opaque = {VIEW_LIT("trusted.overlay.opaque"), VIEW_LIT("y")};
    const struct cas_xattr user = {VIEW_LIT("user.overlay.whiteout"), VIEW_LIT("y")};
    CLEANUP(base_freep) char *name = repeated("n", LIMIT_PATH_SIZE + 1);
    CLEANUP(base_freep) char *part = repeated("n", LIMIT_NAME_SIZE + 1);
    CLEANUP(base_freep) char *beneath = base_format("d/%s/f", part);
    const struct {
        struct cas_entry entry;
        enum error_code code;
    } cases[] = {
        {{.path = VIEW_LIT("f"), .xattrs = &opaque, .xattr_count = 1}, ERROR_UNSUPPORTED},
        {{.path = VIEW_LIT("f"), .xattrs = &user, .xattr_count = 1}, ERROR_UNSUPPORTED},
        {{.path = view_of(beneath)}, ERROR_LIMIT},
        {{.path = VIEW_LIT("a/.wh.b")}, ERROR_UNSUPPORTED},
        {{.path = VIEW_LIT(".wh.a/b")}, ERROR_UNSUPPORTED},
        {{.path = VIEW_LIT("a/.whb"), .type = CAS_ENTRY_WHITEOUT}, ERROR_NONE},
        {{.path = VIEW_LIT("l"), .type = CAS_ENTRY_SYMLINK}, ERROR_INVALID},
        {{.path = VIEW_LIT("l"), .type = CAS_ENTRY_SYMLINK, .target = view_of(name)},
         ERROR_LIMIT},
        {{.path = VIEW_LIT("c"), .type = CAS_ENTRY_CHAR}, ERROR_UNSUPPORTED},
        {{.path = VIEW_LIT("c"), .type = CAS_ENTRY_CHAR, .rdev_major = 1}, ERROR_NONE},
        {{.path = VIEW_LIT("b"), .type = CAS_ENTRY_BLOCK, .rdev_major = 4096},
         ERROR_INVALID},
        {{.path = VIEW_LIT("b"), .type = CAS_ENTRY_BLOCK, .rdev_minor = 1 << 20},
         ERROR_INVALID},
        {{.path = VIEW_LIT("f"), .xattrs = &equals, .xattr_count = 1}, ERROR_UNSUPPORTED},
        {{.path = view_of(name)}, ERROR_LIMIT},
        {{.path = VIEW_LIT("a\0b")}, ERROR_INVALID},
        {{.path = VIEW_LIT("o"), .uid = UINT32_MAX}, ERROR_INVALID},
        {{.path = VIEW_LIT("o"), .gid = UINT32_MAX}, ERROR_INVALID},
        {{.path = VIEW_LIT("t"), .mtime_s = INT64_MAX}, ERROR_INVALID},
        {{.path = VIEW_LIT("t"), .mtime_s = INT64_MIN}, ERROR_INVALID},
        {{.path = VIEW_LIT("t"), .mtime_s = -1}, ERROR_NONE},
        {{.path = VIEW_LIT("l"), .target = VIEW_LIT("a\0b")}, ERROR_INVALID},
        {{.path = VIEW_LIT("f")}, ERROR_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        const int result = tar_entry_check(&cases[i].entry, &err);
        assert_int_equal(result, cases[i].code == ERROR_NONE ? 0 : -1);
        assert_int_equal(err.code, cases[i].code);
    }
}

/* --- Order --- */

static void test_a_directory_is_followed_by_what_is_in_it(void **state)
{
    static const char *const sorted[] = {"",       "a",     "a/b", "a/b/c", "a/b.c",
                                         "a/\xff", "a\x01", "a b", "a!",    "a.b",
                                         "a.b/c",  "aa",    "b",   "\xff"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sorted); i++) {
        for (size_t k = 0; k < ARRAY_COUNT(sorted); k++) {
            const int order =
                cas_entry_path_compare(view_of(sorted[i]), view_of(sorted[k]));
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_file_has_these_very_bytes),
        cmocka_unit_test(test_equal_entries_give_equal_bytes),
        cmocka_unit_test(test_times_are_whole_seconds_up_to_the_epoch),
        cmocka_unit_test(test_a_whiteout_has_no_attributes),
        cmocka_unit_test(test_an_opaque_directory_is_followed_by_its_mark),
        cmocka_unit_test(test_names_of_every_length_read_back),
        cmocka_unit_test(test_deep_names_are_split_where_they_can_be),
        cmocka_unit_test(test_long_links_read_back),
        cmocka_unit_test(test_large_numbers_read_back),
        cmocka_unit_test(test_names_are_bytes),
        cmocka_unit_test(test_devices_read_back),
        cmocka_unit_test(test_attributes_of_any_size_read_back),
        cmocka_unit_test(test_what_tar_cannot_say_is_refused),
        cmocka_unit_test(test_a_directory_is_followed_by_what_is_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
