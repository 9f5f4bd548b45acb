#include "base/alloc.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

struct place {
    char path[64];
    int fd;
};

static int set_up(void **state)
{
    struct place *p = base_alloc(sizeof *p);

    snprintf(p->path, sizeof p->path, "/tmp/cooper-test-tree-XXXXXX");
    if (!mkdtemp(p->path))
        return -1;
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return p->fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct place *p = *state;

    close(p->fd);

    const int removed = fs_remove_tree_at(AT_FDCWD, p->path, &err);

    free(p);
    return removed;
}

static bool exists(int dir_fd, const char *path)
{
    struct stat st;

    return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_file(int dir_fd, const char *path)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
}

static void check_removes(int dir_fd, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (fs_remove_tree_at(dir_fd, name, &err) < 0)
        fail_msg("%s", error_text(&err));
    assert_false(exists(dir_fd, name));
}

static void test_files_links_and_directories_go(void **state)
{
    const struct place *p = *state;

    assert_int_equal(mkdirat(p->fd, "tree", 0755), 0);
    assert_int_equal(mkdirat(p->fd, "tree/a", 0755), 0);
    assert_int_equal(mkdirat(p->fd, "tree/a/b", 0755), 0);
    assert_int_equal(mkdirat(p->fd, "tree/c", 0755), 0);
    make_file(p->fd, "tree/a/b/file");
    make_file(p->fd, "tree/file");
    assert_int_equal(mkfifoat(p->fd, "tree/c/fifo", 0600), 0);
    check_removes(p->fd, "tree");
}

static void test_a_file_and_an_absent_name_are_fine(void **state)
{
    const struct place *p = *state;

    make_file(p->fd, "file");
    check_removes(p->fd, "file");
    check_removes(p->fd, "file");
}

static void test_symlinks_are_not_followed(void **state)
{
    const struct place *p = *state;

    assert_int_equal(mkdirat(p->fd, "keep", 0755), 0);
    make_file(p->fd, "keep/file");
    assert_int_equal(mkdirat(p->fd, "tree", 0755), 0);
    assert_int_equal(symlinkat("../keep", p->fd, "tree/link"), 0);
    check_removes(p->fd, "tree");
    assert_true(exists(p->fd, "keep/file"));
    assert_int_equal(symlinkat("keep", p->fd, "link"), 0);
    check_removes(p->fd, "link");
    assert_true(exists(p->fd, "keep/file"));
}

/* Deeper than there are descriptors, and than any path that could be named. */
static void test_very_deep_trees_go_with_few_descriptors(void **state)
{
    enum { DEPTH = 3000 };
    const struct place *p = *state;
    const struct rlimit few = {.rlim_cur = 128, .rlim_max = 128};
    struct rlimit before;
    int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);

    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(fd, "deep", 0755), 0);

        const int next = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(next >= 0);
        /* A sibling on every level is left for the way back up. */
        if (i % 100 == 0)
            assert_int_equal(mkdirat(fd, "side", 0755), 0);
        close(fd);
        fd = next;
    }
    make_file(fd, "file");
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){few.rlim_cur, before.rlim_max}), 0);
    check_removes(p->fd, "deep");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_many_entries_go(void **state)
{
    const struct place *p = *state;

    assert_int_equal(mkdirat(p->fd, "tree", 0755), 0);
    for (int i = 0; i < 3000; i++) {
        CLEANUP(base_freep) char *file = base_format("tree/file-with-a-long-name-%d", i);
        CLEANUP(base_freep) char *dir = base_format("tree/dir%d", i);

        make_file(p->fd, file);
        if (i % 10 == 0)
            assert_int_equal(mkdirat(p->fd, dir, 0755), 0);
    }
    check_removes(p->fd, "tree");
}

/* --- In a process of its own, as what is needed cannot be undone --- */

