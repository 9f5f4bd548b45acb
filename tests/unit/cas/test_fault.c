/* link: -Wl,--wrap=write -Wl,--wrap=fsync -Wl,--wrap=renameat */
#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/layout.h"
#include "cas/record.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Calls that fail, or write little at a time --- */

enum fault_call { FAULT_NONE, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME };

static struct {
    enum fault_call call;
    int sys;
    unsigned after; /* calls that still succeed */
    bool short_writes;
} fault;

static bool fails(enum fault_call call)
{
    if (fault.call != call)
        return false;
    if (fault.after > 0) {
        fault.after--;
        return false;
    }
    errno = fault.sys;
    return true;
}

/* --- What a power failure now would lose --- */

static ino_t unsynced[16]; /* written since their last fsync */
static size_t unsynced_count;
static bool names_unsynced; /* of blobs */
static unsigned violations;

static void set_unsynced(ino_t ino, bool dirty)
{
    for (size_t i = 0; i < unsynced_count; i++) {
        if (unsynced[i] == ino)
            unsynced[i--] = unsynced[--unsynced_count];
    }
    if (dirty && unsynced_count < ARRAY_COUNT(unsynced))
        unsynced[unsynced_count++] = ino;
}

static bool is_unsynced(ino_t ino)
{
    for (size_t i = 0; i < unsynced_count; i++) {
        if (unsynced[i] == ino)
            return true;
    }
    return false;
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int old_fd, const char *old, int new_fd, const char *new);
int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new);

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    struct stat st;

    if (fails(FAULT_WRITE))
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        set_unsynced(st.st_ino, true);
    return __real_write(fd, data, fault.short_writes && size > 1 ? size / 2 : size);
}

int __wrap_fsync(int fd)
{
    struct stat st;

    if (fails(FAULT_FSYNC))
        return -1;
    if (fstat(fd, &st) == 0) {
        set_unsynced(st.st_ino, false);
        if (S_ISDIR(st.st_mode))
            names_unsynced = false;
    }
    return __real_fsync(fd);
}

int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new)
{
    struct stat st;

    if (fails(FAULT_RENAME))
        return -1;
    if (fstatat(old_fd, old, &st, 0) == 0 && is_unsynced(st.st_ino))
        violations++;
    if (strncmp(new, "blobs/", 6) == 0)
        names_unsynced = true;
    /* The ref is in the database by now. */
    if (strcmp(new, "index.json") == 0 && names_unsynced)
        violations++;
    return __real_renameat(old_fd, old, new_fd, new);
}

static int teardown(void **state)
{
    memset(&fault, 0, sizeof fault);
    return fixture_teardown(state);
}

/* --- Tests --- */

static void expect_failed_put(struct fixture *f, enum fault_call call, int sys)
{
    struct digest d;

    fault.call = call;
    fault.sys = sys;
    const int result = cas_blob_put(f->store, VIEW_LIT("never to be seen"), &d, &f->err);
    fault.call = FAULT_NONE;
    assert_int_equal(result, -1);
    assert_int_equal(f->err.sys, sys);
    assert_code(f, ERROR_SYSTEM);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

static void test_a_failed_write_sync_or_rename_leaves_nothing(void **state)
{
    struct fixture *f = *state;

    expect_failed_put(f, FAULT_WRITE, ENOSPC);
    expect_failed_put(f, FAULT_WRITE, EIO);
    expect_failed_put(f, FAULT_FSYNC, ENOSPC);
    expect_failed_put(f, FAULT_FSYNC, EIO);
    expect_failed_put(f, FAULT_RENAME, ENOSPC);
}

static void test_a_full_disk_is_named(void **state)
{
    struct fixture *f = *state;
    struct digest d;

    fault.call = FAULT_WRITE;
    fault.sys = ENOSPC;
    const int result = cas_blob_put(f->store, VIEW_LIT("x"), &d, &f->err);
    fault.call = FAULT_NONE;
    assert_int_equal(result, -1);
    assert_non_null(strstr(error_text(&f->err), "No space left on device"));
    assert_non_null(strstr(error_text(&f->err), f->path));
}

static void test_short_writes_are_continued(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);
    struct digest d;

    fault.short_writes = true;
    assert_ok(f, cas_blob_put(f->store, VIEW_LIT("a little at a time"), &d, &f->err));
    fault.short_writes = false;
    assert_ok(f, cas_blob_read(f->store, &d, &out, &f->err));
    assert_string_equal(buf_text(&out), "a little at a time");
}

