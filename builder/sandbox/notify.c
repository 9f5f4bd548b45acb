#include "builder/sandbox/notify_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.6: whoever waits runs on the processor of who answers; a hint. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define SYNC_WAKE_UP 1ul

/* Of the machine's calls, those that notify_filter.c stops. */
static const struct {
    int number;
    notify_handler *handler;
} handlers[] = {
#ifdef SYS_chown
    {SYS_chown, notify_chown},         {SYS_lchown, notify_lchown},
#endif
    {SYS_fchown, notify_fchown},       {SYS_fchownat, notify_fchownat},
#ifdef SYS_stat
    {SYS_stat, notify_stat},           {SYS_lstat, notify_lstat},
#endif
    {SYS_fstat, notify_fstat},         {SYS_newfstatat, notify_newfstatat},
    {SYS_statx, notify_statx},
#ifdef SYS_mknod
    {SYS_mknod, notify_mknod},
#endif
    {SYS_mknodat, notify_mknodat},
#ifdef SYS_mkdir
    {SYS_mkdir, notify_mkdir},         {SYS_symlink, notify_symlink},
    {SYS_creat, notify_creat},         {SYS_open, notify_sys_open},
#endif
    {SYS_mkdirat, notify_mkdirat},     {SYS_symlinkat, notify_symlinkat},
    {SYS_openat, notify_openat},       {SYS_setuid, notify_setuid},
    {SYS_setgid, notify_setgid},       {SYS_setreuid, notify_setreuid},
    {SYS_setregid, notify_setregid},   {SYS_setresuid, notify_setresuid},
    {SYS_setresgid, notify_setresgid}, {SYS_setfsuid, notify_setfsuid},
    {SYS_setfsgid, notify_setfsgid},   {SYS_setgroups, notify_setgroups},
    {SYS_getuid, notify_getuid},       {SYS_getgid, notify_getgid},
    {SYS_geteuid, notify_geteuid},     {SYS_getegid, notify_getegid},
    {SYS_getresuid, notify_getresuid}, {SYS_getresgid, notify_getresgid},
    {SYS_getgroups, notify_getgroups}, {SYS_exit_group, notify_exit_group},
    {SYS_execve, notify_execve},
};

/* --- The loop --- */

/* The child sends it as soon as its filter stands; none comes if it ends before. */
static int receive_listener(int socket)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t got;
    int fd = -1;

    do
        got = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);

    const struct cmsghdr *const c = got > 0 ? CMSG_FIRSTHDR(&packet) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static struct notify_answer answer_call(const struct notify_call *c)
{
    if (notify_is_readonly(c))
        return notify_return(-EROFS);
    for (size_t i = 0; i < ARRAY_COUNT(handlers); i++)
        if (handlers[i].number == c->request->data.nr)
            return handlers[i].handler(c);
    return notify_pass();
}

static void respond(const struct sandbox_notify *n,
                    const struct seccomp_notif *request,
                    struct notify_answer answer,
                    struct seccomp_notif_resp *response)
{
    response->id = request->id;
    response->flags = answer.kind == NOTIFY_PASS ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
    if (answer.kind == NOTIFY_RETURN && answer.value < 0)
        response->error = (int)answer.value;
    else if (answer.kind == NOTIFY_RETURN)
        response->val = answer.value;
    /* One that was killed meanwhile needs no answer. */
    (void)ioctl(n->listener, SECCOMP_IOCTL_NOTIF_SEND, response);
}

/* The kernel's structures may be larger than those we know. */
struct buffers {
    struct seccomp_notif *request;
    struct seccomp_notif_resp *response;
    struct seccomp_notif_sizes sizes;
};

static void buffers_init(struct buffers *b)
{
    b->sizes = (struct seccomp_notif_sizes){0};
    (void)syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &b->sizes);
    if (b->sizes.seccomp_notif < sizeof *b->request)
        b->sizes.seccomp_notif = sizeof *b->request;
    if (b->sizes.seccomp_notif_resp < sizeof *b->response)
        b->sizes.seccomp_notif_resp = sizeof *b->response;
    b->request = base_alloc(b->sizes.seccomp_notif);
    b->response = base_alloc(b->sizes.seccomp_notif_resp);
}

static void serve_one(struct sandbox_notify *n, struct buffers *b)
{
    const struct notify_call call = {.n = n, .request = b->request};

    memset(b->request, 0, b->sizes.seccomp_notif);
    memset(b->response, 0, b->sizes.seccomp_notif_resp);
    if (ioctl(n->listener, SECCOMP_IOCTL_NOTIF_RECV, b->request) < 0)
        return; /* who called was killed */
    if (n->first == 0)
        n->first = (pid_t)b->request->pid;
    respond(n, b->request, answer_call(&call), b->response);
}

/* Until no process is left that the filter could stop. */
static void serve(struct sandbox_notify *n)
{
    struct pollfd wait = {.fd = n->listener, .events = POLLIN};
    struct buffers b;

    buffers_init(&b);
    for (;;) {
        if (poll(&wait, 1, -1) < 0 && errno != EINTR)
            break;
        if (wait.revents & POLLIN)
            serve_one(n, &b);
        else if (wait.revents & (POLLHUP | POLLERR | POLLNVAL))
            break;
    }
    free(b.request);
    free(b.response);
}

static void *run(void *arg)
{
    struct sandbox_notify *const n = arg;

    /* A mask of its own: what is created has the mode that was asked for. It needs no
     * right, but filters of containers refuse unshare whatever it is for. */
    if (unshare(CLONE_FS) == 0)
        umask(0);
    else
        n->is_masked = true;
    n->listener = receive_listener(n->socket);
    if (n->listener < 0)
        return NULL;
    (void)ioctl(n->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
    serve(n);
    /* Whoever still waits gets ENOSYS. */
    fd_closep(&n->listener);
    return NULL;
}

/* --- Life --- */

static void release(struct sandbox_notify *n)
{
    fd_closep(&n->socket);
    fd_closep(&n->listener);
    fd_closep(&n->upper_fd);
    notify_people_release(n);
    free(n);
}

struct sandbox_notify *sandbox_notify_start(const struct sandbox_spec *spec,
                                            int *child_socket,
                                            struct error *err)
{
    struct sandbox_notify *const n = base_alloc(sizeof *n);
    int ends[2];

    *n = (struct sandbox_notify){.socket = -1,
                                 .listener = -1,
                                 .step_socket = -1,
                                 .ended = EXIT_UNKNOWN,
                                 .upper_fd = -1,
                                 .owners = spec->root.owners,
                                 .is_plain = true};
    if (spec->root.overlay)
        n->upper_fd = fcntl(spec->root.upper_fd, F_DUPFD_CLOEXEC, 0);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        error_sys(err, "socketpair");
        release(n);
        return NULL;
    }
    n->socket = ends[0];

    const int failure = pthread_create(&n->thread, NULL, run, n);
    if (failure != 0) {
        close(ends[1]);
        release(n);
        errno = failure;
        error_sys(err, "start a thread");
        return NULL;
    }
    *child_socket = ends[1];
    return n;
}

void sandbox_notify_stop(struct sandbox_notify *n)
{
    if (!n)
        return;
    pthread_join(n->thread, NULL);
    release(n);
}

void sandbox_notify_stopp(struct sandbox_notify **n)
{
    const int saved = errno;

    sandbox_notify_stop(*n);
    *n = NULL;
    errno = saved;
}
