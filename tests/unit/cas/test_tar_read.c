#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/tar_read.h"

#include <stdlib.h>
#include <string.h>

/* What an archive says, an entry a line: "TYPE PATH > LINK MODE UID:GID TIME SIZE
 * [OFFSET:DATA]". */
static enum error_code read_text(struct view tar, size_t step, struct buf *out)
{
    CLEANUP(tar_reader_freep) struct tar_reader *r = tar_reader_new();
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    enum tar_event event = TAR_MORE_INPUT;
    uint64_t offset = 0;

    while (event != TAR_END) {
        if (tar_reader_step(r, &event, &err) < 0)
            return err.code;
        if (event == TAR_MORE_INPUT && tar.size == 0) {
            tar_reader_end_input(r);
        } else if (event == TAR_MORE_INPUT) {
            tar_reader_feed(r, view_sub(tar, 0, step));
            tar = view_sub(tar, step, tar.size);
        } else if (event == TAR_ENTRY) {
            const struct tar_entry *e = tar_reader_entry(r);

            buf_printf(out, "%s%c %.*s", out->size ? "\n" : "", (char)e->type,
                       VIEW_ARG(e->path));
            if (e->link.size > 0)
                buf_printf(out, " > %.*s", VIEW_ARG(e->link));
            buf_printf(out, " %o %u:%u %jd.%09u %ju", e->mode, e->uid, e->gid,
                       (intmax_t)e->mtime_s, e->mtime_ns, (uintmax_t)e->size);
            for (size_t i = 0; i < e->xattr_count; i++)
                buf_printf(out, " %.*s=%.*s", VIEW_ARG(e->xattrs[i].name),
                           VIEW_ARG(e->xattrs[i].value));
        } else if (event == TAR_DATA) {
            const struct view data = tar_reader_data(r, &offset);

            buf_printf(out, " [%ju:%.*s]", (uintmax_t)offset, VIEW_ARG(data));
        }
    }
    return ERROR_NONE;
}

static void check_text(struct buf *tar, const char *want)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(TAR_MAX);

    assert_int_equal(ERROR_NONE, read_text(buf_view(tar), TAR_MAX, &got));
    assert_string_equal(buf_text(&got), want);
    buf_release(tar);
}

static void check_code(struct buf *tar, enum error_code want)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(TAR_MAX);

    assert_string_equal(error_code_name(want),
                        error_code_name(read_text(buf_view(tar), TAR_MAX, &got)));
    buf_release(tar);
}

static void add_long(struct buf *tar, char type, const char *text)
{
    tar_header(tar, &(struct tar_spec){.name = "././@LongLink", .type = type},
               strlen(text) + 1);
    buf_append(tar, text, strlen(text) + 1);
    tar_pad(tar);
}

static void test_plain_entries(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "d/", .type = '5', .mtime = 7});
    tar_add(&tar, &(struct tar_spec){.name = "d/f", .data = "abc", .uid = 1, .gid = 2});
    tar_add(&tar,
            &(struct tar_spec){.name = "l", .type = '2', .link = "d/f", .mode = 0777});
    tar_add(&tar, &(struct tar_spec){.name = "h", .type = '1', .link = "d/f"});
    tar_end(&tar);
    check_text(&tar, "5 d/ 755 0:0 7.000000000 0\n"
                     "0 d/f 644 1:2 1000000000.000000000 3 [0:abc]\n"
                     "2 l > d/f 777 0:0 1000000000.000000000 0\n"
                     "1 h > d/f 644 0:0 1000000000.000000000 0");
}

static void test_ustar_prefix_comes_first(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_header(&tar, &(struct tar_spec){.name = "name"}, 0);
    memcpy(tar.data + 345, "some/prefix", 11);
    tar_fix_sum(&tar, 0);
    check_text(&tar, "0 some/prefix/name 644 0:0 1000000000.000000000 0");
}

static void test_gnu_header_has_no_prefix(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_header(&tar, &(struct tar_spec){.name = "name"}, 0);
    memcpy(tar.data + 257, "ustar  ", 8);
    memcpy(tar.data + 345, "01234567012", 11); /* atime */
    tar_fix_sum(&tar, 0);
    check_text(&tar, "0 name 644 0:0 1000000000.000000000 0");
}

