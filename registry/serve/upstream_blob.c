/* Blobs of the upstream: fetched by a thread, read by any number of clients meanwhile. */
#include "registry/serve/upstream_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* At once: each has a thread and a connection; more wait for their turn. */
#define DOWNLOADS_MAX 32u
#define THREAD_STACK  ((size_t)512 << 10)

enum download_state {
    DOWNLOAD_RUNNING = 0,
    DOWNLOAD_DONE,   /* verified, in the store */
    DOWNLOAD_FAILED, /* nobody gets another byte */
};

struct serve_download {
    struct serve_download *next; /* under the lock of `upstream` */
    struct serve_upstream *upstream;
    struct cas_store *store; /* the thread's */
    char *repository;
    struct descriptor blob;
    struct cas_blob_writer *writer; /* the thread's */
    pthread_mutex_t lock;           /* guards everything below */
    pthread_cond_t grown;
    enum download_state state;
    unsigned users; /* the thread, and readers */
    int fd;         /* of what is written; -1: nothing yet */
    uint64_t size;  /* bytes that are there */
};

static void download_leave(struct serve_download *d, unsigned users)
{
    pthread_mutex_lock(&d->lock);
    const unsigned left = d->users -= users;
    pthread_mutex_unlock(&d->lock);
    if (left > 0)
        return;
    if (d->fd >= 0)
        close(d->fd);
    descriptor_release(&d->blob);
    pthread_cond_destroy(&d->grown);
    pthread_mutex_destroy(&d->lock);
    free(d->repository);
    free(d);
}

static void download_unref(struct serve_download *d)
{
    download_leave(d, 1);
}

/* --- The thread that fetches --- */

/* What came before is forgotten; readers wait until there is as much again. */
static int restart(void *context, struct error *err)
{
    struct serve_download *d = context;
    int fd;

    cas_blob_writer_abortp(&d->writer);
    d->writer = cas_blob_writer_new(d->store, d->blob.digest.alg, err);
    if (!d->writer || (fd = cas_blob_writer_reader(d->writer, err)) < 0)
        return -1;
    pthread_mutex_lock(&d->lock);
    const int old = d->fd;
    d->fd = fd;
    d->size = 0;
    pthread_mutex_unlock(&d->lock);
    if (old >= 0)
        close(old);
    return 0;
}

static int take(void *context, const void *data, size_t size, struct error *err)
{
    struct serve_download *d = context;

    if (cas_blob_writer_write(d->writer, data, size, err) < 0)
        return -1;
    pthread_mutex_lock(&d->lock);
    d->size += size;
    pthread_cond_broadcast(&d->grown);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int fetch(struct serve_download *d, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    const struct registry_progress silence = {0};
    const struct registry_blob_sink sink = {
        .restart = restart, .write = take, .context = d, .is_verifying = true};

    upstream_reference(d->upstream, d->repository, &ref);
    if (registry_blob_get(d->upstream->client, &ref, &d->blob, &sink, &silence, err) < 0)
        return -1;
    struct cas_blob_writer *whole = d->writer;
    d->writer = NULL;
    return cas_blob_writer_commit(whole, &d->blob.digest, d->blob.size, NULL, NULL, err);
}

static void take_out(struct serve_upstream *u, const struct serve_download *d)
{
    pthread_mutex_lock(&u->lock);
    struct serve_download **at = &u->downloads;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    pthread_mutex_unlock(&u->lock);
}

static void settle(struct serve_download *d, enum download_state state)
{
    pthread_mutex_lock(&d->lock);
    d->state = state;
    pthread_cond_broadcast(&d->grown);
    pthread_mutex_unlock(&d->lock);
}

static void report(struct serve_upstream *u,
                   const struct serve_download *d,
                   const struct error *err)
{
    CLEANUP(base_freep) char *text = NULL;

    if (!err) {
        atomic_fetch_add(&u->blobs, 1);
        atomic_fetch_add(&u->bytes, d->blob.size);
        return;
    }
    atomic_fetch_add(&u->failures, 1);
    if (!u->complain || atomic_load(&u->cancelled))
        return;
    text = base_format("upstream %s: %s: blob %s: %s", u->host, d->repository,
                       digest_format(&d->blob.digest).text, error_text(err));
    u->complain(u->complain_context, text);
}

/* It leaves the list when its blob is in the store: whoever finds it in neither place is
 * the one to fetch it. */
static void *run(void *context)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct serve_download *d = context;
    struct serve_upstream *const u = d->upstream;
    const bool is_done = fetch(d, &err) == 0;

    cas_blob_writer_abortp(&d->writer);
    report(u, d, is_done ? NULL : &err);
    take_out(u, d);
    settle(d, is_done ? DOWNLOAD_DONE : DOWNLOAD_FAILED);
    download_unref(d);
    pthread_mutex_lock(&u->lock);
    u->download_count--;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

/* --- Beginning and joining --- */

static struct serve_download *download_new(struct serve_upstream *u,
                                           struct cas_store *store,
                                           const char *repository,
                                           const struct digest *digest,
                                           uint64_t size)
{
    struct serve_download *d = base_alloc(sizeof *d);

    d->upstream = u;
    d->store = store;
    d->repository = base_strdup(repository);
    descriptor_init(&d->blob, "application/octet-stream", digest, size);
    d->users = 2;
    d->fd = -1;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->grown, NULL);
    return d;
}

