#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/builder/sandbox_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const applets[] = {
    "sh",       "mknod",  "cat",   "ls",   "id",       "env",   "echo",  "ps",   "mount",
    "umount",   "stat",   "sleep", "tty",  "hostname", "mkdir", "touch", "kill", "wc",
    "ifconfig", "chroot", "head",  "test", "ln",       "rm",    "chown", "tail", "readlink",
    "true",     "sort",   "grep",  "dd",   "ping",     "nc"};

void fixture_file(int dir, const char *path, const char *content, mode_t mode)
{
    CLEANUP(fd_closep) int fd = openat(dir, path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void copy_busybox(int dir)
{
    CLEANUP(fd_closep) int from = open("/bin/busybox", O_RDONLY);
    CLEANUP(fd_closep) int to = openat(dir, "busybox", O_CREAT | O_WRONLY, 0755);
    char block[65536];
    ssize_t got = 0;

    assert_true(from >= 0 && to >= 0);
    while ((got = read(from, block, sizeof block)) > 0)
        assert_int_equal(write(to, block, (size_t)got), got);
    assert_int_equal(got, 0);
    assert_int_equal(fchmod(to, 0755), 0);
}

static int make_directory(int dir, const char *name, mode_t mode)
{
    assert_int_equal(mkdirat(dir, name, 0700), 0);
    const int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    return fd;
}

static void make_layer(struct sandbox_fixture *f)
{
    f->lower = make_directory(f->dir, "lower", 0755);
    CLEANUP(fd_closep) int bin = make_directory(f->lower, "bin", 0755);
    CLEANUP(fd_closep) int etc = make_directory(f->lower, "etc", 0755);
    CLEANUP(fd_closep) int tmp = make_directory(f->lower, "tmp", 01777);

    assert_true(tmp >= 0);
    copy_busybox(bin);
    for (size_t i = 0; i < ARRAY_COUNT(applets); i++)
        assert_int_equal(symlinkat("busybox", bin, applets[i]), 0);
    fixture_file(etc, "passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
                 0644);
    fixture_file(etc, "group", "root:x:0:\napp:x:1000:\n", 0644);
}

struct sandbox_fixture *fixture_open(void)
{
    struct sandbox_fixture *const f = base_alloc(sizeof *f);
    struct error err = ERROR_INIT;
    char template[] = "/tmp/cooper-sandbox-XXXXXX";

    umask(022);
    f->upper = f->work = -1;
    f->grade = sandbox_userns_enter(SANDBOX_ISOLATION_AUTO, &f->why, &err);
    assert_string_equal(error_text(&err), "no error");
    f->helper = sandbox_helper_start((enum sandbox_grade)f->grade, &err);
    assert_string_equal(error_text(&err), "no error");
    assert_non_null(mkdtemp(template));
    f->path = base_strdup(template);
    f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->dir >= 0);
    make_layer(f);
    return f;
}

void fixture_close(struct sandbox_fixture *f)
{
    struct error err = ERROR_INIT;

    sandbox_helper_stop(f->helper);
    fd_closep(&f->lower);
    fd_closep(&f->upper);
    fd_closep(&f->work);
    fd_closep(&f->dir);
    assert_int_equal(fs_remove_tree_at(AT_FDCWD, f->path, &err), 0);
    free(f->path);
    free(f);
}

void fixture_root(struct sandbox_fixture *f, struct sandbox_spec *spec)
{
    char name[32];

    fd_closep(&f->upper);
    fd_closep(&f->work);
    snprintf(name, sizeof name, "upper%u", f->runs);
    f->upper = make_directory(f->dir, name, 0755);
    snprintf(name, sizeof name, "work%u", f->runs++);
    f->work = make_directory(f->dir, name, 0755);
    spec->root = (struct cas_snapshot_mount){
        .overlay = true,
        .userxattr = f->grade != SANDBOX_GRADE_ROOT,
        .lower_fds = &f->lower,
        .lower_count = 1,
        .upper_fd = f->upper,
        .work_fd = f->work,
    };
}

static void collect_stubs(const struct sandbox_process *p, struct fixture_result *out)
{
    buf_init(&out->stubs, LIMIT_TEXT_SIZE);
    for (size_t i = 0; sandbox_stub_at(p, i); i++)
        buf_printf(&out->stubs, "%s%s", i ? "," : "", sandbox_stub_at(p, i));
}

void fixture_run(struct sandbox_fixture *f,
                 struct sandbox_spec spec,
                 struct fixture_result *out)
{
    static const char *const default_env[] = {"PATH=/bin", NULL};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int stdio[3] = {-1, ends[1], ends[1]};
    if (!spec.stdio)
        spec.stdio = stdio;
    if (!spec.env)
        spec.env = default_env;
    struct sandbox_process *const p = sandbox_spawn(f->helper, &spec, &out->err);
    close(ends[1]);
    buf_init(&out->output, LIMIT_TEXT_SIZE);
    out->result = -1;
    if (p) {
        struct error ignored = ERROR_INIT;
        assert_int_equal(fs_read_all(ends[0], &out->output, &ignored), 0);
        out->result = sandbox_wait(p, &out->status, &out->err);
        out->exec_failed = sandbox_exec_failed(p);
        collect_stubs(p, out);
        sandbox_discard(p);
    }
    close(ends[0]);
}

void fixture_sh(struct sandbox_fixture *f,
                struct sandbox_spec spec,
                const char *script,
                struct fixture_result *out)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};

    spec.argv = argv;
    fixture_root(f, &spec);
    fixture_run(f, spec, out);
}

void fixture_result_release(struct fixture_result *r)
{
    buf_release(&r->output);
    buf_release(&r->stubs);
    error_clear(&r->err);
}

/* --- as an ordinary user --- */

enum { NOBODY = 65534 };

static void cover_file(const char *path, const char *content)
{
    char template[] = "/tmp/cooper-subid-XXXXXX";
    const int fd = mkstemp(template);

    if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) ||
        fchmod(fd, 0644) < 0 || mount(template, path, NULL, MS_BIND, NULL) < 0 ||
        unlink(template) < 0)
        _exit(99);
    close(fd);
}

/* Runs this program again as nobody, in a mount namespace whose /etc/subuid says `ranges`.
 */
static int run_as_nobody(char **argv, const char *ranges)
{
    char mode[] = "--as-user";
    char *const words[] = {argv[0], mode, NULL};
    int status = 0;
    const pid_t pid = fork();

    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(99);
        if (setenv("COOPER_TEST_RANGES", ranges, 1) < 0)
            _exit(99);
        cover_file("/etc/subuid", ranges);
        cover_file("/etc/subgid", ranges);
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) < 0)
            _exit(99);
        execv("/proc/self/exe", words);
        _exit(99);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

int fixture_main(int argc, char **argv, int (*group)(void))
{
    int failed = 0;

    if (geteuid() != 0 || argc > 1)
        return group();
    printf("--- as nobody, with subordinate ids ---\n");
    failed += run_as_nobody(argv, "nobody:300000:65536\n");
    printf("--- as nobody, with one id ---\n");
    failed += run_as_nobody(argv, "");
    printf("--- as root ---\n");
    failed += group();
    return failed;
}
