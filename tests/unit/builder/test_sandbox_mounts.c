/* Promises about what a step sees, by both ways of mounting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/builder/sandbox_fixture.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

static struct sandbox_spec with_mounts(enum sandbox_mount_api api,
                                       const struct sandbox_mount *mounts,
                                       size_t count)
{
    return (struct sandbox_spec){.mount_api = api, .mounts = mounts, .mount_count = count};
}

static int open_directory(const struct sandbox_fixture *f, const char *name)
{
    assert_true(mkdirat(f->dir, name, 0755) == 0 || errno == EEXIST);
    const int fd = openat(f->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void test_only_the_root_is_seen(void **state)
{
    for (each_api(api)) {
        const struct sandbox_spec spec = {.mount_api = api};
        fixture_expect(
            *state, spec, "ls -a / /dev",
            "/:\n.\n..\nbin\ndev\netc\nproc\nsys\ntmp\n\n/dev:\n.\n..\ncore\nfd\nfull\n"
            "mqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\n"
            "urandom\nzero\n");
        fixture_expect(*state, spec,
                       "cat /proc/mounts | while read a b c; do echo $b; done | grep -vE "
                       "'^/(proc|sys)/' | sort",
                       "/\n/dev\n/dev/full\n/dev/mqueue\n/dev/null\n/dev/pts\n/dev/random\n"
                       "/dev/shm\n/dev/tty\n/dev/urandom\n/dev/zero\n/proc\n/sys\n");
    }
}

static void test_no_process_of_the_host_is_seen(void **state)
{
    /* A glob and no pipe: how many of a pipe's processes have started is a race. */
    fixture_expect(*state, (struct sandbox_spec){0}, "echo $$; echo /proc/[0-9]*",
                   "1\n/proc/1\n");
}

static void test_devices_work(void **state)
{
    for (each_api(api))
        fixture_expect(
            *state, (struct sandbox_spec){.mount_api = api},
            "echo x > /dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | "
            "wc -c; echo x 2>/dev/null > /dev/full || echo full; test -c /dev/ptmx && stat "
            "-c "
            "'%a %t:%T' /dev/null /dev/tty",
            "2\n3\nfull\n"
            "666 1:3\n666 5:0\n");
}

static void test_device_nodes_cannot_be_used(void **state)
{
    static const char script[] = "for d in /tmp /dev /dev/shm /t /shared /part; do "
                                 "mknod $d/node c 1 3 2>/dev/null || echo cannot make; "
                                 "test -c $d/node && ! cat $d/node 2>/dev/null && echo "
                                 "cannot open; rm -f $d/node; done";
    static const char root[] = "cannot open\ncannot open\ncannot open\ncannot open\n"
                               "cannot open\ncannot open\n";
    static const char user[] = "cannot make\ncannot make\ncannot make\ncannot make\n"
                               "cannot make\ncannot make\n";
    struct sandbox_fixture *f = *state;
    CLEANUP(fd_closep) int shared = open_directory(f, "writable");

    for (each_api(api)) {
        char name[32];
        snprintf(name, sizeof name, "nodes%d", (int)api);
        CLEANUP(fd_closep) int upper = open_directory(f, name);
        snprintf(name, sizeof name, "nodeswork%d", (int)api);
        CLEANUP(fd_closep) int work = open_directory(f, name);
        const struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/t"},
            {.target = "/shared", .source_fd = shared},
            {.type = SANDBOX_MOUNT_SNAPSHOT,
             .target = "/part",
             .source = "tmp",
             .snapshot = {true, f->grade != 0, &f->lower, 1, upper, work}},
        };
        fixture_expect(f, with_mounts(api, mounts, 3), script, f->grade ? user : root);
    }
}

/* Parts of layers are staged on the host's root while the step's is made: nothing of either
 * may stay over it, where ".." leads. */
