/*
 * One thread a socket: reads whole requests of its clients, asks the agent one after the
 * other, answers.
 */
#include "builder/ssh.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REQUEST_IDENTITIES = 11,
    SIGN_REQUEST = 13,
    AGENT_FAILURE = 5,
    /* OpenSSH's limit for a message of an agent. */
    MESSAGE_MAX = 256 << 10,
    CLIENTS_MAX = 64,
    HEADER_SIZE = 4,
};

struct client {
    int fd; /* -1: free */
    struct buf in;
};

struct build_ssh_forwarder {
    int listener;
    int agent; /* -1: lost */
    int stop;  /* an eventfd: readable when it is time to end */
    pthread_t thread;
    struct client clients[CLIENTS_MAX];
};

bool build_ssh_may_ask(uint8_t type)
{
    return type == REQUEST_IDENTITIES || type == SIGN_REQUEST;
}

static uint32_t read_size(const char *bytes)
{
    uint32_t size = 0;

    for (size_t i = 0; i < HEADER_SIZE; i++)
        size = size << 8 | (uint8_t)bytes[i];
    return size;
}

/* Waits until `fd` can be used; false if it is time to end. */
static bool await(const struct build_ssh_forwarder *f, int fd, short events)
{
    struct pollfd polls[2] = {{.fd = f->stop, .events = POLLIN},
                              {.fd = fd, .events = events}};

    while (poll(polls, 2, -1) < 0)
        if (errno != EINTR)
            return false;
    return polls[0].revents == 0;
}

/* All sockets are non-blocking, so that a silent peer cannot hold up the end. */
static bool send_all(const struct build_ssh_forwarder *f,
                     int fd,
                     const char *data,
                     size_t size)
{
    while (size > 0) {
        const ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if ((errno != EAGAIN && errno != EINTR) || !await(f, fd, POLLOUT)) {
            return false;
        }
    }
    return true;
}

static bool receive_all(const struct build_ssh_forwarder *f,
                        int fd,
                        struct buf *out,
                        size_t size)
{
    while (size > 0) {
        char *const space = buf_reserve(out, size);
        const ssize_t n = space ? recv(fd, space, size, 0) : 0;

        if (n > 0) {
            buf_commit(out, (size_t)n);
            size -= (size_t)n;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR) || !await(f, fd, POLLIN)) {
            return false;
        }
    }
    return true;
}

static bool ask_agent(struct build_ssh_forwarder *f,
                      struct view request,
                      struct buf *answer)
{
    return f->agent >= 0 && send_all(f, f->agent, request.data, request.size) &&
           receive_all(f, f->agent, answer, HEADER_SIZE) &&
           read_size(answer->data) <= MESSAGE_MAX - HEADER_SIZE &&
           receive_all(f, f->agent, answer, read_size(answer->data));
}

/* False: the client is to be dropped. */
static bool answer(struct build_ssh_forwarder *f, int client, struct view request)
{
    static const char failure[] = {0, 0, 0, 1, AGENT_FAILURE};
    CLEANUP(buf_release) struct buf reply = BUF_INIT(MESSAGE_MAX);

    if (!build_ssh_may_ask((uint8_t)request.data[HEADER_SIZE]))
        return send_all(f, client, failure, sizeof failure);
    if (ask_agent(f, request, &reply))
        return send_all(f, client, reply.data, reply.size);
    /* After half an answer nothing that follows would make sense. */
    fd_closep(&f->agent);
    return send_all(f, client, failure, sizeof failure);
}

static void client_close(struct client *c)
{
    fd_closep(&c->fd);
    buf_release(&c->in);
}

/* Reads what is there and answers all whole requests. */
static bool client_step(struct build_ssh_forwarder *f, struct client *c)
{
    char chunk[4096];
    const ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    buf_append(&c->in, chunk, (size_t)n);
    while (c->in.size >= HEADER_SIZE) {
        const size_t size = HEADER_SIZE + (size_t)read_size(c->in.data);
        CLEANUP(buf_release) struct buf rest = BUF_INIT(MESSAGE_MAX);

        if (c->in.failed || size == HEADER_SIZE || size > MESSAGE_MAX)
            return false;
        if (c->in.size < size)
            return true;
        if (!answer(f, c->fd, view_sub(buf_view(&c->in), 0, size)))
            return false;
        buf_append_view(&rest, view_sub(buf_view(&c->in), size, c->in.size - size));
        buf_clear(&c->in);
        buf_append_view(&c->in, buf_view(&rest));
    }
    return true;
}

static void client_accept(struct build_ssh_forwarder *f)
{
    const int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        if (f->clients[i].fd >= 0)
            continue;
        f->clients[i].fd = fd;
        /* Room for one message and what was read past it. */
        buf_init(&f->clients[i].in, 2 * (size_t)MESSAGE_MAX);
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void *serve(void *opaque)
{
    struct build_ssh_forwarder *f = opaque;

    for (;;) {
        struct pollfd polls[CLIENTS_MAX + 2] = {{.fd = f->stop, .events = POLLIN},
                                                {.fd = f->listener, .events = POLLIN}};

        for (size_t i = 0; i < CLIENTS_MAX; i++)
            polls[i + 2] =
                (struct pollfd){.fd = f->clients[i].fd, .events = POLLIN}; /* -1: ignored */
        if (poll(polls, CLIENTS_MAX + 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (polls[0].revents)
            return NULL;
        if (polls[1].revents)
            client_accept(f);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
            if (polls[i + 2].revents && !client_step(f, &f->clients[i]))
                client_close(&f->clients[i]);
    }
}

static void forwarder_free(struct build_ssh_forwarder *f)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        client_close(&f->clients[i]);
    fd_closep(&f->listener);
    fd_closep(&f->agent);
    fd_closep(&f->stop);
    free(f);
}

struct build_ssh_forwarder *build_ssh_forward(int listener, int agent, struct error *err)
{
    struct build_ssh_forwarder *f = base_alloc(sizeof *f);

    f->listener = listener;
    f->agent = agent;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        f->clients[i].fd = -1;
    f->stop = eventfd(0, EFD_CLOEXEC);
    if (f->stop >= 0 && fcntl(agent, F_SETFL, O_NONBLOCK) == 0) {
        errno = pthread_create(&f->thread, NULL, serve, f);
        if (errno == 0)
            return f;
    }
    (void)error_sys(err, "forward an ssh agent");
    forwarder_free(f);
    return NULL;
}

void build_ssh_forwarder_stop(struct build_ssh_forwarder *f)
{
    if (!f)
        return;
    (void)!eventfd_write(f->stop, 1); /* a fresh counter takes it */
    pthread_join(f->thread, NULL);
    forwarder_free(f);
}
