/* link: -Wl,--wrap=utimensat */
#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_uint touches;

int __real_utimensat(int fd, const char *path, const struct timespec times[2], int flags);
int __wrap_utimensat(int fd, const char *path, const struct timespec times[2], int flags);

int __wrap_utimensat(int fd, const char *path, const struct timespec times[2], int flags)
{
    atomic_fetch_add(&touches, 1);
    return __real_utimensat(fd, path, times, flags);
}

static struct digest old_blob(struct fixture *f)
{
    struct digest d;

    assert_ok(f, cas_blob_put(f->store, VIEW_LIT("old"), &d, &f->err));
    fixture_close(f);
    /* Past the tick in which it was made. */
    usleep(20000);
    fixture_open(f);
    atomic_store(&touches, 0);
    return d;
}

static bool find(struct fixture *f, const struct digest *d)
{
    bool found;

    assert_ok(f, cas_blob_find(f->store, d, &found, NULL, &f->err));
    return found;
}

static void test_finding_stamps_what_is_older_than_the_lease_once(void **state)
{
    struct fixture *f = *state;
    const struct digest d = old_blob(f);

    assert_true(find(f, &d));
    assert_true(find(f, &d));
    assert_true(find(f, &d));
    assert_int_equal(atomic_load(&touches), 1);
}

static void test_what_a_handle_made_needs_no_stamp(void **state)
{
    struct fixture *f = *state;
    struct digest d;

    atomic_store(&touches, 0);
    assert_ok(f, cas_blob_put(f->store, VIEW_LIT("new"), &d, &f->err));
    assert_true(find(f, &d));
    assert_int_equal(atomic_load(&touches), 0);
}

static void test_finding_waits_for_a_sweep_and_sees_what_it_took(void **state)
{
    struct fixture *f = *state;
    const struct digest d = old_blob(f);
    const pid_t child = fork();
    int status;

    if (child == 0) {
        struct error err = ERROR_INIT;
        struct cas_store *s = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &err);
        const int lock = s ? cas_lease_lock(s->fd, ".sweep", LOCK_EX, &err) : -1;
        if (lock < 0 || mkdirat(s->fd, "ready", 0700) < 0)
            _exit(1);
        usleep(100000);
        _exit(unlinkat(s->fd, cas_blob_path(&d).text, 0) == 0 ? 0 : 2);
    }
    while (!fixture_exists(f, "ready"))
        usleep(1000);
    assert_false(find(f, &d));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_a_lease_lives_as_long_as_its_store_is_open(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    struct timespec oldest, newest;
    bool any;

    assert_non_null(other);
    assert_int_equal(fixture_count(f, "leases"), 2);
    assert_ok(f, cas_lease_others(f->store->fd, f->store->lease, &any, &oldest, &newest,
                                  &f->err));
    assert_true(any);
    cas_store_close(other);
    assert_int_equal(fixture_count(f, "leases"), 1);
    assert_ok(f, cas_lease_others(f->store->fd, f->store->lease, &any, &oldest, &newest,
                                  &f->err));
    assert_false(any);
}

static void open_and_die(const char *path)
{
    struct error err = ERROR_INIT;

    if (!cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err))
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void test_a_killed_processes_lease_counts_no_more(void **state)
{
    struct fixture *f = *state;
    struct timespec oldest, newest;
    bool any;
    int status;
    const pid_t child = fork();

    if (child == 0)
        open_and_die(f->path);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(fixture_count(f, "leases"), 2);
    assert_ok(f, cas_lease_others(f->store->fd, f->store->lease, &any, &oldest, &newest,
                                  &f->err));
    assert_false(any);
    assert_ok(f, cas_lease_clean(f->store->fd, &f->err));
    assert_int_equal(fixture_count(f, "leases"), 1);
}

static void test_ingests_without_a_lease_are_removed_trees_too(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        mkdirat(f->store->fd, "ingest/00000000000000000000000000000000.0", 0700), 0);
    fixture_write(f, "ingest/00000000000000000000000000000000.0/file", "x");
    fixture_write(f, "ingest/stray", "x");
    assert_ok(f, cas_lease_clean(f->store->fd, &f->err));
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

struct holder {
    struct cas_store *store;
    const struct digest *blob;
    pthread_t thread;
    bool found;
};

static void *hold(void *arg)
{
    struct holder *h = arg;
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (cas_blob_find(h->store, h->blob, &h->found, NULL, &err) < 0)
        h->found = false;
    return NULL;
}

static void test_threads_find_at_once(void **state)
{
    struct fixture *f = *state;
    const struct digest d = old_blob(f);
    struct holder holders[8];

    for (size_t i = 0; i < ARRAY_COUNT(holders); i++) {
        holders[i] = (struct holder){.store = f->store, .blob = &d};
        assert_int_equal(pthread_create(&holders[i].thread, NULL, hold, &holders[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(holders); i++) {
        assert_int_equal(pthread_join(holders[i].thread, NULL), 0);
        assert_true(holders[i].found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_finding_stamps_what_is_older_than_the_lease_once),
        fixture_test(test_what_a_handle_made_needs_no_stamp),
        fixture_test(test_finding_waits_for_a_sweep_and_sees_what_it_took),
        fixture_test(test_a_lease_lives_as_long_as_its_store_is_open),
        fixture_test(test_a_killed_processes_lease_counts_no_more),
        fixture_test(test_ingests_without_a_lease_are_removed_trees_too),
        fixture_test(test_threads_find_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
