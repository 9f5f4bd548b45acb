#include "builder/cache_mount.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/digest.h"
#include "cas/ingest.h"
#include "cas/lease.h"
#include "cas/owner.h"
#include "cas/scratch.h"
#include "cas/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_POLL_MS = 20, INSTANCES_MAX = 256 };

/* Same id, same starting content and owner: same directory, whatever part of it is mounted.
 * Ids are anything a user types, so only their hash becomes a name. */
char *build_cache_mount_name(const struct build_mount *m,
                             struct cas_layer *const *layers,
                             size_t count)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    char *owner = base_format("%u:%u:%o:%d", m->uid, m->gid, m->mode, m->has_owner);
    struct digest d;

    hasher_update(h, m->id, strlen(m->id) + 1);
    hasher_update(h, owner, strlen(owner) + 1);
    for (size_t i = 0; i < count; i++)
        hasher_update(h, cas_layer_diff_id(layers[i])->bytes, 32);
    hasher_final(h, &d);
    hasher_free(h);
    free(owner);
    return base_strdup(digest_hex(&d).text);
}

static void nap(void)
{
    const struct timespec t = {.tv_nsec = LOCK_POLL_MS * 1000000L};

    nanosleep(&t, NULL);
}

static bool is_cancelled(const struct build_cache_wait *wait)
{
    return wait && wait->is_cancelled && wait->is_cancelled(wait->context);
}

/* Locks by flock on a file beside the directory: the kernel lets go when a process dies.
 * *got false where somebody else has it. */
static int try_lock(
    int mounts_fd, const char *name, int how, int *lock_fd, bool *got, struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s.lock", name);
    CLEANUP(fd_closep) int fd = fs_open_at(mounts_fd, path, O_RDWR | O_CREAT, 0600, err);

    *got = false;
    if (fd < 0)
        return -1;
    while (flock(fd, how | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR)
            return error_sys(err, "lock cache mount");
    }
    *got = true;
    *lock_fd = fd_take(&fd);
    return 0;
}

/* The starting content: the tree of from=. */
static int fill(int store_fd,
                const char *temporary,
                struct cas_layer *const *layers,
                size_t count,
                struct cas_owners *owners,
                struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_at(store_fd, temporary, O_RDONLY | O_DIRECTORY, 0, err);

    if (fd < 0)
        return -1;
    if (fchmod(fd, 0755) < 0)
        return error_sys(err, "create cache mount");
    return cas_unpack_merged(layers, count, fd, owners, err);
}

/* Really, or on record. */
static int own(int store_fd,
               const char *path,
               const struct build_mount *m,
               struct cas_owners *owners)
{
    const struct cas_owner owner = {.uid = m->uid, .gid = m->gid};

    if (!owners)
        return fchownat(store_fd, path, m->uid, m->gid, AT_SYMLINK_NOFOLLOW);
    CLEANUP(fd_closep) int fd = openat(store_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -1 : cas_owner_write(owners, fd, "", &owner);
}

static void remove_quietly(int store_fd, const char *path)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* What stays goes when the store is opened next. */
    if (fs_remove_tree_at(store_fd, path, &ignored) < 0)
        return;
}

/* Made aside, among the ingests, and moved to its place when it is complete. */
static int create(struct cas_store *s,
                  int mounts_fd,
                  const char *name,
                  const struct build_mount *m,
                  struct cas_layer *const *layers,
                  size_t count,
                  struct error *err)
{
    const int store_fd = cas_store_fd(s);
    CLEANUP(base_freep) char *temporary = cas_ingest_name(s);
    CLEANUP(cas_owners_freep)
    struct cas_owners *owners = cas_owners_are_recorded() ? cas_owners_new() : NULL;
    int status;

    if (mkdirat(store_fd, temporary, 0700) < 0)
        return error_sys(err, "create cache mount");
    /* One that is made for an owner is empty, whatever from= has; BuildKit mounts a new
     * directory of that tree then. */
    if (count > 0 && !m->has_owner)
        status = fill(store_fd, temporary, layers, count, owners, err);
    else
        status = own(store_fd, temporary, m, owners) < 0 ||
                         fchmodat(store_fd, temporary, m->mode, 0) < 0
                     ? error_sys(err, "create cache mount")
                     : 0;
    /* Somebody else may have made it meanwhile: theirs is as good. */
    if (status == 0 &&
        renameat2(store_fd, temporary, mounts_fd, name, RENAME_NOREPLACE) < 0 &&
        errno != EEXIST)
        status = error_sys(err, "create cache mount");
    remove_quietly(store_fd, temporary);
    return status;
}

