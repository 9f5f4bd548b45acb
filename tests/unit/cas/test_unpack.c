#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/index.h"
#include "cas/unpack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Unpacks the topmost of the layers and gives the handles back. */
static int unpack_top(struct fixture *f, struct cas_layer **layers, size_t count)
{
    const int fd = cas_layer_unpacked(layers, count - 1, &f->err);

    assert_ok(f, fd);
    return fd;
}

static void unref_all(struct cas_layer **layers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cas_layer_unref(layers[i]);
}

static void test_files_keep_what_the_tar_says(void **state)
{
    struct fixture *f = *state;
    const unsigned owner = some_owner();
    struct cas_layer *l = LAYER(
        f, {.name = "./", .type = '5', .mode = 0750, .uid = owner},
        {.name = "./a/", .type = '5', .mode = 01777, .mtime = 5},
        {.name = "./a/b", .data = "hello", .mode = 04755, .uid = owner, .gid = owner},
        {.name = "a/link", .type = '2', .link = "../../b", .uid = owner, .mtime = 77},
        {.name = "a/hard", .type = '1', .link = "./a/b"},
        {.name = "a/fifo", .type = '6', .mode = 0600}, {.name = "empty", .mode = 0400});
    const int fd = unpack_top(f, &l, 1);
    struct stat one;
    struct stat two;

    char *want = base_format("d 0750 %u:0 1000000000", owner);
    assert_text(stat_text(fd, "."), want);
    free(want);
    assert_text(stat_text(fd, "a"), "d 1777 0:0 5");
    want = base_format("f 4755 %u:%u 1000000000", owner, owner);
    assert_text(stat_text(fd, "a/b"), want);
    free(want);
    assert_text(file_text(fd, "a/b"), "hello");
    want = base_format("l 0777 %u:0 77", owner);
    assert_text(stat_text(fd, "a/link"), want);
    free(want);
    assert_text(fs_readlink_at(fd, "a/link", &f->err), "../../b");
    assert_text(stat_text(fd, "a/fifo"), "p 0600 0:0 1000000000");
    assert_text(stat_text(fd, "empty"), "f 0400 0:0 1000000000");
    assert_int_equal(0, fstatat(fd, "a/b", &one, 0));
    assert_int_equal(0, fstatat(fd, "a/hard", &two, 0));
    assert_int_equal(one.st_ino, two.st_ino);
    close(fd);
    cas_layer_unref(l);
    assert_int_equal(1, fixture_count(f, "layers"));
    assert_int_equal(0, fixture_count(f, "ingest"));
}

static void check_whiteouts(struct fixture *f)
{
    struct cas_layer *l =
        LAYER(f, {.name = "a/", .type = '5'}, {.name = "a/.wh.gone"}, {.name = "a/.wh.too"},
              {.name = "b/", .type = '5'}, {.name = "b/new", .data = "x"},
              {.name = "b/.wh..wh..opq"}, {.name = "c/", .type = '5'}, {.name = ".wh.c"},
              {.name = ".wh..wh.plnk", .data = "aufs"});
    const int fd = unpack_top(f, &l, 1);
    CLEANUP(fd_closep) int b = openat(fd, "b", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_closep) int c = openat(fd, "c", O_RDONLY | O_CLOEXEC);
    struct stat one;
    struct stat two;
    char value = 0;

    assert_text(names_text(fd, "."), "a b c");
    assert_text(names_text(fd, "a"), "gone too");
    assert_int_equal(0, fstatat(fd, "a/gone", &one, AT_SYMLINK_NOFOLLOW));
    assert_int_equal(0, fstatat(fd, "a/too", &two, AT_SYMLINK_NOFOLLOW));
    assert_true(S_ISCHR(one.st_mode) && one.st_rdev == makedev(0, 0));
    assert_int_equal(one.st_ino, two.st_ino);
    for (int i = 0; i < 2; i++) {
        const int dir = i ? c : b;

        if (fgetxattr(dir, "trusted.overlay.opaque", &value, 1) != 1)
            assert_int_equal(1, fgetxattr(dir, "user.overlay.opaque", &value, 1));
        assert_int_equal('y', value);
    }
    close(fd);
    cas_layer_unref(l);
}

static void test_whiteouts_become_overlayfs_own(void **state)
{
    check_whiteouts(*state);
}

#ifdef WITH_USER_NAMESPACES
static void test_whiteouts_in_a_user_namespace(void **state)
{
    run_in_user_namespace(*state, check_whiteouts);
}
#endif

