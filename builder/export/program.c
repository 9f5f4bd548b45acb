#include "builder/export/program.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { POLL_MS = 100, CHUNK = 4096 };

struct program {
    const char *name;
    pid_t pid;
    int streams[2]; /* standard output, standard error; -1 when they ended */
    struct buf said;
    struct buf *output;
};

/* --- Starting --- */

static int spawn(struct program *p,
                 const char *const *argv,
                 const int theirs[3],
                 struct error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    union {
        const char *const *in;
        char *const *out;
    } arguments = {argv};

    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    /* Signals that we block are ours to block. */
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const int sys =
        posix_spawnp(&p->pid, argv[0], &actions, &attributes, arguments.out, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (sys == ENOENT)
        return error_set(err, ERROR_UNSUPPORTED, "there is no program '%s' in $PATH",
                         argv[0]);
    errno = sys;
    return sys == 0 ? 0 : error_sys(err, "start %s", argv[0]);
}

static int start(struct program *p, const char *const *argv, int input, struct error *err)
{
    int pairs[2][2] = {{-1, -1}, {-1, -1}};
    CLEANUP(fd_closep) int nothing = -1;
    int status = -1;

    if (pipe2(pairs[0], O_CLOEXEC) < 0 || pipe2(pairs[1], O_CLOEXEC) < 0)
        error_sys(err, "create a pipe");
    else if (input < 0 &&
             (nothing = fs_open_at(AT_FDCWD, "/dev/null", O_RDONLY, 0, err)) < 0)
        status = -1;
    else
        status = spawn(p, argv,
                       (int[]){input < 0 ? nothing : input, pairs[0][1], pairs[1][1]}, err);
    for (int i = 0; i < 2; i++) {
        fd_closep(&pairs[i][1]);
        p->streams[i] = pairs[i][0];
    }
    return status;
}

/* --- Listening --- */

/* Of what it says the end counts. */
static void keep(struct buf *out, const char *data, size_t size)
{
    if (out->size + size > out->max / 2)
        buf_clear(out);
    buf_append(out, data, size);
}

static void take(struct program *p, int i)
{
    char chunk[CHUNK];
    const ssize_t n = read(p->streams[i], chunk, sizeof chunk);

    if (n > 0 && i == 0 && p->output)
        buf_append(p->output, chunk, (size_t)n);
    else if (n > 0)
        keep(&p->said, chunk, (size_t)n);
    else if (n == 0 || errno != EINTR)
        fd_closep(&p->streams[i]);
}

static int listen_to(struct program *p, const bool *cancel, struct error *err)
{
    while (p->streams[0] >= 0 || p->streams[1] >= 0) {
        struct pollfd polls[2] = {{.fd = p->streams[0], .events = POLLIN},
                                  {.fd = p->streams[1], .events = POLLIN}};

        if (poll(polls, 2, POLL_MS) < 0 && errno != EINTR)
            return error_sys(err, "wait for %s", p->name);
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        for (int i = 0; i < 2; i++)
            if (p->streams[i] >= 0 && polls[i].revents != 0)
                take(p, i);
    }
    return 0;
}

static struct view last_line(struct view text)
{
    struct view line, last = {"", 0};

    while (text.size > 0) {
        (void)view_cut(text, '\n', &line, &text);
        line = view_trim(line);
        if (line.size > 0)
            last = line;
    }
    return last;
}

static int check(const struct program *p, int status, struct error *err)
{
    const struct view line = last_line(buf_view(&p->said));

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (line.size > 0)
        return error_set(err, ERROR_FAILED, "%s: %.*s", p->name, VIEW_ARG(line));
    return error_set(err, ERROR_FAILED, "%s failed (status %d)", p->name,
                     WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int build_program_run(const char *const *argv,
                      int input,
                      const bool *cancel,
                      struct buf *output,
                      struct error *err)
{
    struct program p = {.name = argv[0],
                        .pid = -1,
                        .streams = {-1, -1},
                        .said = BUF_INIT(LIMIT_TEXT_SIZE),
                        .output = output};
    int status = 0;
    int result = start(&p, argv, input, err);

    if (result == 0)
        result = listen_to(&p, cancel, err);
    if (result < 0 && p.pid > 0)
        kill(p.pid, SIGTERM);
    while (p.pid > 0 && waitpid(p.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (result == 0)
        result = check(&p, status, err);
    if (result == 0 && output)
        result = buf_ok(output, argv[0], err);
    fd_closep(&p.streams[0]);
    fd_closep(&p.streams[1]);
    buf_release(&p.said);
    return result;
}
