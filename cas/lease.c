#include "cas/lease.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define ID_BYTES 16
#define LEASES   "leases"
#define SWEEP    ".sweep"
/* Attempts at a lease that no cleaner takes for a dead one before we have locked it. */
#define TAKE_RETRIES 100

struct cas_lease {
    int store_fd; /* borrowed */
    int fd;
    char id[2 * ID_BYTES + 1];
    struct timespec start;

    /* flock belongs to the open file, not to the thread: one hold at a time. */
    pthread_mutex_t sweep_lock;
    int sweep_fd;
};

struct lease_path {
    char text[sizeof LEASES + 1 + 256];
};

static struct lease_path lease_path(const char *name)
{
    struct lease_path p;

    snprintf(p.text, sizeof p.text, LEASES "/%s", name);
    return p;
}

static int flock_retry(int fd, int operation)
{
    int result;

    do
        result = flock(fd, operation);
    while (result < 0 && errno == EINTR);
    return result;
}

int cas_lease_lock(int store_fd, const char *name, int operation, struct error *err)
{
    const struct lease_path path = lease_path(name);
    CLEANUP(fd_closep)
    int fd = openat(store_fd, path.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, "open %s in the store", path.text);
    if (flock_retry(fd, operation) < 0)
        return error_sys(err, "lock %s in the store", path.text);
    return fd_take(&fd);
}

/* --- Life of a lease --- */

