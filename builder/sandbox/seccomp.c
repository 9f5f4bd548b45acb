#include "builder/sandbox/seccomp.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROGRAM_SIZE_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))
#define CAP(name)        (UINT64_C(1) << CAP_##name)

/* Allowed whatever the capabilities are. Names that a machine does not have are skipped.
 * (clang-format would give each name a line of its own.) */
/* clang-format off */
static const char *const always[] = {
    "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat",
    "capget", "capset", "chdir", "chmod", "chown", "chown32", "clock_adjtime",
    "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "close", "close_range",
    "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat", "exit",
    "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32",
    "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork",
    "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64",
    "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue", "futex_time64",
    "futex_wait", "futex_waitv", "futex_wake", "futimesat", "getcpu", "getcwd", "getdents",
    "getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32",
    "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid",
    "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid",
    "getresuid32", "getrlimit", "get_robust_list", "getrusage", "getsid", "getsockname",
    "getsockopt", "get_thread_area", "gettid", "gettimeofday", "getuid", "getuid32",
    "getxattr", "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "io_cancel", "ioctl", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "ioprio_get", "ioprio_set", "io_setup", "io_submit", "ipc",
    "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
    "lchown", "lchown32", "lgetxattr", "link", "linkat", "listen", "listmount", "listxattr",
    "listxattrat", "llistxattr", "_llseek", "lremovexattr", "lseek", "lsetxattr", "lstat",
    "lstat64", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret",
    "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall",
    "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
    "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "mremap",
    "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall",
    "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open",
    "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl",
    "pread64", "preadv", "preadv2", "prlimit64", "process_mrelease", "pselect6",
    "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
    "readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg",
    "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
    "restart_syscall", "riscv_hwprobe", "rmdir", "rseq", "rt_sigaction", "rt_sigpending",
    "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr",
    "sched_getparam", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop",
    "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto",
    "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
    "setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32",
    "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32",
    "setrlimit", "set_robust_list", "setsid", "setsockopt", "set_thread_area",
    "set_tid_address", "setuid", "setuid32", "setxattr", "setxattrat", "shmat", "shmctl",
    "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "sigprocmask",
    "sigreturn", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs",
    "statfs64", "statmount", "statx", "symlink", "symlinkat", "sync", "sync_file_range",
    "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
    "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64",
    "ugetrlimit", "umask", "uname", "unlink", "unlinkat", "uretprobe", "utime", "utimensat",
    "utimensat_time64", "utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid",
    "write", "writev",
    /* with Linux 4.8 and newer, older ones having let ptrace pass by a filter */
    "process_vm_readv", "process_vm_writev", "ptrace",
    /* of some machines */
    "sync_file_range2", "arm_fadvise64_64", "arm_sync_file_range", "breakpoint",
    "cacheflush", "set_tls", "arch_prctl", "modify_ldt", "s390_pci_mmio_read",
    "s390_pci_mmio_write", "s390_runtime_instr", "riscv_flush_icache", "swapcontext",
};
/* clang-format on */

