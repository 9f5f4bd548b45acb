#include "builder/sandbox/helper.h"

#include "builder/sandbox/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND UINT64_C(0x100000000)
#endif

struct step {
    int socket;
    int pidfd;
};

struct helper {
    int control;
    int epoll;
    bool plain; /* no pid namespace ends what a step leaves behind */
    unsigned step_count;
};

static void close_slots(int *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(slots[i]);
}

/* Receives one packet with at most `max` descriptors; its size, or -1. */
static ssize_t receive(int fd, void *data, size_t size, int *fds, size_t max, size_t *count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * SANDBOX_SLOTS_PER_PACKET)];
    } control;
    struct iovec part = {data, size};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = CMSG_SPACE(sizeof(int) * max)};
    const ssize_t got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);

    *count = 0;
    if (got < 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&packet); c; c = CMSG_NXTHDR(&packet, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + *count, CMSG_DATA(c), n * sizeof(int));
        *count += n;
    }
    return got;
}

/* All packets were sent before the request that announces them. */
static bool receive_slots(int socket, int *slots, size_t count)
{
    size_t have = 0;

    while (have < count) {
        size_t got = 0;
        char byte;
        const size_t left = count - have;
        if (receive(socket, &byte, 1, slots + have,
                    left < SANDBOX_SLOTS_PER_PACKET ? left : SANDBOX_SLOTS_PER_PACKET,
                    &got) != 1 ||
            got == 0) {
            close_slots(slots, have);
            return false;
        }
        have += got;
    }
    return true;
}

static void send_message(int socket, const struct sandbox_message *message)
{
    while (send(socket, message, sizeof *message, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static void send_failure(int socket, int error)
{
    struct sandbox_message message = {
        .kind = SANDBOX_MESSAGE_FAILED, .op = UINT32_MAX, .sys = error};

    send_message(socket, &message);
    message = (struct sandbox_message){.kind = SANDBOX_MESSAGE_EXIT,
                                       .value = SANDBOX_CHILD_FAILED};
    send_message(socket, &message);
}

/*
 * Only namespaces that shut the step in are asked for, never one that it would share with
 * another step; they belong to the user namespace of cooper, in which the step will have no
 * CAP_SYS_ADMIN.
 */
static int clone_child(struct helper *h,
                       struct sandbox_child *child,
                       uint64_t flags,
                       int *pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    long pid = syscall(SYS_clone3, &args, sizeof args);

    /* Filters of containers refuse clone3 to make programs take the older call; signal
     * handlers are the helper's: none. */
    if (pid < 0 && errno == ENOSYS)
        pid = syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, 0, pidfd, 0, 0);
    if (pid == 0) {
        close(h->control);
        sandbox_child_run(child);
    }
    return pid < 0 ? -1 : 0;
}

static void watch(struct helper *h, struct step *step)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = step};

    epoll_ctl(h->epoll, EPOLL_CTL_ADD, step->socket, &event);
    epoll_ctl(h->epoll, EPOLL_CTL_ADD, step->pidfd, &event);
}

/* 0, or an errno. The socket stays open in the step if there is one. */
static int start_mapped(struct helper *h,
                        const struct sandbox_request *request,
                        struct sandbox_child *child)
{
    if (!sandbox_plan_valid(child->plan, child->plan_size, request->op_count,
                            child->slot_count))
        return EINVAL;
    struct step *const step = malloc(sizeof *step);
    if (!step)
        return ENOMEM;
    step->socket = child->socket;
    if (clone_child(h, child, request->clone_flags, &step->pidfd) < 0) {
        const int saved = errno;
        free(step);
        return saved;
    }
    watch(h, step);
    h->step_count++;
    return 0;
}

/* --- Without namespaces --- */

/* Kills what became a child of this process; what those leave is a child the next time.
 * Ends, as nothing can be started any more by who is dead. */
static void kill_orphans(void)
{
    enum { TEXT_SIZE = 4096 };
    char text[TEXT_SIZE];

    for (;;) {
        const int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        if (fd >= 0)
            close(fd);
        if (size <= 0)
            return;
        /* What does not fit comes the next time: no number is cut. */
        while (size == sizeof text - 1 && text[size - 1] != ' ')
            size--;
        text[size] = '\0';
        for (char *at = text, *end; *at; at = end) {
            const pid_t pid = (pid_t)strtol(at, &end, 10);

            if (end == at || pid <= 0)
                break;
            kill(pid, SIGKILL);
            while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
                ;
        }
    }
}

static _Noreturn void end(const struct helper *h)
{
    if (h->plain)
        kill_orphans();
    _exit(0);
}