static void test_nothing_lies_over_the_root(void **state)
{
    struct sandbox_fixture *f = *state;

    for (each_api(api)) {
        char name[32];
        snprintf(name, sizeof name, "root-over%d", (int)api);
        CLEANUP(fd_closep) int upper = open_directory(f, name);
        snprintf(name, sizeof name, "root-overwork%d", (int)api);
        CLEANUP(fd_closep) int work = open_directory(f, name);
        snprintf(name, sizeof name, "root-other%d", (int)api);
        CLEANUP(fd_closep) int other = open_directory(f, name);
        snprintf(name, sizeof name, "root-otherwork%d", (int)api);
        CLEANUP(fd_closep) int other_work = open_directory(f, name);
        const struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_SNAPSHOT,
             .target = "/part",
             .source = "tmp",
             .snapshot = {true, f->grade != 0, &f->lower, 1, upper, work}},
            {.type = SANDBOX_MOUNT_SNAPSHOT,
             .target = "/other",
             .source = "etc",
             .snapshot = {true, f->grade != 0, &f->lower, 1, other, other_work}},
        };
        fixture_expect(f, with_mounts(api, mounts, 2),
                       "ls -a /..; "
                       "[ \"$(stat -c %d:%i /)\" = \"$(stat -c %d:%i /..)\" ] && echo same",
                       ".\n..\nbin\ndev\netc\nother\npart\nproc\nsys\ntmp\nsame\n");
    }
}

/* The step is root, and may do with its nodes what it likes. */
static void test_the_hosts_device_nodes_are_out_of_reach(void **state)
{
    static const char script[] =
        "for d in null zero full random urandom tty; do chmod 600 /dev/$d; "
        "chown 1:1 /dev/$d; touch -d @1 /dev/$d; done 2>/dev/null; chmod 600 /proc/keys "
        "2>/dev/null; echo x > /dev/null && echo done";
    static const char *const nodes[] = {"/dev/null",   "/dev/zero",    "/dev/full",
                                        "/dev/random", "/dev/urandom", "/dev/tty"};
    struct stat before[ARRAY_COUNT(nodes)];
    struct stat after;

    for (size_t i = 0; i < ARRAY_COUNT(nodes); i++)
        assert_int_equal(0, stat(nodes[i], &before[i]));
    for (each_api(api))
        fixture_expect(*state, (struct sandbox_spec){.mount_api = api}, script, "done\n");
    for (size_t i = 0; i < ARRAY_COUNT(nodes); i++) {
        assert_int_equal(0, stat(nodes[i], &after));
        assert_int_equal(before[i].st_mode, after.st_mode);
        assert_int_equal(before[i].st_uid, after.st_uid);
        assert_int_equal(before[i].st_gid, after.st_gid);
    }
}

static void test_changes_end_in_the_upper_directory(void **state)
{
    struct sandbox_fixture *f = *state;

    for (each_api(api)) {
        struct stat st;
        fixture_expect(f, (struct sandbox_spec){.mount_api = api},
                       "echo new > /new; rm /etc/group; echo x > /dev/shm/f; cat /new",
                       "new\n");
        assert_int_equal(fstatat(f->upper, "new", &st, 0), 0);
        assert_int_equal(st.st_size, 4);
        assert_int_equal(fstatat(f->upper, "etc/group", &st, 0), 0);
        assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
        assert_int_equal(fstatat(f->lower, "etc/group", &st, 0), 0);
        assert_int_equal(fstatat(f->upper, "dev/shm", &st, 0), -1);
    }
}

