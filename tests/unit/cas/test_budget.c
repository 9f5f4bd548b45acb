#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/budget.h"
#include "cas/ingest.h"
#include "cas/ref.h"
#include "cas/store_priv.h"
#include "cas/usage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MB ((uint64_t)1 << 20)

static uint64_t size_of(struct fixture *f)
{
    CLEANUP(cas_usage_release) struct cas_usage u = {0};

    assert_ok(f, cas_usage_read(f->store, &u, &f->err));
    return u.size;
}

/* What no file system can compress. */
static void fill(char *data, unsigned seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;

    for (uint64_t i = 0; i < MB; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        data[i] = (char)(state >> 56);
    }
}

/* A cache mount of so many megabytes, written beside the store's own functions. */
static void make_mount(struct fixture *f, const char *name, uint64_t size)
{
    CLEANUP(base_freep) char *dir = base_format("mounts/%s", name);
    CLEANUP(base_freep) char *path = base_format("mounts/%s/file", name);
    CLEANUP(base_freep) char *data = base_alloc(MB);

    fill(data, 1);
    assert_int_equal(mkdirat(f->store->fd, dir, 0755), 0);
    const int fd = openat(f->store->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(write(fd, data, MB), MB);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

/* A blob that nothing names. */
static int write_blob(struct fixture *f, char seed, uint64_t size)
{
    CLEANUP(base_freep) char *data = base_alloc(MB);
    struct cas_blob_writer *w = cas_blob_writer_new(f->store, DIGEST_SHA256, &f->err);

    assert_non_null(w);
    fill(data, (unsigned)seed);
    for (uint64_t i = 0; i < size; i++) {
        if (cas_blob_writer_write(w, data, MB, &f->err) < 0) {
            cas_blob_writer_abort(w);
            return -1;
        }
    }
    return cas_blob_writer_commit(w, NULL, UINT64_MAX, NULL, NULL, &f->err);
}

static struct cas_budget_result keep(struct fixture *f, uint64_t budget)
{
    struct cas_budget_result r;

    assert_ok(f, cas_budget_keep(f->store, budget, &r, &f->err));
    return r;
}

static void test_who_wrote_nothing_measures_nothing(void **state)
{
    struct fixture *f = *state;

    assert_false(keep(f, 1).measured);
    assert_ok(f, write_blob(f, 'a', 1));
    assert_true(keep(f, 100 * MB).measured); /* for the first time */
    assert_false(keep(f, 1).measured);
}

static void test_far_below_the_budget_it_is_enough_to_reckon(void **state)
{
    struct fixture *f = *state;
    /* More than anybody else writes to the disk meanwhile. */
    const uint64_t budget = (uint64_t)1 << 50;

    assert_ok(f, write_blob(f, 'a', 1));
    assert_true(keep(f, budget).measured);
    assert_ok(f, write_blob(f, 'b', 1));
    assert_false(keep(f, budget).measured);
    assert_ok(f, write_blob(f, 'c', 1));
    assert_false(keep(f, budget).measured);
}

static void test_the_store_comes_back_to_the_budget(void **state)
{
    struct fixture *f = *state;

    make_mount(f, "a", 4);
    usleep(20000);
    make_mount(f, "b", 4);
    fixture_close(f);
    usleep(20000);
    fixture_open(f);
    assert_ok(f, write_blob(f, 'x', 1));
    const struct cas_budget_result r = keep(f, 8 * MB);
    assert_true(r.measured);
    assert_true(r.freed >= 4 * MB);
    assert_true(size_of(f) <= 8 * MB);
    assert_false(fixture_exists(f, "mounts/a"));
    assert_true(fixture_exists(f, "mounts/b"));
    /* What this handle made is spared, though nothing names it. */
    assert_int_equal(fixture_count(f, "blobs/sha256"), 1);
}

static void test_what_refs_need_stays_past_any_budget(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");

    assert_ok(f, cas_ref_set(f->store, "a", &d, "build", &f->err));
    make_mount(f, "a", 2);
    fixture_close(f);
    usleep(20000);
    fixture_open(f);
    assert_ok(f, write_blob(f, 'x', 1));
    assert_true(keep(f, 1).freed >= 2 * MB);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 5);
    /* The next one that writes little does not look again: it would be in vain. */
    fixture_close(f);
    fixture_open(f);
    assert_true(fixture_exists(f, "index.json"));
}

static void test_no_blob_is_written_past_the_limit(void **state)
{
    struct fixture *f = *state;
    struct cas_limit l;
    bool over;

    assert_ok(f, cas_limit_begin(&l, f->store, 8 * MB, &f->err));
    assert_ok(f, write_blob(f, 'a', 2));
    assert_ok(f, cas_limit_check(&l, &over, &f->err));
    assert_false(over);
    assert_int_equal(write_blob(f, 'b', 9), -1);
    assert_code(f, ERROR_LIMIT);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_true(size_of(f) <= 8 * MB);
    cas_limit_end(&l);
    assert_ok(f, write_blob(f, 'b', 9));
}

static void test_what_steps_write_counts_against_the_limit(void **state)
{
    struct fixture *f = *state;
    struct cas_limit l;
    bool over;

    assert_ok(f, cas_limit_begin(&l, f->store, 8 * MB, &f->err));
    make_mount(f, "a", 9);
    assert_ok(f, cas_limit_check(&l, &over, &f->err));
    assert_true(over);
    cas_limit_end(&l);
}

static void test_old_things_make_room_below_the_limit(void **state)
{
    struct fixture *f = *state;
    struct cas_limit l;
    bool over;

    make_mount(f, "old", 6);
    fixture_close(f);
    usleep(20000);
    fixture_open(f);
    assert_ok(f, cas_limit_begin(&l, f->store, 8 * MB, &f->err));
    make_mount(f, "new", 6);
    assert_ok(f, cas_limit_check(&l, &over, &f->err));
    assert_false(over);
    assert_false(fixture_exists(f, "mounts/old"));
    cas_limit_end(&l);
}

static void test_a_store_that_is_full_already_says_so(void **state)
{
    struct fixture *f = *state;
    struct cas_limit l;

    make_mount(f, "a", 2);
    assert_int_equal(cas_limit_begin(&l, f->store, 1 * MB, &f->err), -1);
    assert_code(f, ERROR_LIMIT);
    assert_ok(f, write_blob(f, 'a', 1));
}

static void test_a_limit_that_is_armed_costs_nothing_before_the_first_blob(void **state)
{
    struct fixture *f = *state;
    struct cas_limit l;

    make_mount(f, "a", 2);
    cas_limit_arm(&l, f->store, 4 * MB);
    assert_int_equal(l.size, 0);
    assert_ok(f, write_blob(f, 'a', 1));
    assert_true(l.size >= 2 * MB);
    assert_int_equal(write_blob(f, 'b', 4), -1);
    assert_code(f, ERROR_LIMIT);
    cas_limit_end(&l);
    cas_limit_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_who_wrote_nothing_measures_nothing),
        fixture_test(test_far_below_the_budget_it_is_enough_to_reckon),
        fixture_test(test_the_store_comes_back_to_the_budget),
        fixture_test(test_what_refs_need_stays_past_any_budget),
        fixture_test(test_no_blob_is_written_past_the_limit),
        fixture_test(test_what_steps_write_counts_against_the_limit),
        fixture_test(test_old_things_make_room_below_the_limit),
        fixture_test(test_a_store_that_is_full_already_says_so),
        fixture_test(test_a_limit_that_is_armed_costs_nothing_before_the_first_blob),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