static void check_missing_parents(struct fixture *f)
{
    const unsigned owner = some_owner();
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "tmp/", .type = '5', .mode = 01777, .mtime = 42},
              {.name = "srv/", .type = '5', .mode = 0700, .uid = owner},
              {.name = "srv/www/", .type = '5', .mode = 02775, .gid = owner}),
        LAYER(f, {.name = "tmp/x", .data = "1"}, {.name = "srv/www/y", .data = "2"}),
    };
    const int fd = unpack_top(f, layers, 2);

    char *want = base_format("d 2775 0:%u 1000000000", owner);
    assert_text(stat_text(fd, "tmp"), "d 1777 0:0 42");
    assert_text(stat_text(fd, "srv/www"), want);
    assert_text(file_text(fd, "srv/www/y"), "2");
    free(want);
    close(fd);
    unref_all(layers, 2);
}

static void test_missing_parents_are_those_below(void **state)
{
    check_missing_parents(*state);
}

#ifdef WITH_USER_NAMESPACES
static void test_missing_parents_in_a_user_namespace(void **state)
{
    run_in_user_namespace(*state, check_missing_parents);
}
#endif

static void test_hard_link_to_a_lower_file_is_a_copy(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "bin/", .type = '5'},
              {.name = "bin/a", .data = "A", .mode = 0755}),
        LAYER(f, {.name = "bin/", .type = '5'},
              {.name = "bin/b", .type = '1', .link = "bin/a"}),
    };
    const int fd = unpack_top(f, layers, 2);

    assert_text(stat_text(fd, "bin/b"), "f 0755 0:0 1000000000");
    assert_text(file_text(fd, "bin/b"), "A");
    close(fd);
    unref_all(layers, 2);
}

static void test_symlink_within_the_layer_is_followed_inside_the_root(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *l = LAYER(
        f, {.name = "usr/", .type = '5'}, {.name = "usr/lib/", .type = '5'},
        {.name = "lib", .type = '2', .link = "/usr/lib"}, {.name = "lib/libc", .data = "c"},
        {.name = "usr/l", .type = '2', .link = "../lib/../lib"},
        {.name = "usr/l/libm", .data = "m"});
    const int fd = unpack_top(f, &l, 1);

    assert_text(names_text(fd, "usr/lib"), "libc libm");
    assert_text(names_text(fd, "."), "lib usr");
    close(fd);
    cas_layer_unref(l);
}

static void test_later_entry_wins(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *l = LAYER(
        f, {.name = "a", .data = "first, and longer"},
        {.name = "a", .data = "second", .mode = 0600}, {.name = "d/", .type = '5'},
        {.name = "d", .type = '2', .link = "a"}, {.name = "e", .type = '2', .link = "a"},
        {.name = "e/", .type = '5', .mode = 0711},
        {.name = "e/", .type = '5', .mode = 0700});
    const int fd = unpack_top(f, &l, 1);
    const struct cas_index *index = cas_layer_index(l, &f->err);

    assert_text(file_text(fd, "a"), "second");
    assert_text(stat_text(fd, "a"), "f 0600 0:0 1000000000");
    assert_text(stat_text(fd, "d"), "l 0777 0:0 1000000000");
    assert_text(stat_text(fd, "e"), "d 0700 0:0 1000000000");
    assert_non_null(index);
    assert_int_equal(3, cas_index_count(index));
    close(fd);
    cas_layer_unref(l);
}

static void test_sparse_file_keeps_its_holes(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *l =
        LAYER(f, {.name = "s",
                  .data = "tail",
                  .pax = "GNU.sparse.major=0\nGNU.sparse.minor=1\n"
                         "GNU.sparse.size=1048580\nGNU.sparse.map=1048576,4\n"});
    const int fd = unpack_top(f, &l, 1);
    struct stat st;
    char tail[5] = {0};
    CLEANUP(fd_closep) int s = openat(fd, "s", O_RDONLY | O_CLOEXEC);

    assert_int_equal(0, fstat(s, &st));
    assert_int_equal(1048580, st.st_size);
    assert_true(st.st_blocks < 64);
    assert_int_equal(4, pread(s, tail, 4, 1048576));
    assert_string_equal("tail", tail);
    close(fd);
    cas_layer_unref(l);
}

static void test_extended_attributes_arrive(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *l =
        LAYER(f, {.name = "x", .data = "x", .pax = "SCHILY.xattr.user.color=red\n"},
              {.name = "d/", .type = '5', .pax = "SCHILY.xattr.user.kind=dir\n"});
    const int fd = unpack_top(f, &l, 1);
    char value[8] = {0};
    CLEANUP(fd_closep) int x = openat(fd, "x", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_closep) int d = openat(fd, "d", O_RDONLY | O_CLOEXEC);

    assert_int_equal(3, fgetxattr(x, "user.color", value, sizeof value));
    assert_memory_equal("red", value, 3);
    assert_int_equal(3, fgetxattr(d, "user.kind", value, sizeof value));
    assert_memory_equal("dir", value, 3);
    close(fd);
    cas_layer_unref(l);
}

