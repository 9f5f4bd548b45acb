/* Blobs against their digests; indexes against their check sums. */
#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/disk_size.h"
#include "cas/index.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE ((size_t)1 << 20)

static const enum digest_alg algs[] = {DIGEST_SHA256, DIGEST_SHA512};

/* Names of one directory of digests. */
struct digest_dir {
    const char *dir; /* "blobs/sha256" */
    enum digest_alg alg;
    struct fsck_names names;
};

static bool parse_name(const struct digest_dir *d, size_t i, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep)
    char *text = base_format("%s:%s", digest_alg_name(d->alg), d->names.items[i]);

    return digest_parse(view_of(text), out, &ignored) == 0;
}

static int check_dirs(struct fsck *f,
                      const char *top,
                      fsck_check_fn *check,
                      struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(algs); i++) {
        CLEANUP(base_freep)
        char *dir = base_format("%s/%s", top, digest_alg_name(algs[i]));
        struct digest_dir d = {.dir = dir, .alg = algs[i]};
        int result = fsck_names_read(f, dir, &d.names, err);
        if (result == 0)
            result = fsck_each(f, d.names.count, check, &d, err);
        fsck_names_release(&d.names);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* Takes the file away, unless another has taken its place since it was looked at. */
static int remove_same(struct fsck *f,
                       const char *path,
                       const struct stat *was,
                       bool *removed,
                       struct error *err)
{
    struct stat st;

    *removed = false;
    if (!f->options->repair)
        return 0;
    CLEANUP(fd_closep) int lock = cas_lease_lock(f->store->fd, ".sweep", LOCK_EX, err);
    if (lock < 0)
        return -1;
    *removed = fstatat(f->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
               st.st_ino != was->st_ino || st.st_mtim.tv_sec != was->st_mtim.tv_sec ||
               st.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
    if (*removed)
        return 0;
    if (unlinkat(f->store->fd, path, 0) < 0)
        return error_sys(err, "remove %s", path);
    *removed = true;
    return 0;
}

/* --- Blobs --- */

static int hash_file(
    struct fsck *f, int fd, enum digest_alg alg, uint64_t *size, struct digest *out)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(alg);
    CLEANUP(base_freep) char *data = base_alloc(READ_SIZE);

    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (*size = 0; !fsck_is_stopped(f);) {
        const ssize_t got = read(fd, data, READ_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        hasher_update(h, data, (size_t)got);
        *size += (uint64_t)got;
    }
    hasher_final(h, out);
    return 0;
}

static int damaged_blob(struct fsck *f,
                        const char *path,
                        const struct digest *d,
                        const struct stat *st,
                        char *why,
                        struct error *err)
{
    bool removed;

    pthread_mutex_lock(&f->lock);
    digest_set_add(&f->bad, d);
    pthread_mutex_unlock(&f->lock);
    if (remove_same(f, path, st, &removed, err) < 0) {
        free(why);
        return -1;
    }
    fsck_report(f, CAS_FSCK_BLOB, path, why,
                removed ? "it was removed, and is fetched or built again when needed"
                        : "--repair removes it, so that it is fetched or built again",
                removed);
    return 0;
}

static int check_blob(struct fsck *f, const void *context, size_t i, struct error *err)
{
    const struct digest_dir *dir = context;
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir->dir, dir->names.items[i]);
    struct digest want, got;
    struct stat st;
    uint64_t size;

    if (!parse_name(dir, i, &want))
        return 0; /* named among the unknown files */
    CLEANUP(fd_closep)
    int fd = cas_disk_open(f->store->fd, path, 0);
    if (fd < 0 && errno == ENOENT)
        return 0; /* collected meanwhile */
    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (fstat(fd, &st) < 0)
        return error_sys(err, "stat %s", path);
    if (hash_file(f, fd, dir->alg, &size, &got) < 0)
        return damaged_blob(f, path, &want, &st,
                            base_format("cannot be read: %s", strerror(errno)), err);
    if (fsck_is_stopped(f))
        return 0;
    fsck_count(f, CAS_FSCK_BLOB, size);
    if (digest_eq(&want, &got))
        return 0;
    return damaged_blob(f, path, &want, &st,
                        base_format("has the digest %s", digest_format(&got).text), err);
}

int fsck_blobs(struct fsck *f, struct error *err)
{
    return check_dirs(f, "blobs", check_blob, err);
}

/* --- Indexes --- */

static int check_index(struct fsck *f, const void *context, size_t i, struct error *err)
{
    const struct digest_dir *dir = context;
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir->dir, dir->names.items[i]);
    struct digest diff_id;
    struct stat st;
    bool found, removed;

    if (!parse_name(dir, i, &diff_id) ||
        fstatat(f->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    struct cas_index *x = cas_index_open(f->store, &diff_id, &found, err);
    cas_index_close(x);
    if (!x && err->code != ERROR_NONE)
        return -1;
    fsck_count(f, CAS_FSCK_INDEX, 0);
    /* Collected meanwhile? */
    if (found || faccessat(f->store->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (remove_same(f, path, &st, &removed, err) < 0)
        return -1;
    fsck_report(f, CAS_FSCK_INDEX, path, base_strdup("is damaged or of another version"),
                removed ? "it was removed, and is made again from the layer"
                        : "--repair removes it: it is made again from the layer",
                removed);
    return 0;
}

int fsck_indexes(struct fsck *f, struct error *err)
{
    return check_dirs(f, "index", check_index, err);
}
