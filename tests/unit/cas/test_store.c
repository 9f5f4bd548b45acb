/* link: -Wl,--wrap=fstatfs */
#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* The type that the next file systems claim to have; 0: the real one. */
static unsigned long claimed_type;

int __real_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs);

int __wrap_fstatfs(int fd, struct statfs *fs)
{
    const int result = __real_fstatfs(fd, fs);

    if (claimed_type != 0)
        fs->f_type = (__typeof__(fs->f_type))claimed_type;
    return result;
}

static struct cas_store *try_open(struct fixture *f, enum cas_store_open_flags flags)
{
    return cas_store_open(f->path, flags, &f->err);
}

static void test_opening_makes_a_valid_oci_layout(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {
        "blobs/sha256", "index.json", "ingest", "layers",  "index",
        "mounts",       "stat",       "builds", "meta.db", "leases",
    };

    CLEANUP(base_freep) char *layout = fixture_read(f, "oci-layout");
    assert_string_equal(layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (!fixture_exists(f, names[i]))
            fail_msg("%s is missing", names[i]);
    }
    assert_true(*cas_store_path(f->store) == '/');
}

static void test_a_store_is_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(fstat(cas_store_fd(f->store), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_missing_parents_are_made(void **state)
{
    struct fixture *f = *state;

    free(f->path);
    f->path = base_format("%s/a/b/c", f->dir);
    fixture_open(f);
}

static void test_no_create_finds_nothing(void **state)
{
    struct fixture *f = *state;

    assert_null(try_open(f, CAS_STORE_OPEN_NO_CREATE));
    assert_code(f, ERROR_NOT_FOUND);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_null(try_open(f, CAS_STORE_OPEN_NO_CREATE));
    assert_code(f, ERROR_NOT_FOUND);
    assert_int_equal(fixture_count(f, "."), 0);
}

static void test_a_directory_with_other_things_is_left_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->path, 0700), 0);
    fixture_write(f, "thesis.tex", "years of work");
    assert_null(try_open(f, CAS_STORE_OPEN_DEFAULT));
    assert_code(f, ERROR_INVALID);
    assert_int_equal(fixture_count(f, "."), 1);
}

static void test_an_interrupted_creation_is_continued(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *leases = base_format("%s/leases", f->path);

    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(mkdir(leases, 0700), 0);
    fixture_open(f);
    assert_true(fixture_exists(f, "oci-layout"));
}

static void test_network_file_systems_are_refused(void **state)
{
    struct fixture *f = *state;
    static const unsigned long types[] = {NFS_SUPER_MAGIC, 0xFF534D42UL, V9FS_MAGIC};

    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        claimed_type = types[i];
        struct cas_store *s = try_open(f, CAS_STORE_OPEN_DEFAULT);
        claimed_type = 0;
        assert_null(s);
        assert_code(f, ERROR_UNSUPPORTED);
    }
}

static void test_a_file_in_place_of_the_store_is_an_error(void **state)
{
    struct fixture *f = *state;
    CLEANUP(fd_closep) int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_null(try_open(f, CAS_STORE_OPEN_DEFAULT));
    assert_code(f, ERROR_SYSTEM);
    assert_true(fd >= 0);
}

static void test_a_newer_database_is_unsupported(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep)
    char *command = base_format("sqlite3 %s/meta.db 'PRAGMA user_version = 1000'", f->path);

    fixture_close(f);
    assert_int_equal(system(command), 0);
    assert_null(try_open(f, CAS_STORE_OPEN_DEFAULT));
    assert_code(f, ERROR_UNSUPPORTED);
}

static void test_a_damaged_database_is_corrupt(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    fixture_write(f, "meta.db",
                  "this is no database, however long one looks at it: "
                  "not in its first hundred bytes, nor after them");
    assert_null(try_open(f, CAS_STORE_OPEN_DEFAULT));
    assert_code(f, ERROR_CORRUPT);
}

static void test_a_layout_of_another_version_is_unsupported(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    fixture_write(f, "oci-layout", "{\"imageLayoutVersion\":\"9.0.0\"}");
    assert_null(try_open(f, CAS_STORE_OPEN_DEFAULT));
    assert_code(f, ERROR_UNSUPPORTED);
}