static void test_capability_survives_the_owner(void **state)
{
    struct fixture *f = *state;
    struct buf tar = BUF_INIT(TAR_MAX);
    static const char body[] =
        "57 SCHILY.xattr.security.capability=\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0"
        "\0\0\0\0\n";
    char value[64];

    tar_header(&tar, &(struct tar_spec){.name = "pax", .type = 'x'}, sizeof body - 1);
    buf_append(&tar, body, sizeof body - 1);
    tar_pad(&tar);
    tar_add(&tar, &(struct tar_spec){.name = "ping", .data = "p", .uid = some_owner()});
    tar_end(&tar);

    struct cas_layer *l = layer_of_tar(f, &tar);
    const int fd = unpack_top(f, &l, 1);
    CLEANUP(fd_closep) int p = openat(fd, "ping", O_RDONLY | O_CLOEXEC);

    assert_int_equal(20, fgetxattr(p, "security.capability", value, sizeof value));
    close(fd);
    cas_layer_unref(l);
}

static void test_umask_does_not_matter(void **state)
{
    struct fixture *f = *state;
    const mode_t old = umask(077);
    struct cas_layer *l = LAYER(f, {.name = "d/", .type = '5', .mode = 0777},
                                {.name = "d/f", .data = "x", .mode = 0666});
    const int fd = unpack_top(f, &l, 1);

    umask(old);
    assert_text(stat_text(fd, "d"), "d 0777 0:0 1000000000");
    assert_text(stat_text(fd, "d/f"), "f 0666 0:0 1000000000");
    close(fd);
    cas_layer_unref(l);
}

/* --- Hostile layers --- */

static void refuse(struct fixture *f, struct cas_layer *l, enum error_code code)
{
    assert_int_equal(-1, cas_layer_unpacked(&l, 0, &f->err));
    assert_code(f, code);
    assert_null(cas_layer_index(l, &f->err));
    error_clear(&f->err);
    assert_int_equal(0, fixture_count(f, "layers"));
    assert_int_equal(0, fixture_count(f, "ingest"));
    if (fixture_exists(f, "index/sha256"))
        assert_int_equal(0, fixture_count(f, "index/sha256"));
    cas_layer_unref(l);
}

static void test_entries_that_leave_the_root_are_refused(void **state)
{
    struct fixture *f = *state;

    refuse(f, LAYER(f, {.name = "../etc/evil", .data = "x"}), ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "a/../../evil", .data = "x"}), ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "/etc/evil", .data = "x"}), ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "..", .type = '5'}), ERROR_CORRUPT);
    refuse(f,
           LAYER(f, {.name = "out", .type = '2', .link = "../../../tmp"},
                 {.name = "out/evil", .data = "x"}),
           ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "h", .type = '1', .link = "../../etc/shadow"}),
           ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "h", .type = '1', .link = "/etc/shadow"}), ERROR_CORRUPT);
    refuse(
        f,
        LAYER(f, {.name = "l", .type = '2', .link = "l"}, {.name = "l/evil", .data = "x"}),
        ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "a/.wh..", .data = ""}), ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "a/.wh...", .data = ""}), ERROR_CORRUPT);
}

static void test_absolute_symlink_stays_inside(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *l = LAYER(f, {.name = "out", .type = '2', .link = "/tmp"},
                                {.name = "out/cas-evil", .data = "x"});
    const int fd = unpack_top(f, &l, 1);

    assert_text(file_text(fd, "tmp/cas-evil"), "x");
    assert_int_equal(-1, access("/tmp/cas-evil", F_OK));
    close(fd);
    cas_layer_unref(l);
}

static void test_overlayfs_own_things_are_refused(void **state)
{
    struct fixture *f = *state;

    refuse(f, LAYER(f, {.name = "w", .type = '3'}), ERROR_CORRUPT);
    refuse(f,
           LAYER(f, {.name = "d/",
                     .type = '5',
                     .pax = "SCHILY.xattr.trusted.overlay.opaque=y\n"}),
           ERROR_CORRUPT);
    refuse(f,
           LAYER(f, {.name = "d/",
                     .type = '5',
                     .pax = "SCHILY.xattr.user.overlay.redirect=/etc\n"}),
           ERROR_CORRUPT);
}

