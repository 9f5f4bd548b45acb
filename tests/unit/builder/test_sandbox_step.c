/* Promises about a step's process: what it is given, how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/builder/sandbox_fixture.h"

#include "base/fs.h"
#include "base/pool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_fixture(void **state)
{
    *state = fixture_open();
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    return 0;
}

static void test_exit_code_is_reported(void **state)
{
    for (each_api(api)) {
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_sh(*state, (struct sandbox_spec){.mount_api = api}, "exit 7", &r);
        assert_int_equal(r.result, 0);
        assert_int_equal(r.status.exit_code, 7);
        assert_int_equal(r.status.signal, 0);
        assert_true(r.status.max_rss > 0);
    }
}

static void test_environment_is_exactly_what_is_given(void **state)
{
    const char *const env[] = {"B=two words", "PATH=/bin", "A=1", NULL};

    assert_int_equal(setenv("COOPER_TEST_LEAK", "1", 1), 0);
    struct sandbox_fixture *f = *state;
    struct sandbox_spec spec = {.env = env, .argv = (const char *const[]){"env", NULL}};
    fixture_root(f, &spec);
    CLEANUP(fixture_result_release) struct fixture_result r = {0};
    fixture_run(f, spec, &r);
    assert_string_equal(buf_text(&r.output), "B=two words\nPATH=/bin\nA=1\n");
}

static void test_program_is_found_in_path_of_the_step(void **state)
{
    struct sandbox_fixture *f = *state;
    const char *const env[] = {"PATH=/nowhere::/etc:/bin", NULL};
    struct sandbox_spec spec = {.env = env,
                                .argv = (const char *const[]){"echo", "hi", NULL}};
    CLEANUP(fixture_result_release) struct fixture_result r = {0};

    fixture_root(f, &spec);
    fixture_run(f, spec, &r);
    assert_string_equal(buf_text(&r.output), "hi\n");
}

static void run_program(struct sandbox_fixture *f,
                        const char *name,
                        struct fixture_result *r)
{
    const char *const argv[] = {name, NULL};
    struct sandbox_spec spec = {.argv = argv};

    fixture_root(f, &spec);
    fixture_run(f, spec, r);
}

static void test_missing_program_is_told_apart(void **state)
{
    CLEANUP(fixture_result_release) struct fixture_result r = {0};
    CLEANUP(fixture_result_release) struct fixture_result absolute = {0};

    run_program(*state, "no-such-program", &r);
    assert_int_equal(r.result, -1);
    assert_true(r.exec_failed);
    assert_true(error_is(&r.err, ERROR_NOT_FOUND));
    assert_string_equal(error_text(&r.err),
                        "exec: \"no-such-program\": executable file not found in $PATH");
    run_program(*state, "/bin/no-such-program", &absolute);
    assert_true(absolute.exec_failed);
    assert_true(error_is(&absolute.err, ERROR_NOT_FOUND));
}

static void test_file_that_is_no_program_is_denied(void **state)
{
    CLEANUP(fixture_result_release) struct fixture_result r = {0};

    run_program(*state, "/etc/passwd", &r);
    assert_true(r.exec_failed);
    assert_true(error_is(&r.err, ERROR_DENIED));
}

static void test_stdin_is_empty(void **state)
{
    fixture_expect(*state, (struct sandbox_spec){0}, "cat; readlink /proc/self/fd/0",
                   "/dev/null\n");
}

static void test_no_descriptor_is_inherited(void **state)
{
    struct sandbox_fixture *f = *state;
    const int leaked = fcntl(f->dir, F_DUPFD, 100); /* without close-on-exec */

    /* 3 is the directory that ls reads. */
    fixture_expect(f, (struct sandbox_spec){0}, "ls /proc/self/fd", "0\n1\n2\n3\n");
    close(leaked);
}

static void test_capabilities_are_dockers(void **state)
{
    static const char script[] = "grep Cap /proc/self/status";

    fixture_expect(*state, (struct sandbox_spec){0}, script,
                   "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
                   "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
                   "CapAmb:\t0000000000000000\n");
    fixture_expect(*state, (struct sandbox_spec){.no_capabilities = true}, script,
                   "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                   "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
                   "CapAmb:\t0000000000000000\n");
}

