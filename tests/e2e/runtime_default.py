#!/usr/bin/env python3
"""runtime_default.py COMMAND ARG...: runs a command as a pod that Kubernetes calls "restricted" would.

No capability can be had any more (no_new_privs), and a filter of system calls refuses what the
RuntimeDefault profile of containerd and CRI-O refuses to a process without capabilities, as far as it
concerns a builder: namespaces, mounts, keys and other people's memory. setpriv(1) drops capabilities.
"""
import ctypes
import errno
import os
import sys

ACT_ALLOW = 0x7FFF0000
PR_SET_NO_NEW_PRIVS = 38
CMP_MASKED_EQ = 7
CMP_NE = 1
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*


def refuse(number):
    return 0x00050000 | number


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


REFUSED = """acct add_key bpf fanotify_init fsconfig fsmount fsopen fspick init_module kexec_load keyctl
lookup_dcookie mount mount_setattr move_mount name_to_handle_at open_by_handle_at open_tree
perf_event_open pivot_root process_madvise quotactl reboot request_key setdomainname sethostname setns
settimeofday swapoff swapon syslog umount2 unshare userfaultfd vhangup""".split()


def main():
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    libc = ctypes.CDLL(None, use_errno=True)
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(ACT_ALLOW)))

    # As the profile has it. (A number that no table has is then refused, not killed.)
    for table in (b"x86", b"x32") if os.uname().machine == "x86_64" else ():
        lib.seccomp_arch_add(context, lib.seccomp_arch_resolve_name(table))

    def rule(action, name, *comparisons):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        if lib.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons),
                                      array) != 0:
            sys.exit(f"runtime_default.py: no rule for {name}")

    for name in REFUSED:
        rule(refuse(errno.EPERM), name)
    for bit in range(32):
        if NEW_NAMESPACES & 1 << bit:
            rule(refuse(errno.EPERM), "clone", Comparison(0, CMP_MASKED_EQ, 1 << bit, 1 << bit))
    rule(refuse(errno.ENOSYS), "clone3")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or lib.seccomp_load(context) != 0:
        sys.exit("runtime_default.py: the filter cannot be loaded")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
