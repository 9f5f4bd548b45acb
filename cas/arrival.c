#include "cas/arrival.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum arrival_state {
    ARRIVAL_UNDER_WAY, /* -> HERE, FAILED */
    ARRIVAL_HERE,      /* the store has it, verified */
    ARRIVAL_FAILED,
};

struct cas_arrival {
    struct cas_store *store; /* borrowed */
    struct digest blob;
    /* The reader's alone: */
    int fd; /* what is read, or -1 */
    uint64_t offset;
    bool is_final; /* fd is the blob's in the store */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    enum arrival_state state;
    bool left;     /* the reader has */
    bool stopped;  /* and nobody else wants it either */
    int next_fd;   /* of a transfer that began, until the reader takes it; or -1 */
    uint64_t size; /* bytes of the last transfer that are there */
};

struct cas_arrival *cas_arrival_new(struct cas_store *s, const struct digest *blob)
{
    struct cas_arrival *a = base_alloc(sizeof *a);

    a->store = s;
    a->blob = *blob;
    a->fd = -1;
    a->next_fd = -1;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->moved, NULL);
    return a;
}

void cas_arrival_free(struct cas_arrival *a)
{
    if (!a)
        return;
    fd_closep(&a->fd);
    fd_closep(&a->next_fd);
    pthread_cond_destroy(&a->moved);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* --- Who fetches --- */

int cas_arrival_begin(struct cas_arrival *a,
                      const struct cas_blob_writer *w,
                      struct error *err)
{
    if (!a)
        return 0;

    const int fd = cas_blob_writer_reader(w, err);

    if (fd < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    fd_closep(&a->next_fd);
    a->next_fd = fd;
    a->size = cas_blob_writer_size(w);
    pthread_mutex_unlock(&a->lock);
    return 0;
}

int cas_arrival_grown(struct cas_arrival *a,
                      const struct cas_blob_writer *w,
                      struct error *err)
{
    if (!a)
        return 0;
    pthread_mutex_lock(&a->lock);
    a->size = cas_blob_writer_size(w);
    const bool stopped = a->stopped;
    pthread_cond_signal(&a->moved);
    pthread_mutex_unlock(&a->lock);
    return stopped ? error_set(err, ERROR_CANCELLED, "it is not wanted any more") : 0;
}

void cas_arrival_end(struct cas_arrival *a, bool ok)
{
    pthread_mutex_lock(&a->lock);
    a->state = ok ? ARRIVAL_HERE : ARRIVAL_FAILED;
    pthread_cond_signal(&a->moved);
    pthread_mutex_unlock(&a->lock);
}

/* --- Who reads --- */

/* The bytes that may be read now, once there are any. */
static int wait_for_bytes(struct cas_arrival *a, size_t *available, struct error *err)
{
    pthread_mutex_lock(&a->lock);
    while (a->state == ARRIVAL_UNDER_WAY && !a->left && a->size <= a->offset)
        pthread_cond_wait(&a->moved, &a->lock);

    const bool over = a->left || a->state == ARRIVAL_FAILED;

    *available = a->state == ARRIVAL_UNDER_WAY ? (size_t)(a->size - a->offset) : SIZE_MAX;
    if (a->next_fd >= 0) {
        fd_closep(&a->fd);
        a->fd = fd_take(&a->next_fd);
    }
    pthread_mutex_unlock(&a->lock);
    return over ? error_set(err, ERROR_CANCELLED, "the blob did not arrive") : 0;
}

/* From the end on the verified blob counts, whatever came before it. */
static int open_final(struct cas_arrival *a, struct error *err)
{
    if (a->is_final)
        return 0;
    fd_closep(&a->fd);
    a->fd = cas_blob_open(a->store, &a->blob, err);
    a->is_final = a->fd >= 0;
    return a->is_final ? 0 : -1;
}

int cas_arrival_read(void *arrival, void *data, size_t size, size_t *got, struct error *err)
{
    struct cas_arrival *a = arrival;
    size_t available = 0;
    ssize_t n;

    if (wait_for_bytes(a, &available, err) < 0 ||
        (available == SIZE_MAX && open_final(a, err) < 0))
        return -1;
    do
        n = pread(a->fd, data, available < size ? available : size, (off_t)a->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_sys(err, "read what arrives");
    a->offset += (uint64_t)n;
    *got = (size_t)n;
    return 0;
}

void cas_arrival_leave(struct cas_arrival *a, bool stop)
{
    pthread_mutex_lock(&a->lock);
    a->left = true;
    a->stopped = a->stopped || stop;
    pthread_cond_signal(&a->moved);
    pthread_mutex_unlock(&a->lock);
}

bool cas_arrival_is_stopped(struct cas_arrival *a)
{
    pthread_mutex_lock(&a->lock);
    const bool stopped = a->stopped;
    pthread_mutex_unlock(&a->lock);
    return stopped;
}
