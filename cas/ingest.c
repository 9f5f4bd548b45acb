#include "cas/ingest.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/budget.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct cas_ingest {
    struct cas_store *store; /* borrowed */
    char *name;              /* NULL once renamed */
    int fd;
    uint64_t size;
    uint64_t started; /* bytes that the disk was told to write */
};

/* Bytes that gather before the disk is told. */
#define WRITE_BEHIND ((uint64_t)16 << 20)

/* The name is no use where nothing can be made: the kernel says so. */
char *cas_ingest_name(struct cas_store *s)
{
    if (s->read_only)
        return base_strdup("ingest/none");
    return base_format("ingest/%s.%lu", cas_lease_id(s->lease),
                       atomic_fetch_add(&s->ingest_count, 1));
}

struct cas_ingest *cas_ingest_new(struct cas_store *s, struct error *err)
{
    struct cas_ingest *g = base_alloc(sizeof *g);

    g->store = s;
    g->name = cas_ingest_name(s);
    /* Read-only for everyone who opens it later. */
    g->fd = openat(s->fd, g->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (g->fd >= 0)
        return g;
    error_sys(err, "create %s in the store", g->name);
    free(g->name);
    free(g);
    return NULL;
}

int cas_ingest_reader(const struct cas_ingest *g, struct error *err)
{
    const int fd = openat(g->store->fd, g->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 ? fd : error_sys(err, "open %s in the store", g->name);
}

/* Lets the disk begin with what has gathered, so that the sync at the end finds little
 * left: the kernel itself waits for a tenth of the memory to be dirty (the last fsync of a
 * blob of 2.5 GB took 0.6 s, and takes 4 ms: bench_layer_write). Only a hint. */
static void start_writing(struct cas_ingest *g)
{
    if (g->size - g->started < WRITE_BEHIND)
        return;
    (void)sync_file_range(g->fd, (off_t)g->started, (off_t)(g->size - g->started),
                          SYNC_FILE_RANGE_WRITE);
    g->started = g->size;
}

static int admit(struct cas_store *s, uint64_t size, struct error *err)
{
    const unsigned long long allowed = atomic_load(&s->allowed);

    if (allowed != 0 && atomic_load(&s->written) + size > allowed &&
        cas_limit_admit(s, size, err) < 0)
        return -1;
    atomic_fetch_add(&s->written, size);
    return 0;
}

static void grow(struct cas_ingest *g, uint64_t size)
{
    g->size += size;
    start_writing(g);
}

int cas_ingest_write(struct cas_ingest *g, const void *data, size_t size, struct error *err)
{
    if (admit(g->store, size, err) < 0)
        return -1;
    if (fs_write_all(g->fd, data, size, err) < 0)
        return error_wrap(err, "write to the store %s", g->store->path);
    grow(g, size);
    return 0;
}

int cas_ingest_reserve(struct cas_ingest *g, uint64_t size, struct error *err)
{
    return admit(g->store, size, err) < 0 ? -1 : g->fd;
}

/* The file's own place, where the next write goes, stays at its end. */
void cas_ingest_took(struct cas_ingest *g, uint64_t size)
{
    (void)lseek(g->fd, (off_t)size, SEEK_CUR);
    grow(g, size);
}

uint64_t cas_ingest_size(const struct cas_ingest *g)
{
    return g->size;
}

int cas_ingest_publish_unsynced(struct cas_ingest *consumed,
                                const char *path,
                                struct error *err)
{
    CLEANUP(cas_ingest_abortp) struct cas_ingest *g = consumed;

    if (renameat(g->store->fd, g->name, g->store->fd, path) < 0)
        return error_sys(err, "rename %s to %s in the store", g->name, path);
    base_freep(&g->name);
    return 0;
}

int cas_ingest_publish(struct cas_ingest *consumed, const char *path, struct error *err)
{
    CLEANUP(cas_ingest_abortp) struct cas_ingest *g = consumed;

    if (fs_sync(g->fd, path, err) < 0)
        return error_wrap(err, "write to the store %s", g->store->path);
    consumed = g;
    g = NULL;
    return cas_ingest_publish_unsynced(consumed, path, err);
}

void cas_ingest_abort(struct cas_ingest *g)
{
    if (!g)
        return;
    fd_closep(&g->fd);
    if (g->name)
        unlinkat(g->store->fd, g->name, 0);
    free(g->name);
    free(g);
}

void cas_ingest_abortp(struct cas_ingest **g)
{
    const int saved = errno;

    cas_ingest_abort(*g);
    *g = NULL;
    errno = saved;
}
