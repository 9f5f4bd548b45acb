#include "cli/prompt.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* A line discipline passes on no more. */
#define LINE_MAX_SIZE ((size_t)4096)

/* A terminal that does not show what is typed. Signals wait until it does again. */
struct silence {
    int fd; /* the terminal; -1: nothing to restore */
    struct termios before;
    sigset_t mask_before;
    int signals; /* readable when one is waiting; -1: none */
};

static void silence_end(struct silence *s)
{
    if (s->fd >= 0) {
        (void)tcsetattr(s->fd, TCSAFLUSH, &s->before);
        fd_closep(&s->signals);
        (void)sigprocmask(SIG_SETMASK, &s->mask_before, NULL);
    }
    s->fd = -1;
}

static int silence_begin(struct silence *s, int fd, struct error *err)
{
    struct termios quiet;
    sigset_t ends;

    if (tcgetattr(fd, &s->before) < 0)
        return error_sys(err, "terminal");
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGHUP);
    (void)sigaddset(&ends, SIGQUIT);
    (void)sigprocmask(SIG_BLOCK, &ends, &s->mask_before);
    s->fd = fd;
    s->signals = signalfd(-1, &ends, SFD_CLOEXEC);
    if (s->signals < 0)
        return error_sys(err, "signalfd");
    quiet = s->before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ECHONL;
    return tcsetattr(fd, TCSAFLUSH, &quiet) == 0 ? 0 : error_sys(err, "terminal");
}

/* Waits for input; false if a signal waits. */
static bool wait_for_input(int fd, int signals)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

    while (poll(fds, signals >= 0 ? 2 : 1, -1) < 0) {
        if (errno != EINTR)
            return true; /* the read will tell */
    }
    return signals < 0 || fds[1].revents == 0;
}

static int read_line(int fd, int signals, struct buf *out, struct error *err)
{
    for (;;) {
        char c;

        if (!wait_for_input(fd, signals))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        const ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, "terminal");
        if (n == 0)
            return error_set(err, ERROR_CANCELLED, "the terminal gave no line");
        if (c == '\n')
            return buf_ok(out, "the line", err);
        buf_append_char(out, c);
    }
}

static void secret_release(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buf_release(b);
}

char *cli_prompt(const char *question, bool is_secret, struct error *err)
{
    CLEANUP(fd_closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    CLEANUP(silence_end) struct silence silence = {.fd = -1, .signals = -1};
    /* Not to grow: what is moved would leave copies behind. */
    CLEANUP(secret_release) struct buf line = BUF_INIT(LINE_MAX_SIZE);

    if (fd < 0) {
        (void)error_set(err, ERROR_NOT_FOUND, "there is no terminal to ask at");
        return NULL;
    }
    (void)buf_reserve(&line, LINE_MAX_SIZE - 1);
    if ((is_secret && silence_begin(&silence, fd, err) < 0) ||
        fs_write_all(fd, question, strlen(question), err) < 0 ||
        read_line(fd, silence.signals, &line, err) < 0)
        return NULL;
    return base_strdup(buf_text(&line));
}
