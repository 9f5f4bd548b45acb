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
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_POLL_MS = 20, PRIVATE_MAX = 256 };

/* Same id, same starting content and owner: same directory. Ids are anything a user types,
 * so only their hash becomes a name. */
char *build_cache_mount_name(const struct build_mount *m,
                             struct cas_layer *const *layers,
                             size_t count)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    char *owner = base_format("%u:%u:%o:%d", m->uid, m->gid, m->mode, m->has_owner);
    struct digest d;

    hasher_update(h, m->id, strlen(m->id) + 1);
    hasher_update(h, owner, strlen(owner) + 1);
    if (count > 0)
        hasher_update(h, m->source, strlen(m->source) + 1);
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
    return wait->is_cancelled && wait->is_cancelled(wait->context);
}

/* Locks by flock on a file beside the directory: the kernel lets go when a process dies.
 * `wait` NULL: *got false where somebody else has it. */
static int lock(int mounts_fd,
                const char *name,
                const struct build_cache_wait *wait,
                int *lock_fd,
                bool *got,
                struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s.lock", name);
    CLEANUP(fd_closep) int fd = fs_open_at(mounts_fd, path, O_RDWR | O_CREAT, 0600, err);

    *got = false;
    if (fd < 0)
        return -1;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_sys(err, "lock cache mount");
        if (!wait)
            return 0;
        if (is_cancelled(wait))
            return error_set(err, ERROR_CANCELLED,
                             "interrupted while waiting for a cache mount");
        nap();
    }
    *got = true;
    *lock_fd = fd_take(&fd);
    return 0;
}

/* The starting content: the tree of from=, of which the wanted directory is moved out. */
static int fill(int store_fd,
                const char *tree,
                const char *temporary,
                const char *source,
                struct cas_layer *const *layers,
                size_t count,
                struct cas_owners *owners,
                struct error *err)
{
    CLEANUP(fd_closep) int tree_fd = -1;
    CLEANUP(fd_closep) int dir_fd = -1;
    CLEANUP(base_freep) char *link = NULL;
    CLEANUP(base_freep) char *real = NULL;
    struct stat st;

    if (mkdirat(store_fd, tree, 0700) < 0)
        return error_sys(err, "create cache mount");
    tree_fd = fs_open_at(store_fd, tree, O_RDONLY | O_DIRECTORY, 0, err);
    if (tree_fd < 0 || cas_unpack_merged(layers, count, tree_fd, owners, err) < 0)
        return -1;
    dir_fd = fs_open_in_root(tree_fd, source, O_PATH, 0, err);
    if (dir_fd < 0 || fstat(dir_fd, &st) < 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERROR_NOT_FOUND,
                         "cache mount: %s is no directory in the tree that from= names",
                         source);
    link = base_format("/proc/self/fd/%d", dir_fd);
    real = fs_readlink_at(AT_FDCWD, link, err);
    if (!real)
        return -1;
    return renameat(AT_FDCWD, real, store_fd, temporary) < 0
               ? error_sys(err, "create cache mount")
               : 0;
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
    CLEANUP(base_freep) char *tree = cas_ingest_name(s);
    CLEANUP(cas_owners_freep)
    struct cas_owners *owners = cas_owners_are_recorded() ? cas_owners_new() : NULL;
    int status;

    if (count > 0)
        status = fill(store_fd, tree, temporary, m->source, layers, count, owners, err);
    else
        status = mkdirat(store_fd, temporary, 0700) < 0
                     ? error_sys(err, "create cache mount")
                     : 0;
    if (status == 0 && (count == 0 || m->has_owner) &&
        (own(store_fd, temporary, m, owners) < 0 ||
         fchmodat(store_fd, temporary, m->mode, 0) < 0))
        status = error_sys(err, "create cache mount");
    /* Somebody else may have made it meanwhile: theirs is as good. */
    if (status == 0 &&
        renameat2(store_fd, temporary, mounts_fd, name, RENAME_NOREPLACE) < 0 &&
        errno != EEXIST)
        status = error_sys(err, "create cache mount");
    remove_quietly(store_fd, temporary);
    remove_quietly(store_fd, tree);
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

/* A directory that nobody else has at the moment: NAME-0, NAME-1, ... */
static int lock_private(int mounts_fd,
                        char **name,
                        struct build_cache_mount *out,
                        struct error *err)
{
    for (unsigned i = 0; i < PRIVATE_MAX; i++) {
        CLEANUP(base_freep) char *numbered = base_format("%s-%u", *name, i);
        bool got;

        if (lock(mounts_fd, numbered, NULL, &out->lock_fd, &got, err) < 0)
            return -1;
        if (!got)
            continue;
        free(*name);
        *name = numbered;
        numbered = NULL;
        return 0;
    }
    return error_set(err, ERROR_LIMIT,
                     "more than %d steps use this private cache mount at once",
                     PRIVATE_MAX);
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
    int status = mounts_fd < 0 ? -1 : 0;
    bool got;

    *out = (struct build_cache_mount){.dir_fd = -1, .lock_fd = -1};
    if (status == 0 && m->sharing == DOCKERFILE_SHARING_LOCKED)
        status = lock(mounts_fd, name, wait, &out->lock_fd, &got, err);
    if (status == 0 && m->sharing == DOCKERFILE_SHARING_PRIVATE)
        status = lock_private(mounts_fd, &name, out, err);
    if (status == 0)
        out->dir_fd = open_dir(s, mounts_fd, name, m, layers, count, err);
    if (out->dir_fd < 0)
        build_cache_mount_close(out);
    return out->dir_fd < 0 ? -1 : 0;
}

int build_cache_mount_share(const struct build_cache_mount *from,
                            struct build_cache_mount *out,
                            struct error *err)
{
    *out = (struct build_cache_mount){.dir_fd = fcntl(from->dir_fd, F_DUPFD_CLOEXEC, 3),
                                      .lock_fd = -1};
    if (from->lock_fd >= 0)
        out->lock_fd = fcntl(from->lock_fd, F_DUPFD_CLOEXEC, 3);
    if (out->dir_fd >= 0 && (from->lock_fd < 0 || out->lock_fd >= 0))
        return 0;
    error_sys(err, "cache mount");
    build_cache_mount_close(out);
    return -1;
}

void build_cache_mount_close(struct build_cache_mount *m)
{
    fd_closep(&m->dir_fd);
    fd_closep(&m->lock_fd);
}
