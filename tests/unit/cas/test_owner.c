/* Promises about recorded owners. */
#include "store_fixture.h"

#include "base/fs.h"
#include "cas/owner.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A table, and a directory that a test makes files in. */
struct rig {
    struct fixture *f;
    struct cas_owners *t;
    int dir;
};

static struct rig rig_open(void **state)
{
    struct rig r = {.f = *state, .t = cas_owners_new()};

    r.dir = open(r.f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(r.dir >= 0);
    return r;
}

static void rig_close(struct rig *r)
{
    close(r->dir);
    cas_owners_free(r->t);
}

static void make_file(const struct rig *r, const char *name)
{
    const int fd = openat(r->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static void write_owner(const struct rig *r, const char *name, uint32_t uid, uint32_t gid)
{
    const struct cas_owner owner = {.uid = uid, .gid = gid};

    assert_int_equal(cas_owner_write(r->t, r->dir, name, &owner), 0);
}

static void expect_owner(const struct rig *r, const char *name, uint32_t uid, uint32_t gid)
{
    struct cas_owner owner;
    bool found = false;

    assert_int_equal(cas_owner_read(r->t, r->dir, name, &owner, &found), 0);
    assert_int_equal(owner.uid, uid);
    assert_int_equal(owner.gid, gid);
    assert_int_equal(found, uid != 0 || gid != 0);
}

static void test_what_has_no_record_is_roots(void **state)
{
    struct rig r = rig_open(state);

    make_file(&r, "file");
    expect_owner(&r, "file", 0, 0);
    rig_close(&r);
}

static void test_a_files_record_goes_with_its_inode(void **state)
{
    struct rig r = rig_open(state);

    make_file(&r, "file");
    write_owner(&r, "file", 1000, 4294967294u);
    expect_owner(&r, "file", 1000, 4294967294u);
    assert_true(cas_owners_is_empty(r.t)); /* it carries it itself */
    assert_int_equal(renameat(r.dir, "file", r.dir, "moved"), 0);
    assert_int_equal(linkat(r.dir, "moved", r.dir, "linked", 0), 0);
    expect_owner(&r, "moved", 1000, 4294967294u);
    expect_owner(&r, "linked", 1000, 4294967294u);
    rig_close(&r);
}

static void test_a_descriptor_without_rights_is_enough(void **state)
{
    const struct cas_owner owner = {.uid = 5, .gid = 6};
    struct rig r = rig_open(state);

    assert_int_equal(mkdirat(r.dir, "d", 0700), 0);
    const int fd = openat(r.dir, "d", O_PATH | O_CLOEXEC);
    assert_int_equal(cas_owner_write(r.t, fd, "", &owner), 0);
    close(fd);
    expect_owner(&r, "d", 5, 6);
    rig_close(&r);
}

static void test_becoming_roots_takes_the_record_away(void **state)
{
    struct rig r = rig_open(state);
    char path[64];

    make_file(&r, "file");
    write_owner(&r, "file", 1000, 10);
    write_owner(&r, "file", 0, 0);
    expect_owner(&r, "file", 0, 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d/file", r.dir);
    assert_int_equal(lgetxattr(path, CAS_OWNER_XATTR, NULL, 0), -1);
    rig_close(&r);
}

static void test_symlinks_and_pipes_are_in_the_table(void **state)
{
    struct rig r = rig_open(state);

    make_file(&r, "file");
    assert_int_equal(symlinkat("file", r.dir, "link"), 0);
    assert_int_equal(mkfifoat(r.dir, "pipe", 0600), 0);
    write_owner(&r, "link", 12, 34);
    write_owner(&r, "pipe", 56, 0);
    expect_owner(&r, "link", 12, 34);
    expect_owner(&r, "pipe", 56, 0);
    expect_owner(&r, "file", 0, 0); /* the link was not followed */
    assert_int_equal(renameat(r.dir, "link", r.dir, "moved"), 0);
    expect_owner(&r, "moved", 12, 34);
    write_owner(&r, "moved", 0, 0);

    struct cas_owner owner;
    bool found = false;
    assert_int_equal(cas_owner_read(r.t, r.dir, "moved", &owner, &found), 0);
    assert_int_equal(owner.uid, 0);
    rig_close(&r);
}

static void test_a_number_that_is_used_again_is_another_inode(void **state)
{
    const struct cas_owner owner = {.uid = 9};
    struct rig r = rig_open(state);
    struct cas_owner_key key;

    assert_int_equal(symlinkat("x", r.dir, "link"), 0);
    assert_int_equal(cas_owner_key(r.dir, "link", &key), 0);
    key.born_s--; /* what had the number before */
    cas_owners_put(r.t, &key, &owner);
    expect_owner(&r, "link", 0, 0);
    rig_close(&r);
}

static void test_a_file_stands_in_for_a_device(void **state)
{
    const struct cas_owner owner = {
        .gid = 6, .device = CAS_ENTRY_BLOCK, .rdev_major = 8, .rdev_minor = 300};
    struct cas_entry e = {.type = CAS_ENTRY_FILE, .size = 4};
    struct rig r = rig_open(state);

    make_file(&r, "sda");
    assert_int_equal(cas_owner_write(r.t, r.dir, "sda", &owner), 0);
    assert_int_equal(cas_owner_apply(r.t, r.dir, "sda", &e), 0);
    assert_int_equal(e.type, CAS_ENTRY_BLOCK);
    assert_int_equal(e.gid, 6);
    assert_int_equal(e.rdev_major, 8);
    assert_int_equal(e.rdev_minor, 300);
    assert_int_equal(e.size, 0);
    rig_close(&r);
}

/* As beside an unpacked layer: fs/, and the table next to it. */
static void test_a_table_is_read_back_as_it_was_saved(void **state)
{
    enum { MANY = 500 };
    struct rig r = rig_open(state);
    struct cas_owners *again = cas_owners_new();
    struct cas_owner owner;

    for (uint32_t i = 1; i <= MANY; i++) {
        const struct cas_owner_key key = {i, 1700000000 + i % 3, 999999999 - i};
        owner = (struct cas_owner){.uid = i, .gid = 2 * i};
        cas_owners_put(r.t, &key, &owner);
    }
    assert_int_equal(mkdirat(r.dir, "fs", 0700), 0);
    const int fs = openat(r.dir, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(r.f, cas_owners_load(again, fs, &r.f->err)); /* none is no error */
    assert_true(cas_owners_is_empty(again));
    assert_ok(r.f, cas_owners_save(r.t, r.dir, &r.f->err));
    assert_ok(r.f, cas_owners_load(again, fs, &r.f->err));
    for (uint32_t i = 1; i <= MANY; i++) {
        const struct cas_owner_key key = {i, 1700000000 + i % 3, 999999999 - i};
        assert_true(cas_owners_find(again, &key, &owner));
        assert_int_equal(owner.uid, i);
        assert_int_equal(owner.gid, 2 * i);
    }
    close(fs);
    cas_owners_free(again);
    rig_close(&r);
}

static void test_a_broken_table_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "cooper-owners 2\n", "cooper-owners 1\n1 2 3 4\n",
        "cooper-owners 1\n1 2 3 4 -5\n", "cooper-owners 1\n1 2 3 4 5 6\n"};
    struct rig r = rig_open(state);

    assert_int_equal(mkdirat(r.dir, "fs", 0700), 0);
    const int fs = openat(r.dir, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        const int fd =
            openat(r.dir, "owners", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        close(fd);
        assert_int_equal(cas_owners_load(r.t, fs, &r.f->err), -1);
        assert_int_equal(r.f->err.code, ERROR_CORRUPT);
        error_clear(&r.f->err);
    }
    close(fs);
    rig_close(&r);
}

static void test_only_whole_values_are_owners(void **state)
{
    static const char *const good[] = {"0 0", "1000 4294967295", "0 6 b 8 0", "1 2 c 1 3"};
    static const char *const bad[] = {"",          "1",           "1 ",          "1 2 3",
                                      "1 2 d 1 3", "1 2 c 1",     "1 2 c 1 3 4", "-1 2",
                                      "x 2",       "1 4294967296"};
    struct cas_owner owner;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(cas_owner_parse(view_of(good[i]), &owner));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(cas_owner_parse(view_of(bad[i]), &owner));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_dir_test(test_what_has_no_record_is_roots),
        fixture_dir_test(test_a_files_record_goes_with_its_inode),
        fixture_dir_test(test_a_descriptor_without_rights_is_enough),
        fixture_dir_test(test_becoming_roots_takes_the_record_away),
        fixture_dir_test(test_symlinks_and_pipes_are_in_the_table),
        fixture_dir_test(test_a_number_that_is_used_again_is_another_inode),
        fixture_dir_test(test_a_file_stands_in_for_a_device),
        fixture_dir_test(test_a_table_is_read_back_as_it_was_saved),
        fixture_dir_test(test_a_broken_table_is_refused),
        cmocka_unit_test(test_only_whole_values_are_owners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
