#include "builder/service.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 50, COMPLAINT_MAX = 64 << 10 };

static const char default_path[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static const char *search_path(void)
{
    const char *path = getenv("PATH");

    return path && *path ? path : default_path;
}

bool build_service_exists(const char *program)
{
    struct view rest = view_of(search_path());

    while (rest.size > 0) {
        struct view directory;

        view_cut(rest, ':', &directory, &rest);
        CLEANUP(base_freep)
        char *file = base_format("%.*s/%s", VIEW_ARG(directory), program);
        if (directory.size > 0 && access(file, X_OK) == 0)
            return true;
    }
    return false;
}

/* --- Starting --- */

static int spawn(struct build_service *s,
                 struct sandbox_helper *helper,
                 const char *const *argv,
                 const int stdio[3],
                 const char *netns_path,
                 struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("PATH=%s", search_path());
    CLEANUP(base_freep) char *home = base_format("HOME=%s", getenv("HOME") ?: "/");
    CLEANUP(base_freep) char *tmp = base_format("TMPDIR=%s", getenv("TMPDIR") ?: "/tmp");
    const char *const env[] = {path, home, tmp, NULL};
    const struct sandbox_service service = {
        .argv = argv, .env = env, .stdio = stdio, .netns_path = netns_path};

    s->process = sandbox_service_spawn(helper, &service, err);
    return s->process ? 0 : -1;
}

static int make_pipe(int *ours, int *theirs, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, "create a pipe");
    *ours = ends[0];
    *theirs = ends[1];
    return 0;
}

int build_service_start(struct build_service *s,
                        struct sandbox_helper *helper,
                        const char *const *argv,
                        int input,
                        const char *netns_path,
                        struct error *err)
{
    CLEANUP(fd_closep) int null = -1;
    CLEANUP(fd_closep) int output = -1;
    CLEANUP(fd_closep) int errors = -1;

    *s = (struct build_service)BUILD_SERVICE_INIT;
    null = fs_open_at(AT_FDCWD, "/dev/null", O_RDONLY, 0, err);
    if (null < 0 || make_pipe(&s->output, &output, err) < 0 ||
        make_pipe(&s->errors, &errors, err) < 0)
        return -1;
    const int stdio[3] = {input >= 0 ? input : null, output, errors};
    return spawn(s, helper, argv, stdio, netns_path, err);
}

/* --- Waiting --- */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what is there; false at the end. */
static bool take(int *fd, struct buf *out)
{
    char chunk[4096];
    const ssize_t n = read(*fd, chunk, sizeof chunk);

    if (n > 0)
        buf_append(out, chunk, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        fd_closep(fd);
    return *fd >= 0;
}

static struct view last_line(const struct buf *text)
{
    struct view rest = buf_view(text);
    struct view last = VIEW_LIT("");

    while (rest.size > 0) {
        struct view line;

        view_cut(rest, '\n', &line, &rest);
        line = view_trim(line);
        /* pasta says this of every line of its own, where no syslog listens. */
        if (line.size > 0 && !view_starts(line, "Failed to send"))
            last = line;
    }
    return last;
}

/* It ended, or closed what it prints to: why? */
static int failed(struct build_service *s, struct buf *complaints, struct error *err)
{
    CLEANUP(error_clear) struct error local = ERROR_INIT;
    struct sandbox_status status = {0};
    bool done = false;

    sandbox_kill(s->process);
    while (s->errors >= 0 && take(&s->errors, complaints))
        ;
    if (sandbox_wait_for(s->process, 1000, &done, &status, &local) < 0)
        return error_move(err, &local);
    const struct view why = last_line(complaints);
    if (why.size > 0)
        return error_set(err, ERROR_FAILED, "%.*s", VIEW_ARG(why));
    return error_set(err, ERROR_FAILED, "it ended with exit code %d", status.exit_code);
}

static bool has_line(const struct buf *text)
{
    size_t at;

    return view_find(buf_view(text), '\n', &at);
}

int build_service_wait(struct build_service *s,
                       int timeout_ms,
                       bool (*is_cancelled)(void *context),
                       void *context,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf said = BUF_INIT(COMPLAINT_MAX);
    CLEANUP(buf_release) struct buf complaints = BUF_INIT(COMPLAINT_MAX);
    const int64_t end = now_ms() + timeout_ms;

    while (!has_line(&said)) {
        struct pollfd polls[2] = {{.fd = s->output, .events = POLLIN},
                                  {.fd = s->errors, .events = POLLIN}};

        if (s->output < 0)
            return failed(s, &complaints, err);
        if (poll(polls, 2, POLL_MS) < 0 && errno != EINTR)
            return error_sys(err, "wait for a program");
        if (polls[0].revents)
            take(&s->output, &said);
        if (s->errors >= 0 && polls[1].revents)
            take(&s->errors, &complaints);
        if (is_cancelled && is_cancelled(context))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        if (now_ms() >= end)
            return error_set(err, ERROR_FAILED, "it does not answer");
    }
    return 0;
}

void build_service_stop(struct build_service *s)
{
    fd_closep(&s->output);
    fd_closep(&s->errors);
    sandbox_discardp(&s->process);
}

void build_service_abandon(struct build_service *s)
{
    fd_closep(&s->output);
    fd_closep(&s->errors);
    sandbox_abandon(s->process);
    s->process = NULL;
}
