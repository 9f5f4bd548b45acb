#include "base/fs.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

void fd_closep(int *fd)
{
    const int saved = errno;

    /* Never again on EINTR: on Linux the descriptor is gone by then. */
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int fd_take(int *fd)
{
    const int taken = *fd;

    *fd = -1;
    return taken;
}

/* --- Look-ups --- */

int fs_openat2(int root_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .resolve = resolve,
    };

    /* openat2 refuses a mode that nothing is created with. */
    if (flags & (O_CREAT | __O_TMPFILE))
        how.mode = mode;
    /* EAGAIN means that a rename elsewhere raced the look-up; a tree that never settles is
     * an error, not a reason to spin. */
    for (unsigned attempt = 0; attempt < FS_RACE_RETRIES; attempt++) {
        const long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);

        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return -1;
}

int fs_open_in_root(
    int root_fd, const char *path, int flags, mode_t mode, struct error *err)
{
    const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const int fd = fs_openat2(root_fd, path, flags, mode, resolve);

    return fd >= 0 ? fd : error_sys(err, "open %s", path);
}

int fs_open_beneath(
    int root_fd, const char *path, int flags, mode_t mode, struct error *err)
{
    const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const int fd = fs_openat2(root_fd, path, flags, mode, resolve);

    return fd >= 0 ? fd : error_sys(err, "open %s", path);
}

int fs_open_nofollow(
    int root_fd, const char *path, int flags, mode_t mode, struct error *err)
{
    const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const int fd = fs_openat2(root_fd, path, flags, mode, resolve);

    return fd >= 0 ? fd : error_sys(err, "open %s", path);
}

int fs_open_at(int dir_fd, const char *path, int flags, mode_t mode, struct error *err)
{
    int fd = -1;

    do {
        fd = openat(dir_fd, path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd >= 0 ? fd : error_sys(err, "open %s", path);
}

/* --- Whole files --- */

static ssize_t read_some(int fd, void *data, size_t size)
{
    ssize_t got = 0;

    do {
        got = read(fd, data, size);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* The first read asks for what the file says it holds, and one byte to see its end. */
static size_t first_read_size(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        st.st_size > (off_t)LIMIT_TEXT_SIZE)
        return (size_t)64 << 10;
    return (size_t)st.st_size + 1;
}

int fs_read_all(int fd, struct buf *out, struct error *err)
{
    size_t step = first_read_size(fd);

    for (;;) {
        const size_t left = out->max - out->size;
        char beyond = 0;
        char *room = left ? buf_reserve(out, step < left ? step : left) : &beyond;

        if (!room)
            return buf_ok(out, "file", err);

        const ssize_t got = read_some(fd, room, left ? (step < left ? step : left) : 1);

        if (got < 0)
            return error_sys(err, "read");
        if (got == 0)
            return 0;
        if (left == 0) {
            out->failed = true;
            return buf_ok(out, "file", err);
        }
        buf_commit(out, (size_t)got);
        step = (size_t)64 << 10;
    }
}

int fs_read_file_at(int dir_fd, const char *path, struct buf *out, struct error *err)
{
    CLEANUP(fd_closep) int fd = fs_open_at(dir_fd, path, O_RDONLY | O_NOCTTY, 0, err);

    if (fd < 0)
        return -1;
    if (fs_read_all(fd, out, err) < 0)
        return error_wrap(err, "%s", path);
    return 0;
}

int fs_write_all(int fd, const void *data, size_t size, struct error *err)
{
    const char *at = data;

    while (size > 0) {
        const ssize_t put = write(fd, at, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_sys(err, "write");
        at += put;
        size -= (size_t)put;
    }
    return 0;
}

int fs_write_all_at(
    int fd, const void *data, size_t size, uint64_t offset, struct error *err)
{
    const char *at = data;

    while (size > 0) {
        const ssize_t put = pwrite(fd, at, size, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_sys(err, "write");
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

int fs_sync(int fd, const char *what, struct error *err)
{
    if (fsync(fd) < 0)
        return error_sys(err, "sync %s", what);
    return 0;
}

/* A name of its own in the directory; the file is empty and open for writing. */
static int open_temporary(int dir_fd, mode_t mode, char name[static 32], struct error *err)
{
    uint64_t random = 0;

    for (unsigned attempt = 0; attempt < FS_RACE_RETRIES; attempt++) {
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return error_sys(err, "random bytes");
        snprintf(name, 32, ".cooper-%016jx", (uintmax_t)random);

        const int fd = openat(dir_fd, name,
                              O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

        if (fd >= 0)
            return fd;
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    return error_sys(err, "create a temporary file");
}

/* Writes and names the file; the caller unlinks the temporary name on failure. */
static int publish(int dir_fd,
                   int fd,
                   const char *temporary,
                   const char *name,
                   struct view data,
                   struct error *err)
{
    if (fs_write_all(fd, data.data, data.size, err) < 0 || fs_sync(fd, name, err) < 0)
        return -1;
    if (renameat(dir_fd, temporary, dir_fd, name) < 0)
        return error_sys(err, "rename to %s", name);
    return fs_sync(dir_fd, "the directory", err);
}

int fs_replace_file_at(
    int dir_fd, const char *path, struct view data, mode_t mode, struct error *err)
{
    CLEANUP(base_freep) char *parent = view_dup(path_dir(view_of(path)));
    CLEANUP(base_freep) char *name = view_dup(path_base(view_of(path)));
    CLEANUP(fd_closep)
    int parent_fd = fs_open_at(dir_fd, parent, O_RDONLY | O_DIRECTORY, 0, err);
    char temporary[32];

    if (parent_fd < 0)
        return error_wrap(err, "write %s", path);

    CLEANUP(fd_closep) int fd = open_temporary(parent_fd, mode, temporary, err);

    if (fd < 0)
        return error_wrap(err, "write %s", path);
    if (publish(parent_fd, fd, temporary, name, data, err) < 0) {
        unlinkat(parent_fd, temporary, 0);
        return error_wrap(err, "write %s", path);
    }
    return 0;
}

/* --- Directories and links --- */

static bool is_directory(int dir_fd, const char *path)
{
    struct stat st;

    return fstatat(dir_fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

int fs_mkdir_all_at(int dir_fd, const char *path, mode_t mode, struct error *err)
{
    CLEANUP(base_freep) char *part = base_strdup(path);

    /* Most often only the last one is missing, or none. */
    if (mkdirat(dir_fd, path, mode) == 0 || (errno == EEXIST && is_directory(dir_fd, path)))
        return 0;
    for (size_t i = 1; errno == ENOENT && part[0] && part[i]; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        if (mkdirat(dir_fd, part, mode) < 0 && errno != EEXIST)
            return error_sys(err, "make directory %s", part);
        part[i] = '/';
        errno = ENOENT;
    }
    if (mkdirat(dir_fd, path, mode) == 0 || (errno == EEXIST && is_directory(dir_fd, path)))
        return 0;
    return error_sys(err, "make directory %s", path);
}

char *fs_readlink_at(int dir_fd, const char *name, struct error *err)
{
    for (size_t capacity = 256;; capacity *= 2) {
        CLEANUP(base_freep) char *target = base_alloc(capacity);
        const ssize_t size = readlinkat(dir_fd, name, target, capacity);

        if (size < 0) {
            error_sys(err, "read link %s", name);
            return NULL;
        }
        /* A full buffer may have cut the target. The kernel's own limit is LIMIT_PATH_SIZE,
         * so this ends. */
        if ((size_t)size < capacity)
            return base_strndup(target, (size_t)size);
    }
}

bool fs_capable(unsigned capability)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}
