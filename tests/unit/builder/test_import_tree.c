#include "builder/import_tree.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/macros.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* An empty directory, open; removed with all beneath. */
static int setup(void **state)
{
    char name[] = "cooper-test-import-XXXXXX";
    int *const fd = malloc(sizeof *fd);

    if (fd == NULL || mkdtemp(name) == NULL)
        return -1;
    *fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = fd;
    return *fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    int *const fd = *state;
    char link[64];
    char path[256] = {0};

    snprintf(link, sizeof link, "/proc/self/fd/%d", *fd);
    if (readlink(link, path, sizeof path - 1) < 0)
        return -1;
    close(*fd);
    free(fd);
    return fs_remove_tree_at(AT_FDCWD, path, &err);
}

static void make_file(int dir, const char *name, const char *text)
{
    const int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static struct import_tree *read_tree(int dir)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct import_tree *const tree = import_tree_read(dir, &err);

    assert_non_null(tree);
    return tree;
}

static void test_entries_are_in_the_order_of_layers(void **state)
{
    static const char *const want[] = {"a", "a/z", "a-b", "a.c", "b"};
    const int dir = *(int *)*state;
    struct cas_entry *entries;
    size_t count = 0;

    assert_int_equal(mkdirat(dir, "a", 0755), 0);
    make_file(dir, "b", "");
    make_file(dir, "a.c", "");
    make_file(dir, "a-b", "");
    make_file(dir, "a/z", "");

    CLEANUP(import_tree_freep) struct import_tree *tree = read_tree(dir);
    entries = import_tree_entries(tree, &count);
    assert_int_equal(count, ARRAY_COUNT(want));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(entries[i].path.data, want[i]);
        assert_true(i == 0 ||
                    cas_entry_path_compare(entries[i - 1].path, entries[i].path) < 0);
    }
}

static void test_attributes_links_and_types_are_kept(void **state)
{
    const struct timespec times[] = {{1600000000, 5}, {1600000000, 5}};
    const int dir = *(int *)*state;
    const struct cas_entry *e;
    size_t count = 0;

    make_file(dir, "1", "content");
    assert_int_equal(linkat(dir, "1", dir, "2", 0), 0);
    assert_int_equal(symlinkat("../any/where", dir, "3"), 0);
    assert_int_equal(mkfifoat(dir, "4", 0600), 0);
    assert_int_equal(fchmodat(dir, "1", 04755, 0), 0);
    assert_int_equal(utimensat(dir, "1", times, 0), 0);

    CLEANUP(import_tree_freep) struct import_tree *tree = read_tree(dir);
    e = import_tree_entries(tree, &count);
    assert_int_equal(count, 4);
    assert_int_equal(e[0].type, CAS_ENTRY_FILE);
    assert_int_equal(e[0].mode, 04755);
    assert_int_equal(e[0].size, 7);
    assert_int_equal(e[0].uid, getuid());
    assert_int_equal(e[0].mtime_s, 1600000000);
    assert_int_equal(e[0].mtime_ns, 5);
    assert_int_equal(e[1].type, CAS_ENTRY_HARDLINK);
    assert_string_equal(e[1].target.data, "1");
    assert_int_equal(e[1].size, 0);
    assert_int_equal(e[2].type, CAS_ENTRY_SYMLINK);
    assert_string_equal(e[2].target.data, "../any/where");
    assert_int_equal(e[3].type, CAS_ENTRY_FIFO);
}

static void test_sockets_are_left_out(void **state)
{
    const int dir = *(int *)*state;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t count = 7;

    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/socket", dir);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);

    CLEANUP(import_tree_freep) struct import_tree *tree = read_tree(dir);
    import_tree_entries(tree, &count);
    assert_int_equal(count, 0);
    close(fd);
}

static void test_attributes_of_this_machine_stay_here(void **state)
{
    const int dir = *(int *)*state;
    const struct cas_entry *e;
    size_t count = 0;
    int fd;

    make_file(dir, "f", "");
    fd = openat(dir, "f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fsetxattr(fd, "user.z", "1", 1, 0), 0);
    assert_int_equal(fsetxattr(fd, "user.a", "", 0, 0), 0);
    assert_int_equal(fsetxattr(fd, "user.overlay.opaque", "y", 1, 0), 0);
    close(fd);

    CLEANUP(import_tree_freep) struct import_tree *tree = read_tree(dir);
    e = import_tree_entries(tree, &count);
    assert_int_equal(count, 1);
    assert_int_equal(e[0].xattr_count, 2);
    assert_true(view_eq_text(e[0].xattrs[0].name, "user.a"));
    assert_int_equal(e[0].xattrs[0].value.size, 0);
    assert_true(view_eq_text(e[0].xattrs[1].name, "user.z"));
}

static void test_contents_are_those_of_the_files(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    const int dir = *(int *)*state;
    struct cas_content content = {.fd = -1};

    assert_int_equal(mkdirat(dir, "d", 0755), 0);
    make_file(dir, "d/f", "the bytes");

    CLEANUP(import_tree_freep) struct import_tree *tree = read_tree(dir);
    assert_int_equal(import_tree_content(tree, 1, &content, &err), 0);
    assert_int_equal(fs_read_all(content.fd, &text, &err), 0);
    close(content.fd);
    assert_string_equal(buf_text(&text), "the bytes");
}

static void test_a_file_that_became_a_symlink_is_not_followed(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const int dir = *(int *)*state;
    struct cas_content content = {.fd = -1};

    make_file(dir, "f", "x");
    CLEANUP(import_tree_freep) struct import_tree *tree = read_tree(dir);
    assert_int_equal(unlinkat(dir, "f", 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", dir, "f"), 0);
    assert_int_equal(import_tree_content(tree, 0, &content, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entries_are_in_the_order_of_layers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_attributes_links_and_types_are_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sockets_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attributes_of_this_machine_stay_here, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_contents_are_those_of_the_files, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_became_a_symlink_is_not_followed,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
