/*
 * The sandbox: runs one program in a root file system of its own, with nothing of the host
 * but the kernel. What it protects against and what not is in THREATS.md.
 *
 *     sandbox_userns_enter (userns.h; only when not root)
 *     sandbox_helper_start             before any thread exists
 *       sandbox_spawn -> sandbox_wait  once a step, from any thread, several at a time
 *       sandbox_service_spawn          for programs of the host's that serve steps
 *     sandbox_helper_stop
 *
 * The helper is a small single-threaded process, the first of a pid namespace of its own.
 * Each step is a child of it, first in a pid namespace below. So whatever way cooper ends,
 * the helper ends, and when the helper ends the kernel kills every process of every step.
 * All mounts live in the step's mount namespace and vanish with it.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "builder/sandbox/userns.h"
#include "cas/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox_helper;
struct sandbox_process;

/*
 * Forks the helper, for the grade that sandbox_userns_enter returned. With
 * SANDBOX_GRADE_NONE steps are not shut in: see plan_plain.c. Must be called before any
 * thread is started and, when not root, after sandbox_userns_enter. Costs about 0.2 ms.
 * Errors: ERROR_UNSUPPORTED if this process may not create namespaces.
 */
MUST_CHECK struct sandbox_helper *sandbox_helper_start(enum sandbox_grade grade,
                                                       struct error *err);
/* Kills all steps, waits until they and the helper are gone, frees. NULL is fine. No
 * sandbox_process of this helper may be in use any more. */
void sandbox_helper_stop(struct sandbox_helper *helper);
void sandbox_helper_stopp(struct sandbox_helper **helper);
/* The helper's process id as cooper sees it: to put it, and with it all steps to come, into
 * a cgroup. */
pid_t sandbox_helper_pid(const struct sandbox_helper *helper);
/* How steps are shut in, for people: "subordinate ids"; a static text. */
const char *sandbox_helper_isolation(const struct sandbox_helper *helper);
/* Are steps shut in at all? */
bool sandbox_helper_is_plain(const struct sandbox_helper *helper);
/* How many processes a step may have without limits by cgroups; 0: as many as whoever runs
 * cooper, as this kernel (before 6.14) or the container around cooper does not bound them.
 */
uint32_t sandbox_helper_process_max(const struct sandbox_helper *helper);
/* Does it, and cooper, live in a user namespace that is not the first one? */
bool sandbox_helper_is_nested(const struct sandbox_helper *helper);

enum sandbox_network {
    SANDBOX_NETWORK_HOST = 0, /* the namespace that cooper runs in */
    SANDBOX_NETWORK_NONE,     /* a new one with nothing but loopback, which is up */
    SANDBOX_NETWORK_JOIN,     /* the one that spec.netns_fd is open on */
};

enum sandbox_mount_type {
    SANDBOX_MOUNT_BIND = 0, /* `source` beneath source_fd: a directory or a file */
    SANDBOX_MOUNT_SNAPSHOT, /* `source` beneath the root of `snapshot` */
    SANDBOX_MOUNT_TMPFS,    /* a new tmpfs: size, mode */
    SANDBOX_MOUNT_FILE,     /* a file in memory: content, mode, uid, gid: secrets */
    SANDBOX_MOUNT_SOCKET, /* a Unix socket that listens: mode, uid, gid; who serves it gets
                           * it from sandbox_listener */
    SANDBOX_MOUNT_DEVICE, /* source_fd: a device node of the host's, which the step may
                           * open; its mode and owner stay what they are */
};

/*
 * Something mounted over the root. `target` is absolute, resolved inside the root (symlinks
 * mean what they mean there); what is missing of it is created, as a directory or an empty
 * file to fit, and reported by sandbox_stub_at. `source` follows symlinks without leaving
 * its root; NULL or "" or "/" is the root itself. Mounts are made in the order given, after
 * /proc, /dev and the others. Descriptors may be O_PATH and are borrowed during
 * sandbox_spawn only.
 */
