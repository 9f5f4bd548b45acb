/* link: -Wl,--wrap=renameat */
#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/statcache.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONTEXT "/home/u/context"

static bool rename_fails;

int __real_renameat(int old_fd, const char *old, int new_fd, const char *new);
int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new);

int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new)
{
    if (rename_fails) {
        errno = ENOSPC;
        return -1;
    }
    return __real_renameat(old_fd, old, new_fd, new);
}

/* A file that changed long ago; `n` tells one from another. */
static struct cas_file_stamp file(unsigned n)
{
    return (struct cas_file_stamp){.dev = 5,
                                   .ino = 1000 + n,
                                   .size = 10,
                                   .mtime_s = 1500000000 + n,
                                   .mtime_ns = 1,
                                   .ctime_s = 1600000000 + n,
                                   .ctime_ns = 2};
}

static void touch(int64_t *seconds, uint32_t *nanoseconds)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    *seconds = now.tv_sec;
    *nanoseconds = (uint32_t)now.tv_nsec;
}

static struct digest content(unsigned n)
{
    return digest_of(DIGEST_SHA256, (struct view){(const char *)&n, sizeof n});
}

static struct cas_statcache *open_cache(struct fixture *f)
{
    struct cas_statcache *c = cas_statcache_open(f->store, CONTEXT, &f->err);

    assert_non_null(c);
    return c;
}

static void put(struct cas_statcache *c, const char *path, unsigned n)
{
    const struct cas_file_stamp st = file(n);
    const struct digest d = content(n);

    cas_statcache_put(c, view_of(path), &st, &d);
}

static bool has(struct cas_statcache *c, const char *path, unsigned n)
{
    const struct cas_file_stamp st = file(n);
    const struct digest want = content(n);
    struct digest got;

    if (!cas_statcache_find(c, view_of(path), &st, &got))
        return false;
    assert_true(digest_eq(&got, &want));
    return true;
}

static void save_and_close(struct fixture *f, struct cas_statcache *c)
{
    assert_ok(f, cas_statcache_save(c, &f->err));
    cas_statcache_close(c);
}

/* The cache holds these paths; file i is number i. */
static void fill(struct fixture *f, const char *const *paths, size_t count)
{
    struct cas_statcache *c = open_cache(f);

    for (size_t i = 0; i < count; i++)
        put(c, paths[i], (unsigned)i);
    save_and_close(f, c);
}

static char *cache_path(void)
{
    const struct digest id = digest_of(DIGEST_SHA256, VIEW_LIT(CONTEXT));

    return base_format("stat/%s", digest_hex(&id).text);
}

static struct stat stat_of_cache(struct fixture *f)
{
    CLEANUP(base_freep) char *path = cache_path();
    struct stat st;

    assert_int_equal(fstatat(f->store->fd, path, &st, 0), 0);
    return st;
}

static const char *const some[] = {"b/c", "a", "b.txt", "b", "z/y/x"};

static void test_what_was_saved_is_found(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    CLEANUP(cas_statcache_closep) struct cas_statcache *c = open_cache(f);
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(some); i++)
            assert_true(has(c, some[i], (unsigned)i));
    }
    assert_false(has(c, "absent", 0));
    assert_false(has(c, "zz", 0));
    assert_false(has(c, "", 0));
}

static void test_nothing_is_found_in_an_empty_cache(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_statcache_closep) struct cas_statcache *c = open_cache(f);

    assert_false(has(c, "a", 0));
}

static void test_any_difference_of_attributes_is_another_file(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    CLEANUP(cas_statcache_closep) struct cas_statcache *c = open_cache(f);
    for (unsigned i = 0; i < 7; i++) {
        struct cas_file_stamp st = file(0);
        struct digest got;
        st.dev += i == 0;
        st.ino += i == 1;
        st.size += i == 2;
        st.mtime_s += i == 3;
        st.mtime_ns += i == 4;
        st.ctime_s += i == 5;
        st.ctime_ns += i == 6;
        assert_false(cas_statcache_find(c, view_of(some[0]), &st, &got));
    }
    assert_true(has(c, some[0], 0));
}

static void test_contexts_do_not_share_entries(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    CLEANUP(cas_statcache_closep)
    struct cas_statcache *other = cas_statcache_open(f->store, "/elsewhere", &f->err);
    assert_false(has(other, "a", 1));
}

