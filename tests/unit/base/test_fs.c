/* link: -Wl,--wrap=read -Wl,--wrap=write -Wl,--wrap=fsync -Wl,--wrap=renameat */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

/* --- System calls that fail, and that do less than they were asked --- */

static struct {
    size_t step;        /* the most that one read or write moves; 0: no limit */
    unsigned interrupt; /* so many calls end in EINTR first */
    int write_errno;
    int fsync_errno;
    int rename_errno;
} faults;

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

static bool interrupted(void)
{
    if (faults.interrupt == 0)
        return false;
    faults.interrupt--;
    errno = EINTR;
    return true;
}

static size_t shortened(size_t size)
{
    return faults.step && size > faults.step ? faults.step : size;
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    return interrupted() ? -1 : __real_read(fd, data, shortened(size));
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (faults.write_errno) {
        errno = faults.write_errno;
        return -1;
    }
    return interrupted() ? -1 : __real_write(fd, data, shortened(size));
}

int __wrap_fsync(int fd)
{
    errno = faults.fsync_errno;
    return faults.fsync_errno ? -1 : __real_fsync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    errno = faults.rename_errno;
    return faults.rename_errno ? -1 : __real_renameat(from_fd, from, to_fd, to);
}

/* --- A directory for each test --- */

struct place {
    char path[64];
    int fd;
};

static int set_up(void **state)
{
    struct place *p = base_alloc(sizeof *p);

    snprintf(p->path, sizeof p->path, "/tmp/cooper-test-fs-XXXXXX");
    if (!mkdtemp(p->path))
        return -1;
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(&faults, 0, sizeof faults);
    *state = p;
    return p->fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct place *p = *state;

    memset(&faults, 0, sizeof faults);
    close(p->fd);

    const int removed = fs_remove_tree_at(AT_FDCWD, p->path, &err);

    free(p);
    return removed;
}

