/* The filter is Docker's: what that blocks fails with EPERM, what it allows reaches the
 * kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/seccomp.h"

#include "base/limits.h"

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct buf make_filter(uint64_t capabilities, uint32_t *count)
{
    struct buf program = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error err = ERROR_INIT;

    assert_int_equal(sandbox_seccomp_filter(capabilities, &program, count, &err), 0);
    assert_int_equal(program.size, *count * sizeof(struct sock_filter));
    return program;
}

struct call {
    const char *name;
    long arguments[2];
};

/* Makes a call with nonsense for arguments in a child under the filter: its errno, 0. */
static int errno_of(uint64_t capabilities, const struct call *call)
{
    uint32_t count = 0;
    CLEANUP(buf_release) struct buf program = make_filter(capabilities, &count);
    const int number = seccomp_syscall_resolve_name(call->name);
    int status = 0;

    assert_true(number >= 0);
    const pid_t pid = fork();
    if (pid == 0) {
        const struct sock_fprog filter = {(unsigned short)count,
                                          (struct sock_filter *)(void *)program.data};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
            _exit(255);
        const long result =
            syscall(number, call->arguments[0], call->arguments[1], -1L, -1L, -1L, -1L);
        _exit(result < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 255);
    return WEXITSTATUS(status);
}

/* All that Docker's profile blocks on x86-64, as a list of names. */
static const struct call blocked[] = {
    {"acct", {-1, -1}},
    {"add_key", {-1, -1}},
    {"bpf", {-1, -1}},
    {"clock_settime", {-1, -1}},
    {"delete_module", {-1, -1}},
    {"fanotify_init", {-1, -1}},
    {"finit_module", {-1, -1}},
    {"fsconfig", {-1, -1}},
    {"fsmount", {-1, -1}},
    {"fsopen", {-1, -1}},
    {"fspick", {-1, -1}},
    {"get_mempolicy", {-1, -1}},
    {"init_module", {-1, -1}},
    {"io_uring_enter", {-1, -1}},
    {"io_uring_register", {-1, -1}},
    {"io_uring_setup", {-1, -1}},
    {"ioperm", {-1, -1}},
    {"iopl", {-1, -1}},
    {"kcmp", {-1, -1}},
    {"kexec_file_load", {-1, -1}},
    {"kexec_load", {-1, -1}},
    {"keyctl", {-1, -1}},
    {"lookup_dcookie", {-1, -1}},
    {"mbind", {-1, -1}},
    {"migrate_pages", {-1, -1}},
    {"mount", {-1, -1}},
    {"mount_setattr", {-1, -1}},
    {"move_mount", {-1, -1}},
    {"move_pages", {-1, -1}},
    {"nfsservctl", {-1, -1}},
    {"open_by_handle_at", {-1, -1}},
    {"open_tree", {-1, -1}},
    {"perf_event_open", {-1, -1}},
    {"personality", {0x0040000, 0}},
    {"pidfd_getfd", {-1, -1}},
    {"pivot_root", {-1, -1}},
    {"process_madvise", {-1, -1}},
    {"quotactl", {-1, -1}},
    {"quotactl_fd", {-1, -1}},
    {"reboot", {0, 0}},
    {"request_key", {-1, -1}},
    {"set_mempolicy", {-1, -1}},
    {"setdomainname", {-1, -1}},
    {"sethostname", {-1, -1}},
    {"setns", {-1, -1}},
    {"settimeofday", {-1, -1}},
    {"socket", {38, SOCK_STREAM}},
    {"socket", {40, SOCK_STREAM}},
    {"swapoff", {-1, -1}},
    {"swapon", {-1, -1}},
    {"syslog", {-1, -1}},
    {"sysfs", {-1, -1}},
    {"_sysctl", {-1, -1}},
    {"umount2", {-1, -1}},
    {"unshare", {CLONE_NEWUSER, 0}},
    {"userfaultfd", {-1, -1}},
    {"ustat", {-1, -1}},
    {"uselib", {-1, -1}},
    {"vhangup", {-1, -1}},
    {"clone", {CLONE_NEWUSER, 0}},
    {"clone", {CLONE_NEWNET | CLONE_NEWNS, 0}},
};

static void test_blocked_calls_are_not_permitted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(blocked); i++) {
        if (errno_of(SANDBOX_CAPABILITIES_DEFAULT, &blocked[i]) != EPERM)
            fail_msg("%s is not blocked", blocked[i].name);
    }
}