static void test_user_has_ids_groups_and_no_capabilities(void **state)
{
    struct sandbox_fixture *f = *state;
    const gid_t groups[] = {20, 1001};
    const struct sandbox_spec spec = {
        .uid = 1000, .gid = 1000, .groups = groups, .group_count = 2};

    if (f->grade == SANDBOX_GRADE_SINGLE_ID) {
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_sh(f, spec, "true", &r);
        assert_int_equal(r.result, -1);
        assert_true(error_is(&r.err, ERROR_UNSUPPORTED));
        return;
    }
    fixture_expect(f, spec, "id -u; id -g; id -G; grep -E 'Cap(Eff|Prm)' /proc/self/status",
                   "1000\n1000\n1000 20 1001\nCapPrm:\t0000000000000000\n"
                   "CapEff:\t0000000000000000\n");
}

static void test_user_may_open_its_standard_output(void **state)
{
    struct sandbox_fixture *f = *state;
    const uid_t uid = f->grade == SANDBOX_GRADE_SINGLE_ID ? 0 : 1000;

    fixture_expect(f, (struct sandbox_spec){.uid = uid}, "echo hi > /dev/stdout", "hi\n");
}

static void test_working_directory_is_made_for_the_user(void **state)
{
    struct sandbox_fixture *f = *state;
    const uid_t uid = f->grade == SANDBOX_GRADE_SINGLE_ID ? 0 : 1000;
    const struct sandbox_spec spec = {.cwd = "/srv/a/b", .uid = uid, .gid = uid};
    CLEANUP(fixture_result_release) struct fixture_result r = {0};

    fixture_sh(f, spec, "pwd; stat -c '%u:%g %a' . ..", &r);
    assert_string_equal(buf_text(&r.output),
                        uid ? "/srv/a/b\n1000:1000 755\n1000:1000 755\n"
                            : "/srv/a/b\n0:0 755\n0:0 755\n");
    assert_null(strstr(buf_text(&r.stubs), "srv")); /* it stays in the layer */
}

static void test_umask_and_host_name(void **state)
{
    fixture_expect(*state, (struct sandbox_spec){0}, "umask; hostname",
                   "0022\nbuildkitsandbox\n");
    fixture_expect(*state, (struct sandbox_spec){.hostname = "box"}, "hostname", "box\n");
}

