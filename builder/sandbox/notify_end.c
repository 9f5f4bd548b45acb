/* How a traced program ends. */
#include "builder/sandbox/notify_priv.h"

#include <sys/socket.h>

/*
 * The tracer, the step's first process, says how the last of all processes ended, and waits
 * for it. What counts is its own child; what that one left running is killed.
 */
struct notify_answer notify_exit_group(const struct notify_call *c)
{
    struct sandbox_notify *const n = c->n;
    const pid_t pid = (pid_t)c->request->pid;

    const int socket = atomic_load(&n->step_socket);

    if (socket < 0 || pid == n->first || notify_parent_of(pid) != n->first)
        return notify_pass();
    atomic_store(&n->ended, (int)(notify_argument(c, 0) & 0xff));
    shutdown(socket, SHUT_WR);
    return notify_pass();
}

void sandbox_notify_watch_end(struct sandbox_notify *n, int socket)
{
    atomic_store(&n->step_socket, socket);
}

bool sandbox_notify_exit_code(const struct sandbox_notify *n, int *code)
{
    const int ended = atomic_load(&n->ended);

    if (ended != EXIT_UNKNOWN)
        *code = ended;
    return ended != EXIT_UNKNOWN;
}