static void test_v7_directory_is_known_by_its_slash(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_header(&tar, &(struct tar_spec){.name = "old/", .mode = 0700}, 0);
    tar.data[156] = '\0';
    memset(tar.data + 257, 0, 8);
    tar_fix_sum(&tar, 0);
    check_text(&tar, "5 old/ 700 0:0 1000000000.000000000 0");
}

static void test_gnu_long_names(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);
    char name[301] = {0};
    CLEANUP(base_freep) char *want = NULL;

    (void)state;
    memset(name, 'n', 300);
    add_long(&tar, 'K', name);
    add_long(&tar, 'L', "the/long/name");
    tar_add(&tar, &(struct tar_spec){.name = "cut", .type = '2', .link = "cut"});
    tar_add(&tar, &(struct tar_spec){.name = "next", .type = '2', .link = "own"});
    want = base_format("2 the/long/name > %s 644 0:0 1000000000.000000000 0\n"
                       "2 next > own 644 0:0 1000000000.000000000 0",
                       name);
    check_text(&tar, want);
}

static void test_pax_records_win_for_one_entry(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar,
            &(struct tar_spec){.name = "x",
                               .data = "abc",
                               .pax = "path=real name\nuid=3000000\ngid=4\nmtime=12.5\n"
                                      "SCHILY.xattr.user.b=2\nSCHILY.xattr.user.a=1\n"
                                      "SCHILY.xattr.user.b=3\ncomment=nothing\n"});
    tar_add(&tar, &(struct tar_spec){.name = "y"});
    check_text(&tar, "0 real name 644 3000000:4 12.500000000 3 user.a=1 user.b=3 [0:abc]\n"
                     "0 y 644 0:0 1000000000.000000000 0");
}

static void test_negative_times(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x", .pax = "mtime=-1.25\n"});
    tar_header(&tar, &(struct tar_spec){.name = "y"}, 0);
    memset(tar.data + tar.size - 512 + 136, 0xff, 12); /* base 256: -1 */
    tar_fix_sum(&tar, tar.size - 512);
    check_text(&tar, "0 x 644 0:0 -2.750000000 0\n0 y 644 0:0 -1.000000000 0");
}

static void test_pax_size_counts(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x", .pax = "size=5\n"});
    buf_append_text(&tar, "12345");
    tar_pad(&tar);
    tar_add(&tar, &(struct tar_spec){.name = "y"});
    check_text(&tar, "0 x 644 0:0 1000000000.000000000 5 [0:12345]\n"
                     "0 y 644 0:0 1000000000.000000000 0");
}

static void test_base_256_numbers(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_header(&tar, &(struct tar_spec){.name = "x"}, 0);
    memcpy(tar.data + 108, "\x80\0\0\0\0\x2d\xc6\xc0", 8);
    tar_fix_sum(&tar, 0);
    check_text(&tar, "0 x 644 3000000:0 1000000000.000000000 0");
}

static void test_global_header_has_no_effect(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_header(&tar, &(struct tar_spec){.name = "g", .type = 'g'}, 11);
    buf_append_text(&tar, "11 path=no\n");
    tar_pad(&tar);
    tar_add(&tar, &(struct tar_spec){.name = "yes"});
    check_text(&tar, "0 yes 644 0:0 1000000000.000000000 0");
}

/* --- Sparse files --- */

#define SPARSE_WANT "0 s 644 0:0 1000000000.000000000 1000 [100:abc] [500:de]"

static void test_sparse_pax_maps(void **state)
{
    static const char *const maps[] = {
        "GNU.sparse.size=1000\nGNU.sparse.numblocks=2\nGNU.sparse.offset=100\n"
        "GNU.sparse.numbytes=3\nGNU.sparse.offset=500\nGNU.sparse.numbytes=2\n",
        "GNU.sparse.size=1000\nGNU.sparse.name=s\nGNU.sparse.map=100,3,500,2\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(maps); i++) {
        struct buf tar = BUF_INIT(TAR_MAX);

        tar_add(&tar, &(struct tar_spec){.name = "s", .data = "abcde", .pax = maps[i]});
        check_text(&tar, SPARSE_WANT);
    }
}

