/*
 * What whole processes do to a store: killed at any moment, in pid namespaces of their own,
 * on a disk that is full.
 */
#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/layout.h"
#include "cas/reach.h"
#include "cas/record.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS 40

static bool set_image(struct cas_store *s, const char *path, const char *name, int number)
{
    struct fixture f = {.path = (char *)(uintptr_t)path, .store = s};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep)
    char *seed = base_format("%s of %d, %d", name, (int)getpid(), number);
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(&f, seed);

    return cas_ref_set(s, name, &d, "build", &err) == 0 &&
           cas_layer_record_put(s, &d.digest, &d, NULL, &err) == 0;
}

static void set_images_for_ever(const char *path)
{
    struct error err = ERROR_INIT;

    for (int i = 0;; i++) {
        struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
        if (!s || !set_image(s, path, i % 2 ? "odd" : "even", i))
            _exit(1);
        cas_store_close(s);
    }
}

/* Every ref is whole, and index.json says the same as the database. */
static void check_store(struct fixture *f)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    CLEANUP(cas_ref_list_release) struct cas_ref_list index = {0};

    fixture_open(f);
    assert_ok(f, cas_ref_list(f->store, &refs, &f->err));
    assert_ok(f, cas_layout_read_index(f->store->fd, &index, &f->err));
    assert_int_equal(refs.count, index.count);
    for (size_t i = 0; i < refs.count; i++) {
        assert_true(digest_eq(&refs.items[i].target.digest, &index.items[i].target.digest));
        assert_ok(f, cas_reach_check(f->store, &refs.items[i].target, &f->err));
    }
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_int_equal(fixture_count(f, "leases"), 1);
    fixture_close(f);
}

static void test_a_store_survives_being_killed_at_any_moment(void **state)
{
    struct fixture *f = *state;
    int status;

    /* Also while it is being created. */
    for (unsigned i = 0; i < KILLS; i++) {
        const pid_t child = fork();
        if (child == 0)
            set_images_for_ever(f->path);
        usleep(1000 + i * 797 % 20000);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        check_store(f);
    }
}

static bool write_text(const char *path, const char *text)
{
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Namespaces of one's own; for those who are not root through a user namespace. */
static bool leave(int namespaces)
{
    const unsigned uid = geteuid();
    CLEANUP(base_freep) char *uids = base_format("0 %u 1", uid);
    CLEANUP(base_freep) char *gids = base_format("0 %u 1", getegid());

    if (uid == 0)
        return unshare(namespaces) == 0;
    return unshare(namespaces | CLONE_NEWUSER) == 0 &&
           write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", uids) && write_text("/proc/self/gid_map", gids);
}

static void set_images_in_a_pid_namespace(const char *path, const char *name)
{
    struct error err = ERROR_INIT;
    int status = 0;

    if (!leave(CLONE_NEWPID))
        _exit(1);
    const pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 10; i++) {
            struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
            if (getpid() != 1 || !s || !set_image(s, path, name, i))
                _exit(2);
            cas_store_close(s);
        }
        _exit(0);
    }
    _exit(waitpid(child, &status, 0) == child && status == 0 ? 0 : 3);
}

static void test_processes_of_two_pid_namespaces_share_a_store(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"one", "other"};
    int status;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const pid_t child = fork();
        if (child == 0)
            set_images_in_a_pid_namespace(f->path, names[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    check_store(f);
    fixture_open(f);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct cas_ref_event *events;
        size_t count;
        assert_ok(f, cas_ref_history(f->store, names[i], &events, &count, &f->err));
        assert_int_equal(count, 10);
        cas_ref_history_free(events, count);
    }
}

/* Until the disk is full. */
static bool fill(struct cas_store *s, size_t size, struct error *err)
{
    CLEANUP(base_freep) char *data = base_alloc(size);
    struct digest d;

    for (unsigned i = 0; i < 10000; i++) {
        memcpy(data, &i, sizeof i);
        if (cas_blob_put(s, (struct view){data, size}, &d, err) < 0)
            return true;
    }
    return false;
}

static bool says_full(const struct error *err)
{
    return err->code == ERROR_SYSTEM && err->sys == ENOSPC &&
           strstr(error_text(err), "No space left on device") != NULL;
}

static int use_full_disk(struct fixture *f)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (!leave(CLONE_NEWNS) || mkdir(f->path, 0700) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", f->path, "tmpfs", 0, "size=1m,mode=0700") < 0)
        return 1;
    CLEANUP(cas_store_closep)
    struct cas_store *s = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &err);
    if (!s || !set_image(s, f->path, "before", 0))
        return 2;
    CLEANUP(descriptor_release) struct descriptor d = {0};
    f->store = s;
    d = fixture_image(f, "complete");
    f->store = NULL;
    if (!fill(s, 20000, &err) || !says_full(&err) || !fill(s, 100, &err) ||
        !says_full(&err))
        return 3;
    if (fixture_count(f, "ingest") != 0)
        return 4;
    /* Refs may or may not fit any more; what is said to be there is whole. */
    bool refused = false;
    for (int i = 0; i < 2000 && !refused; i++) {
        CLEANUP(base_freep) char *name = base_format("full-%d", i);
        refused = cas_ref_set(s, name, &d, "build", &err) < 0;
    }
    if (!refused || !says_full(&err)) {
        print_error("%s\n", error_text(&err));
        return 5;
    }
    cas_store_closep(&s);
    /* Room again: everything goes on. */
    struct cas_gc_result result;
    s = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &err);
    if (!s) {
        print_error("%s\n", error_text(&err));
        return 6;
    }
    if (cas_store_gc(s, CAS_GC_DEFAULT, &result, &err) < 0 || result.blobs == 0) {
        print_error("%s\n", error_text(&err));
        return 7;
    }
    if (!set_image(s, f->path, "after", 1))
        return 8;
    cas_store_closep(&s);
    check_store(f);
    return 0;
}

static void test_a_full_disk_is_one_clear_error_and_harms_nothing(void **state)
{
    struct fixture *f = *state;
    const pid_t child = fork();
    int status;

    if (child == 0)
        _exit(use_full_disk(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_dir_test(test_a_store_survives_being_killed_at_any_moment),
        fixture_dir_test(test_processes_of_two_pid_namespaces_share_a_store),
        fixture_dir_test(test_a_full_disk_is_one_clear_error_and_harms_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