static void test_nothing_becomes_visible_before_it_is_on_disk(void **state)
{
    struct fixture *f = *state;

    unsynced_count = 0;
    violations = 0;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
    assert_true(names_unsynced);
    assert_ok(f, cas_ref_set(f->store, "a", &d, "build", &f->err));
    assert_int_equal(violations, 0);
    assert_false(names_unsynced);
}

static bool has_ref(struct fixture *f, const char *name)
{
    CLEANUP(cas_ref_release) struct cas_ref r = {0};
    bool found;

    assert_ok(f, cas_ref_find(f->store, name, &found, &r, &f->err));
    return found;
}

static void test_a_ref_is_not_set_while_its_blobs_cannot_be_synced(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");

    fault.call = FAULT_FSYNC;
    fault.sys = EIO;
    const int result = cas_ref_set(f->store, "a", &d, "build", &f->err);
    fault.call = FAULT_NONE;
    assert_int_equal(result, -1);
    assert_code(f, ERROR_SYSTEM);
    assert_false(has_ref(f, "a"));
}

/* Every step on the way of index.json fails once; the ref is there or not, and the next
 * open finds both in step. */
static void test_index_json_follows_after_a_failure(void **state)
{
    struct fixture *f = *state;
    static const enum fault_call calls[] = {FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME};

    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        CLEANUP(base_freep) char *name = base_format("ref-%zu", i);
        CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
        CLEANUP(cas_ref_list_release) struct cas_ref_list index = {0};
        fault.sys = ENOSPC;
        /* The three directories are synced first. */
        fault.after = calls[i] == FAULT_FSYNC ? 2 : 0;
        fault.call = calls[i];
        const int result = cas_ref_set(f->store, name, &d, "build", &f->err);
        fault.call = FAULT_NONE;
        assert_int_equal(result, -1);
        assert_code(f, ERROR_SYSTEM);
        assert_false(fixture_exists(f, "index.json.new"));
        fixture_close(f);
        fixture_open(f);
        assert_ok(f, cas_layout_read_index(f->store->fd, &index, &f->err));
        assert_int_equal(index.count, i + 1);
        assert_true(has_ref(f, name));
    }
}

/* Files cannot grow past 100 kB: to SQLite the same as a disk that fails or is full. */
static void fill_database(const char *path)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
    const struct rlimit limit = {100000, 100000};
    CLEANUP(doc_unrefp) struct doc *value = doc_new_object();
    int result = 0;

    signal(SIGXFSZ, SIG_IGN);
    if (!s || setrlimit(RLIMIT_FSIZE, &limit) < 0)
        _exit(1);
    for (unsigned i = 0; i < 10000 && result == 0; i++) {
        const struct digest key =
            digest_of(DIGEST_SHA256, (struct view){(const char *)&i, sizeof i});
        result = cas_cache_put(s, &key, &key, value, &err);
    }
    _exit(result < 0 && err.code == ERROR_SYSTEM && *error_text(&err) ? 0 : 2);
}

static void test_a_database_that_cannot_grow_is_an_error_and_stays_whole(void **state)
{
    struct fixture *f = *state;
    const pid_t child = fork();
    struct digest d;
    int status;

    if (child == 0)
        fill_database(f->path);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fixture_close(f);
    fixture_open(f);
    assert_ok(f, cas_blob_put(f->store, VIEW_LIT("and on it goes"), &d, &f->err));
    CLEANUP(doc_unrefp) struct doc *value = doc_new_object();
    assert_ok(f, cas_cache_put(f->store, &d, &d, value, &f->err));
}

#define faulty_test(t) cmocka_unit_test_setup_teardown(t, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        faulty_test(test_a_failed_write_sync_or_rename_leaves_nothing),
        faulty_test(test_a_full_disk_is_named),
        faulty_test(test_short_writes_are_continued),
        faulty_test(test_nothing_becomes_visible_before_it_is_on_disk),
        faulty_test(test_a_ref_is_not_set_while_its_blobs_cannot_be_synced),
        faulty_test(test_index_json_follows_after_a_failure),
        faulty_test(test_a_database_that_cannot_grow_is_an_error_and_stays_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