static int start_step(struct helper *h,
                      const struct sandbox_request *request,
                      int socket,
                      int plan)
{
    if (request->plan_size > SANDBOX_PLAN_MAX || request->slot_count > SANDBOX_SLOTS_MAX)
        return EINVAL;
    int *const slots = calloc(request->slot_count + 1u, sizeof *slots);
    char *const map =
        mmap(NULL, request->plan_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, plan, 0);
    int result = slots && map != MAP_FAILED ? 0 : ENOMEM;

    if (result == 0 && !receive_slots(socket, slots, request->slot_count))
        result = EMFILE;
    if (result == 0) {
        struct sandbox_child child = {
            .plan = map,
            .plan_size = request->plan_size,
            .op_count = request->op_count,
            .slots = slots,
            .slot_count = request->slot_count,
            .socket = socket,
            .root = -1,
            .dev = -1,
        };
        result = start_mapped(h, request, &child);
        close_slots(slots, request->slot_count);
    }
    if (map != MAP_FAILED)
        munmap(map, request->plan_size);
    free(slots);
    return result;
}

static void take_request(struct helper *h)
{
    struct sandbox_request request;
    int fds[2] = {-1, -1};
    size_t count = 0;
    const ssize_t got = receive(h->control, &request, sizeof request, fds, 2, &count);

    if (got == 0)
        end(h);
    if (got == (ssize_t)sizeof request && count == 2) {
        const int result = start_step(h, &request, fds[0], fds[1]);
        close(fds[1]);
        if (result == 0)
            return;
        send_failure(fds[0], result);
        close(fds[0]);
        return;
    }
    /* Without descriptors left the requester sees its end close. */
    close_slots(fds, count);
}

static void kill_step(const struct step *step, int signal)
{
    syscall(SYS_pidfd_send_signal, step->pidfd, signal, NULL, 0);
}

/* cooper speaks only to send a signal; when it closes the socket, or dies, the step ends.
 * The step's first process takes its whole pid namespace with it. */
static void heed_socket(struct helper *h, struct step *step)
{
    struct sandbox_message message;
    const ssize_t got = recv(step->socket, &message, sizeof message, MSG_DONTWAIT);

    if (got == (ssize_t)sizeof message && message.kind == SANDBOX_MESSAGE_SIGNAL) {
        kill_step(step, message.value);
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    kill_step(step, SIGKILL);
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, step->socket, NULL);
}

static uint64_t microseconds(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* Closing alone would not end the watch while a child of another step, on its way to
 * execve, still holds copies. */
static void forget(struct helper *h, struct step *step)
{
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, step->socket, NULL);
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, step->pidfd, NULL);
    close(step->socket);
    close(step->pidfd);
    free(step);
}

/* True if the step has ended and is gone. */
static bool reap(struct helper *h, struct step *step)
{
    struct rusage usage = {0};
    siginfo_t info = {0};

    if (syscall(SYS_waitid, P_PIDFD, step->pidfd, &info, WEXITED | WNOHANG, &usage) < 0 ||
        info.si_pid == 0)
        return false;
    const struct sandbox_message message = {
        .kind = SANDBOX_MESSAGE_EXIT,
        .value = info.si_code == CLD_EXITED ? info.si_status : -info.si_status,
        .user_us = microseconds(&usage.ru_utime),
        .system_us = microseconds(&usage.ru_stime),
        .max_rss = (uint64_t)usage.ru_maxrss * 1024,
    };
    if (--h->step_count == 0 && h->plain)
        kill_orphans();
    send_message(step->socket, &message);
    forget(h, step);
    return true;
}

/* Nothing of cooper's that could be pinned, signalled or read through this process. */
static int detach(int control, bool plain)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* One that has to clear up sees cooper's end by its socket. */
    prctl(plain ? PR_SET_CHILD_SUBREAPER : PR_SET_PDEATHSIG, plain ? 1 : SIGKILL);
    prctl(PR_SET_NAME, "cooper-sandbox");
    setsid();
    if (dup3(control, STDERR_FILENO + 1, O_CLOEXEC) < 0 && errno != EINVAL)
        return -1;
    close_range(STDERR_FILENO + 2, ~0U, 0);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || chdir("/") < 0)
        return -1;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0)
        dup2(null, STDERR_FILENO);
    close(null);
    return STDERR_FILENO + 1;
}

static _Noreturn void serve(int control, bool plain)
{
    struct helper h = {.control = detach(control, plain),
                       .epoll = epoll_create1(EPOLL_CLOEXEC),
                       .plain = plain};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    if (h.control < 0 || h.epoll < 0 ||
        epoll_ctl(h.epoll, EPOLL_CTL_ADD, h.control, &event) < 0)
        _exit(1);
    for (;;) {
        /* One at a time: handling it may free the step that the next one is about. */
        if (epoll_wait(h.epoll, &event, 1, -1) != 1)
            continue;
        struct step *const step = event.data.ptr;
        if (!step)
            take_request(&h);
        else if (!reap(&h, step))
            heed_socket(&h, step);
    }
}

void sandbox_helper_run(int control)
{
    serve(control, false);
}

void sandbox_helper_run_plain(int control)
{
    serve(control, true);
}
