#include "builder/sandbox/sandbox.h"

#include "builder/sandbox/helper.h"
#include "builder/sandbox/notify.h"
#include "builder/sandbox/plain.h"
#include "builder/sandbox/plan.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct sandbox_process {
    int socket;
    struct sandbox_plan plan;      /* to explain a failure */
    struct sandbox_notify *notify; /* where owners are recorded, else NULL */
    struct sandbox_plain *plain;   /* where nothing is shut in, else NULL */
    char **stubs;
    size_t stub_count;
    size_t stub_room;
    int tty;
    int network;
    int *listeners; /* -1: not here yet, or handed out */
    size_t listener_count;
    bool failed;
    struct sandbox_message failure;
    bool ended;
    bool lost; /* ended without a word: the helper is gone */
    struct sandbox_message end;
};

/* --- a request --- */

static int send_packet(
    int socket, const void *data, size_t size, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * SANDBOX_SLOTS_PER_PACKET)];
    } control;
    struct iovec part = {(void *)(uintptr_t)data, size};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = CMSG_SPACE(sizeof(int) * count)};

    memset(control.bytes, 0, packet.msg_controllen);
    struct cmsghdr *const c = CMSG_FIRSTHDR(&packet);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    for (;;) {
        if (sendmsg(socket, &packet, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

static int send_slots(int socket, const struct sandbox_plan *plan, struct error *err)
{
    for (size_t sent = 0; sent < plan->slot_count;) {
        const size_t left = plan->slot_count - sent;
        const size_t count =
            left < SANDBOX_SLOTS_PER_PACKET ? left : SANDBOX_SLOTS_PER_PACKET;
        if (send_packet(socket, "", 1, plan->slots + sent, count) < 0)
            return error_sys(err, "hand layers to the sandbox");
        sent += count;
    }
    return 0;
}

static int plan_to_memory(const struct sandbox_plan *plan, struct error *err)
{
    CLEANUP(fd_closep) int fd = memfd_create("sandbox-plan", MFD_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "memfd_create");
    if (fs_write_all(fd, plan->bytes.data, plan->bytes.size, err) < 0)
        return -1;
    return fd_take(&fd);
}

static int send_request(struct sandbox_helper *helper,
                        struct sandbox_process *p,
                        int their_end,
                        struct error *err)
{
    CLEANUP(fd_closep) int memory = plan_to_memory(&p->plan, err);
    const struct sandbox_request request = {
        .op_count = (uint32_t)p->plan.op_count,
        .slot_count = (uint32_t)p->plan.slot_count,
        .clone_flags = p->plan.clone_flags,
        .plan_size = p->plan.bytes.size,
    };
    const int fds[2] = {their_end, memory};

    if (memory < 0 || send_slots(p->socket, &p->plan, err) < 0)
        return -1;
    pthread_mutex_lock(&helper->lock);
    const int result = send_packet(helper->control, &request, sizeof request, fds, 2);
    const int saved = errno;
    pthread_mutex_unlock(&helper->lock);
    errno = saved;
    if (result < 0 && (errno == EPIPE || errno == ECONNRESET))
        return error_set(err, ERROR_FAILED, "the sandbox helper is gone");
    return result < 0 ? error_sys(err, "ask the sandbox helper") : 0;
}

static void process_free(struct sandbox_process *p)
{
    for (size_t i = 0; i < p->stub_count; i++)
        free(p->stubs[i]);
    free(p->stubs);
    sandbox_plan_release(&p->plan);
    fd_closep(&p->socket);
    fd_closep(&p->tty);
    fd_closep(&p->network);
    sandbox_notify_stopp(&p->notify);
    sandbox_plain_free(p->plain);
    for (size_t i = 0; i < p->listener_count; i++)
        fd_closep(&p->listeners[i]);
    free(p->listeners);
    free(p);
}

static struct sandbox_process *process_new(size_t listener_count)
{
    struct sandbox_process *const p = base_alloc(sizeof *p);

    p->socket = -1;
    p->tty = -1;
    p->network = -1;
    p->listeners = base_alloc_array(listener_count + 1, sizeof *p->listeners);
    p->listener_count = listener_count;
    for (size_t i = 0; i < listener_count; i++)
        p->listeners[i] = -1;
    return p;
}

/* With the plan made. */
static int process_start(struct sandbox_process *p,
                         struct sandbox_helper *helper,
                         struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, "socketpair");
    p->socket = ends[0];
    if (p->plain) {
        sandbox_notify_watch_end(p->notify, p->socket);
        sandbox_notify_protect(p->notify, sandbox_plain_readonly(p->plain));
    }
    const int result = send_request(helper, p, ends[1], err);
    close(ends[1]);
    return result;
}

static int spawn(struct sandbox_process *p,
                 struct sandbox_helper *helper,
                 const struct sandbox_spec *spec,
                 struct error *err)
{
    CLEANUP(fd_closep) int notify_socket = -1;

    if (spec->root.owners) {
        p->notify = sandbox_notify_start(spec, &notify_socket, err);
        if (!p->notify)
            return -1;
    }
    if (!sandbox_helper_is_plain(helper)) {
        if (sandbox_plan_make(&p->plan, spec, &helper->host, notify_socket, err) < 0)
            return -1;
        return process_start(p, helper, err);
    }
    p->plain = sandbox_plain_new(spec, p->listeners, err);
    if (!p->plain ||
        sandbox_plan_make_plain(&p->plan, spec, p->plain, notify_socket, err) < 0)
        return -1;
    return process_start(p, helper, err);
}

struct sandbox_process *sandbox_spawn(struct sandbox_helper *helper,
                                      const struct sandbox_spec *spec,
                                      struct error *err)
{
    size_t listeners = 0;

    for (size_t i = 0; i < spec->mount_count; i++)
        listeners += spec->mounts[i].type == SANDBOX_MOUNT_SOCKET;

    struct sandbox_process *const p = process_new(listeners);
    if (spawn(p, helper, spec, err) == 0)
        return p;
    process_free(p);
    return NULL;
}

struct sandbox_process *sandbox_service_spawn(struct sandbox_helper *helper,
                                              const struct sandbox_service *service,
                                              struct error *err)
{
    struct sandbox_process *const p = process_new(0);

    if (sandbox_plan_make_service(&p->plan, service, err) == 0 &&
        process_start(p, helper, err) == 0)
        return p;
    process_free(p);
    return NULL;
}

/* --- what comes back --- */

/* The longest path, and a name below it (child_target.c). */
struct incoming {
    struct sandbox_message message;
    char path[LIMIT_PATH_SIZE + LIMIT_NAME_SIZE + 3];
};

static int taken_descriptor(struct msghdr *packet)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(packet);
    int fd = -1;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static void add_stub(struct sandbox_process *p, const char *path, size_t size)
{
    p->stubs = base_grow(p->stubs, p->stub_count, &p->stub_room, sizeof *p->stubs);
    p->stubs[p->stub_count++] = base_strndup(path, size);
}

static void take_message(struct sandbox_process *p,
                         const struct incoming *in,
                         size_t path_size,
                         int fd)
{
    switch ((enum sandbox_message_kind)in->message.kind) {
    case SANDBOX_MESSAGE_STUB:
        add_stub(p, in->path, path_size);
        break;
    case SANDBOX_MESSAGE_TTY:
        fd_closep(&p->tty);
        p->tty = fd;
        return;
    case SANDBOX_MESSAGE_NETWORK:
        fd_closep(&p->network);
        p->network = fd;
        return;
    case SANDBOX_MESSAGE_LISTENER:
        if (in->message.value >= 0 && (size_t)in->message.value < p->listener_count &&
            p->listeners[in->message.value] < 0) {
            p->listeners[in->message.value] = fd;
            return;
        }
        break;
    case SANDBOX_MESSAGE_FAILED:
        p->failed = true;
        p->failure = in->message;
        break;
    case SANDBOX_MESSAGE_EXIT:
        p->ended = true;
        p->end = in->message;
        break;
    case SANDBOX_MESSAGE_SIGNAL:
        break;
    }
    fd_closep(&fd);
}

/* Takes one message; sets `ended` when there will be no more. */
static int receive(struct sandbox_process *p, struct error *err)
{
    struct incoming in;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {&in, sizeof in};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    const ssize_t got = recvmsg(p->socket, &packet, MSG_CMSG_CLOEXEC);

    if (got < 0 && errno == EINTR)
        return 0;
    if (got < 0 && errno != ECONNRESET)
        return error_sys(err, "hear from the sandbox");
    if (got < (ssize_t)sizeof in.message) {
        p->ended = true;
        p->lost = true;
        return 0;
    }
    take_message(p, &in, (size_t)got - sizeof in.message, taken_descriptor(&packet));
    return 0;
}

static int finish(const struct sandbox_process *p,
                  struct sandbox_status *status,
                  struct error *err)
{
    if (p->lost)
        return error_set(err, ERROR_FAILED, "the sandbox helper is gone");
    if (p->failed)
        return sandbox_plan_explain(&p->plan, &p->failure, err);
    int value = p->end.value;
    if (p->plain)
        (void)sandbox_notify_exit_code(p->notify, &value);
    *status = (struct sandbox_status){
        .exit_code = value < 0 ? 128 - value : value,
        .signal = value < 0 ? -value : 0,
        .user_us = p->end.user_us,
        .system_us = p->end.system_us,
        .max_rss = p->end.max_rss,
    };
    return 0;
}

int sandbox_wait(struct sandbox_process *p,
                 struct sandbox_status *status,
                 struct error *err)
{
    while (!p->ended)
        if (receive(p, err) < 0)
            return -1;
    return finish(p, status, err);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int sandbox_wait_for(struct sandbox_process *p,
                     int timeout_ms,
                     bool *done,
                     struct sandbox_status *status,
                     struct error *err)
{
    const int64_t end = now_ms() + timeout_ms;

    while (!p->ended) {
        const int64_t left = end - now_ms();
        struct pollfd poll_fd = {.fd = p->socket, .events = POLLIN};
        const int ready = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno != EINTR)
            return error_sys(err, "poll");
        if (ready > 0 && receive(p, err) < 0)
            return -1;
        if (ready == 0 && left <= 0) {
            *done = false;
            return 0;
        }
    }
    *done = true;
    return finish(p, status, err);
}

bool sandbox_exec_failed(const struct sandbox_process *p)
{
    return p->failed && p->failure.code == OP_EXEC;
}

/* Waits until the descriptor is here and hands it out; `what` it is, if it never comes. */
static int take_descriptor(struct sandbox_process *p,
                           int *fd,
                           const char *what,
                           struct error *err)
{
    struct sandbox_status status = {0};

    while (!p->ended && *fd < 0)
        if (receive(p, err) < 0)
            return -1;
    if (*fd >= 0)
        return fd_take(fd);
    if (finish(p, &status, err) < 0)
        return -1;
    return error_set(err, ERROR_INVALID, "this step has no %s", what);
}

int sandbox_tty(struct sandbox_process *p, struct error *err)
{
    return take_descriptor(p, &p->tty, "terminal", err);
}

int sandbox_service_network(struct sandbox_process *p, struct error *err)
{
    return take_descriptor(p, &p->network, "network", err);
}

int sandbox_listener(struct sandbox_process *p, size_t index, struct error *err)
{
    assert(index < p->listener_count);
    return take_descriptor(p, &p->listeners[index], "socket", err);
}

void sandbox_kill(struct sandbox_process *p)
{
    /* The helper reads the end of the stream and kills; the other direction stays open for
     * its report. */
    shutdown(p->socket, SHUT_WR);
}

void sandbox_signal(struct sandbox_process *p, int signal)
{
    const struct sandbox_message message = {.kind = SANDBOX_MESSAGE_SIGNAL,
                                            .value = signal};

    /* A step that ended meanwhile needs no signal. */
    (void)!send(p->socket, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

const char *sandbox_stub_at(const struct sandbox_process *p, size_t index)
{
    return index < p->stub_count ? p->stubs[index] : NULL;
}

void sandbox_discard(struct sandbox_process *p)
{
    struct error ignored = ERROR_INIT; /* how it ended does not matter any more */

    if (!p)
        return;
    if (!p->ended)
        sandbox_kill(p);
    while (!p->ended && receive(p, &ignored) == 0)
        ;
    error_clear(&ignored);
    process_free(p);
}

/* The helper kills what nobody holds any more. */
void sandbox_abandon(struct sandbox_process *p)
{
    if (p)
        process_free(p);
}

void sandbox_discardp(struct sandbox_process **p)
{
    const int saved = errno;

    sandbox_discard(*p);
    *p = NULL;
    errno = saved;
}
