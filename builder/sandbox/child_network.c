#include "builder/sandbox/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The namespace was made by cooper for its build; the step gets no descriptor of it. */
int child_join_network(struct sandbox_child *child, const struct sandbox_op *op)
{
    return setns(child->slots[op->slot], CLONE_NEWNET);
}

/* In a namespace that is new and this step's own. */
int child_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    const int result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

/* The namespace of the process that asks, put in place of `fd`. */
static int name_network(int fd)
{
    const int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    return own < 0 ? -1 : child_close_after(own, dup3(own, fd, O_CLOEXEC));
}

/*
 * A namespace of its own for a moment's child, which shares this process's descriptors:
 * without root nobody comes back from a namespace that he made into the host's. `fd`
 * becomes the new one.
 */
static int fork_network(int fd)
{
    struct clone_args args = {
        .flags = CLONE_NEWNET | CLONE_FILES | CLONE_VFORK,
        .exit_signal = SIGCHLD,
    };
    siginfo_t info = {0};
    const long pid = syscall(SYS_clone3, &args, sizeof args);

    if (pid == 0)
        _exit(child_loopback() < 0 || name_network(fd) < 0 ? errno & 0xff : 0);
    if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED) < 0)
        return -1;
    errno = info.si_code == CLD_EXITED ? info.si_status : ECHILD;
    return errno == 0 ? 0 : -1;
}

/* In a mount namespace that only the service will see. */
static int show_network(struct sandbox_child *child,
                        const struct sandbox_op *op,
                        int network)
{
    const struct child_fd_path from = child_fd_path(network);
    const char *target = child_text(child, op->target);

    if (child_unshare() < 0 ||
        mount("tmpfs", child_text(child, op->text), "tmpfs",
              MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=4k") < 0)
        return -1;
    const int fd = open(target, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    close(fd);
    return mount(from.text, target, NULL, MS_BIND, NULL);
}

int child_make_network(struct sandbox_child *child, const struct sandbox_op *op)
{
    const struct sandbox_message message = {.kind = SANDBOX_MESSAGE_NETWORK};
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (fork_network(fd) < 0 || show_network(child, op, fd) < 0)
        return child_close_after(fd, -1);
    child_send(child, &message, NULL, fd);
    close(fd);
    return 0;
}
