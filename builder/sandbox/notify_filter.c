/*
 * The filter that stops the calls which notify.c answers. It is judged together with the
 * one of seccomp.c, whose refusals come first.
 */
#include "builder/sandbox/notify.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCH AUDIT_ARCH_RISCV64
#else
#define OWN_ARCH 0
#endif

/* x32 shares the table of x86-64, with numbers from here on. */
#define X32_FIRST 0x40000000u

static const uint32_t always[] = {
#ifdef SYS_chown
    SYS_chown,     SYS_lchown,
#endif
    SYS_fchown,    SYS_fchownat,
#ifdef SYS_mknod
    SYS_mknod,
#endif
    SYS_mknodat,
#ifdef SYS_stat
    SYS_stat,      SYS_lstat,
#endif
    SYS_fstat,     SYS_newfstatat, SYS_statx,
#ifdef SYS_mkdir
    SYS_mkdir,     SYS_symlink,    SYS_creat,
#endif
    SYS_mkdirat,   SYS_symlinkat,  SYS_setuid,    SYS_setgid,   SYS_setreuid,
    SYS_setregid,  SYS_setresuid,  SYS_setresgid, SYS_setfsuid, SYS_setfsgid,
    SYS_setgroups, SYS_getuid,     SYS_getgid,    SYS_geteuid,  SYS_getegid,
    SYS_getresuid, SYS_getresgid,  SYS_getgroups,
};

/* Where a tracer runs the step. */
static const uint32_t traced[] = {
#ifdef SYS_unlink
    SYS_unlink,     SYS_rmdir,    SYS_link,      SYS_rename, SYS_chmod,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_exit_group, SYS_execve,   SYS_unlinkat,  SYS_linkat, SYS_renameat2,
    SYS_fchmodat,   SYS_truncate, SYS_utimensat,
};

/* Only if they may create or write: `argument` has the flags. (openat2's lie in memory, so
 * that it is not looked at: what it creates belongs to root.) */
static const struct {
    uint32_t number;
    uint32_t argument;
} opens[] = {
#ifdef SYS_open
    {SYS_open, 1},
#endif
    {SYS_openat, 2},
};

/* The lower half of an argument. */
static uint32_t argument_offset(uint32_t index)
{
    return (uint32_t)offsetof(struct seccomp_data, args) + index * 8;
}

static void append_stops(const uint32_t *numbers, size_t count, struct buf *out)
{
    const struct sock_filter stop = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);

    for (size_t i = 0; i < count; i++) {
        const struct sock_filter test[] = {
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1), stop};

        buf_append(out, test, sizeof test);
    }
}

uint32_t sandbox_notify_filter(bool plain, struct buf *out)
{
    const struct sock_filter stop = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    const struct sock_filter go = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
        go,
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_FIRST, 0, 1),
        go,
    };
    const size_t before = out->size;

    if (OWN_ARCH == 0)
        return 0;
    buf_append(out, head, sizeof head);
    append_stops(always, ARRAY_COUNT(always), out);
    if (plain)
        append_stops(traced, ARRAY_COUNT(traced), out);
    for (size_t i = 0; i < ARRAY_COUNT(opens); i++) {
        const struct sock_filter test[] = {
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, opens[i].number, 0, 4),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_offset(opens[i].argument)),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | O_ACCMODE, 0, 1),
            stop,
            go,
        };

        buf_append(out, test, sizeof test);
    }
    buf_append(out, &go, sizeof go);
    return (uint32_t)((out->size - before) / sizeof(struct sock_filter));
}