static void test_plain_directory_as_root(void **state)
{
    struct sandbox_fixture *f = *state;

    for (each_api(api)) {
        struct sandbox_spec spec = {
            .mount_api = api,
            .root = {.upper_fd = f->lower, .work_fd = -1},
            .argv =
                (const char *const[]){
                    "/bin/sh", "-c",
                    "echo x > /made; rm /made; grep -c ' / .*nodev' /proc/mounts; ls /",
                    NULL},
        };
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_run(f, spec, &r);
        assert_string_equal(error_text(&r.err), "no error");
        assert_string_equal(buf_text(&r.output), "1\nbin\ndev\netc\nproc\nsys\ntmp\n");
        assert_int_equal(unlinkat(f->lower, "dev", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(f->lower, "proc", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(f->lower, "sys", AT_REMOVEDIR), 0);
    }
}

static void test_readonly_root(void **state)
{
    for (each_api(api))
        fixture_expect(*state,
                       ((struct sandbox_spec){.mount_api = api, .readonly_root = true}),
                       "touch /tmp/x || echo no; touch /dev/shm/x && echo yes",
                       "touch: /tmp/x: Read-only file system\nno\nyes\n");
}

static void test_masked_paths_show_nothing(void **state)
{
    for (each_api(api)) {
        fixture_expect(
            *state, (struct sandbox_spec){.mount_api = api},
            "for f in keys kcore timer_list interrupts sched_debug latency_stats; do "
            "test -e /proc/$f && cat /proc/$f; done; "
            "for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware "
            "/sys/devices/virtual/powercap; do test -e $d && ls -A $d; done; echo end",
            "end\n");
    }
}

static void test_sys_is_shown_without_programs_and_devices(void **state)
{
    for (each_api(api)) {
        const struct sandbox_spec spec = {.mount_api = api};
        fixture_expect(*state, spec,
                       "grep -c '^[^ ]* /sys sysfs ro,nosuid,nodev,noexec' /proc/mounts",
                       "1\n");
    }
}

static void test_readonly_paths_refuse_changes(void **state)
{
    for (each_api(api)) {
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_sh(*state, (struct sandbox_spec){.mount_api = api},
                   "echo evil > /proc/sys/kernel/hostname; "
                   "mkdir /sys/x; for d in bus fs irq sys; do test ! -e /proc/$d || "
                   "grep -q \"^proc /proc/$d proc ro,\" /proc/mounts || echo writable $d; "
                   "done; echo 0 > /sys/kernel/profiling; hostname",
                   &r);
        const char *text = buf_text(&r.output);
        assert_non_null(strstr(text, "/proc/sys/kernel/hostname: Read-only file system"));
        assert_null(strstr(text, "writable"));
        assert_non_null(strstr(text, "'/sys/x': Read-only file system"));
        assert_non_null(strstr(text, "buildkitsandbox\n"));
    }
}

static void test_insecure_steps_have_nothing_masked(void **state)
{
    struct sandbox_fixture *f = *state;

    fixture_expect(f, (struct sandbox_spec){.insecure = true},
                   "grep -c ' /proc/' /proc/mounts; grep Seccomp: /proc/self/status; "
                   "mount -t tmpfs x /tmp && echo mounted",
                   "0\nSeccomp:\t0\nmounted\n");
}

static void test_files_of_the_network_are_given(void **state)
{
    struct sandbox_fixture *f = *state;

    for (each_api(api)) {
        const struct sandbox_spec spec = {.mount_api = api,
                                          .resolv_conf = "nameserver ::1\n",
                                          .hosts = "::1 localhost\n"};
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_sh(
            f, spec,
            "cat /etc/resolv.conf /etc/hosts; echo x >> /etc/hosts; ls -A /dev | wc -l; "
            "stat -c %a:%u /etc/hosts",
            &r);
        assert_string_equal(
            buf_text(&r.output),
            "nameserver ::1\n::1 localhost\n/bin/sh: can't create /etc/hosts: "
            "Read-only file system\n15\n644:0\n");
        assert_string_equal(buf_text(&r.stubs), "proc,dev,sys,etc/resolv.conf,etc/hosts");
    }
}

static void test_stubs_leave_their_directory_as_it_was(void **state)
{
    struct sandbox_fixture *f = *state;
    struct stat before;
    struct stat after;

    for (each_api(api)) {
        assert_int_equal(fstatat(f->lower, "etc", &before, 0), 0);
        fixture_expect(f, ((struct sandbox_spec){.mount_api = api, .hosts = "x"}), "true",
                       "");
        assert_int_equal(fstatat(f->upper, "etc", &after, 0), 0);
        assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
        assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        assert_int_equal(fstatat(f->upper, "etc/hosts", &after, 0), 0);
        assert_int_equal(after.st_size, 0);
    }
}

static void test_stubs_are_named_by_where_they_really_are(void **state)
{
    struct sandbox_fixture *f = *state;

    assert_int_equal(symlinkat("etc", f->lower, "link"), 0);
    assert_int_equal(symlinkat("/../../run/deep/resolv.conf", f->lower, "etc/resolv.conf"),
                     0);
    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/link/a/../b/c"},
        };
        struct sandbox_spec spec = with_mounts(api, mounts, 1);
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        spec.resolv_conf = "dangling\n";
        fixture_sh(
            f, spec,
            "cat /run/deep/resolv.conf /etc/resolv.conf; test -d /etc/b/c && echo ok", &r);
        assert_string_equal(buf_text(&r.output), "dangling\ndangling\nok\n");
        assert_string_equal(
            buf_text(&r.stubs),
            "proc,dev,sys,run,run/deep,run/deep/resolv.conf,etc/a,etc/b,etc/b/c");
    }
    assert_int_equal(unlinkat(f->lower, "link", 0), 0);
    assert_int_equal(unlinkat(f->lower, "etc/resolv.conf", 0), 0);
}