static int start_thread(struct serve_download *d, struct error *err)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    errno = pthread_create(&thread, &attributes, run, d);
    pthread_attr_destroy(&attributes);
    return errno == 0 ? 0 : error_sys(err, "start a thread");
}

static struct serve_download *join_locked(struct serve_upstream *u,
                                          const char *repository,
                                          const struct digest *digest)
{
    for (struct serve_download *d = u->downloads; d; d = d->next) {
        if (digest_eq(&d->blob.digest, digest) && strcmp(d->repository, repository) == 0) {
            pthread_mutex_lock(&d->lock);
            d->users++;
            pthread_mutex_unlock(&d->lock);
            return d;
        }
    }
    return NULL;
}

/* *out is the download that goes on already, or a new one (*is_new), or NULL. */
static int join_or_make_locked(struct serve_upstream *u,
                               struct serve_download *candidate,
                               struct serve_download **out,
                               bool *is_new,
                               struct error *err)
{
    bool found;

    *is_new = false;
    while (!(*out = join_locked(u, candidate->repository, &candidate->blob.digest))) {
        if (cas_blob_find(candidate->store, &candidate->blob.digest, &found, NULL, err) < 0)
            return -1;
        if (found)
            return 0;
        if (u->download_count < DOWNLOADS_MAX)
            break;
        pthread_cond_wait(&u->changed, &u->lock);
    }
    if (*out)
        return 0;
    candidate->next = u->downloads;
    u->downloads = candidate;
    u->download_count++;
    *out = candidate;
    *is_new = true;
    return 0;
}

/* For the caller, and for the thread that is not there; others may have joined. */
static void give_up(struct serve_upstream *u, struct serve_download *d)
{
    take_out(u, d);
    settle(d, DOWNLOAD_FAILED);
    download_leave(d, 2);
    pthread_mutex_lock(&u->lock);
    u->download_count--;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
}

static void discard(struct serve_download *unused)
{
    unused->users = 1;
    download_unref(unused);
}

int serve_upstream_fetch(struct serve_upstream *u,
                         struct cas_store *store,
                         const char *repository,
                         const struct digest *digest,
                         uint64_t size,
                         struct serve_download **out,
                         struct error *err)
{
    struct serve_download *candidate = download_new(u, store, repository, digest, size);
    bool is_new;

    pthread_mutex_lock(&u->lock);
    const int result = join_or_make_locked(u, candidate, out, &is_new, err);
    pthread_mutex_unlock(&u->lock);
    if (result < 0 || !is_new) {
        discard(candidate);
        return result;
    }
    if (start_thread(candidate, err) == 0)
        return 0;
    give_up(u, candidate);
    return -1;
}

unsigned serve_upstream_active(struct serve_upstream *u)
{
    pthread_mutex_lock(&u->lock);
    const unsigned count = u->download_count;
    pthread_mutex_unlock(&u->lock);
    return count;
}

int serve_upstream_find_blob(struct serve_upstream *u,
                             const char *repository,
                             const struct digest *digest,
                             bool *found,
                             uint64_t *size,
                             struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    const struct digest empty = digest_of(digest->alg, view_of(""));

    upstream_reference(u, repository, &ref);
    if (registry_blob_find(u->client, &ref, digest, found, size, err) < 0)
        return -1;
    if (*found && *size == 0 && !digest_eq(&empty, digest))
        return error_set(err, ERROR_INVALID, "%s does not tell how large a blob is",
                         u->host);
    return 0;
}

/* --- Reading --- */

/* The last byte is given when the whole was verified. */
static uint64_t readable(const struct serve_download *d)
{
    if (d->state == DOWNLOAD_DONE || d->blob.size == 0)
        return d->blob.size;
    return d->size < d->blob.size ? d->size : d->blob.size - 1;
}

ssize_t serve_download_read(void *download, uint64_t offset, char *out, size_t size)
{
    struct serve_download *d = download;
    ssize_t n = -1;

    pthread_mutex_lock(&d->lock);
    while (d->state == DOWNLOAD_RUNNING && readable(d) <= offset)
        pthread_cond_wait(&d->grown, &d->lock);
    const uint64_t end = readable(d);
    if (d->state != DOWNLOAD_FAILED && offset < end) {
        const size_t wanted = end - offset < size ? (size_t)(end - offset) : size;
        /* Out of the page cache: the lock, which keeps the descriptor, is held briefly. */
        n = pread(d->fd, out, wanted, (off_t)offset);
    }
    pthread_mutex_unlock(&d->lock);
    return n > 0 ? n : -1;
}

bool serve_download_wait(struct serve_download *d)
{
    pthread_mutex_lock(&d->lock);
    while (d->state == DOWNLOAD_RUNNING)
        pthread_cond_wait(&d->grown, &d->lock);
    const bool is_done = d->state == DOWNLOAD_DONE;
    pthread_mutex_unlock(&d->lock);
    return is_done;
}

void serve_download_close(void *download)
{
    download_unref(download);
}