/* Allowed with one of these capabilities. */
static const struct {
    uint64_t capability;
    const char *names[28];
} with_capability[] = {
    {CAP(DAC_READ_SEARCH), {"open_by_handle_at"}},
    {CAP(SYS_ADMIN),
     {"bpf",
      "clone",
      "clone3",
      "fanotify_init",
      "fsconfig",
      "fsmount",
      "fsopen",
      "fspick",
      "lookup_dcookie",
      "lsm_get_self_attr",
      "lsm_list_modules",
      "lsm_set_self_attr",
      "mount",
      "mount_setattr",
      "move_mount",
      "open_tree",
      "perf_event_open",
      "quotactl",
      "quotactl_fd",
      "setdomainname",
      "sethostname",
      "setns",
      "syslog",
      "umount",
      "umount2",
      "unshare"}},
    {CAP(SYS_BOOT), {"reboot"}},
    {CAP(SYS_CHROOT), {"chroot"}},
    {CAP(SYS_MODULE), {"delete_module", "init_module", "finit_module"}},
    {CAP(SYS_PACCT), {"acct"}},
    {CAP(SYS_PTRACE), {"kcmp", "pidfd_getfd", "process_madvise"}},
    {CAP(SYS_RAWIO), {"iopl", "ioperm"}},
    {CAP(SYS_TIME), {"settimeofday", "stime", "clock_settime", "clock_settime64"}},
    {CAP(SYS_TTY_CONFIG), {"vhangup"}},
    {CAP(SYS_NICE), {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
    {CAP(SYSLOG), {"syslog"}},
    {CAP(BPF), {"bpf"}},
    {CAP(PERFMON), {"perf_event_open"}},
};

/* The sum of what may follow a namespace's creation by clone: all but new namespaces. */
static const uint64_t clone_namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                         CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                         CLONE_NEWCGROUP;
/* personality(2): Linux, UNAME26 of 2.6, ADDR_NO_RANDOMIZE (debuggers), both, and asking.
 */
static const uint64_t personalities[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};

/* A call whose name the machine does not know is no reason to fail: it cannot be made. */
static int allow(scmp_filter_ctx ctx, const char *name)
{
    const int number = seccomp_syscall_resolve_name(name);
    const int result =
        number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);

    return result == -EDOM || result == -EEXIST ? 0 : result;
}

static int allow_if(scmp_filter_ctx ctx, const char *name, struct scmp_arg_cmp arg)
{
    const int number = seccomp_syscall_resolve_name(name);

    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, 1, &arg);
}

static int allow_with_arguments(scmp_filter_ctx ctx)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < ARRAY_COUNT(personalities); i++)
        result = allow_if(ctx, "personality", SCMP_A0(SCMP_CMP_EQ, personalities[i], 0));
    /* Not AF_ALG (38): kernel crypto; not AF_VSOCK (40): the hypervisor. */
    if (result == 0)
        result = allow_if(ctx, "socket", SCMP_A0(SCMP_CMP_LT, 38, 0));
    if (result == 0)
        result = allow_if(ctx, "socket", SCMP_A0(SCMP_CMP_EQ, 39, 0));
    if (result == 0)
        result = allow_if(ctx, "socket", SCMP_A0(SCMP_CMP_GT, 40, 0));
    return result;
}

static int restrict_clone(scmp_filter_ctx ctx, uint32_t arch)
{
    const bool s390 = arch == SCMP_ARCH_S390 || arch == SCMP_ARCH_S390X;
    const struct scmp_arg_cmp flags =
        s390 ? SCMP_A1(SCMP_CMP_MASKED_EQ, clone_namespaces, 0)
             : SCMP_A0(SCMP_CMP_MASKED_EQ, clone_namespaces, 0);
    const int result = allow_if(ctx, "clone", flags);

    /* Its flags lie in memory, where a filter cannot look: programs fall back to clone. */
    return result < 0 ? result
                      : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int add_rules(scmp_filter_ctx ctx, uint32_t arch, uint64_t capabilities)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < ARRAY_COUNT(always); i++)
        result = allow(ctx, always[i]);
    for (size_t i = 0; result == 0 && i < ARRAY_COUNT(with_capability); i++)
        for (size_t k = 0; result == 0 && with_capability[i].names[k]; k++)
            if (capabilities & with_capability[i].capability)
                result = allow(ctx, with_capability[i].names[k]);
    if (result == 0)
        result = allow_with_arguments(ctx);
    if (result == 0 && !(capabilities & CAP(SYS_ADMIN)))
        result = restrict_clone(ctx, arch);
    return result;
}

/*
 * The system call tables that a machine has, its own first: a 32-bit program runs under the
 * same rules, and no table is left unfiltered. (Docker also allows x32, which hardly any
 * kernel has; here, as there, it is answered with ENOSYS.)
 */
enum { TABLES_MAX = 3 };

static size_t find_tables(uint32_t *tables)
{
    static const uint32_t known[][TABLES_MAX] = {
        {SCMP_ARCH_X86_64, SCMP_ARCH_X86},
        {SCMP_ARCH_AARCH64, SCMP_ARCH_ARM},
        {SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS, SCMP_ARCH_MIPS64N32},
        {SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL64N32},
        {SCMP_ARCH_S390X, SCMP_ARCH_S390},
    };
    size_t count = 0;

    tables[0] = seccomp_arch_native();
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        for (; known[i][0] == tables[0] && count < TABLES_MAX && known[i][count]; count++)
            tables[count] = known[i][count];
    return count ? count : 1;
}