static void test_impossible_trees_are_refused(void **state)
{
    struct fixture *f = *state;

    refuse(f, LAYER(f, {.name = "a", .data = "x"}, {.name = "a/b", .data = "y"}),
           ERROR_CORRUPT);
    refuse(f, LAYER(f, {.name = "a/b", .data = "x"}, {.name = "a", .data = "y"}),
           ERROR_CORRUPT);
    refuse(f,
           LAYER(f, {.name = "d/", .type = '5'}, {.name = "h", .type = '1', .link = "d"}),
           ERROR_CORRUPT);
}

static void test_hard_link_to_nothing_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *l = LAYER(f, {.name = "h", .type = '1', .link = "nowhere"});

    assert_int_equal(-1, cas_layer_unpacked(&l, 0, &f->err));
    assert_code(f, ERROR_CORRUPT);
    assert_int_equal(0, fixture_count(f, "layers"));
    assert_int_equal(0, fixture_count(f, "ingest"));
    cas_layer_unref(l);
}

static void test_overlong_names_are_refused(void **state)
{
    struct fixture *f = *state;
    char *name = base_alloc(5001);
    char *pax = NULL;

    memset(name, 'n', 256);
    pax = base_format("path=%s\n", name);
    refuse(f, LAYER(f, {.name = "x", .data = "x", .pax = pax}), ERROR_LIMIT);
    free(pax);
    for (size_t i = 0; i < 5000; i++)
        name[i] = i % 2 ? '/' : 'n';
    pax = base_format("path=%s\n", name);
    refuse(f, LAYER(f, {.name = "x", .data = "x", .pax = pax}), ERROR_LIMIT);
    free(pax);
    free(name);
}

static void test_truncated_layer_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf tar = BUF_INIT(TAR_MAX);

    tar_add(&tar, &(struct tar_spec){.name = "a", .data = "some content"});
    tar.size -= 200;
    refuse(f, layer_of_tar(f, &tar), ERROR_CORRUPT);
}

static void test_wrong_diff_id_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *good = LAYER(f, {.name = "a", .data = "x"});
    const struct digest wrong = digest_of(DIGEST_SHA256, VIEW_LIT("something else"));
    struct cas_layer *bad =
        cas_layer_new(f->store, &wrong, cas_layer_blob(good), NULL, NULL);

    refuse(f, bad, ERROR_CORRUPT);
    cas_layer_unref(good);
}

/* --- Merged --- */

static int make_target(struct fixture *f)
{
    char *path = base_format("%s/merged", f->dir);

    assert_int_equal(0, mkdir(path, 0700));

    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    free(path);
    return fd;
}

static void test_merged_stack_has_no_whiteouts(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "a/", .type = '5', .mode = 01777},
              {.name = "a/old", .data = "old"}, {.name = "a/gone", .data = "gone"},
              {.name = "o/", .type = '5'}, {.name = "o/hidden", .data = "h"},
              {.name = "f", .data = "file"}, {.name = "d/", .type = '5'},
              {.name = "d/in", .data = "in"}, {.name = "h1", .data = "both"},
              {.name = "h2", .type = '1', .link = "h1"}, {.name = "k1", .data = "kept"},
              {.name = "k2", .type = '1', .link = "k1"}),
        LAYER(f, {.name = "a/old", .data = "newer"}, {.name = "a/.wh.gone"},
              {.name = "o/", .type = '5'}, {.name = "o/shown", .data = "s"},
              {.name = "o/.wh..wh..opq"}, {.name = "f/", .type = '5'},
              {.name = "f/x", .data = "x"}, {.name = "d", .data = "now a file"},
              {.name = ".wh.h1"}),
    };
    const int fd = make_target(f);
    struct stat one;
    struct stat two;

    assert_ok(f, cas_unpack_merged(layers, 2, fd, NULL, &f->err));
    assert_text(names_text(fd, "."), "a d f h2 k1 k2 o");
    assert_text(names_text(fd, "a"), "old");
    assert_text(stat_text(fd, "a"), "d 1777 0:0 1000000000");
    assert_text(file_text(fd, "a/old"), "newer");
    assert_text(names_text(fd, "o"), "shown");
    assert_text(file_text(fd, "f/x"), "x");
    assert_text(file_text(fd, "d"), "now a file");
    assert_text(file_text(fd, "h2"), "both");
    assert_int_equal(0, fstatat(fd, "k1", &one, 0));
    assert_int_equal(0, fstatat(fd, "k2", &two, 0));
    assert_int_equal(one.st_ino, two.st_ino);
    close(fd);
    unref_all(layers, 2);
}

