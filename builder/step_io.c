#include "builder/step_io.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { POLL_MS = 100, CHUNK = 65536 };

int step_pipes_open(struct step_pipes *p, struct error *err)
{
    *p = (struct step_pipes){.ours = {-1, -1}, .theirs = {-1, -1, -1}};
    for (int i = 0; i < 2; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0) {
            step_pipes_close(p);
            return error_sys(err, "create a pipe");
        }
        p->ours[i] = fds[0];
        p->theirs[i + 1] = fds[1];
    }
    return 0;
}

void step_pipes_close(struct step_pipes *p)
{
    for (int i = 0; i < 2; i++)
        fd_closep(&p->ours[i]);
    for (int i = 0; i < 3; i++)
        fd_closep(&p->theirs[i]);
}

int step_pipes_pump(
    struct step_pipes *p,
    struct sandbox_process *process,
    void (*output)(void *context, int stream, const char *data, size_t size),
    bool (*is_cancelled)(void *context),
    void *context,
    struct error *err)
{
    bool killed = false;
    char chunk[CHUNK];

    for (int i = 0; i < 3; i++)
        fd_closep(&p->theirs[i]);
    while (p->ours[0] >= 0 || p->ours[1] >= 0) {
        struct pollfd polls[2] = {{.fd = p->ours[0], .events = POLLIN},
                                  {.fd = p->ours[1], .events = POLLIN}};

        if (poll(polls, 2, POLL_MS) < 0 && errno != EINTR)
            return error_sys(err, "wait for the step's output");
        if (!killed && is_cancelled(context)) {
            sandbox_kill(process);
            killed = true;
        }
        for (int i = 0; i < 2; i++) {
            if (p->ours[i] < 0 || polls[i].revents == 0)
                continue;
            const ssize_t n = read(p->ours[i], chunk, sizeof chunk);

            if (n > 0)
                output(context, i + 1, chunk, (size_t)n);
            else if (n == 0 || errno != EINTR)
                fd_closep(&p->ours[i]);
        }
    }
    return 0;
}
