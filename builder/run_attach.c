#include "builder/run_attach.h"

#include "base/fs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* How often the window's size and cancellation are looked at. A signal would say it sooner,
 * but a library has no business with the program's signals. */
#define LOOK_INTERVAL_MS 200
/* How long a command may take to end after it was asked to. */
#define GRACE_MS 10000

struct attach {
    int master;
    bool input_open;
    struct winsize size; /* as the command knows it */
};

/* The user's terminal as it was, while ours is raw. */
struct raw_mode {
    bool active;
    struct termios before;
};

static void raw_mode_enter(struct raw_mode *raw)
{
    struct termios now;

    if (tcgetattr(STDIN_FILENO, &raw->before) < 0)
        return;
    now = raw->before;
    cfmakeraw(&now);
    raw->active = tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
}

static void raw_mode_leave(struct raw_mode *raw)
{
    if (raw->active)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw->before);
    raw->active = false;
}

static bool size_read(struct winsize *size)
{
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, size) == 0 ||
           ioctl(STDIN_FILENO, TIOCGWINSZ, size) == 0;
}

void run_terminal(struct sandbox_spec *spec)
{
    struct winsize size = {0};

    spec->tty = true;
    if (size_read(&size)) {
        spec->tty_rows = size.ws_row;
        spec->tty_columns = size.ws_col;
    }
}

static void size_follow(struct attach *a)
{
    struct winsize now = {0};

    if (!size_read(&now))
        return;
    if (now.ws_row == a->size.ws_row && now.ws_col == a->size.ws_col)
        return;
    a->size = now;
    ioctl(a->master, TIOCSWINSZ, &now);
}

/* Moves what can be read at once; *end: nothing will come any more. */
static int pass_on(int from, int to, bool *end, struct error *err)
{
    char data[8192];
    const ssize_t size = read(from, data, sizeof data);

    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    /* A master whose slave was closed by everyone says EIO. */
    *end = size <= 0;
    return *end ? 0 : fs_write_all(to, data, (size_t)size, err);
}

/* The end of our input is the end of the command's: what ^D means on its terminal. */
static int input_end(struct attach *a, struct error *err)
{
    static const char end_of_file = 4;

    a->input_open = false;
    return fs_write_all(a->master, &end_of_file, 1, err);
}

static int round_trip(struct attach *a, bool *end, struct error *err)
{
    struct pollfd fds[] = {
        {.fd = a->master, .events = POLLIN},
        {.fd = a->input_open ? STDIN_FILENO : -1, .events = POLLIN},
    };
    bool input_ended = false;

    if (poll(fds, 2, LOOK_INTERVAL_MS) < 0)
        return errno == EINTR ? 0 : error_sys(err, "poll");
    size_follow(a);
    if (fds[0].revents != 0 && pass_on(a->master, STDOUT_FILENO, end, err) < 0)
        return -1;
    if (fds[1].revents != 0 && !*end) {
        if (pass_on(STDIN_FILENO, a->master, &input_ended, err) < 0)
            return -1;
        if (input_ended)
            return input_end(a, err);
    }
    return 0;
}

int run_attach(struct sandbox_process *process,
               bool interactive,
               const bool *cancel,
               struct error *err)
{
    CLEANUP(fd_closep) int master = sandbox_tty(process, err);
    CLEANUP(raw_mode_leave) struct raw_mode raw = {0};
    struct attach a = {.master = master, .input_open = interactive};
    bool end = false;

    /* The step failed before it had a terminal: sandbox_wait says why. */
    if (master < 0) {
        error_clear(err);
        return 0;
    }
    size_follow(&a);
    if (interactive)
        raw_mode_enter(&raw);
    while (!end && (cancel == NULL || !__atomic_load_n(cancel, __ATOMIC_RELAXED))) {
        if (round_trip(&a, &end, err) < 0)
            return -1;
    }
    return 0;
}

/* Waits; when cancelled, asks the command to end, and kills it after a while. */
int run_wait(struct sandbox_process *process,
             const bool *cancel,
             struct sandbox_status *status,
             struct error *err)
{
    int left_ms = GRACE_MS;
    bool asked = false;
    bool done = false;

    for (;;) {
        if (sandbox_wait_for(process, LOOK_INTERVAL_MS, &done, status, err) < 0)
            return -1;
        if (done)
            return 0;
        if (cancel == NULL || !__atomic_load_n(cancel, __ATOMIC_RELAXED))
            continue;
        if (!asked)
            sandbox_signal(process, SIGTERM);
        else if (left_ms <= 0)
            sandbox_kill(process);
        asked = true;
        left_ms -= LOOK_INTERVAL_MS;
    }
}