static void open_as(const char *path, unsigned uid)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (setgid(uid) < 0 || setuid(uid) < 0)
        _exit(10);
    struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
    const int code = s ? 0 : (int)err.code;
    cas_store_close(s);
    error_clear(&err);
    _exit(code);
}

static void test_anothers_store_and_an_unwritable_place_are_denied(void **state)
{
    struct fixture *f = *state;
    int status;

    if (geteuid() != 0) {
        assert_int_equal(chmod(f->dir, 0500), 0);
        assert_null(try_open(f, CAS_STORE_OPEN_DEFAULT));
        assert_int_equal(chmod(f->dir, 0700), 0);
        assert_code(f, ERROR_DENIED);
        return;
    }
    assert_int_equal(chmod(f->dir, 0755), 0);
    for (int i = 0; i < 2; i++) {
        const pid_t child = fork();
        if (child == 0)
            open_as(f->path, 4711);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), ERROR_DENIED);
        assert_true(i == 1 || mkdir(f->path, 0755) == 0);
    }
}

static void test_many_processes_create_one_store(void **state)
{
    struct fixture *f = *state;
    int status;

    for (int i = 0; i < 8; i++) {
        const pid_t child = fork();
        if (child == 0)
            open_as(f->path, geteuid());
    }
    for (int i = 0; i < 8; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    fixture_open(f);
    assert_int_equal(fixture_count(f, "leases"), 1);
}

struct worker {
    struct cas_store *store;
    pthread_t thread;
    bool failed;
};

static void *put_blobs(void *arg)
{
    struct worker *w = arg;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest d;

    for (int i = 0; i < 30; i++) {
        char text[32];
        const int size = snprintf(text, sizeof text, "blob %d", i);
        if (cas_blob_put(w->store, (struct view){text, (size_t)size}, &d, &err) < 0)
            w->failed = true;
    }
    return NULL;
}

static void test_threads_share_a_store(void **state)
{
    struct fixture *f = *state;
    struct worker workers[4];

    for (size_t i = 0; i < ARRAY_COUNT(workers); i++) {
        workers[i] = (struct worker){.store = f->store};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, put_blobs, &workers[i]),
                         0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(workers); i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_false(workers[i].failed);
    }
    assert_int_equal(fixture_count(f, "blobs/sha256"), 30);
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

static void test_the_environment_says_where_the_store_is(void **state)
{
    (void)state;
    setenv("HOME", "/home/u", 1);
    setenv("XDG_DATA_HOME", "relative/is/ignored", 1);
    unsetenv("COOPER_ROOT");
    CLEANUP(base_freep) char *root = cas_store_default_path(0);
    CLEANUP(base_freep) char *home = cas_store_default_path(1000);
    setenv("XDG_DATA_HOME", "/data", 1);
    CLEANUP(base_freep) char *data = cas_store_default_path(1000);
    setenv("COOPER_ROOT", "/elsewhere", 1);
    CLEANUP(base_freep) char *given = cas_store_default_path(0);
    unsetenv("COOPER_ROOT");
    assert_string_equal(root, "/var/lib/cooper");
    assert_string_equal(home, "/home/u/.local/share/cooper");
    assert_string_equal(data, "/data/cooper");
    assert_string_equal(given, "/elsewhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_opening_makes_a_valid_oci_layout),
        fixture_test(test_a_store_is_for_its_owner_alone),
        fixture_dir_test(test_missing_parents_are_made),
        fixture_dir_test(test_no_create_finds_nothing),
        fixture_dir_test(test_a_directory_with_other_things_is_left_alone),
        fixture_dir_test(test_an_interrupted_creation_is_continued),
        fixture_dir_test(test_network_file_systems_are_refused),
        fixture_dir_test(test_a_file_in_place_of_the_store_is_an_error),
        fixture_test(test_a_newer_database_is_unsupported),
        fixture_test(test_a_damaged_database_is_corrupt),
        fixture_test(test_a_layout_of_another_version_is_unsupported),
        fixture_dir_test(test_anothers_store_and_an_unwritable_place_are_denied),
        fixture_dir_test(test_many_processes_create_one_store),
        fixture_test(test_threads_share_a_store),
        cmocka_unit_test(test_the_environment_says_where_the_store_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
