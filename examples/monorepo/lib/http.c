#define _GNU_SOURCE
#include "http.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int number)
{
    (void)number;
    _exit(0);
}

static int listener(const char *port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_ANY),
                                  .sin_port = htons((unsigned short)atoi(port))};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
        return -1;
    return fd;
}

/* Reads the head of a request; false if it is cut off or too long. */
static int read_head(int fd, char *head, size_t size)
{
    size_t used = 0;

    while (used + 1 < size) {
        const ssize_t got = read(fd, head + used, size - 1 - used);
        if (got <= 0)
            return 0;
        used += (size_t)got;
        head[used] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL)
            return 1;
    }
    return 0;
}

static void serve_one(int fd, http_handler *handle)
{
    char head[4096];
    char target[1024];
    char answer[HTTP_ANSWER_MAX] = "";
    int status = 400;

    if (read_head(fd, head, sizeof head) && sscanf(head, "GET %1023s HTTP/1.", target) == 1)
        status = handle(target, answer);
    dprintf(fd,
            "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n%s",
            status,
            status == 200 ? "OK" : "Error",
            strlen(answer),
            answer);
}

int http_serve(const char *service, http_handler *handle)
{
    const char *const port = getenv("PORT");
    const int fd = port == NULL ? -1 : listener(port);

    if (fd < 0) {
        fprintf(stderr, "%s: cannot listen on PORT=%s\n", service, port ? port : "");
        return 1;
    }
    /* The first process of a container has no default handlers of signals. */
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGPIPE, SIG_IGN);
    fprintf(stderr, "%s: serving on port %s\n", service, port);
    for (;;) {
        const int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            serve_one(client, handle);
            close(client);
        }
    }
}