static void test_kernel_file_systems_follow_no_symlink(void **state)
{
    struct sandbox_fixture *f = *state;

    for (each_api(api)) {
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        assert_int_equal(symlinkat("tmp", f->lower, "proc"), 0);
        fixture_sh(f, (struct sandbox_spec){.mount_api = api}, "true", &r);
        assert_int_equal(unlinkat(f->lower, "proc", 0), 0);
        assert_int_equal(r.result, -1);
        assert_int_equal(r.err.sys, ELOOP);
        assert_non_null(strstr(error_text(&r.err), "/proc"));
    }
}

static void test_bind_shows_a_directory_of_the_host(void **state)
{
    struct sandbox_fixture *f = *state;
    CLEANUP(fd_closep) int shared = open_directory(f, "shared");
    CLEANUP(fd_closep) int below = open_directory(f, "shared/below");

    fixture_file(below, "file", "content\n", 0644);
    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.target = "/all", .source_fd = shared},
            {.target = "/ro", .source_fd = shared, .source = "/below", .readonly = true},
            {.target = "/tmp/one",
             .source_fd = shared,
             .source = "below/file",
             .readonly = true},
        };
        struct stat st;
        fixture_expect(
            f, with_mounts(api, mounts, 3),
            "cat /ro/file /tmp/one; echo x > /all/new; touch /ro/x; echo y > /tmp/one; "
            "ls /all",
            "content\ncontent\ntouch: /ro/x: Read-only file system\n/bin/sh: can't "
            "create /tmp/one: Read-only file system\nbelow\nnew\n");
        assert_int_equal(fstatat(shared, "new", &st, 0), 0);
        assert_int_equal(unlinkat(shared, "new", 0), 0);
    }
}

static void test_source_of_a_bind_stays_beneath_its_root(void **state)
{
    struct sandbox_fixture *f = *state;
    CLEANUP(fd_closep) int cage = open_directory(f, "cage");

    fixture_file(cage, "passwd", "inside\n", 0644);
    fixture_file(f->dir, "passwd", "outside\n", 0644);
    assert_int_equal(symlinkat("../../../../passwd", cage, "up"), 0);
    assert_int_equal(symlinkat("/passwd", cage, "absolute"), 0);
    assert_int_equal(symlinkat("/proc/self/root/etc/passwd", cage, "magic"), 0);
    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.target = "/tmp/a", .source_fd = cage, .source = "up"},
            {.target = "/tmp/b", .source_fd = cage, .source = "absolute"},
            {.target = "/tmp/c", .source_fd = cage, .source = "../passwd"},
        };
        const struct sandbox_mount magic[] = {
            {.target = "/tmp/a", .source_fd = cage, .source = "magic"},
        };
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_expect(f, with_mounts(api, mounts, 3), "cat /tmp/a /tmp/b /tmp/c",
                       "inside\ninside\ninside\n");
        fixture_sh(f, with_mounts(api, magic, 1), "true", &r);
        assert_int_equal(r.result, -1);
        assert_true(error_is(&r.err, ERROR_NOT_FOUND));
        assert_false(r.exec_failed);
        assert_string_equal(error_text(&r.err),
                            "mount source 'magic': No such file or directory");
    }
}