static void test_a_racily_clean_file_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct cas_statcache *c = open_cache(f);
    struct cas_file_stamp changed = file(0), written = file(0);
    struct digest d = content(0);

    /* It changed after the cache was opened: within the same tick it may change again. */
    touch(&changed.ctime_s, &changed.ctime_ns);
    cas_statcache_put(c, VIEW_LIT("ctime"), &changed, &d);
    touch(&written.mtime_s, &written.mtime_ns);
    cas_statcache_put(c, VIEW_LIT("mtime"), &written, &d);
    put(c, "calm", 1);
    save_and_close(f, c);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_false(cas_statcache_find(again, VIEW_LIT("mtime"), &written, &d));
    assert_false(cas_statcache_find(again, VIEW_LIT("ctime"), &changed, &d));
    assert_true(has(again, "calm", 1));
}

static void test_a_file_written_just_before_opening_on_a_coarse_clock_is_racy(void **state)
{
    struct fixture *f = *state;
    struct cas_statcache *c = open_cache(f);
    struct cas_file_stamp st = file(0);
    struct digest d = content(0);

    touch(&st.ctime_s, &st.ctime_ns);
    st.ctime_s -= 1;
    st.ctime_ns = 0;
    cas_statcache_put(c, VIEW_LIT("fat"), &st, &d);
    save_and_close(f, c);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_false(cas_statcache_find(again, VIEW_LIT("fat"), &st, &d));
}

static void test_a_time_in_the_future_is_no_race(void **state)
{
    struct fixture *f = *state;
    struct cas_statcache *c = open_cache(f);
    struct cas_file_stamp st = file(0);
    struct digest d = content(0);

    st.mtime_s = 4000000000;
    cas_statcache_put(c, VIEW_LIT("future"), &st, &d);
    save_and_close(f, c);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_true(cas_statcache_find(again, VIEW_LIT("future"), &st, &d));
}

/* With real files: rewritten in place, same size, at once. */
static void test_a_rewritten_file_is_never_taken_for_the_old_one(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *path = base_format("%s/file", f->dir);
    struct digest d = content(1);

    for (int i = 0; i < 50; i++) {
        CLEANUP(fd_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        struct stat st;
        struct cas_file_stamp stamp;
        assert_int_equal(pwrite(fd, &i, sizeof i, 0), sizeof i);
        struct cas_statcache *c = open_cache(f);
        assert_int_equal(fstat(fd, &st), 0);
        stamp = cas_file_stamp_of(&st);
        cas_statcache_put(c, VIEW_LIT("file"), &stamp, &d);
        save_and_close(f, c);
        assert_int_equal(pwrite(fd, &(int){-i - 1}, sizeof i, 0), sizeof i);
        assert_int_equal(fstat(fd, &st), 0);
        stamp = cas_file_stamp_of(&st);
        CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
        assert_false(cas_statcache_find(again, VIEW_LIT("file"), &stamp, &d));
    }
}

static void test_saving_without_news_writes_nothing(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    const struct stat before = stat_of_cache(f);
    struct cas_statcache *c = open_cache(f);
    assert_true(has(c, "a", 1));
    cas_statcache_scanned(c, VIEW_LIT(""));
    save_and_close(f, c);
    assert_int_equal(stat_of_cache(f).st_ino, before.st_ino);
}

static void test_news_replace_and_join_what_was_there(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    struct cas_statcache *c = open_cache(f);
    put(c, "b/c", 70);
    put(c, "b/c", 71);
    put(c, "0", 72);
    put(c, "zz", 73);
    save_and_close(f, c);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_false(has(again, "b/c", 0));
    assert_false(has(again, "b/c", 70));
    assert_true(has(again, "b/c", 71));
    assert_true(has(again, "0", 72));
    assert_true(has(again, "zz", 73));
    for (size_t i = 1; i < ARRAY_COUNT(some); i++)
        assert_true(has(again, some[i], (unsigned)i));
}

static void test_what_vanished_from_the_scanned_part_is_dropped(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    struct cas_statcache *c = open_cache(f);
    assert_true(has(c, "b", 3));
    put(c, "b/new", 50);
    cas_statcache_scanned(c, VIEW_LIT("b"));
    save_and_close(f, c);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_false(has(again, "b/c", 0));
    assert_true(has(again, "b", 3));
    assert_true(has(again, "b/new", 50));
    assert_true(has(again, "b.txt", 2));
    assert_true(has(again, "a", 1));
}

static void test_what_nobody_asks_for_is_dropped_in_the_end(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    for (unsigned i = 0; i < 70; i++) {
        struct cas_statcache *c = open_cache(f);
        assert_true(has(c, "a", 1));
        put(c, "changes", i);
        save_and_close(f, c);
    }
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_true(has(again, "a", 1));
    assert_false(has(again, "b", 3));
}

static void test_a_damaged_file_is_an_empty_cache(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *path = cache_path();
    static const char *const texts[] = {"", "short",
                                        "cstate: thirty-two bytes and some more"};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        fixture_write(f, path, texts[i]);
        CLEANUP(cas_statcache_closep) struct cas_statcache *c = open_cache(f);
        assert_false(has(c, "a", 1));
    }
}

