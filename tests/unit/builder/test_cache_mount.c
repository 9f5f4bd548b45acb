#include "builder/cache_mount.h"

#include "build_rig.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char id[] = "id/../with\n anything";
static char root[] = "/";

static struct build_mount mount_of(enum dockerfile_sharing sharing)
{
    return (struct build_mount){.type = DOCKERFILE_MOUNT_CACHE,
                                .id = id,
                                .source = root,
                                .mode = 0755,
                                .sharing = sharing};
}

static int open_mount(struct rig *r,
                      const struct build_mount *m,
                      const struct build_cache_wait *wait,
                      struct build_cache_mount *out)
{
    return build_cache_mount_open(r->store, m, NULL, 0, wait, out, &r->err);
}

static bool is_same(const struct build_cache_mount *a, const struct build_cache_mount *b)
{
    struct stat x, y;

    assert_int_equal(fstat(a->dir_fd, &x), 0);
    assert_int_equal(fstat(b->dir_fd, &y), 0);
    return x.st_ino == y.st_ino;
}

static void test_the_same_id_is_the_same_directory(void **state)
{
    struct rig *r = *state;
    struct build_mount m = mount_of(DOCKERFILE_SHARING_SHARED);
    struct build_cache_mount a, b, c;
    char other[] = "other";
    struct stat st;

    m.has_owner = true;
    m.uid = geteuid() == 0 ? 1000 : geteuid();
    m.gid = getegid();
    m.mode = 0750;
    assert_int_equal(open_mount(r, &m, NULL, &a), 0);
    assert_int_equal(open_mount(r, &m, NULL, &b), 0);
    assert_true(is_same(&a, &b));
    assert_int_equal(fstat(a.dir_fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(st.st_uid, m.uid);
    m.id = other;
    assert_int_equal(open_mount(r, &m, NULL, &c), 0);
    assert_false(is_same(&a, &c));
    build_cache_mount_close(&a);
    build_cache_mount_close(&b);
    build_cache_mount_close(&c);
}

static bool at_third(void *context)
{
    unsigned *count = context;

    return ++*count >= 3;
}

static void test_locked_waits_until_it_is_cancelled_or_free(void **state)
{
    struct rig *r = *state;
    const struct build_mount m = mount_of(DOCKERFILE_SHARING_LOCKED);
    struct build_cache_mount a, b;
    unsigned count = 0;
    const struct build_cache_wait wait = {at_third, &count};

    assert_int_equal(open_mount(r, &m, &wait, &a), 0);
    assert_int_equal(count, 0);
    assert_int_equal(open_mount(r, &m, &wait, &b), -1);
    rig_expect_failure(r, ERROR_CANCELLED, "");
    assert_int_equal(count, 3);
    build_cache_mount_close(&a);
    assert_int_equal(open_mount(r, &m, &wait, &b), 0);
    build_cache_mount_close(&b);
}

static void test_a_shared_lock_is_held_until_both_are_closed(void **state)
{
    struct rig *r = *state;
    const struct build_mount m = mount_of(DOCKERFILE_SHARING_LOCKED);
    struct build_cache_mount a, b, c;
    unsigned count = 2;
    const struct build_cache_wait wait = {at_third, &count};

    assert_int_equal(open_mount(r, &m, &wait, &a), 0);
    assert_int_equal(build_cache_mount_share(&a, &m, &b, &r->err), 0);
    assert_true(is_same(&a, &b));
    build_cache_mount_close(&a);
    assert_int_equal(open_mount(r, &m, &wait, &c), -1);
    rig_expect_failure(r, ERROR_CANCELLED, "");
    build_cache_mount_close(&b);
    assert_int_equal(open_mount(r, &m, &wait, &c), 0);
    build_cache_mount_close(&c);
}

static void test_private_directories_are_taken_one_by_one_and_again(void **state)
{
    struct rig *r = *state;
    const struct build_mount m = mount_of(DOCKERFILE_SHARING_PRIVATE);
    struct build_cache_mount a, b, again;
    struct stat first, second;

    assert_int_equal(open_mount(r, &m, NULL, &a), 0);
    assert_int_equal(open_mount(r, &m, NULL, &b), 0);
    assert_false(is_same(&a, &b));
    assert_int_equal(fstat(a.dir_fd, &first), 0);
    build_cache_mount_close(&a);
    assert_int_equal(open_mount(r, &m, NULL, &again), 0);
    assert_int_equal(fstat(again.dir_fd, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    build_cache_mount_close(&again);
    build_cache_mount_close(&b);
}

/* However a step shares it, the cache is the same one when nobody else uses it. */
static void test_ways_of_sharing_see_the_same_cache(void **state)
{
    struct rig *r = *state;
    const struct build_mount shared = mount_of(DOCKERFILE_SHARING_SHARED);
    const struct build_mount private = mount_of(DOCKERFILE_SHARING_PRIVATE);
    const struct build_mount locked = mount_of(DOCKERFILE_SHARING_LOCKED);
    const struct build_mount *const ways[] = {&shared, &private, &locked};
    struct build_cache_mount first, a;
    unsigned count = 0;
    const struct build_cache_wait wait = {at_third, &count};

    assert_int_equal(open_mount(r, &shared, NULL, &first), 0);
    assert_int_equal(open_mount(r, &private, NULL, &a), 0);
    assert_false(is_same(&first, &a));
    assert_int_equal(open_mount(r, &locked, &wait, &a), -1);
    rig_expect_failure(r, ERROR_CANCELLED, "");
    build_cache_mount_close(&first);
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        assert_int_equal(open_mount(r, ways[i], NULL, &a), 0);
        if (i == 0)
            first = a;
        else
            build_cache_mount_close(&a);
    }
    build_cache_mount_close(&first);
}

static void test_a_part_of_a_cache_must_be_there(void **state)
{
    struct rig *r = *state;
    struct build_mount m = mount_of(DOCKERFILE_SHARING_SHARED);
    struct build_cache_mount whole, part, other;
    char source[] = "/part";

    assert_int_equal(open_mount(r, &m, NULL, &whole), 0);
    m.source = source;
    assert_int_equal(open_mount(r, &m, NULL, &part), -1);
    rig_expect_failure(r, ERROR_NOT_FOUND, "/part");
    assert_int_equal(mkdirat(whole.dir_fd, "part", 0755), 0);
    assert_int_equal(open_mount(r, &m, NULL, &part), 0);
    assert_int_equal(build_cache_mount_share(&whole, &m, &other, &r->err), 0);
    assert_true(is_same(&part, &other));
    assert_false(is_same(&part, &whole));
    build_cache_mount_close(&other);
    build_cache_mount_close(&part);
    build_cache_mount_close(&whole);
}

/* Several processes make the same directory at once: all get it. */
static void test_processes_that_make_it_at_once_agree(void **state)
{
    enum { CHILDREN = 8 };
    struct rig *r = *state;
    const struct build_mount m = mount_of(DOCKERFILE_SHARING_SHARED);
    CLEANUP(base_freep) char *path = base_format("%s/store", r->dir);
    pid_t children[CHILDREN];

    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct error err = ERROR_INIT;
            struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
            struct build_cache_mount out;

            _exit(s && build_cache_mount_open(s, &m, NULL, 0, NULL, &out, &err) == 0 ? 0
                                                                                     : 1);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_the_same_id_is_the_same_directory),
        rig_test(test_locked_waits_until_it_is_cancelled_or_free),
        rig_test(test_a_shared_lock_is_held_until_both_are_closed),
        rig_test(test_private_directories_are_taken_one_by_one_and_again),
        rig_test(test_ways_of_sharing_see_the_same_cache),
        rig_test(test_a_part_of_a_cache_must_be_there),
        rig_test(test_processes_that_make_it_at_once_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