struct sandbox_mount {
    enum sandbox_mount_type type;
    const char *target;
    bool readonly; /* not of SOCKET, DEVICE; with all mounts below the source, which the
                    * classic API leaves away as it could not protect them */
    int source_fd;
    struct cas_snapshot_mount snapshot;
    const char *source;
    struct view content;
    uint64_t size; /* TMPFS, in bytes; 0: the kernel's default, half of memory */
    mode_t mode;   /* TMPFS: 0 means that of the directory that it covers, 01777 where there
                    * was none; FILE: 0 means 0400; SOCKET: 0 means 0600 */
    uid_t uid;     /* FILE, SOCKET */
    gid_t gid;
};

struct sandbox_rlimit {
    int resource;  /* RLIMIT_NOFILE, ... */
    uint64_t soft; /* RLIM_INFINITY for none */
    uint64_t hard; /* above what cooper itself has: what cooper has is given, no error */
};

enum sandbox_mount_api {
    SANDBOX_MOUNT_API_AUTO = 0, /* the new one if this kernel has all of it */
    SANDBOX_MOUNT_API_NEW,      /* fsopen, open_tree, move_mount, mount_setattr */
    SANDBOX_MOUNT_API_CLASSIC,  /* mount(2) alone */
};

/* CapEff as Docker gives it to containers. */
#define SANDBOX_CAPABILITIES_DEFAULT UINT64_C(0xa80425fb)
/* All that cooper has itself: --security=insecure. */
#define SANDBOX_CAPABILITIES_ALL UINT64_MAX

/*
 * One step. Zero means the default everywhere; only `root` and `argv` must be given. All is
 * borrowed during sandbox_spawn.
 */
struct sandbox_spec {
    struct cas_snapshot_mount root;
    bool readonly_root;
    const struct sandbox_mount *mounts;
    size_t mount_count;

    const char *const *argv; /* NULL-terminated; argv[0] is looked for in env's PATH */
    const char *const *env;  /* NULL-terminated "NAME=value"; exactly this; NULL: empty */
    const char *cwd; /* NULL: "/"; what is missing is created, 0755 and the user's, as
                      * BuildKit does; it is part of the layer */
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary; dropped where only one id is mapped */
    size_t group_count;

    /* stdin, stdout, stderr; -1, or NULL for all three: /dev/null. Ignored with tty. */
    const int *stdio;
    /* A terminal inside the step's own devpts; see sandbox_tty. */
    bool tty;
    uint16_t tty_rows; /* its size from the first moment; 0: not known */
    uint16_t tty_columns;

    enum sandbox_network network;
    int netns_fd;
    const int *cgroup_fds; /* each a cgroup.procs, open for writing, that the step joins */
    size_t cgroup_count;
    const char *hostname;    /* NULL: "buildkitsandbox", as BuildKit */
    const char *resolv_conf; /* content, read-only; NULL: the image's own file is seen */
    const char *hosts;

    uint64_t capabilities; /* 0: SANDBOX_CAPABILITIES_DEFAULT; bounding set and permitted */
    bool no_capabilities;  /* an empty set */
    bool insecure; /* no seccomp filter, nothing masked, /sys writable; all capabilities */
    bool no_new_privileges;

    uint32_t process_max; /* processes and threads at once, where this kernel can bound them
                           * (sandbox_helper_process_max); 0: that */
    const struct sandbox_rlimit *rlimits;
    size_t rlimit_count;
    uint64_t shm_size; /* of /dev/shm, in bytes; 0: 64 MiB */

    enum sandbox_mount_api mount_api; /* for tests */
};

/*
 * Starts a step and returns at once: what goes wrong while it is set up is reported by
 * sandbox_wait. May be called from any thread.
 *
 * Ownership: the process is the caller's, for sandbox_discard, also after sandbox_wait.
 * Errors: ERROR_INVALID for what can never work (no argv, relative target); ERROR_LIMIT;
 *         ERROR_SYSTEM; ERROR_FAILED if the helper is gone.
 */
MUST_CHECK struct sandbox_process *sandbox_spawn(struct sandbox_helper *helper,
                                                 const struct sandbox_spec *spec,
                                                 struct error *err);