static void test_target_of_a_mount_stays_in_the_root(void **state)
{
    struct sandbox_fixture *f = *state;
    CLEANUP(fd_closep) int shared = open_directory(f, "shared2");
    struct stat st;

    assert_int_equal(symlinkat("../../../../../../tmp/cooper-escape", f->lower, "out"), 0);
    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.target = "/out/deeper", .source_fd = shared}};
        fixture_expect(f, with_mounts(api, mounts, 1), "ls -d /tmp/cooper-escape/deeper",
                       "/tmp/cooper-escape/deeper\n");
        assert_int_equal(stat("/tmp/cooper-escape", &st), -1);
    }
    assert_int_equal(unlinkat(f->lower, "out", 0), 0);
}

static void test_secret_is_a_file_in_memory(void **state)
{
    struct sandbox_fixture *f = *state;
    const uid_t uid = f->grade == SANDBOX_GRADE_SINGLE_ID ? 0 : 7;

    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_FILE,
             .target = "/run/secrets/a",
             .content = VIEW_LIT("s3cret\n"),
             .uid = uid,
             .readonly = true},
            {.type = SANDBOX_MOUNT_FILE,
             .target = "/run/secrets/b",
             .content = VIEW_LIT("t0p\n"),
             .mode = 0640},
        };
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        struct stat st;
        fixture_sh(f, with_mounts(api, mounts, 2),
                   "cd /run/secrets; cat a b; stat -c '%a %u %s' a b; stat -f -c %T a; "
                   "echo x > a || echo refused; echo w > b; cat b",
                   &r);
        assert_string_equal(
            buf_text(&r.output),
            uid ? "s3cret\nt0p\n400 7 7\n640 0 4\ntmpfs\n/bin/sh: can't create a: "
                  "Read-only file system\nrefused\nw\n"
                : "s3cret\nt0p\n400 0 7\n640 0 4\ntmpfs\n/bin/sh: can't create a: "
                  "Read-only file system\nrefused\nw\n");
        assert_int_equal(fstatat(f->upper, "run/secrets/a", &st, 0), 0);
        assert_int_equal(st.st_size, 0); /* nothing of it but the mount point */
        assert_non_null(
            strstr(buf_text(&r.stubs), "run,run/secrets,run/secrets/a,run/secrets/b"));
    }
}

static void test_tmpfs_has_size_and_mode(void **state)
{
    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/t", .size = 1 << 20, .mode = 0700},
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/u"},
        };
        fixture_expect(*state, with_mounts(api, mounts, 2),
                       "stat -c %a /t /u; head -c 2000000 /dev/zero 2>/dev/null > /t/x; "
                       "stat -c %s /t/x",
                       "700\n1777\n1048576\n");
    }
}

static void test_tmpfs_has_the_mode_of_what_it_covers(void **state)
{
    for (each_api(api)) {
        const struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/etc"},
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/bin/new"},
            {.type = SANDBOX_MOUNT_TMPFS, .target = "/r", .readonly = true},
        };
        fixture_expect(*state, with_mounts(api, mounts, 3),
                       "stat -c %a /etc /bin/new; ls -A /etc; echo x 2>/dev/null > /r/a || "
                       "echo refused",
                       "755\n1777\nrefused\n");
    }
}

/* Nothing is mounted twice over: a mount of the step's stands for the network's file. */
static void test_a_mount_stands_for_a_file_of_the_network(void **state)
{
    for (each_api(api)) {
        const struct sandbox_mount hosts = {.type = SANDBOX_MOUNT_FILE,
                                            .target = "/etc/hosts",
                                            .content = VIEW_LIT("mine\n")};
        struct sandbox_spec spec = with_mounts(api, &hosts, 1);
        spec.hosts = "::1 localhost\n";
        fixture_expect(*state, spec, "cat /etc/hosts", "mine\n");
    }
}