static void test_sparse_map_before_the_content(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);
    char data[517] = "2\n100\n3\n500\n2\n";

    (void)state;
    memcpy(data + 512, "abcde", 5);
    tar_add(&tar,
            &(struct tar_spec){.name = "GNUSparseFile.0/s",
                               .data = data,
                               .size = sizeof data,
                               .pax = "GNU.sparse.major=1\nGNU.sparse.minor=0\n"
                                      "GNU.sparse.name=s\nGNU.sparse.realsize=1000\n"});
    check_text(&tar, SPARSE_WANT);
}

static void put_octal(char *at, unsigned value)
{
    for (int i = 10; i >= 0; i--, value >>= 3)
        at[i] = (char)('0' + (value & 7));
}

static void test_sparse_gnu_header_with_more_blocks(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);
    char more[512] = {0};

    (void)state;
    tar_header(&tar, &(struct tar_spec){.name = "s", .type = 'S'}, 5);
    memcpy(tar.data + 257, "ustar  ", 8);
    put_octal(tar.data + 386, 100);
    put_octal(tar.data + 398, 3);
    tar.data[482] = 1;
    put_octal(tar.data + 483, 1000);
    tar_fix_sum(&tar, 0);
    put_octal(more, 500);
    put_octal(more + 12, 2);
    buf_append(&tar, more, sizeof more);
    buf_append_text(&tar, "abcde");
    tar_pad(&tar);
    check_text(&tar, SPARSE_WANT);
}

static void test_sparse_maps_that_do_not_fit_are_refused(void **state)
{
    static const char *const maps[] = {
        "100,3,500,3", /* more than is there */
        "100,3",       /* less */
        "500,2,100,3", /* out of order */
        "100,3,101,2", /* overlapping */
        "100,3,999,2", /* past the end */
        "100,3,500",   /* odd */
        "100,3,x,2",   /* no number */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(maps); i++) {
        struct buf tar = BUF_INIT(TAR_MAX);
        CLEANUP(base_freep)
        char *pax = base_format("GNU.sparse.size=1000\nGNU.sparse.map=%s\n", maps[i]);

        tar_add(&tar, &(struct tar_spec){.name = "s", .data = "abcde", .pax = pax});
        check_code(&tar, ERROR_CORRUPT);
    }
}

/* --- Damage --- */

static void test_bad_check_sum_is_refused(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x"});
    tar.data[0] = 'y';
    check_code(&tar, ERROR_CORRUPT);
}

static void test_negative_size_is_refused(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x"});
    memset(tar.data + 124, 0xff, 12);
    tar_fix_sum(&tar, 0);
    check_code(&tar, ERROR_CORRUPT);
}

static void test_huge_sizes_are_refused(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x", .pax = "size=9000000000000000000\n"});
    check_code(&tar, ERROR_LIMIT);
    tar_header(&tar, &(struct tar_spec){.name = "x", .type = 'x'}, LIMIT_TAR_EXTENSION + 1);
    check_code(&tar, ERROR_LIMIT);
}

static void test_overlong_path_is_refused(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);
    CLEANUP(base_freep) char *name = base_alloc(LIMIT_PATH_SIZE + 1);

    (void)state;
    memset(name, 'n', LIMIT_PATH_SIZE);
    add_long(&tar, 'L', name);
    tar_add(&tar, &(struct tar_spec){.name = "x"});
    check_code(&tar, ERROR_LIMIT);
}