static void damage(struct fixture *f, const char *path, off_t at)
{
    unsigned char byte;

    assert_int_equal(fchmodat(f->store->fd, path, 0600, 0), 0);
    CLEANUP(fd_closep) int fd = openat(f->store->fd, path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x55;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* Whatever single byte is damaged, no wrong digest comes out (`has` compares), and the next
 * save heals the file. */
static void test_a_damaged_entry_is_absent(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *path = cache_path();
    off_t size = 1;

    for (off_t at = 0; at < size; at++) {
        unlinkat(f->store->fd, path, 0);
        fill(f, some, ARRAY_COUNT(some));
        size = stat_of_cache(f).st_size;
        damage(f, path, at);
        struct cas_statcache *c = open_cache(f);
        for (size_t i = 0; i < ARRAY_COUNT(some); i++) {
            if (!has(c, some[i], (unsigned)i))
                put(c, some[i], (unsigned)i);
        }
        put(c, "b/new", 90);
        save_and_close(f, c);
        CLEANUP(cas_statcache_closep) struct cas_statcache *healed = open_cache(f);
        assert_true(has(healed, "b/new", 90));
        for (size_t i = 0; i < ARRAY_COUNT(some); i++)
            assert_true(has(healed, some[i], (unsigned)i));
    }
    assert_true(size > 500);
}

static void test_a_failed_save_loses_nothing(void **state)
{
    struct fixture *f = *state;

    fill(f, some, ARRAY_COUNT(some));
    struct cas_statcache *c = open_cache(f);
    put(c, "new", 9);
    rename_fails = true;
    const int result = cas_statcache_save(c, &f->err);
    rename_fails = false;
    assert_int_equal(result, -1);
    assert_code(f, ERROR_SYSTEM);
    cas_statcache_close(c);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    assert_true(has(again, "a", 1));
    assert_false(has(again, "new", 9));
}

#define MANY 3000u

static void path_of(unsigned i, char *out, size_t size)
{
    snprintf(out, size, "dir%02u/sub%u/file-%u.c", i % 50, i % 7, i);
}

struct walker {
    struct cas_statcache *cache;
    pthread_t thread;
    unsigned step;
    unsigned missed;
    bool puts;
};

static void *walk(void *arg)
{
    struct walker *w = arg;

    for (unsigned i = 0; i < MANY; i++) {
        const unsigned n = i * w->step % MANY;
        const struct cas_file_stamp st = file(n);
        const struct digest want = content(n);
        struct digest got;
        char path[64];
        path_of(n, path, sizeof path);
        if (w->puts)
            cas_statcache_put(w->cache, view_of(path), &st, &want);
        else if (!cas_statcache_find(w->cache, view_of(path), &st, &got) ||
                 !digest_eq(&got, &want))
            w->missed++;
    }
    return NULL;
}

static void run_walkers(struct cas_statcache *c, bool puts)
{
    /* All prime to MANY: every file, each in another order. */
    struct walker walkers[] = {{.step = 1}, {.step = 7}, {.step = 2999}, {.step = 1301}};

    for (size_t i = 0; i < ARRAY_COUNT(walkers); i++) {
        walkers[i].cache = c;
        walkers[i].puts = puts;
        assert_int_equal(pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(walkers); i++) {
        assert_int_equal(pthread_join(walkers[i].thread, NULL), 0);
        assert_int_equal(walkers[i].missed, 0);
    }
}

static void test_threads_put_and_find_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct cas_statcache *c = open_cache(f);

    run_walkers(c, true);
    save_and_close(f, c);
    CLEANUP(cas_statcache_closep) struct cas_statcache *again = open_cache(f);
    run_walkers(again, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_what_was_saved_is_found),
        fixture_test(test_nothing_is_found_in_an_empty_cache),
        fixture_test(test_any_difference_of_attributes_is_another_file),
        fixture_test(test_contexts_do_not_share_entries),
        fixture_test(test_a_racily_clean_file_is_not_believed),
        fixture_test(test_a_file_written_just_before_opening_on_a_coarse_clock_is_racy),
        fixture_test(test_a_time_in_the_future_is_no_race),
        fixture_test(test_a_rewritten_file_is_never_taken_for_the_old_one),
        fixture_test(test_saving_without_news_writes_nothing),
        fixture_test(test_news_replace_and_join_what_was_there),
        fixture_test(test_what_vanished_from_the_scanned_part_is_dropped),
        fixture_test(test_what_nobody_asks_for_is_dropped_in_the_end),
        fixture_test(test_a_damaged_file_is_an_empty_cache),
        fixture_test(test_a_damaged_entry_is_absent),
        fixture_test(test_a_failed_save_loses_nothing),
        fixture_test(test_threads_put_and_find_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
