/*
 * The helper from cooper's side: its start and its end.
 */
#include "builder/sandbox/helper.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/sandbox/sandbox.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* clone3 itself, as fork() makes no pid namespace; there are no threads whose locks it
 * could leave taken. */
static long clone_helper(bool plain, int *pidfd)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD | (plain ? 0 : CLONE_NEWPID),
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };

    const long pid = syscall(SYS_clone3, &args, sizeof args);

    /* Filters of containers refuse clone3 to make programs take the older call. */
    if (pid >= 0 || errno != ENOSYS)
        return pid;
    return syscall(SYS_clone, args.flags | SIGCHLD, 0, pidfd, 0, 0);
}

static int unsupported(struct error *err)
{
    const int sys = errno;

    error_sys(err, "create namespaces for the sandbox");
    if (sys == EPERM || sys == ENOSYS || sys == EINVAL || sys == ENOSPC)
        err->code = ERROR_UNSUPPORTED;
    return -1;
}

/* What a chroot that somebody made by hand may lack. */
static int check_surroundings(struct error *err)
{
    static const char *const needed[] = {"/dev/null", "/proc/self/fd"};

    for (size_t i = 0; i < ARRAY_COUNT(needed); i++) {
        if (access(needed[i], R_OK) == 0)
            continue;
        error_sys(err, "%s", needed[i]);
        err->code = ERROR_UNSUPPORTED;
        return error_wrap(err, "the sandbox needs /dev and /proc of this machine (in a "
                               "chroot: mount --bind /dev DIR/dev; mount -t proc proc "
                               "DIR/proc)");
    }
    return 0;
}

struct sandbox_helper *sandbox_helper_start(enum sandbox_grade grade, struct error *err)
{
    const bool plain = grade == SANDBOX_GRADE_NONE;
    int ends[2];
    int pidfd = -1;

    if (check_surroundings(err) < 0)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        error_sys(err, "socketpair");
        return NULL;
    }
    const long pid = clone_helper(plain, &pidfd);
    if (pid == 0 && plain)
        sandbox_helper_run_plain(ends[1]);
    if (pid == 0)
        sandbox_helper_run(ends[1]);
    if (pid < 0) {
        unsupported(err);
        fd_closep(&ends[0]);
        fd_closep(&ends[1]);
        return NULL;
    }
    close(ends[1]);
    struct sandbox_helper *const h = base_alloc(sizeof *h);
    h->control = ends[0];
    h->pidfd = pidfd;
    h->pid = (pid_t)pid;
    h->grade = grade;
    h->host = sandbox_host_look();
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void sandbox_helper_stop(struct sandbox_helper *helper)
{
    siginfo_t info;

    if (!helper)
        return;
    close(helper->control);
    while (waitid(P_PIDFD, (id_t)helper->pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    close(helper->pidfd);
    pthread_mutex_destroy(&helper->lock);
    free(helper);
}

void sandbox_helper_stopp(struct sandbox_helper **helper)
{
    const int saved = errno;

    sandbox_helper_stop(*helper);
    *helper = NULL;
    errno = saved;
}

pid_t sandbox_helper_pid(const struct sandbox_helper *helper)
{
    return helper->pid;
}

const char *sandbox_helper_isolation(const struct sandbox_helper *helper)
{
    switch (helper->grade) {
    case SANDBOX_GRADE_ROOT:
        return "root";
    case SANDBOX_GRADE_SUBIDS:
        return "subordinate ids";
    case SANDBOX_GRADE_SINGLE_ID:
        return "single id, owners are recorded (cooper doctor tells more)";
    case SANDBOX_GRADE_NONE:
        return "NONE, as asked for: they can see, change and kill what this user can, and "
               "use the network of this machine";
    }
    return "unknown";
}

bool sandbox_helper_is_plain(const struct sandbox_helper *helper)
{
    return helper->grade == SANDBOX_GRADE_NONE;
}

bool sandbox_helper_is_nested(const struct sandbox_helper *helper)
{
    return helper->host.user_namespace;
}

uint32_t sandbox_helper_process_max(const struct sandbox_helper *helper)
{
    return helper->host.process_max;
}