struct sandbox_status {
    int exit_code; /* 0..255; 128 + signal if a signal ended it, as a shell says */
    int signal;    /* 0, or what ended it */
    uint64_t user_us;
    uint64_t system_us;
    uint64_t max_rss; /* bytes, of the largest process */
};

/*
 * Waits until the step and all its processes have ended and its mounts are gone. The
 * program ending with any status is a success; read `status`. One thread at a time;
 * sandbox_kill and sandbox_signal may be called meanwhile. Errors: ERROR_NOT_FOUND if
 * argv[0] or the source of a mount is not there, ERROR_DENIED if it cannot be executed,
 * ERROR_SYSTEM or ERROR_UNSUPPORTED if the root cannot be set up; sandbox_exec_failed tells
 * the first two cases about argv[0] from the rest.
 */
MUST_CHECK int sandbox_wait(struct sandbox_process *p,
                            struct sandbox_status *status,
                            struct error *err);
/* As sandbox_wait, for at most timeout_ms; *done tells whether it ended. */
MUST_CHECK int sandbox_wait_for(struct sandbox_process *p,
                                int timeout_ms,
                                bool *done,
                                struct sandbox_status *status,
                                struct error *err);

/* After sandbox_wait failed: was it execve of argv[0]? Docker's exit codes are then 127
 * (ERROR_NOT_FOUND) or 126. */
bool sandbox_exec_failed(const struct sandbox_process *p);

/* With spec.tty: waits until the step has its terminal and returns the master side, the
 * caller's to close. Before sandbox_wait. */
MUST_CHECK int sandbox_tty(struct sandbox_process *p, struct error *err);

/* With mounts of type SOCKET: waits until the step has the index'th of them and returns the
 * end that accepts connections, non-blocking, the caller's to close. Once for each, before
 * sandbox_wait. */
MUST_CHECK int sandbox_listener(struct sandbox_process *p, size_t index, struct error *err);

/* Kills every process of the step; sandbox_wait then returns soon. Any thread. */
void sandbox_kill(struct sandbox_process *p);
/* Sends a signal to the step's first process (a pid 1: signals that it does not handle are
 * ignored, but for SIGKILL). Any thread. */
void sandbox_signal(struct sandbox_process *p, int signal);

/* After sandbox_wait, success or not: the index'th path that was created in the root only
 * to mount over it, relative ("etc/resolv.conf"), parents before children; NULL past the
 * last. For cas_snapshot_add_stub. Borrowed from `p`. */
const char *sandbox_stub_at(const struct sandbox_process *p, size_t index);

/* Kills the step if it still runs, waits for its end, frees. NULL is fine. */
void sandbox_discard(struct sandbox_process *p);
/* The same without waiting, for a program that leaves nothing to be looked at: it is gone
 * when sandbox_helper_stop returns. */
void sandbox_abandon(struct sandbox_process *p);
void sandbox_discardp(struct sandbox_process **p);

/*
 * A program of the host's that serves steps of this build (pasta, ssh-agent). It is not
 * shut in: it has cooper's own rights, file systems and network. But like a step it is the
 * first of a pid namespace below the helper's, so that neither it nor what it starts
 * outlives cooper, whatever way that ends.
 */
struct sandbox_service {
    const char *const *argv; /* NULL-terminated; argv[0] is looked for in env's PATH */
    const char *const *env;  /* NULL-terminated "NAME=value"; exactly this */
    const int *stdio;        /* stdin, stdout, stderr: all three */
    /*
     * Makes a network namespace with nothing but loopback, which is up. The program itself
     * stays in the host's; it finds the new one at this path, "/DIRECTORY/NAME": the
     * directory, which must exist, is covered in the program's mount namespace alone. NULL:
     * none.
     */
    const char *netns_path;
};

/* For sandbox_discard; sandbox_wait and the others work as with a step. */
MUST_CHECK struct sandbox_process *sandbox_service_spawn(
    struct sandbox_helper *helper,
    const struct sandbox_service *service,
    struct error *err);
/* With netns_path: waits until the namespace is there; a descriptor of it, the caller's. */
MUST_CHECK int sandbox_service_network(struct sandbox_process *p, struct error *err);