static void test_shm_size(void **state)
{
    fixture_expect(*state, (struct sandbox_spec){.shm_size = 65536},
                   "head -c 65536 /dev/zero > /dev/shm/a && echo fits; "
                   "echo x 2>/dev/null > /dev/shm/b || echo full",
                   "fits\nfull\n");
}

/* Layers as directories; the upper one changes what the lower one has. */
static void make_layers(const struct sandbox_fixture *f, int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        char text[32];
        snprintf(name, sizeof name, "layer%d", i);
        fds[i] = open_directory(f, name);
        snprintf(text, sizeof text, "%d\n", i);
        fixture_file(fds[i], "top", text, 0644);
        snprintf(name, sizeof name, "layer%d/sub", i);
        CLEANUP(fd_closep) int sub = open_directory(f, name);
        snprintf(name, sizeof name, "only%d", i);
        fixture_file(sub, name, text, 0644);
    }
}

static void test_snapshot_as_a_mount(void **state)
{
    struct sandbox_fixture *f = *state;
    int layers[2];

    make_layers(f, layers, 2);
    for (each_api(api)) {
        char name[32];
        snprintf(name, sizeof name, "other%d", (int)api);
        CLEANUP(fd_closep) int upper = open_directory(f, name);
        snprintf(name, sizeof name, "otherwork%d", (int)api);
        CLEANUP(fd_closep) int work = open_directory(f, name);
        snprintf(name, sizeof name, "third%d", (int)api);
        CLEANUP(fd_closep) int upper2 = open_directory(f, name);
        snprintf(name, sizeof name, "thirdwork%d", (int)api);
        CLEANUP(fd_closep) int work2 = open_directory(f, name);
        struct sandbox_mount mounts[] = {
            {.type = SANDBOX_MOUNT_SNAPSHOT,
             .target = "/whole",
             .snapshot = {true, f->grade != 0, layers, 2, upper, work}},
            {.type = SANDBOX_MOUNT_SNAPSHOT,
             .target = "/part",
             .source = "sub",
             .readonly = true,
             .snapshot = {true, f->grade != 0, layers, 2, upper2, work2}},
        };
        fixture_expect(f, with_mounts(api, mounts, 2),
                       "cat /whole/top; ls /part; echo x > /whole/new; "
                       "touch /part/x || true",
                       "1\nonly0\nonly1\ntouch: /part/x: Read-only file system\n");
        struct stat st;
        assert_int_equal(fstatat(upper, "new", &st, 0), 0);
    }
    close(layers[0]);
    close(layers[1]);
}

enum { MANY = 300 }; /* more than one packet of descriptors takes */

static void test_many_layers(void **state)
{
    struct sandbox_fixture *f = *state;
    static int layers[MANY + 1];

    layers[0] = f->lower;
    make_layers(f, layers + 1, MANY);
    for (each_api(api)) {
        struct sandbox_spec spec = {
            .mount_api = api,
            .argv =
                (const char *const[]){"/bin/sh", "-c", "cat /top; ls /sub | wc -l", NULL}};
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        fixture_root(f, &spec);
        spec.root.lower_fds = layers;
        spec.root.lower_count = MANY + 1;
        fixture_run(f, spec, &r);
        assert_string_equal(error_text(&r.err), "no error");
        assert_string_equal(buf_text(&r.output), "299\n300\n");
    }
    for (int i = 1; i <= MANY; i++)
        close(layers[i]);
}

static void test_network_none_has_loopback_only(void **state)
{
    for (each_api(api))
        fixture_expect(
            *state,
            ((struct sandbox_spec){.mount_api = api, .network = SANDBOX_NETWORK_NONE}),
            "ls /sys/class/net; grep -c : /proc/net/dev; ifconfig lo | grep -c UP; "
            "wc -l < /proc/net/route",
            "lo\n1\n1\n1\n");
}

static void test_network_of_the_host_is_seen_when_asked_for(void **state)
{
    CLEANUP(buf_release) struct buf here = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error err = ERROR_INIT;

    assert_int_equal(fs_read_file_at(AT_FDCWD, "/proc/net/route", &here, &err), 0);
    fixture_expect(*state, (struct sandbox_spec){.network = SANDBOX_NETWORK_HOST},
                   "cat /proc/net/route", buf_text(&here));
}