static int set_up(scmp_filter_ctx ctx, uint32_t arch)
{
    int result = 0;

    if (arch != seccomp_arch_native()) {
        result = seccomp_arch_add(ctx, arch);
        if (result == 0)
            result = seccomp_arch_remove(ctx, seccomp_arch_native());
    }
    if (result == 0)
        result = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    /* A binary tree: a call is judged after about nine comparisons, not up to 400. */
    if (result == 0)
        result = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return result;
}

static int compile(uint32_t arch, uint64_t capabilities, int fd)
{
    const scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = ctx ? set_up(ctx, arch) : -ENOMEM;

    if (result == 0)
        result = add_rules(ctx, arch, capabilities);
    if (result == 0)
        result = seccomp_export_bpf(ctx, fd);
    if (ctx)
        seccomp_release(ctx);
    return result;
}

static int compile_to(uint32_t arch,
                      uint64_t capabilities,
                      struct buf *out,
                      struct error *err)
{
    CLEANUP(fd_closep) int fd = memfd_create("seccomp", MFD_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "memfd_create");
    const int result = compile(arch, capabilities, fd);
    if (result < 0) {
        errno = -result;
        error_sys(err, "system call filter");
        err->code = ERROR_UNSUPPORTED;
        return -1;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "system call filter");
    return fs_read_all(fd, out, err);
}

static void append_instruction(struct buf *out, struct sock_filter instruction)
{
    buf_append(out, &instruction, sizeof instruction);
}

/*
 * One program a table, one after the other, each behind a test of the table. (libseccomp
 * compiles all tables into one program itself, but takes 24 ms for it, and 2 ms this way.)
 */
static int compile_all(uint64_t capabilities, struct buf *out, struct error *err)
{
    uint32_t tables[TABLES_MAX] = {0};
    const size_t count = find_tables(tables);

    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_release) struct buf program = BUF_INIT(PROGRAM_SIZE_MAX);
        if (compile_to(tables[i], capabilities, &program, err) < 0)
            return -1;
        const uint32_t length = (uint32_t)(program.size / sizeof(struct sock_filter));
        append_instruction(
            out, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                              offsetof(struct seccomp_data, arch)));
        append_instruction(
            out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, tables[i], 1, 0));
        append_instruction(out, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, length));
        buf_append_view(out, buf_view(&program));
    }
    append_instruction(
        out, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    return buf_ok(out, "system call filter", err);
}

/* The filter compiled last; a build nearly always needs one only. The one mutable global of
 * this room: a cache, whose content depends on its key alone. */
static struct {
    pthread_mutex_t lock;
    uint64_t capabilities;
    struct buf program;
} last = {PTHREAD_MUTEX_INITIALIZER, 0, BUF_INIT(PROGRAM_SIZE_MAX)};

static int append_locked(uint64_t capabilities,
                         struct buf *out,
                         uint32_t *count,
                         struct error *err)
{
    if (last.program.size == 0 || last.capabilities != capabilities) {
        buf_clear(&last.program);
        if (compile_all(capabilities, &last.program, err) < 0) {
            buf_clear(&last.program);
            return -1;
        }
        last.capabilities = capabilities;
    }
    buf_append_view(out, buf_view(&last.program));
    *count = (uint32_t)(last.program.size / sizeof(struct sock_filter));
    return 0;
}

int sandbox_seccomp_filter(uint64_t capabilities,
                           struct buf *out,
                           uint32_t *count,
                           struct error *err)
{
    uint64_t relevant = 0;

    for (size_t i = 0; i < ARRAY_COUNT(with_capability); i++)
        relevant |= capabilities & with_capability[i].capability;
    pthread_mutex_lock(&last.lock);
    const int result = append_locked(relevant, out, count, err);
    pthread_mutex_unlock(&last.lock);
    return result;
}