static void test_malformed_pax_is_refused(void **state)
{
    static const char *const bodies[] = {
        "5 a=b\n",        /* too short a length */
        "99 path=x\n",    /* too long a one */
        "x path=x\n",     /* none */
        "8 path=x",       /* no newline */
        "7 path\n",       /* no "=" */
        "12 uid=-12\n\n", /* negative */
        "13 mtime=1.x\n", /* no number */
        "10 uid=4 \n",    /* rubbish behind it */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        struct buf tar = BUF_INIT(TAR_MAX);

        tar_header(&tar, &(struct tar_spec){.name = "p", .type = 'x'}, strlen(bodies[i]));
        buf_append_text(&tar, bodies[i]);
        tar_pad(&tar);
        tar_add(&tar, &(struct tar_spec){.name = "x"});
        check_code(&tar, ERROR_CORRUPT);
    }
}

static void test_unknown_types_are_refused(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x", .type = 'V'});
    check_code(&tar, ERROR_UNSUPPORTED);
}

static void test_an_archive_cut_anywhere_is_refused(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    tar_add(&tar, &(struct tar_spec){.name = "x", .data = "content", .pax = "path=y\n"});
    for (size_t size = 1; size < tar.size; size++) {
        CLEANUP(buf_release) struct buf got = BUF_INIT(TAR_MAX);

        assert_int_equal(ERROR_CORRUPT,
                         read_text(view_sub(buf_view(&tar), 0, size), TAR_MAX, &got));
    }
    /* Without an end mark, but whole. */
    check_text(&tar, "0 y 644 0:0 1000000000.000000000 7 [0:content]");
}

static void test_empty_archives_are_fine(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    check_text(&tar, "");
    tar_end(&tar);
    buf_append_text(&tar, "what follows the end mark has no meaning");
    check_text(&tar, "");
}

static void test_one_block_of_zeros_is_no_gap(void **state)
{
    static const char zeros[512];
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    buf_append(&tar, zeros, sizeof zeros);
    tar_add(&tar, &(struct tar_spec){.name = "x"});
    check_code(&tar, ERROR_CORRUPT);
}

static void test_cutting_the_input_changes_nothing(void **state)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    (void)state;
    add_long(&tar, 'L', "a/name");
    tar_add(&tar, &(struct tar_spec){.name = "x", .type = '5', .pax = "uid=7\n"});
    tar_add(&tar, &(struct tar_spec){.name = "y", .type = '2', .link = "z"});
    tar_end(&tar);
    for (size_t step = 1; step < 600; step += 37) {
        CLEANUP(buf_release) struct buf got = BUF_INIT(TAR_MAX);

        assert_int_equal(ERROR_NONE, read_text(buf_view(&tar), step, &got));
        assert_string_equal(buf_text(&got), "5 a/name 755 7:0 1000000000.000000000 0\n"
                                            "2 y > z 644 0:0 1000000000.000000000 0");
    }
    buf_release(&tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_entries),
        cmocka_unit_test(test_ustar_prefix_comes_first),
        cmocka_unit_test(test_gnu_header_has_no_prefix),
        cmocka_unit_test(test_v7_directory_is_known_by_its_slash),
        cmocka_unit_test(test_gnu_long_names),
        cmocka_unit_test(test_pax_records_win_for_one_entry),
        cmocka_unit_test(test_negative_times),
        cmocka_unit_test(test_pax_size_counts),
        cmocka_unit_test(test_base_256_numbers),
        cmocka_unit_test(test_global_header_has_no_effect),
        cmocka_unit_test(test_sparse_pax_maps),
        cmocka_unit_test(test_sparse_map_before_the_content),
        cmocka_unit_test(test_sparse_gnu_header_with_more_blocks),
        cmocka_unit_test(test_sparse_maps_that_do_not_fit_are_refused),
        cmocka_unit_test(test_bad_check_sum_is_refused),
        cmocka_unit_test(test_negative_size_is_refused),
        cmocka_unit_test(test_huge_sizes_are_refused),
        cmocka_unit_test(test_overlong_path_is_refused),
        cmocka_unit_test(test_malformed_pax_is_refused),
        cmocka_unit_test(test_unknown_types_are_refused),
        cmocka_unit_test(test_an_archive_cut_anywhere_is_refused),
        cmocka_unit_test(test_empty_archives_are_fine),
        cmocka_unit_test(test_one_block_of_zeros_is_no_gap),
        cmocka_unit_test(test_cutting_the_input_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