static void test_namespace_of_a_network_can_be_joined(void **state)
{
    struct sandbox_fixture *f = *state;
    const char *const argv[] = {"/bin/sh", "-c", "echo up; sleep 100", NULL};
    struct sandbox_spec spec = {.argv = argv,
                                .env = (const char *const[]){"PATH=/bin", NULL},
                                .network = SANDBOX_NETWORK_JOIN};
    CLEANUP(fd_closep) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    CLEANUP(buf_release) struct buf here = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error err = ERROR_INIT;

    if (f->grade != SANDBOX_GRADE_ROOT) {
        /* That of the host belongs to another user namespace: joining it is refused. */
        CLEANUP(fixture_result_release) struct fixture_result r = {0};
        spec.netns_fd = own;
        fixture_root(f, &spec);
        fixture_run(f, spec, &r);
        assert_true(error_is(&r.err, ERROR_DENIED));
        return;
    }
    assert_int_equal(fs_read_file_at(AT_FDCWD, "/proc/net/route", &here, &err), 0);
    fixture_expect(
        f, ((struct sandbox_spec){.network = SANDBOX_NETWORK_JOIN, .netns_fd = own}),
        "cat /proc/net/route", buf_text(&here));
}

static void test_nothing_stays_mounted_on_the_host(void **state)
{
    CLEANUP(buf_release) struct buf before = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf after = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error err = ERROR_INIT;

    assert_int_equal(fs_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &before, &err), 0);
    for (each_api(api))
        fixture_expect(*state, ((struct sandbox_spec){.mount_api = api, .hosts = "x"}),
                       "true", "");
    assert_int_equal(fs_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &after, &err), 0);
    assert_string_equal(buf_text(&after), buf_text(&before));
}

static int group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_root_is_seen),
        cmocka_unit_test(test_no_process_of_the_host_is_seen),
        cmocka_unit_test(test_devices_work),
        cmocka_unit_test(test_device_nodes_cannot_be_used),
        cmocka_unit_test(test_nothing_lies_over_the_root),
        cmocka_unit_test(test_the_hosts_device_nodes_are_out_of_reach),
        cmocka_unit_test(test_changes_end_in_the_upper_directory),
        cmocka_unit_test(test_plain_directory_as_root),
        cmocka_unit_test(test_readonly_root),
        cmocka_unit_test(test_masked_paths_show_nothing),
        cmocka_unit_test(test_sys_is_shown_without_programs_and_devices),
        cmocka_unit_test(test_readonly_paths_refuse_changes),
        cmocka_unit_test(test_insecure_steps_have_nothing_masked),
        cmocka_unit_test(test_files_of_the_network_are_given),
        cmocka_unit_test(test_stubs_leave_their_directory_as_it_was),
        cmocka_unit_test(test_stubs_are_named_by_where_they_really_are),
        cmocka_unit_test(test_kernel_file_systems_follow_no_symlink),
        cmocka_unit_test(test_bind_shows_a_directory_of_the_host),
        cmocka_unit_test(test_source_of_a_bind_stays_beneath_its_root),
        cmocka_unit_test(test_target_of_a_mount_stays_in_the_root),
        cmocka_unit_test(test_secret_is_a_file_in_memory),
        cmocka_unit_test(test_tmpfs_has_size_and_mode),
        cmocka_unit_test(test_tmpfs_has_the_mode_of_what_it_covers),
        cmocka_unit_test(test_a_mount_stands_for_a_file_of_the_network),
        cmocka_unit_test(test_shm_size),
        cmocka_unit_test(test_snapshot_as_a_mount),
        cmocka_unit_test(test_many_layers),
        cmocka_unit_test(test_network_none_has_loopback_only),
        cmocka_unit_test(test_network_of_the_host_is_seen_when_asked_for),
        cmocka_unit_test(test_namespace_of_a_network_can_be_joined),
        cmocka_unit_test(test_nothing_stays_mounted_on_the_host),
    };

    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, group);
}
