#include "builder/sandbox/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(sizeof(char *) == sizeof(uint64_t),
              "tables of a plan become pointers in place");

const char *child_text(const struct sandbox_child *child, uint32_t offset)
{
    return offset ? child->plan + offset : NULL;
}

static void send_packet(int socket, struct iovec *parts, size_t count, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = count};

    if (fd >= 0) {
        packet.msg_control = control.bytes;
        packet.msg_controllen = sizeof control.bytes;
        struct cmsghdr *const c = CMSG_FIRSTHDR(&packet);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        *(int *)(void *)CMSG_DATA(c) = fd;
    }
    /* If cooper is gone nobody minds, and the helper is about to kill this process. */
    while (sendmsg(socket, &packet, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

void child_send(const struct sandbox_child *child,
                const struct sandbox_message *message,
                const char *path,
                int fd)
{
    size_t path_size = 0;
    while (path && path[path_size])
        path_size++;
    struct iovec parts[2] = {
        {(void *)(uintptr_t)message, sizeof *message},
        {(void *)(uintptr_t)path, path_size},
    };

    send_packet(child->socket, parts, 2, fd);
}

static int host_name(const struct sandbox_child *child, const struct sandbox_op *op)
{
    const char *name = child_text(child, op->text);
    size_t size = 0;

    while (name && name[size])
        size++;
    /* A filter of the container around cooper may refuse it: the container's is shown. */
    return sethostname(name, size) < 0 && errno != EPERM ? -1 : 0;
}

/* The kernel goes by the rights of whoever opened the file. */
static int join_cgroup(struct sandbox_child *child, const struct sandbox_op *op)
{
    return write(child->slots[op->slot], "0", 1) == 1 ? 0 : -1;
}

/* What this process may not write, or this kernel does not have, bounds nothing. */
static void write_setting(const char *path, const char *value)
{
    const int fd = value ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    size_t size = 0;

    if (fd < 0)
        return;
    while (value[size])
        size++;
    (void)!write(fd, value, size);
    close(fd);
}

/*
 * The number of processes is that of the step's own pid namespace: sandbox_host_look knows
 * that this kernel has one for each, or the plan has none to be written. When memory runs
 * out the kernel looks at a step first, rather than at whoever else the machine serves.
 */
static int bound_processes(const struct sandbox_child *child, const struct sandbox_op *op)
{
    write_setting("/proc/sys/kernel/pid_max", child_text(child, op->text));
    write_setting("/proc/self/oom_score_adj", child_text(child, op->target));
    return 0;
}

/* A step must not hold the keys of whoever started cooper. Where keys cannot be had at all
 * (no such kernel, a filter around cooper, no quota) keyctl is out of reach for the step by
 * its own filter too. */
static int new_keyring(void)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
        return 0;
    return errno == ENOSYS || errno == EPERM || errno == EACCES || errno == EDQUOT ? 0 : -1;
}

/* After pivot_root, so this is the step's own devpts, at a place that is no symlink. */
static int open_terminal(struct sandbox_child *child, const struct sandbox_op *op)
{
    const struct sandbox_message message = {.kind = SANDBOX_MESSAGE_TTY};
    const struct winsize size = {.ws_row = (unsigned short)(op->b >> 16),
                                 .ws_col = (unsigned short)op->b};
    const int unlocked = 0;
    const int fd =
        openat(child->dev, "pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || ioctl(fd, TIOCSPTLCK, &unlocked) < 0)
        return -1;
    const int slave = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || fchown(slave, (uid_t)op->a, (gid_t)-1) < 0 ||
        ioctl(slave, TIOCSCTTY, 0) < 0 || (op->b != 0 && ioctl(fd, TIOCSWINSZ, &size) < 0))
        return -1;
    child_send(child, &message, NULL, fd);
    close(fd);
    for (int i = 0; i <= STDERR_FILENO; i++)
        if (dup2(slave, i) < 0)
            return -1;
    return 0;
}

/* A pipe belongs to the step's user then, so that it can open /dev/stdout; anything else is
 * the caller's and keeps its owner. */
static int give_stdio(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int to = (int)op->number;
    struct stat st;
    int from = op->slot >= 0 ? child->slots[op->slot] : -1;

    if (from < 0)
        from = openat(child->dev, "null", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0 || dup2(from, to) < 0)
        return -1;
    if (op->a != 0 && fstat(to, &st) == 0 && S_ISFIFO(st.st_mode) &&
        fchown(to, (uid_t)op->a, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
        return -1; /* a user that is not mapped is OP_USER's to report */
    return 0;
}

static int enter_directory(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int fd = child_directory(child, child_text(child, op->text), (uid_t)(op->a >> 32),
                                   (gid_t)(op->a & UINT32_MAX));

    if (fd < 0)
        return -1;
    const int result = fchdir(fd);
    close(fd);
    return result;
}

/* More than cooper itself may have cannot be given; the step then has what cooper has. */
static int limit_resource(const struct sandbox_op *op)
{
    struct rlimit limit = {.rlim_cur = op->a, .rlim_max = op->b};
    struct rlimit own;

    if (setrlimit((__rlimit_resource_t)op->number, &limit) == 0)
        return 0;
    if (errno != EPERM || getrlimit((__rlimit_resource_t)op->number, &own) < 0)
        return -1;
    limit.rlim_max = own.rlim_max;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    return setrlimit((__rlimit_resource_t)op->number, &limit);
}

/* Before the capabilities go, as it needs CAP_SYS_ADMIN without no_new_privs; the calls
 * that follow here are among those that the filter allows. */
static int install_filter(struct sandbox_child *child, const struct sandbox_op *op)
{
    const struct sock_fprog program = {
        .len = (unsigned short)op->count,
        .filter = (struct sock_filter *)(void *)(child->plan + op->data),
    };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/*
 * The same for the filter whose calls cooper answers, which gets the listener. Such a call
 * stays stopped until then; once it is answered by a signal it cannot be interrupted but by
 * being killed, as it may have been carried out already (Linux 5.19).
 */
static int install_notifier(struct sandbox_child *child, const struct sandbox_op *op)
{
    const unsigned killable = 1u << 5; /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
    const struct sock_fprog program = {
        .len = (unsigned short)op->count,
        .filter = (struct sock_filter *)(void *)(child->plan + op->data),
    };
    struct iovec part = {(void *)(uintptr_t) "", 1};
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      SECCOMP_FILTER_FLAG_NEW_LISTENER | killable, &program);

    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                     &program);
    if (fd < 0)
        return -1;
    send_packet(child->slots[op->slot], &part, 1, (int)fd);
    close((int)fd);
    close(child->slots[op->slot]);
    child->slots[op->slot] = -1;
    return 0;
}

/* What is not in the bounding set no setuid program or file capability brings back. */
static int bound_capabilities(const struct sandbox_op *op)
{
    for (int cap = 0; cap < 64; cap++) {
        if (op->a & (UINT64_C(1) << cap))
            continue;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
            continue;
        if (errno != EINVAL)
            return -1;
        break; /* past the last one that this kernel knows */
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* Raw system calls: glibc's versions want to tell all threads, of which there are none. */
static int become_user(struct sandbox_child *child, const struct sandbox_op *op)
{
    const uid_t uid = (uid_t)(op->a >> 32);
    const gid_t gid = (gid_t)(op->a & UINT32_MAX);

    if (op->number && syscall(SYS_setgroups, op->count, child->plan + op->data) < 0)
        return -1;
    if (syscall(SYS_setresgid, gid, gid, gid) < 0)
        return -1;
    return (int)syscall(SYS_setresuid, uid, uid, uid);
}

/* Never more than is there: cooper may itself run with less than Docker's set. */
static int set_capabilities(const struct sandbox_op *op)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(op->a >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &header, data);
}

/* Offsets become pointers, in the child's private copy of the plan. */
static char **pointer_table(struct sandbox_child *child, uint32_t offset, uint32_t count)
{
    uint64_t *const table = (uint64_t *)(void *)(child->plan + offset);

    for (uint32_t i = 0; i < count; i++)
        table[i] = (uint64_t)(uintptr_t)(child->plan + table[i]);
    return (char **)(void *)table;
}

static bool has_slash(const char *name)
{
    while (*name && *name != '/')
        name++;
    return *name != '\0';
}

/* Looks a program up in PATH as execvp does: the first that can be executed. */
static int exec_in_path(char **argv, char **env, const char *path)
{
    char file[4096]; /* the kernel's limit for a path */
    int failure = ENOENT;

    while (*path) {
        size_t size = 0;
        for (; *path && *path != ':'; path++)
            if (size < sizeof file - 1)
                file[size++] = *path;
        path += *path == ':';
        if (size == 0 || file[0] != '/')
            continue; /* of the working directory: Docker does not search there */
        file[size++] = '/';
        for (const char *name = argv[0]; *name && size < sizeof file - 1; name++)
            file[size++] = *name;
        if (size >= sizeof file - 1)
            continue;
        file[size] = '\0';
        execve(file, argv, env);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            return -1;
        if (errno == EACCES)
            failure = EACCES;
    }
    errno = failure;
    return -1;
}

static int execute(struct sandbox_child *child, const struct sandbox_op *op)
{
    char **const argv = pointer_table(child, op->text, op->count);
    char **const env = pointer_table(child, op->data, op->number);
    const char *path = child_text(child, op->target);

    umask(022);
    /* Whatever is open, the step gets its three only. The socket lives until execve, to
     * tell if that fails. */
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return -1;
    if (has_slash(argv[0]) || argv[0][0] == '\0')
        return execve(argv[0], argv, env);
    return exec_in_path(argv, env, path ? path : "");
}

/*
 * Without namespaces (plan_plain.c): /dev is what the process has, the root is a directory
 * like any other. Whatever ends the helper ends this process, the tracer then all that it
 * traces.
 */
static int enter_tracer(struct sandbox_child *child, const struct sandbox_op *op)
{
    child->root = child->slots[op->slot];
    child->dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return child->dev < 0 ? -1 : prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static int make_target(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int fd =
        child_target(child, child_text(child, op->target),
                     op->number ? CHILD_TARGET_DIRECTORY : CHILD_TARGET_FILE, false);

    return fd < 0 ? -1 : close(fd);
}

static int carry_out(struct sandbox_child *child, const struct sandbox_op *op)
{
    switch ((enum sandbox_opcode)op->code) {
    case OP_CGROUP:
        return join_cgroup(child, op);
    case OP_CGROUP_NAMESPACE:
        return unshare(CLONE_NEWCGROUP);
    case OP_PROCESSES:
        return bound_processes(child, op);
    case OP_NOTIFY:
        return install_notifier(child, op);
    case OP_NETWORK:
        return child_make_network(child, op);
    case OP_OVERLAY:
        return child_overlay(child, op);
    case OP_TREE:
        return child_tree(child, op);
    case OP_NETNS:
        return child_join_network(child, op);
    case OP_UNSHARE:
        return child_unshare();
    case OP_REOPEN:
        return child_reopen(child, op);
    case OP_CLASSIC_OVERLAY:
        return child_classic_overlay(child, op);
    case OP_CLASSIC_SELF:
        return child_classic_self(child, op);
    case OP_STAGE:
        return child_stage(child, op);
    case OP_SUBTREE:
        return child_subtree(child, op);
    case OP_ROOT:
        return child_root(child, op);
    case OP_MOUNT:
        return child_mount(child, op);
    case OP_BIND:
        return child_bind(child, op);
    case OP_DEV:
        return child_dev(child, op);
    case OP_FILE:
        return child_file(child, op);
    case OP_SOCKET:
        return child_socket(child, op);
    case OP_ATTACH:
        return child_attach(child, op);
    case OP_MASK:
        return child_mask(child, op);
    case OP_READONLY:
        return child_readonly(child, op);
    case OP_PIVOT:
        return child_pivot(child);
    case OP_LOOPBACK:
        return child_loopback();
    case OP_HOSTNAME:
        return host_name(child, op);
    case OP_KEYRING:
        return new_keyring();
    case OP_TTY:
        return open_terminal(child, op);
    case OP_STDIO:
        return give_stdio(child, op);
    case OP_CWD:
        return enter_directory(child, op);
    case OP_RLIMIT:
        return limit_resource(op);
    case OP_ROOT_READONLY:
        return child_root_readonly();
    case OP_NO_NEW_PRIVILEGES:
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case OP_SECCOMP:
        return install_filter(child, op);
    case OP_BOUNDING:
        return bound_capabilities(op);
    case OP_USER:
        return become_user(child, op);
    case OP_CAPABILITIES:
        return set_capabilities(op);
    case OP_TRACER:
        return enter_tracer(child, op);
    case OP_TARGET:
        return make_target(child, op);
    case OP_EXEC:
        return execute(child, op);
    }
    errno = EINVAL;
    return -1;
}

void sandbox_child_run(struct sandbox_child *child)
{
    const struct sandbox_op *ops = (const struct sandbox_op *)(const void *)child->plan;
    struct sandbox_message failure = {.kind = SANDBOX_MESSAGE_FAILED};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(0);
    /* Away from the terminal that cooper may have: no TIOCSTI, no signals from its keys. */
    int result = (int)setsid() < 0 ? -1 : 0;
    for (uint32_t i = 0; result == 0 && i < child->op_count; i++) {
        failure.op = i;
        failure.code = ops[i].code;
        result = carry_out(child, &ops[i]);
    }
    failure.sys = result < 0 ? errno : 0;
    child_send(child, &failure, NULL, -1);
    _exit(SANDBOX_CHILD_FAILED);
}