static void put(int dir_fd, const char *path, const char *text)
{
    const int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(__real_write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void check_content(int dir_fd, const char *path, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    assert_int_equal(fs_read_file_at(dir_fd, path, &out, &err), 0);
    assert_string_equal(buf_text(&out), text);
}

/* --- Look-ups ---
 *
 *   place/secret              outside of the root
 *   place/root/etc/passwd
 *   place/root/abs      -> /etc/passwd
 *   place/root/up       -> ../secret
 *   place/root/far      -> ../../../../../../../../etc/passwd
 *   place/root/loop     -> loop
 */
static int make_root(const struct place *p)
{
    assert_int_equal(mkdirat(p->fd, "root", 0755), 0);

    const int root = openat(p->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(root >= 0);
    put(p->fd, "secret", "outside");
    assert_int_equal(mkdirat(root, "etc", 0755), 0);
    put(root, "etc/passwd", "inside");
    assert_int_equal(symlinkat("/etc/passwd", root, "abs"), 0);
    assert_int_equal(symlinkat("../secret", root, "up"), 0);
    assert_int_equal(symlinkat("../../../../../../../../etc/passwd", root, "far"), 0);
    assert_int_equal(symlinkat("loop", root, "loop"), 0);
    return root;
}

static void check_reads(int fd, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);

    assert_true(fd >= 0);
    assert_int_equal(fs_read_all(fd, &out, &err), 0);
    assert_string_equal(buf_text(&out), text);
    close(fd);
}

static void test_in_root_gives_symlinks_their_meaning_inside(void **state)
{
    static const char *const paths[] = {
        "/etc/passwd", "etc/passwd", "abs", "far", "../../../etc/passwd", "/../etc/passwd"};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int root = make_root(*state);

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        check_reads(fs_open_in_root(root, paths[i], O_RDONLY, 0, &err), "inside");
}

static void test_in_root_does_not_reach_what_is_outside(void **state)
{
    static const char *const paths[] = {"up", "../secret", "/../secret",
                                        "etc/../../secret"};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int root = make_root(*state);

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        assert_int_equal(fs_open_in_root(root, paths[i], O_RDONLY, 0, &err), -1);
        assert_true(error_is(&err, ERROR_NOT_FOUND));
    }
    assert_int_equal(fs_open_in_root(root, "loop", O_RDONLY, 0, &err), -1);
    assert_int_equal(err.sys, ELOOP);
}

static void test_in_root_refuses_magic_links(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_int_equal(fs_open_in_root(slash, "/proc/self/root/etc", O_RDONLY, 0, &err), -1);
    assert_int_equal(err.sys, ELOOP);
}

static void test_in_root_creates_within(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int root = make_root(*state);

    assert_int_equal(symlinkat("/etc/made", root, "link"), 0);

    CLEANUP(fd_closep)
    int fd = fs_open_in_root(root, "link", O_WRONLY | O_CREAT, 0640, &err);

    assert_true(fd >= 0);
    assert_int_equal(faccessat(root, "etc/made", F_OK, 0), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_beneath_makes_leaving_an_error(void **state)
{
    static const char *const leaving[] = {"abs", "up", "far", "../secret", "/etc/passwd"};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int root = make_root(*state);

    for (size_t i = 0; i < ARRAY_COUNT(leaving); i++) {
        assert_int_equal(fs_open_beneath(root, leaving[i], O_RDONLY, 0, &err), -1);
        assert_int_equal(err.sys, EXDEV);
    }
    assert_int_equal(symlinkat("etc/../etc/passwd", root, "inner"), 0);
    check_reads(fs_open_beneath(root, "inner", O_RDONLY, 0, &err), "inside");
}

static void test_nofollow_refuses_symlinks_anywhere(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(fd_closep) int root = make_root(*state);

    assert_int_equal(symlinkat("etc", root, "dir"), 0);
    assert_int_equal(fs_open_nofollow(root, "dir/passwd", O_RDONLY, 0, &err), -1);
    assert_int_equal(err.sys, ELOOP);
    check_reads(fs_open_nofollow(root, "etc/passwd", O_RDONLY, 0, &err), "inside");
}

/* --- Whole files --- */

static void test_reading_survives_short_reads_and_signals(void **state)
{
    const struct place *p = *state;

    put(p->fd, "f", "0123456789");
    faults.step = 3;
    faults.interrupt = 2;
    check_content(p->fd, "f", "0123456789");
}

static void test_reading_stops_at_the_maximum(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf exact = BUF_INIT(10);
    CLEANUP(buf_release) struct buf small = BUF_INIT(9);
    const struct place *p = *state;

    put(p->fd, "f", "0123456789");
    assert_int_equal(fs_read_file_at(p->fd, "f", &exact, &err), 0);
    assert_string_equal(buf_text(&exact), "0123456789");
    assert_int_equal(fs_read_file_at(p->fd, "f", &small, &err), -1);
    assert_true(error_is(&err, ERROR_LIMIT));
}

static void test_reading_an_endless_file_ends(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(1 << 20);

    (void)state;
    assert_int_equal(fs_read_file_at(AT_FDCWD, "/dev/zero", &out, &err), -1);
    assert_true(error_is(&err, ERROR_LIMIT));
}

static void test_reading_what_is_absent_says_so(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(10);
    const struct place *p = *state;

    assert_int_equal(fs_read_file_at(p->fd, "none", &out, &err), -1);
    assert_true(error_is(&err, ERROR_NOT_FOUND));
}

static void test_writing_survives_short_writes_and_signals(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct place *p = *state;
    CLEANUP(fd_closep) int fd = openat(p->fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    faults.step = 3;
    faults.interrupt = 2;
    assert_int_equal(fs_write_all(fd, "0123456789", 10, &err), 0);
    check_content(p->fd, "f", "0123456789");
}

static void test_replacing_is_whole_and_has_the_mode(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct place *p = *state;
    struct stat st;

    assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
    assert_int_equal(fs_replace_file_at(p->fd, "d/f", VIEW_LIT("old"), 0600, &err), 0);
    assert_int_equal(fs_replace_file_at(p->fd, "d/f", VIEW_LIT("new"), 0600, &err), 0);
    check_content(p->fd, "d/f", "new");
    assert_int_equal(fstatat(p->fd, "d/f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* Whatever fails, the old file stays and no temporary one is left behind: the directory can
 * be removed once the old file is. */
static void check_failed_replace(const struct place *p, enum error_code code, int sys)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    assert_int_equal(fs_replace_file_at(p->fd, "d/f", VIEW_LIT("new"), 0600, &err), -1);
    assert_int_equal(err.code, code);
    assert_int_equal(err.sys, sys);
    memset(&faults, 0, sizeof faults);
    check_content(p->fd, "d/f", "old");
    assert_int_equal(unlinkat(p->fd, "d/f", 0), 0);
    assert_int_equal(unlinkat(p->fd, "d", AT_REMOVEDIR), 0);
    assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
    put(p->fd, "d/f", "old");
}

static void test_a_replace_that_fails_leaves_the_old_file_only(void **state)
{
    const struct place *p = *state;

    assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
    put(p->fd, "d/f", "old");
    faults.write_errno = ENOSPC;
    check_failed_replace(p, ERROR_SYSTEM, ENOSPC);
    faults.fsync_errno = EIO;
    check_failed_replace(p, ERROR_SYSTEM, EIO);
    faults.rename_errno = EACCES;
    check_failed_replace(p, ERROR_DENIED, EACCES);
}

/* --- Directories, links, attributes --- */

static void test_mkdir_all_makes_what_is_missing(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct place *p = *state;
    CLEANUP(base_freep) char *absolute = base_format("%s/x/y/", p->path);
    struct stat st;

    assert_int_equal(fs_mkdir_all_at(p->fd, "a//b/c", 0700, &err), 0);
    assert_int_equal(fs_mkdir_all_at(p->fd, "a/b/c", 0700, &err), 0);
    assert_int_equal(fs_mkdir_all_at(p->fd, "a/b/c/d", 0700, &err), 0);
    assert_int_equal(fs_mkdir_all_at(AT_FDCWD, absolute, 0700, &err), 0);
    assert_int_equal(fstatat(p->fd, "a/b/c/d", &st, 0), 0);
    assert_int_equal(fstatat(p->fd, "x/y", &st, 0), 0);
    assert_true(S_ISDIR(st.st_mode));
}

static void test_mkdir_all_does_not_take_a_file_for_a_directory(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct place *p = *state;

    put(p->fd, "f", "");
    assert_int_equal(fs_mkdir_all_at(p->fd, "f", 0700, &err), -1);
    assert_true(error_is(&err, ERROR_EXISTS));
    assert_int_equal(fs_mkdir_all_at(p->fd, "f/d", 0700, &err), -1);
    assert_int_equal(err.sys, ENOTDIR);
}

static void test_readlink_gives_targets_of_any_length(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct place *p = *state;
    static const size_t sizes[] = {1, 255, 256, 257, 4000};

    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        CLEANUP(base_freep) char *target = base_alloc(sizes[i] + 1);

        memset(target, 'x', sizes[i]);
        assert_int_equal(symlinkat(target, p->fd, "l"), 0);

        CLEANUP(base_freep) char *got = fs_readlink_at(p->fd, "l", &err);

        assert_string_equal(got, target);
        assert_int_equal(unlinkat(p->fd, "l", 0), 0);
    }
    assert_null(fs_readlink_at(p->fd, "l", &err));
    assert_true(error_is(&err, ERROR_NOT_FOUND));
}

static void check_xattrs(int fd)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *names = NULL;
    CLEANUP(buf_release) struct buf value = BUF_INIT(100);
    CLEANUP(buf_release) struct buf small = BUF_INIT(3);
    size_t size = 0;
    bool found = false;

    assert_int_equal(fs_list_xattrs(fd, &names, &size, &err), 0);
    for (size_t at = 0; at < size; at += strlen(names + at) + 1)
        found = found || strcmp(names + at, "user.cooper") == 0;
    assert_true(found);
    assert_int_equal(fs_get_xattr(fd, "user.cooper", &value, &err), 0);
    assert_true(view_eq(buf_view(&value), VIEW_LIT("v\0lue")));
    assert_int_equal(fs_get_xattr(fd, "user.none", &value, &err), -1);
    assert_true(error_is(&err, ERROR_NOT_FOUND));
    assert_int_equal(fs_get_xattr(fd, "user.cooper", &small, &err), -1);
    assert_true(error_is(&err, ERROR_LIMIT));
}

static void test_xattrs_are_read_through_any_descriptor(void **state)
{
    const struct place *p = *state;

    put(p->fd, "f", "");

    CLEANUP(fd_closep) int plain = openat(p->fd, "f", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_closep) int path_only = openat(p->fd, "f", O_PATH | O_CLOEXEC);

    assert_int_equal(fsetxattr(plain, "user.cooper", "v\0lue", 5, 0), 0);
    check_xattrs(plain);
    check_xattrs(path_only);
}

static void test_a_symlink_has_its_own_xattrs_not_its_targets(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf value = BUF_INIT(100);
    const struct place *p = *state;

    put(p->fd, "f", "");

    CLEANUP(fd_closep) int file = openat(p->fd, "f", O_RDONLY | O_CLOEXEC);

    assert_int_equal(fsetxattr(file, "user.cooper", "x", 1, 0), 0);
    assert_int_equal(symlinkat("f", p->fd, "l"), 0);

    CLEANUP(fd_closep) int link = openat(p->fd, "l", O_PATH | O_NOFOLLOW | O_CLOEXEC);

    assert_int_equal(fs_get_xattr(link, "user.cooper", &value, &err), -1);
}

static void test_closing_keeps_errno_and_empties_the_variable(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int number = fd;

    (void)state;
    errno = ENOENT;
    fd_closep(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(fcntl(number, F_GETFD), -1);
    fd = 7;
    assert_int_equal(fd_take(&fd), 7);
    assert_int_equal(fd, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_root_gives_symlinks_their_meaning_inside),
        TEST(test_in_root_does_not_reach_what_is_outside),
        TEST(test_in_root_refuses_magic_links),
        TEST(test_in_root_creates_within),
        TEST(test_beneath_makes_leaving_an_error),
        TEST(test_nofollow_refuses_symlinks_anywhere),
        TEST(test_reading_survives_short_reads_and_signals),
        TEST(test_reading_stops_at_the_maximum),
        TEST(test_reading_an_endless_file_ends),
        TEST(test_reading_what_is_absent_says_so),
        TEST(test_writing_survives_short_writes_and_signals),
        TEST(test_replacing_is_whole_and_has_the_mode),
        TEST(test_a_replace_that_fails_leaves_the_old_file_only),
        TEST(test_mkdir_all_makes_what_is_missing),
        TEST(test_mkdir_all_does_not_take_a_file_for_a_directory),
        TEST(test_readlink_gives_targets_of_any_length),
        TEST(test_xattrs_are_read_through_any_descriptor),
        TEST(test_a_symlink_has_its_own_xattrs_not_its_targets),
        TEST(test_closing_keeps_errno_and_empties_the_variable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