/* With nonsense for arguments the kernel answers otherwise than with EPERM. */
static const struct call allowed[] = {
    {"accept4", {-1, -1}},       {"bind", {-1, -1}},
    {"chroot", {0, 0}},          {"copy_file_range", {-1, -1}},
    {"epoll_ctl", {-1, -1}},     {"faccessat2", {-1, 0}},
    {"fchownat", {-1, 0}},       {"fsetxattr", {-1, 0}},
    {"getpid", {0, 0}},          {"inotify_init1", {-1, -1}},
    {"ioctl", {-1, -1}},         {"landlock_create_ruleset", {1, 1}},
    {"memfd_create", {0, 0}},    {"mknodat", {-1, 0}},
    {"openat2", {-1, 0}},        {"personality", {0xffffffff, 0}},
    {"personality", {0, 0}},     {"pidfd_open", {-1, -1}},
    {"prctl", {-1, -1}},         {"process_vm_readv", {1, 0}},
    {"ptrace", {999, 0}},        {"renameat2", {-1, 0}},
    {"seccomp", {-1, -1}},       {"setgroups", {-1, 0}},
    {"socket", {AF_UNIX, -1}},   {"socket", {AF_NETLINK, -1}},
    {"socket", {44, -1}},        {"statx", {-1, 0}},
    {"timer_settime", {-1, -1}}, {"arch_prctl", {-1, -1}},
    {"modify_ldt", {-1, -1}},    {"clone", {CLONE_SIGHAND, 0}},
};

static void test_allowed_calls_reach_the_kernel(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(allowed); i++) {
        const int got = errno_of(SANDBOX_CAPABILITIES_DEFAULT, &allowed[i]);
        if (got == EPERM || got == ENOSYS)
            fail_msg("%s gave errno %d", allowed[i].name, got);
    }
}

static void test_clone3_is_absent_so_that_programs_fall_back(void **state)
{
    const struct call call = {"clone3", {0, 0}};

    (void)state;
    assert_int_equal(errno_of(SANDBOX_CAPABILITIES_DEFAULT, &call), ENOSYS);
}

static void test_rules_follow_capabilities(void **state)
{
    const uint64_t admin = SANDBOX_CAPABILITIES_DEFAULT | UINT64_C(1) << CAP_SYS_ADMIN;
    const uint64_t no_chroot =
        SANDBOX_CAPABILITIES_DEFAULT & ~(UINT64_C(1) << CAP_SYS_CHROOT);
    const struct call setns_call = {"setns", {-1, -1}};
    const struct call clone3_call = {"clone3", {0, 0}};
    const struct call chroot_call = {"chroot", {0, 0}};
    const struct call keyctl_call = {"keyctl", {-1, -1}};

    (void)state;
    assert_int_equal(errno_of(admin, &setns_call), EBADF);
    assert_int_equal(errno_of(admin, &clone3_call), EINVAL);
    assert_int_equal(errno_of(admin, &keyctl_call), EPERM);
    assert_int_equal(errno_of(no_chroot, &chroot_call), EPERM);
}

/* int 0x80 reaches the 32-bit table: mount is 21 there, getpid 20. */
static long call_32bit(long number)
{
    long result = number;

#if defined(__x86_64__)
    __asm__ volatile("int $0x80"
                     : "+a"(result)
                     : "b"(0), "c"(0), "d"(0)
                     : "memory", "r8", "r9", "r10", "r11");
#endif
    return result;
}

static void test_the_32_bit_table_is_filtered_too(void **state)
{
    uint32_t count = 0;
    CLEANUP(buf_release)
    struct buf program = make_filter(SANDBOX_CAPABILITIES_DEFAULT, &count);
    int status = 0;

    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        const struct sock_fprog filter = {(unsigned short)count,
                                          (struct sock_filter *)(void *)program.data};
        const bool has_table = call_32bit(20) == getpid();
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
        _exit(!has_table || (call_32bit(20) == getpid() && call_32bit(21) == -EPERM) ? 0
                                                                                     : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocked_calls_are_not_permitted),
        cmocka_unit_test(test_allowed_calls_reach_the_kernel),
        cmocka_unit_test(test_clone3_is_absent_so_that_programs_fall_back),
        cmocka_unit_test(test_rules_follow_capabilities),
        cmocka_unit_test(test_the_32_bit_table_is_filtered_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