static void test_resource_limits_are_set_and_never_fail_upwards(void **state)
{
    const struct sandbox_rlimit limits[] = {
        {RLIMIT_NOFILE, 100, 200},
        {RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
        {RLIMIT_CORE, 0, RLIM_INFINITY},
    };

    const struct sandbox_spec spec = {.rlimits = limits, .rlimit_count = 3};

    fixture_expect(*state, spec, "ulimit -Sn; ulimit -Hn; ulimit -Sc", "100\n200\n0\n");
}

#define PID_MAX "/proc/sys/kernel/pid_max"

/* More than the bound is asked for, less is had; the step's own /proc cannot raise it. */
static void test_a_fork_bomb_ends_at_the_bound(void **state)
{
    struct sandbox_fixture *f = *state;
    const struct sandbox_spec spec = {.process_max = 512};
    CLEANUP(fixture_result_release) struct fixture_result r = {0};

    CLEANUP(buf_release) struct buf before = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf after = BUF_INIT(LIMIT_TEXT_SIZE);

    assert_int_equal(fs_read_file_at(AT_FDCWD, PID_MAX, &before, &r.err), 0);
    if (sandbox_helper_process_max(f->helper) == 0) {
        /* This kernel has one number for all: it stays what it is. */
        fixture_expect(f, spec, "cat " PID_MAX, buf_text(&before));
        return;
    }
    fixture_expect(f, spec, "cat " PID_MAX, "512\n");
    fixture_expect(f, spec, "(echo 9999 >" PID_MAX ") 2>/dev/null || echo no", "no\n");
    fixture_sh(f, spec,
               "i=0; while [ $i -lt 600 ]; do sleep 1000 & i=$((i + 1)); done 2>/dev/null",
               &r);
    assert_int_not_equal(r.status.exit_code, 0);
    assert_int_equal(fs_read_file_at(AT_FDCWD, PID_MAX, &after, &r.err), 0);
    assert_string_equal(buf_text(&after), buf_text(&before));
}

static void test_steps_are_killed_first_for_want_of_memory(void **state)
{
    fixture_expect(*state, (struct sandbox_spec){0}, "cat /proc/self/oom_score_adj",
                   "500\n");
}

static void test_no_new_privileges_on_request(void **state)
{
    fixture_expect(*state, (struct sandbox_spec){0}, "grep NoNewPrivs /proc/self/status",
                   "NoNewPrivs:\t0\n");
    fixture_expect(*state, (struct sandbox_spec){.no_new_privileges = true},
                   "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n");
}

static const char *const sleeper[] = {"/bin/sh", "-c", "sleep 100 & echo up; wait", NULL};
static const char *const sleeper_env[] = {"PATH=/bin", NULL};

static struct sandbox_process *spawn_sleeper(struct sandbox_fixture *f, const int *stdio)
{
    struct sandbox_spec spec = {.argv = sleeper, .env = sleeper_env, .stdio = stdio};
    struct error err = ERROR_INIT;

    fixture_root(f, &spec);
    struct sandbox_process *const p = sandbox_spawn(f->helper, &spec, &err);
    assert_non_null(p);
    return p;
}

/* Waits for the step's first line. */
static void wait_up(int fd)
{
    char text[3];

    assert_int_equal(read(fd, text, sizeof text), 3);
}

/* All that held the other end of the pipe are gone. */
static void wait_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;

    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_kill_ends_all_processes_of_a_step(void **state)
{
    int ends[2];
    struct error err = ERROR_INIT;
    struct sandbox_status status = {0};
    bool done = true;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int stdio[3] = {-1, ends[1], -1};
    struct sandbox_process *const p = spawn_sleeper(*state, stdio);
    close(ends[1]);
    wait_up(ends[0]);
    assert_int_equal(sandbox_wait_for(p, 10, &done, &status, &err), 0);
    assert_false(done);
    sandbox_kill(p);
    assert_int_equal(sandbox_wait(p, &status, &err), 0);
    assert_int_equal(status.signal, SIGKILL);
    assert_int_equal(status.exit_code, 128 + SIGKILL);
    wait_gone(ends[0]);
    sandbox_discard(p);
    close(ends[0]);
}

static void test_signal_reaches_the_first_process(void **state)
{
    struct sandbox_fixture *f = *state;
    const char *const argv[] = {
        "/bin/sh", "-c",
        "trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.05; done", NULL};
    struct sandbox_spec spec = {.argv = argv,
                                .env = (const char *const[]){"PATH=/bin", NULL}};
    struct error err = ERROR_INIT;
    struct sandbox_status status = {0};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    spec.stdio = (const int[]){-1, ends[1], -1};
    fixture_root(f, &spec);
    struct sandbox_process *const p = sandbox_spawn(f->helper, &spec, &err);
    close(ends[1]);
    wait_up(ends[0]);
    sandbox_signal(p, SIGTERM);
    assert_int_equal(sandbox_wait(p, &status, &err), 0);
    assert_int_equal(status.exit_code, 3);
    sandbox_discard(p);
    close(ends[0]);
}

/* Kills the process that holds the helper, or the helper itself; the step must go. */
static void lose_owner(struct sandbox_fixture *f, bool kill_helper)
{
    int ends[2];
    char children[64] = "";

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int stdio[3] = {-1, ends[1], -1};
    struct sandbox_spec spec = {.argv = sleeper, .env = sleeper_env, .stdio = stdio};
    fixture_root(f, &spec);
    const pid_t owner = fork();
    if (owner == 0) {
        struct error err = ERROR_INIT;
        struct sandbox_helper *const helper =
            sandbox_helper_start((enum sandbox_grade)f->grade, &err);
        if (!helper || !sandbox_spawn(helper, &spec, &err))
            _exit(1);
        close(ends[0]);
        close(ends[1]);
        for (;;)
            pause();
    }
    close(ends[1]);
    wait_up(ends[0]);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)owner, (int)owner);
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY);
    assert_true(read(fd, children, sizeof children - 1) > 0);
    const pid_t helper = (pid_t)strtol(children, NULL, 10);
    assert_true(helper > 1);
    assert_int_equal(kill(kill_helper ? helper : owner, SIGKILL), 0);
    wait_gone(ends[0]);
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    close(ends[0]);
}

