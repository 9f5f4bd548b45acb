#include "registry/serve/listen.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/view.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel cuts it to what it allows (net.core.somaxconn). */
#define BACKLOG 4096

static int split(const char *text, char **host, char **port, struct error *err)
{
    const char *const colon = strrchr(text, ':');
    struct view name = view_sub(view_of(text), 0, colon ? (size_t)(colon - text) : 0);
    uint64_t number;

    *port = base_strdup(colon ? colon + 1 : text);
    if (view_starts(name, "[") && view_ends(name, "]"))
        name = view_sub(name, 1, name.size > 2 ? name.size - 2 : 0);
    *host = colon ? view_dup(name) : base_strdup("127.0.0.1");
    if (view_to_u64(view_of(*port), &number) && number <= UINT16_MAX &&
        (name.size > 0 || text[0] != '['))
        return 0;
    return error_set(err, ERROR_INVALID, "'%s' is not HOST:PORT", text);
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
    return a->sa_family == AF_INET &&
           ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 ==
               127;
}

static void describe(struct serve_listener *out)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    char port[8] = "0";

    if (getsockname(out->fd, (struct sockaddr *)&address, &size) < 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    out->port = (uint16_t)strtoul(port, NULL, 10);
    out->is_loopback = is_loopback((struct sockaddr *)&address);
    out->address = base_format(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* Errno of what failed is left to the caller. */
static int try_address(const struct addrinfo *a)
{
    CLEANUP(fd_closep)
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    const int on = 1;
    const int off = 0;

    if (fd < 0)
        return -1;
    /* ":5000" means IPv4 as well. */
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return fd_take(&fd);
}

static void info_freep(struct addrinfo **info)
{
    if (*info)
        freeaddrinfo(*info);
    *info = NULL;
}

int serve_listen(const char *text, struct serve_listener *out, struct error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    CLEANUP(base_freep) char *host = NULL;
    CLEANUP(base_freep) char *port = NULL;
    CLEANUP(info_freep) struct addrinfo *found = NULL;

    *out = (struct serve_listener){.fd = -1};
    if (split(text, &host, &port, err) < 0)
        return -1;
    const int code = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (code != 0)
        return error_set(err, ERROR_NETWORK, "listen on %s: %s", text, gai_strerror(code));
    for (const struct addrinfo *a = found; a && out->fd < 0; a = a->ai_next)
        out->fd = try_address(a);
    if (out->fd < 0)
        return error_sys(err, "listen on %s", text);
    describe(out);
    if (out->address)
        return 0;
    serve_listener_release(out);
    return error_set(err, ERROR_SYSTEM, "listen on %s: the address cannot be told", text);
}

void serve_listener_release(struct serve_listener *l)
{
    fd_closep(&l->fd);
    free(l->address);
    l->address = NULL;
}
