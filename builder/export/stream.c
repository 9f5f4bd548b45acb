#include "builder/export/stream.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct build_stream {
    struct cas_store *store;
    const struct registry_archive_image *image;
    enum registry_archive_format format;
    int read_fd;
    int write_fd; /* the thread's */
    pthread_t thread;
    struct error error; /* the thread's, until it ended */
};

static void *run(void *arg)
{
    struct build_stream *s = arg;
    sigset_t pipe_only;

    /* Readers that go away are an error here; the signal dies with the thread. */
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    if (registry_archive_write(s->store, s->image, 1, s->format, s->write_fd, NULL,
                               &s->error) < 0)
        error_wrap(&s->error, "archive");
    fd_closep(&s->write_fd);
    return NULL;
}

struct build_stream *build_stream_open(struct cas_store *store,
                                       const struct registry_archive_image *image,
                                       enum registry_archive_format format,
                                       struct error *err)
{
    struct build_stream *s;
    int pair[2];

    if (pipe2(pair, O_CLOEXEC) < 0) {
        (void)error_sys(err, "create a pipe");
        return NULL;
    }
    s = base_alloc(sizeof *s);
    s->store = store;
    s->image = image;
    s->format = format;
    s->read_fd = pair[0];
    s->write_fd = pair[1];
    const int sys = pthread_create(&s->thread, NULL, run, s);
    if (sys == 0)
        return s;
    (void)error_set(err, ERROR_SYSTEM, "start a thread: %s", strerror(sys));
    fd_closep(&s->read_fd);
    fd_closep(&s->write_fd);
    free(s);
    return NULL;
}

int build_stream_fd(const struct build_stream *s)
{
    return s->read_fd;
}

int build_stream_close(struct build_stream *s, bool failed, struct error *err)
{
    int status = failed ? -1 : 0;

    if (!s)
        return status;
    fd_closep(&s->read_fd);
    pthread_join(s->thread, NULL);
    /* That nobody read on is no reason; whatever else kept it from being written is. */
    if (s->error.code != ERROR_NONE && !failed)
        status = error_move(err, &s->error);
    error_clear(&s->error);
    free(s);
    return status;
}