static void test_step_ends_when_cooper_is_killed(void **state)
{
    lose_owner(*state, false);
}

static void test_step_ends_when_the_helper_is_killed(void **state)
{
    lose_owner(*state, true);
}

static void test_discard_ends_a_running_step(void **state)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int stdio[3] = {-1, ends[1], -1};
    struct sandbox_process *p = spawn_sleeper(*state, stdio);
    close(ends[1]);
    wait_up(ends[0]);
    sandbox_discardp(&p);
    assert_null(p);
    wait_gone(ends[0]);
    close(ends[0]);
}

/* Reads until `wanted` came; false at the end (EIO: the last slave was closed). */
static bool read_terminal(int master, const char *wanted, struct buf *text)
{
    while (!wanted || !strstr(buf_text(text), wanted)) {
        char *room = buf_reserve(text, 256);
        const ssize_t got = read(master, room, 256);

        if (got <= 0)
            return false;
        buf_commit(text, (size_t)got);
    }
    return true;
}

static void test_terminal_is_the_steps_own(void **state)
{
    struct sandbox_fixture *f = *state;
    const char *const argv[] = {"/bin/sh", "-c",
                                "tty; test -t 0 && echo yes; read x; echo $x", NULL};
    struct sandbox_spec spec = {
        .argv = argv, .env = (const char *const[]){"PATH=/bin", NULL}, .tty = true};
    struct error err = ERROR_INIT;
    struct sandbox_status status = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);

    fixture_root(f, &spec);
    struct sandbox_process *const p = sandbox_spawn(f->helper, &spec, &err);
    assert_non_null(p);
    const int master = sandbox_tty(p, &err);
    assert_true(master >= 0);
    /* What is typed is echoed at once: not in the middle of what the step writes. */
    assert_true(read_terminal(master, "yes\r\n", &text));
    assert_int_equal(write(master, "typed\n", 6), 6);
    assert_false(read_terminal(master, NULL, &text));
    assert_int_equal(sandbox_wait(p, &status, &err), 0);
    assert_int_equal(status.exit_code, 0);
    assert_non_null(strstr(buf_text(&text), "/dev/pts/0\r\nyes\r\n"));
    assert_non_null(strstr(buf_text(&text), "typed\r\n"));
    sandbox_discard(p);
    close(master);
}

static void test_terminal_of_a_step_that_failed_is_an_error(void **state)
{
    struct sandbox_fixture *f = *state;
    struct sandbox_spec spec = {.argv = (const char *const[]){"/bin/true", NULL}};
    struct error err = ERROR_INIT;

    fixture_root(f, &spec);
    struct sandbox_process *const p = sandbox_spawn(f->helper, &spec, &err);
    assert_int_equal(sandbox_tty(p, &err), -1);
    assert_true(error_is(&err, ERROR_INVALID));
    error_clear(&err);
    sandbox_discard(p);
}

enum { PARALLEL = 50 };

struct parallel {
    struct sandbox_helper *helper;
    struct sandbox_spec spec;
    int number;
    int exit_code;
    struct queue *done;
};

static void run_parallel(void *arg)
{
    struct parallel *const job = arg;
    char script[64];
    struct error err = ERROR_INIT;
    struct sandbox_status status = {.exit_code = -1};

    snprintf(script, sizeof script, "sleep 0.1; exit %d", job->number);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    job->spec.argv = argv;
    struct sandbox_process *const p = sandbox_spawn(job->helper, &job->spec, &err);
    job->exit_code = p && sandbox_wait(p, &status, &err) == 0 ? status.exit_code : -1;
    sandbox_discard(p);
    error_clear(&err);
    queue_push(job->done, job);
}

