#include "builder/cache_mount.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/digest.h"
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

/* Same id, same starting content and owner: same directory. Ids are anything a user types, so
 * only their hash becomes a name. */
static char *name_of(const struct build_mount *m, struct cas_layer *const *layers, size_t count)
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

/* Locks by flock on a file beside the directory: the kernel lets go when a process dies. */
static int lock(int mounts_fd, const char *name, bool wait, const bool *cancel, bool *got, struct error *err)
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
            return -1;
        if (cancel && *cancel)
            return error_set(err, ERROR_CANCELLED, "interrupted while waiting for a cache mount");
        nap();
    }
    *got = true;
    return fd_take(&fd);
}

/* Names in the scratch directory. */
static const char tree_name[] = "tree";
static const char made_name[] = "made";

/* The starting content: the tree of from=, of which the wanted directory is moved out. */
static int fill(int scratch_fd, const char *source, struct cas_layer *const *layers, size_t count, struct error *err)
{
    CLEANUP(fd_closep) int tree_fd = -1;
    CLEANUP(fd_closep) int dir_fd = -1;
    struct stat st;

    if (mkdirat(scratch_fd, tree_name, 0700) < 0)
        return error_sys(err, "create cache mount");
    tree_fd = fs_open_at(scratch_fd, tree_name, O_RDONLY | O_DIRECTORY, 0, err);
    if (tree_fd < 0 || cas_unpack_merged(layers, count, tree_fd, err) < 0)
        return -1;
    dir_fd = fs_open_in_root(tree_fd, source, O_PATH, 0, err);
    if (dir_fd < 0 || fstat(dir_fd, &st) < 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERROR_NOT_FOUND, "cache mount: %s is no directory in the tree that from= names", source);
    CLEANUP(base_freep) char *link = base_format("/proc/self/fd/%d", dir_fd);
    CLEANUP(base_freep) char *real = fs_readlink_at(AT_FDCWD, link, err);
    if (!real)
        return -1;
    return renameat(AT_FDCWD, real, scratch_fd, made_name) < 0 ? error_sys(err, "create cache mount") : 0;
}

static int make(int scratch_fd, const struct build_mount *m, struct cas_layer *const *layers, size_t count, struct error *err)
{
    if (count > 0 && fill(scratch_fd, m->source, layers, count, err) < 0)
        return -1;
    if (count == 0 && mkdirat(scratch_fd, made_name, 0700) < 0)
        return error_sys(err, "create cache mount");
    if ((count == 0 || m->has_owner) &&
        (fchownat(scratch_fd, made_name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(scratch_fd, made_name, m->mode, 0) < 0))
        return error_sys(err, "create cache mount");
    return 0;
}

/* In a scratch directory: its name is this process's alone, and what a killed process leaves
 * of it is cleared. */
static int create(struct cas_store *s,
                  int mounts_fd,
                  const char *name,
                  const struct build_mount *m,
                  struct cas_layer *const *layers,
                  size_t count,
                  struct error *err)
{
    CLEANUP(cas_scratch_removep) struct cas_scratch scratch = CAS_SCRATCH_INIT;

    if (cas_scratch_open(&scratch, s, err) < 0 || make(scratch.fd, m, layers, count, err) < 0)
        return -1;
    /* Somebody else may have made it meanwhile: theirs is as good. */
    if (renameat2(scratch.fd, made_name, mounts_fd, name, RENAME_NOREPLACE) < 0 && errno != EEXIST)
        return error_sys(err, "create cache mount");
    return 0;
}

static int open_dir(struct cas_store *s,
                    int mounts_fd,
                    const char *name,
                    const struct build_mount *m,
                    struct cas_layer *const *layers,
                    size_t count,
                    struct error *err)
{
    if (faccessat(mounts_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && create(s, mounts_fd, name, m, layers, count, err) < 0)
        return -1;
    return fs_open_at(mounts_fd, name, O_RDONLY | O_DIRECTORY, 0, err);
}

int build_cache_mount_open(struct cas_store *s,
                           const struct build_mount *m,
                           struct cas_layer *const *layers,
                           size_t count,
                           const bool *cancel,
                           struct build_cache_mount *out,
                           struct error *err)
{
    CLEANUP(base_freep) char *name = name_of(m, layers, count);
    CLEANUP(fd_closep) int mounts_fd = fs_open_at(cas_store_fd(s), "mounts", O_RDONLY | O_DIRECTORY, 0, err);
    bool got = false;

    *out = (struct build_cache_mount){.dir_fd = -1, .lock_fd = -1};
    if (mounts_fd < 0)
        return -1;
    if (m->sharing == DOCKERFILE_SHARING_LOCKED) {
        out->lock_fd = lock(mounts_fd, name, true, cancel, &got, err);
        if (out->lock_fd < 0)
            return -1;
    }
    for (unsigned i = 0; m->sharing == DOCKERFILE_SHARING_PRIVATE && !got && i < PRIVATE_MAX; i++) {
        char *numbered = base_format("%.64s-%u", name, i);

        free(name);
        name = numbered;
        out->lock_fd = lock(mounts_fd, name, false, cancel, &got, err);
        if (!got && err->code != ERROR_NONE)
            return -1;
    }
    if (m->sharing == DOCKERFILE_SHARING_PRIVATE && !got)
        return error_set(err, ERROR_LIMIT, "more than %d steps use the private cache mount %s at once", PRIVATE_MAX, m->id);
    out->dir_fd = open_dir(s, mounts_fd, name, m, layers, count, err);
    if (out->dir_fd < 0)
        build_cache_mount_close(out);
    return out->dir_fd < 0 ? -1 : 0;
}

void build_cache_mount_close(struct build_cache_mount *m)
{
    fd_closep(&m->dir_fd);
    fd_closep(&m->lock_fd);
}