static int open_dir(struct cas_store *s,
                    int mounts_fd,
                    const char *name,
                    const struct build_mount *m,
                    struct cas_layer *const *layers,
                    size_t count,
                    struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("mounts/%s", name);
    struct stat st;
    bool found;

    /* Held: whoever prunes the store leaves it alone, and knows when it was last used. */
    if (cas_lease_hold(s, path, &found, &st, err) < 0 ||
        (!found && create(s, mounts_fd, name, m, layers, count, err) < 0))
        return -1;
    return fs_open_at(mounts_fd, name, O_RDONLY | O_DIRECTORY, 0, err);
}

static bool exists(int mounts_fd, const char *name)
{
    return faccessat(mounts_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The first directory of the name that can be had: NAME, NAME-1, NAME-2, ... Mounts that
 * share take one together; others have theirs alone. *got false: all that there are are in
 * use, and this one would rather wait than have a new one.
 */
static int lock_first(int mounts_fd,
                      const struct build_mount *m,
                      char **name,
                      int *lock_fd,
                      bool *got,
                      struct error *err)
{
    const bool alone =
        m->sharing == DOCKERFILE_SHARING_PRIVATE || m->sharing == DOCKERFILE_SHARING_LOCKED;

    for (unsigned i = 0; i < INSTANCES_MAX; i++) {
        CLEANUP(base_freep)
        char *numbered = i > 0 ? base_format("%s-%u", *name, i) : base_strdup(*name);

        *got = false;
        if (i > 0 && m->sharing == DOCKERFILE_SHARING_LOCKED &&
            !exists(mounts_fd, numbered))
            return 0;
        if (try_lock(mounts_fd, numbered, alone ? LOCK_EX : LOCK_SH, lock_fd, got, err) < 0)
            return -1;
        if (!*got)
            continue;
        free(*name);
        *name = numbered;
        numbered = NULL;
        return 0;
    }
    return error_set(err, ERROR_LIMIT, "more than %d steps use this cache mount at once",
                     INSTANCES_MAX);
}

static int lock(int mounts_fd,
                const struct build_mount *m,
                const struct build_cache_wait *wait,
                char **name,
                int *lock_fd,
                struct error *err)
{
    bool got = false;

    for (;;) {
        if (lock_first(mounts_fd, m, name, lock_fd, &got, err) < 0)
            return -1;
        if (got)
            return 0;
        if (is_cancelled(wait))
            return error_set(err, ERROR_CANCELLED,
                             "interrupted while waiting for a cache mount");
        nap();
    }
}

/* The part that is mounted: all of it, or what lies at `source`. */
static int open_part(struct build_cache_mount *c,
                     const struct build_mount *m,
                     struct error *err)
{
    if (strcmp(m->source, "/") == 0)
        c->dir_fd = fcntl(c->root_fd, F_DUPFD_CLOEXEC, 3);
    else
        c->dir_fd = fs_open_in_root(c->root_fd, m->source, O_PATH, 0, err);
    if (c->dir_fd >= 0)
        return 0;
    if (strcmp(m->source, "/") == 0)
        return error_sys(err, "cache mount");
    return error_wrap(err, "there is no %s in the cache", m->source);
}

int build_cache_mount_open(struct cas_store *s,
                           const struct build_mount *m,
                           struct cas_layer *const *layers,
                           size_t count,
                           const struct build_cache_wait *wait,
                           struct build_cache_mount *out,
                           struct error *err)
{
    CLEANUP(base_freep) char *name = build_cache_mount_name(m, layers, count);
    CLEANUP(fd_closep)
    int mounts_fd = fs_open_at(cas_store_fd(s), "mounts", O_RDONLY | O_DIRECTORY, 0, err);

    *out = BUILD_CACHE_MOUNT_NONE;
    if (mounts_fd >= 0 && lock(mounts_fd, m, wait, &name, &out->lock_fd, err) == 0)
        out->root_fd = open_dir(s, mounts_fd, name, m, layers, count, err);
    if (out->root_fd >= 0 && open_part(out, m, err) == 0)
        return 0;
    build_cache_mount_close(out);
    return -1;
}

int build_cache_mount_share(const struct build_cache_mount *from,
                            const struct build_mount *m,
                            struct build_cache_mount *out,
                            struct error *err)
{
    *out = BUILD_CACHE_MOUNT_NONE;
    out->root_fd = fcntl(from->root_fd, F_DUPFD_CLOEXEC, 3);
    out->lock_fd = fcntl(from->lock_fd, F_DUPFD_CLOEXEC, 3);
    if (out->root_fd < 0 || out->lock_fd < 0)
        error_sys(err, "cache mount");
    else if (open_part(out, m, err) == 0)
        return 0;
    build_cache_mount_close(out);
    return -1;
}

void build_cache_mount_close(struct build_cache_mount *m)
{
    fd_closep(&m->dir_fd);
    fd_closep(&m->root_fd);
    fd_closep(&m->lock_fd);
}