/* Runs `body` in a child, which must exit with 0. */
static void in_child(int (*body)(const struct place *p), const struct place *p)
{
    int status = 0;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(body(p));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int remove_locked_directories(const struct place *p)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    /* Permissions mean nothing to root. */
    if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        return 1;
    if (mkdirat(p->fd, "tree", 0755) < 0 || mkdirat(p->fd, "tree/none", 0755) < 0 ||
        mkdirat(p->fd, "tree/none/sub", 0755) < 0 || mkdirat(p->fd, "tree/ro", 0755) < 0 ||
        mkdirat(p->fd, "tree/ro/sub", 0755) < 0 || mkdirat(p->fd, "tree/nox", 0755) < 0 ||
        mkdirat(p->fd, "tree/nox/sub", 0755) < 0)
        return 2;
    close(openat(p->fd, "tree/ro/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    close(openat(p->fd, "tree/none/sub/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (fchmodat(p->fd, "tree/none/sub", 0, 0) < 0 ||
        fchmodat(p->fd, "tree/none", 0, 0) < 0 || fchmodat(p->fd, "tree/ro", 0500, 0) < 0 ||
        fchmodat(p->fd, "tree/nox", 0600, 0) < 0 || fchmodat(p->fd, "tree", 0, 0) < 0)
        return 3;
    if (fs_remove_tree_at(p->fd, "tree", &err) < 0) {
        print_error("%s\n", error_text(&err));
        return 4;
    }
    return exists(p->fd, "tree") ? 5 : 0;
}

static void test_directories_without_permissions_go(void **state)
{
    const struct place *p = *state;

    assert_int_equal(fchmod(p->fd, 0777), 0);
    in_child(remove_locked_directories, p);
}

static int fail_in_foreign_directory(const struct place *p)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        return 1;
    if (fs_remove_tree_at(p->fd, "tree", &err) == 0)
        return 2;
    return error_is(&err, ERROR_DENIED) && exists(p->fd, "tree/file") ? 0 : 3;
}

static void test_the_callers_directory_keeps_its_mode(void **state)
{
    const struct place *p = *state;
    struct stat st;

    assert_int_equal(mkdirat(p->fd, "tree", 0755), 0);
    make_file(p->fd, "tree/file");
    if (geteuid() != 0)
        assert_int_equal(fchmodat(p->fd, "tree", 0555, 0), 0);
    assert_int_equal(fchmod(p->fd, 0555), 0);
    /* As root the tree is somebody else's; otherwise only the place refuses. */
    if (geteuid() == 0)
        in_child(fail_in_foreign_directory, p);
    assert_int_equal(fstat(p->fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
    assert_int_equal(fchmod(p->fd, 0755), 0);
}

/* Mounts `keep` onto a directory of the tree: device and file system are the same there. */
static int meet_a_mount(const struct place *p)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *keep = base_format("%s/keep", p->path);
    CLEANUP(base_freep) char *below = base_format("%s/tree/mounted", p->path);

    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0)
        return 1;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(keep, below, NULL, MS_BIND, NULL) < 0)
        return 2;
    /* By path, as descriptors from before still look into the old namespace. */
    CLEANUP(base_freep) char *tree = base_format("%s/tree", p->path);

    if (fs_remove_tree_at(AT_FDCWD, tree, &err) == 0)
        return 3;
    return err.sys == EXDEV ? 0 : 4;
}

static void test_mounts_are_not_crossed(void **state)
{
    const struct place *p = *state;

    assert_int_equal(mkdirat(p->fd, "keep", 0755), 0);
    make_file(p->fd, "keep/file");
    assert_int_equal(mkdirat(p->fd, "tree", 0755), 0);
    assert_int_equal(mkdirat(p->fd, "tree/mounted", 0755), 0);
    in_child(meet_a_mount, p);
    assert_true(exists(p->fd, "keep/file"));
    check_removes(p->fd, "tree");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files_links_and_directories_go),
        TEST(test_a_file_and_an_absent_name_are_fine),
        TEST(test_symlinks_are_not_followed),
        TEST(test_very_deep_trees_go_with_few_descriptors),
        TEST(test_many_entries_go),
        TEST(test_directories_without_permissions_go),
        TEST(test_the_callers_directory_keeps_its_mode),
        TEST(test_mounts_are_not_crossed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