static int make_id(char *id, struct error *err)
{
    uint8_t bytes[ID_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_sys(err, "getrandom");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* Between its creation and our lock somebody may have taken the file for a dead lease and
 * removed it: then *taken is false. */
static int try_take(struct cas_lease *l, bool *taken, struct error *err)
{
    struct stat st;

    if (make_id(l->id, err) < 0)
        return -1;
    const struct lease_path path = lease_path(l->id);
    CLEANUP(fd_closep)
    int fd = openat(l->store_fd, path.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, "create %s in the store", path.text);
    *taken = flock_retry(fd, LOCK_EX | LOCK_NB) == 0;
    if (fstat(fd, &st) < 0)
        return error_sys(err, "stat %s in the store", path.text);
    *taken = *taken && st.st_nlink > 0;
    l->start = st.st_mtim;
    if (*taken)
        l->fd = fd_take(&fd);
    else
        unlinkat(l->store_fd, path.text, 0);
    return 0;
}

static int take(struct cas_lease *l, struct error *err)
{
    bool taken = false;

    for (unsigned i = 0; i < TAKE_RETRIES && !taken; i++) {
        if (try_take(l, &taken, err) < 0)
            return -1;
    }
    if (!taken)
        return error_set(err, ERROR_SYSTEM,
                         "leases in the store vanish before they are locked");
    return 0;
}

struct cas_lease *cas_lease_open(int store_fd, struct error *err)
{
    struct cas_lease *l = base_alloc(sizeof *l);
    const struct lease_path sweep = lease_path(SWEEP);

    l->store_fd = store_fd;
    l->fd = -1;
    pthread_mutex_init(&l->sweep_lock, NULL);
    l->sweep_fd = openat(store_fd, sweep.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->sweep_fd < 0)
        error_sys(err, "open %s in the store", sweep.text);
    else if (take(l, err) == 0)
        return l;
    cas_lease_close(l);
    return NULL;
}

void cas_lease_close(struct cas_lease *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        unlinkat(l->store_fd, lease_path(l->id).text, 0);
    fd_closep(&l->fd);
    fd_closep(&l->sweep_fd);
    pthread_mutex_destroy(&l->sweep_lock);
    free(l);
}

const char *cas_lease_id(const struct cas_lease *l)
{
    return l->id;
}

struct timespec cas_lease_start(const struct cas_lease *l)
{
    return l->start;
}

/* --- Looking at leases of others --- */

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static DIR *open_dir(int store_fd, const char *name, struct error *err)
{
    const int fd = openat(store_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        error_sys(err, "open %s in the store", name);
        return NULL;
    }
    return fdopendir(fd);
}

/* The next name that is neither hidden nor a lock; NULL at the end. */
static const char *next_name(DIR *dir)
{
    const struct dirent *e;

    do
        e = readdir(dir);
    while (e && e->d_name[0] == '.');
    return e ? e->d_name : NULL;
}

/* A descriptor with the lock if nobody held it; -1 if it is alive or gone. */
static int seize(int store_fd, const char *id)
{
    CLEANUP(fd_closep)
    int fd = openat(store_fd, lease_path(id).text, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || flock_retry(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    return fd_take(&fd);
}

/*
 * Things in ingest/ are named LEASE.NUMBER and their lease is older than they are: without
 * its file they belong to nobody. What cannot be removed (files of subordinate ids, outside
 * of their user namespace) stays for a process that can.
 */
static int clean_ingest(int store_fd, struct error *err)
{
    CLEANUP(dir_closep) DIR *dir = open_dir(store_fd, "ingest", err);
    const char *name;

    if (!dir)
        return -1;
    while ((name = next_name(dir))) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        char id[2 * ID_BYTES + 1] = "";
        memcpy(id, name, strnlen(name, sizeof id - 1));
        if (faccessat(store_fd, lease_path(id).text, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
            errno != ENOENT)
            continue;
        if (fs_remove_tree_at(dirfd(dir), name, &ignored) < 0)
            continue;
    }
    return 0;
}

int cas_lease_clean(int store_fd, struct error *err)
{
    CLEANUP(dir_closep) DIR *dir = open_dir(store_fd, LEASES, err);
    const char *id;

    if (!dir)
        return -1;
    while ((id = next_name(dir))) {
        CLEANUP(fd_closep) int fd = seize(store_fd, id);
        if (fd >= 0)
            unlinkat(dirfd(dir), id, 0);
    }
    return clean_ingest(store_fd, err);
}

int cas_lease_others(int store_fd,
                     const struct cas_lease *own,
                     bool *any,
                     struct timespec *oldest,
                     struct timespec *newest,
                     struct error *err)
{
    CLEANUP(dir_closep) DIR *dir = open_dir(store_fd, LEASES, err);
    const char *id;

    *any = false;
    if (!dir)
        return -1;
    while ((id = next_name(dir))) {
        struct stat st;
        if (strcmp(id, own->id) == 0 ||
            strncmp(id, CAS_CLAIM_PREFIX, sizeof CAS_CLAIM_PREFIX - 1) == 0 ||
            fstatat(dirfd(dir), id, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        CLEANUP(fd_closep) int dead = seize(store_fd, id);
        if (dead >= 0)
            continue;
        if (!*any || cas_lease_before(st.st_mtim, *oldest))
            *oldest = st.st_mtim;
        if (!*any || cas_lease_before(*newest, st.st_mtim))
            *newest = st.st_mtim;
        *any = true;
    }
    return 0;
}

/* --- Holding --- */

bool cas_lease_before(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

struct timespec cas_lease_stamp(const struct stat *st)
{
    return cas_lease_before(st->st_atim, st->st_ctim) ? st->st_ctim : st->st_atim;
}

/* Sets the atime to now, or to the lease's start if the clock was set back meanwhile. */
static int touch(const struct cas_lease *l, const char *path)
{
    struct timespec times[2] = {[1] = {.tv_nsec = UTIME_OMIT}};

    clock_gettime(CLOCK_REALTIME, &times[0]);
    if (cas_lease_before(times[0], l->start))
        times[0] = l->start;
    return utimensat(l->store_fd, path, times, AT_SYMLINK_NOFOLLOW);
}

static int touch_locked(struct cas_lease *l, const char *path)
{
    pthread_mutex_lock(&l->sweep_lock);
    int result = flock_retry(l->sweep_fd, LOCK_SH);
    if (result == 0) {
        result = touch(l, path);
        const int saved = errno;
        flock_retry(l->sweep_fd, LOCK_UN);
        errno = saved;
    }
    pthread_mutex_unlock(&l->sweep_lock);
    return result;
}

int cas_lease_hold(
    struct cas_store *s, const char *path, bool *found, struct stat *st, struct error *err)
{
    *found = false;
    if (fstatat(s->fd, path, st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return error_sys(err, "stat %s in the store", path);
    }
    /* Where nothing can be written nothing is collected, by us at least. */
    if (!s->read_only && cas_lease_before(cas_lease_stamp(st), s->lease->start) &&
        touch_locked(s->lease, path) < 0) {
        if (errno == ENOENT)
            return 0;
        return error_sys(err, "mark %s in the store as used", path);
    }
    *found = true;
    return 0;
}