static void check_whiteout_made_anew(struct fixture *f)
{
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "a/", .type = '5', .mode = 0700}, {.name = "a/old", .data = "o"}),
        LAYER(f, {.name = ".wh.a"}, {.name = "a/b/new", .data = "n"}),
    };
    const int fd = unpack_top(f, layers, 2);
    CLEANUP(fd_closep) int a = openat(fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char value = 0;

    assert_text(stat_text(fd, "a"), "d 0755 0:0 0");
    assert_text(file_text(fd, "a/b/new"), "n");
    if (fgetxattr(a, "trusted.overlay.opaque", &value, 1) != 1)
        assert_int_equal(1, fgetxattr(a, "user.overlay.opaque", &value, 1));
    assert_int_equal('y', value);
    close(fd);
    unref_all(layers, 2);
}

/* No entry tells of the directory: it is new all the same, and shows nothing old. */
static void test_removed_directory_is_made_anew(void **state)
{
    check_whiteout_made_anew(*state);
}

#ifdef WITH_USER_NAMESPACES
static void test_removed_directory_is_made_anew_in_a_user_namespace(void **state)
{
    run_in_user_namespace(*state, check_whiteout_made_anew);
}
#endif

static void test_zeros_take_no_room(void **state)
{
    enum { SIZE = 4 << 20, AT = 2 << 20 };
    struct fixture *f = *state;
    CLEANUP(base_freep) char *data = base_alloc(SIZE);

    data[AT] = 'x';
    struct cas_layer *l = LAYER(f, {.name = "zeros", .data = data, .size = SIZE});
    const int fd = unpack_top(f, &l, 1);
    CLEANUP(fd_closep) int file = openat(fd, "zeros", O_RDONLY | O_CLOEXEC);
    CLEANUP(base_freep) char *got = base_alloc(SIZE);
    struct stat st;

    assert_int_equal(0, fstat(file, &st));
    assert_int_equal(SIZE, st.st_size);
    assert_in_range(st.st_blocks, 1, (128 << 10) / 512);
    assert_int_equal(SIZE, read(file, got, SIZE));
    assert_memory_equal(data, got, SIZE);
    close(fd);
    cas_layer_unref(l);
}

/* A header of a few bytes that asks for a terabyte to be hashed. */
static void test_endless_holes_are_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep)
    char *pax =
        base_format("GNU.sparse.major=1\nGNU.sparse.minor=0\nGNU.sparse.realsize=%ju\n",
                    (uintmax_t)LIMIT_LAYER_HOLES + 1);
    static const char map[512] = "0\n";
    struct cas_layer *l =
        LAYER(f, {.name = "hole", .data = map, .size = sizeof map, .pax = pax});

    assert_null(cas_layer_index(l, &f->err));
    assert_int_equal(ERROR_LIMIT, f->err.code);
    cas_layer_unref(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_files_keep_what_the_tar_says),
        fixture_test(test_whiteouts_become_overlayfs_own),
#ifdef WITH_USER_NAMESPACES
        fixture_test(test_whiteouts_in_a_user_namespace),
#endif
        fixture_test(test_missing_parents_are_those_below),
#ifdef WITH_USER_NAMESPACES
        fixture_test(test_missing_parents_in_a_user_namespace),
#endif
        fixture_test(test_hard_link_to_a_lower_file_is_a_copy),
        fixture_test(test_symlink_within_the_layer_is_followed_inside_the_root),
        fixture_test(test_later_entry_wins),
        fixture_test(test_sparse_file_keeps_its_holes),
        fixture_test(test_extended_attributes_arrive),
        fixture_test(test_capability_survives_the_owner),
        fixture_test(test_umask_does_not_matter),
        fixture_test(test_entries_that_leave_the_root_are_refused),
        fixture_test(test_absolute_symlink_stays_inside),
        fixture_test(test_overlayfs_own_things_are_refused),
        fixture_test(test_impossible_trees_are_refused),
        fixture_test(test_hard_link_to_nothing_is_refused),
        fixture_test(test_overlong_names_are_refused),
        fixture_test(test_truncated_layer_is_refused),
        fixture_test(test_wrong_diff_id_is_refused),
        fixture_test(test_merged_stack_has_no_whiteouts),
        fixture_test(test_removed_directory_is_made_anew),
#ifdef WITH_USER_NAMESPACES
        fixture_test(test_removed_directory_is_made_anew_in_a_user_namespace),
#endif
        fixture_test(test_zeros_take_no_room),
        fixture_test(test_endless_holes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
