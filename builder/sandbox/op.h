/*
 * What the three parties of the sandbox say to each other; private to builder/sandbox.
 *
 *     cooper (plan.c, process.c)   decides everything; writes a plan: a flat array of
 * operations |  control socket: one request a step + descriptors helper (helper.c) clones a
 * child for the plan, watches it, reports its end |  fork child (child*.c) carries the
 * operations out, one after the other; execs
 *
 * A plan lies in a memfd, which the helper maps privately and the child inherits:
 *
 *     | struct sandbox_op x op_count | texts, contents, tables |
 *
 * Texts are given by their offset from the start, are NUL-terminated, and 0 means none.
 * Descriptors travel beside it and are named by slot. Each step has a socket of its own
 * (SOCK_SEQPACKET); cooper closing its end, in whatever way, kills the step.
 */
#pragma once

#include <stdint.h>

/* All that a child can do. In the order in which a plan uses them. */
enum sandbox_opcode {
    OP_CGROUP = 1,       /* joins the cgroup whose cgroup.procs is slot */
    OP_CGROUP_NAMESPACE, /* that is then the root of what it sees of cgroups */
    OP_PROCESSES, /* bounds how many, and has them killed before others of the machine */
    OP_NOTIFY,    /* calls about owners are stopped from here on, and answered by cooper */
    OP_NETWORK,   /* a service's: makes a network namespace, stays out of it, names it */
    OP_OVERLAY,   /* mounts slots as overlay, attached nowhere yet */
    OP_TREE,      /* slot: a detached copy of the mounts beneath it */
    OP_NETNS,     /* joins the network namespace of slot */
    OP_UNSHARE,   /* a mount namespace of its own, cut off from the host's */
    OP_REOPEN,    /* slots of the host's mount namespace, as they are in the new one */
    OP_CLASSIC_OVERLAY, /* OP_OVERLAY by mount(2), on its own upper directory */
    OP_CLASSIC_SELF,    /* slot: bound on itself, to be a root */
    OP_STAGE,           /* attaches a detached overlay where pivot_root leaves it behind */
    OP_SUBTREE,         /* slot: what lies at `text` beneath it */
    OP_ROOT,            /* slot is the new root from here on */
    OP_MOUNT,           /* a fresh file system at a target */
    OP_BIND,            /* a path of the host's at a target */
    OP_DEV,             /* /dev: devices, links */
    OP_FILE,            /* a file in memory at a target */
    OP_SOCKET,          /* a listening socket at a target */
    OP_ATTACH,          /* slot at a target */
    OP_MASK,            /* nothing to be seen at a path */
    OP_READONLY,        /* nothing to be changed beneath a path */
    OP_PIVOT,           /* the root becomes "/", the host's goes away */
    OP_LOOPBACK,        /* brings lo up */
    OP_HOSTNAME,
    OP_KEYRING,
    OP_TTY,
    OP_STDIO,
    OP_CWD,
    OP_RLIMIT,
    OP_ROOT_READONLY,
    OP_NO_NEW_PRIVILEGES,
    OP_SECCOMP,
    OP_BOUNDING,
    OP_USER,
    OP_CAPABILITIES,
    OP_TRACER, /* nothing is mounted: slot is the root of the program that OP_EXEC starts */
    OP_TARGET, /* makes sure that a target is there: a file, or a directory */
    OP_EXEC,
};

enum sandbox_op_flags {
    OP_FLAG_READONLY = 1,
    OP_FLAG_USERXATTR = 2,
    OP_FLAG_CLASSIC = 4,     /* mount(2) instead of move_mount */
    OP_FLAG_KERNEL = 8,      /* the target must be an ordinary directory: no symlinks */
    OP_FLAG_BIND_NODES = 16, /* /dev: bind the host's nodes, instead of making them */
    OP_FLAG_NODEV = 32,      /* device nodes that a step makes there cannot be opened */
    OP_FLAG_DEVICE = 64,     /* a node that the step was given: it can be opened */
    OP_FLAG_OR_BIND = 128,   /* where it cannot be mounted, what this process has there */
    OP_FLAG_TARGET_MODE =
        256, /* the mode of the directory that it covers, if there was one */
};

/* What the members mean is said in plan.c, beside the function that writes each operation.
 */
struct sandbox_op {
    uint32_t code;
    uint32_t flags;
    int32_t slot;
    uint32_t count;
    uint32_t text;
    uint32_t target;
    uint32_t data;
    uint32_t number;
    uint64_t a;
    uint64_t b;
};

/* cooper to helper, with two descriptors: the helper's end of the step's socket, the plan.
 * `slot_count` more wait in that socket, SANDBOX_SLOTS_PER_PACKET at a time. */
struct sandbox_request {
    uint32_t op_count;
    uint32_t slot_count; /* that are sent; slots past them start empty */
    uint64_t clone_flags;
    uint64_t plan_size;
};

/* Linux: SCM_MAX_FD is 253. */
#define SANDBOX_SLOTS_PER_PACKET 250u
/* Layers of several snapshots in one step; the helper's descriptors bound it as well. */
#define SANDBOX_SLOTS_MAX 4096u
/* Arguments, environment (2 MiB at most for execve), secrets and filter of one step. */
#define SANDBOX_PLAN_MAX ((uint64_t)64 << 20)

enum sandbox_message_kind {
    SANDBOX_MESSAGE_STUB = 1, /* child: `path` was created in the root */
    SANDBOX_MESSAGE_TTY,      /* child: the terminal's master comes along */
    SANDBOX_MESSAGE_LISTENER, /* child: socket number `value`, which listens, comes along */
    SANDBOX_MESSAGE_NETWORK,  /* child: the network namespace comes along */
    SANDBOX_MESSAGE_FAILED,   /* child: operation `op` failed with `sys` */
    SANDBOX_MESSAGE_EXIT,     /* helper: the step has ended; nothing follows */
    SANDBOX_MESSAGE_SIGNAL,   /* to the helper: send `value` */
};

struct sandbox_message {
    uint32_t kind;
    uint32_t op;    /* index of the operation; UINT32_MAX: the helper's clone3 */
    uint32_t code;  /* enum sandbox_opcode */
    int32_t sys;    /* errno */
    int32_t value;  /* exit code, or minus the signal; a signal to send */
    uint32_t spare; /* zero: no padding with old stack content */
    uint64_t user_us;
    uint64_t system_us;
    uint64_t max_rss;
};

/* The exit code of a child whose plan failed; cooper goes by the message, not by this. */
#define SANDBOX_CHILD_FAILED 125