static void test_fifty_steps_at_once(void **state)
{
    static const char *const env[] = {"PATH=/bin", NULL};
    struct sandbox_fixture *f = *state;
    struct pool *const pool = pool_new(10);
    struct queue *const done = queue_new();
    struct parallel jobs[PARALLEL];

    for (int i = 0; i < PARALLEL; i++) {
        jobs[i] = (struct parallel){.helper = f->helper, .number = i, .done = done};
        jobs[i].spec.env = env;
        fixture_root(f, &jobs[i].spec);
        /* The fixture closes those of the last run. */
        f->upper = f->work = -1;
        pool_submit(pool, run_parallel, &jobs[i]);
    }
    for (int i = 0; i < PARALLEL; i++)
        assert_non_null(queue_pop(done, 60000));
    for (int i = 0; i < PARALLEL; i++) {
        assert_int_equal(jobs[i].exit_code, i);
        close(jobs[i].spec.root.upper_fd);
        close(jobs[i].spec.root.work_fd);
    }
    pool_free(pool);
    queue_free(done);
}

static void expect_invalid(struct sandbox_fixture *f, struct sandbox_spec spec)
{
    struct error err = ERROR_INIT;

    assert_null(sandbox_spawn(f->helper, &spec, &err));
    assert_true(error_is(&err, ERROR_INVALID));
    error_clear(&err);
}

static void test_nonsense_is_refused_before_anything_starts(void **state)
{
    struct sandbox_fixture *f = *state;
    struct sandbox_spec good = {.argv = (const char *const[]){"/bin/true", NULL}};
    struct sandbox_mount mount = {.type = SANDBOX_MOUNT_TMPFS, .target = "relative"};

    fixture_root(f, &good);
    struct sandbox_spec bad = good;
    bad.argv = (const char *const[]){NULL};
    expect_invalid(f, bad);
    bad = good;
    bad.cwd = "relative";
    expect_invalid(f, bad);
    bad = good;
    bad.mounts = &mount;
    bad.mount_count = 1;
    expect_invalid(f, bad);
    mount.target = "/a/..";
    expect_invalid(f, bad);
}

static int group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_code_is_reported),
        cmocka_unit_test(test_a_fork_bomb_ends_at_the_bound),
        cmocka_unit_test(test_steps_are_killed_first_for_want_of_memory),
        cmocka_unit_test(test_environment_is_exactly_what_is_given),
        cmocka_unit_test(test_program_is_found_in_path_of_the_step),
        cmocka_unit_test(test_missing_program_is_told_apart),
        cmocka_unit_test(test_file_that_is_no_program_is_denied),
        cmocka_unit_test(test_stdin_is_empty),
        cmocka_unit_test(test_no_descriptor_is_inherited),
        cmocka_unit_test(test_capabilities_are_dockers),
        cmocka_unit_test(test_user_has_ids_groups_and_no_capabilities),
        cmocka_unit_test(test_user_may_open_its_standard_output),
        cmocka_unit_test(test_working_directory_is_made_for_the_user),
        cmocka_unit_test(test_umask_and_host_name),
        cmocka_unit_test(test_resource_limits_are_set_and_never_fail_upwards),
        cmocka_unit_test(test_no_new_privileges_on_request),
        cmocka_unit_test(test_kill_ends_all_processes_of_a_step),
        cmocka_unit_test(test_signal_reaches_the_first_process),
        cmocka_unit_test(test_step_ends_when_cooper_is_killed),
        cmocka_unit_test(test_step_ends_when_the_helper_is_killed),
        cmocka_unit_test(test_discard_ends_a_running_step),
        cmocka_unit_test(test_terminal_is_the_steps_own),
        cmocka_unit_test(test_terminal_of_a_step_that_failed_is_an_error),
        cmocka_unit_test(test_fifty_steps_at_once),
        cmocka_unit_test(test_nonsense_is_refused_before_anything_starts),
    };

    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, group);
}
