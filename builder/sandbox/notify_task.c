/* Paths, descriptors and memory of the process whose call was stopped. */
#include "builder/sandbox/notify_priv.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PROC_PATH_SIZE = 64, PAGE = 4096 };

bool notify_is_valid(const struct notify_call *c)
{
    return ioctl(c->n->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &c->request->id) == 0;
}

/* --- Memory --- */

/* Older profiles of containers refuse process_vm_readv, and have nothing against the file
 * that gives the same under the same conditions. */
static ssize_t read_memory(const struct notify_call *c,
                           uint64_t address,
                           void *out,
                           size_t size)
{
    struct iovec here = {out, size};
    struct iovec there = {(void *)(uintptr_t)address, size};
    const ssize_t got = process_vm_readv((pid_t)c->request->pid, &here, 1, &there, 1, 0);
    char path[PROC_PATH_SIZE];

    if (got >= 0 || (errno != EPERM && errno != ENOSYS))
        return got;
    snprintf(path, sizeof path, "/proc/%u/mem", c->request->pid);
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : pread(fd, out, size, (off_t)address);
}

int notify_read(const struct notify_call *c, uint64_t address, void *out, size_t size)
{
    const ssize_t got = read_memory(c, address, out, size);

    if (got < 0)
        return -1;
    if ((size_t)got < size) {
        errno = EFAULT;
        return -1;
    }
    return notify_is_valid(c) ? 0 : -1;
}

/* By a descriptor that was opened before the call was found to be waiting still: whoever
 * has the process id by now is not written to. */
int notify_write(const struct notify_call *c,
                 uint64_t address,
                 const void *data,
                 size_t size)
{
    char path[PROC_PATH_SIZE];

    snprintf(path, sizeof path, "/proc/%u/mem", c->request->pid);
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || !notify_is_valid(c))
        return -1;
    if (pwrite(fd, data, size, (off_t)address) == (ssize_t)size)
        return 0;
    errno = EFAULT;
    return -1;
}

/* Page by page, as what follows the text may not be mapped. */
int notify_read_path(const struct notify_call *c, uint64_t address, struct notify_path *out)
{
    size_t have = 0;

    while (have < sizeof out->text) {
        const uint64_t at = address + have;
        const size_t left = sizeof out->text - have;
        const size_t to_page = PAGE - (size_t)(at % PAGE);
        const size_t size = left < to_page ? left : to_page;
        const ssize_t got = read_memory(c, at, out->text + have, size);

        if (got <= 0) {
            errno = EFAULT;
            return -1;
        }
        if (memchr(out->text + have, '\0', (size_t)got))
            return notify_is_valid(c) ? 0 : -1;
        have += (size_t)got;
    }
    errno = ENAMETOOLONG;
    return -1;
}

/* --- Descriptors and paths --- */

static int open_proc(const struct notify_call *c, const char *what)
{
    char path[PROC_PATH_SIZE];

    snprintf(path, sizeof path, "/proc/%u/%s", c->request->pid, what);
    return open(path, O_PATH | O_CLOEXEC);
}

int notify_open_fd(const struct notify_call *c, int fd)
{
    char path[PROC_PATH_SIZE];

    if (fd == AT_FDCWD)
        return open_proc(c, "cwd");
    if (fd < 0) {
        errno = EBADF;
        return -1;
    }
    snprintf(path, sizeof path, "/proc/%u/fd/%d", c->request->pid, fd);
    return open(path, O_PATH | O_CLOEXEC);
}

/* Where an open directory is, as the kernel names it; without a slash at the end, so "" for
 * the root. Its size, or -1. */
static ssize_t name_of(int fd, char *out)
{
    char link[PROC_PATH_SIZE];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(link, out, LIMIT_PATH_SIZE - 1);

    if (size <= 0 || out[0] != '/') {
        errno = ENOENT;
        return -1;
    }
    out[size == 1 ? 0 : size] = '\0';
    return size == 1 ? 0 : size;
}

static int open_flags(bool follow)
{
    return O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
}

static int open_from_root(int root, const char *path, bool follow)
{
    return fs_openat2(root, *path ? path : ".", open_flags(follow), 0,
                      RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* A relative path with symlinks or "..", which may lead anywhere in the root: from there,
 * by the names of both directories. */
static int open_composed(const struct notify_call *c,
                         int base,
                         const char *path,
                         bool follow)
{
    CLEANUP(fd_closep) int root = open_proc(c, "root");
    char root_name[LIMIT_PATH_SIZE];
    char whole[2 * LIMIT_PATH_SIZE];
    const ssize_t root_size = root < 0 ? -1 : name_of(root, root_name);
    const ssize_t size = root_size < 0 ? -1 : name_of(base, whole);

    if (size < root_size || root_size < 0)
        return -1;
    snprintf(whole + size, sizeof whole - (size_t)size, "/%s", path);
    return open_from_root(root, whole + root_size, follow);
}

/* "/proc/self/fd/N", a link that only its own process can follow: N, or -1. Also by the
 * names that every /dev has. */
static int number_of_link(const char *path)
{
    static const char *const directories[] = {"/proc/self/fd/", "/proc/thread-self/fd/",
                                              "/dev/fd/"};
    static const char *const standard[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    uint64_t number = 0;

    for (size_t i = 0; i < ARRAY_COUNT(standard); i++)
        if (strcmp(path, standard[i]) == 0)
            return (int)i;
    for (size_t i = 0; i < ARRAY_COUNT(directories); i++) {
        const size_t size = strlen(directories[i]);

        if (strncmp(path, directories[i], size) == 0 &&
            view_to_u64(view_of(path + size), &number) && number <= INT_MAX)
            return (int)number;
    }
    return -1;
}

static int open_absolute(const struct notify_call *c, const char *path, bool follow)
{
    CLEANUP(fd_closep) int root = open_proc(c, "root");
    const int fd = root < 0 ? -1 : open_from_root(root, path, follow);
    const int number = fd < 0 && follow ? number_of_link(path) : -1;

    return number < 0 ? fd : notify_open_fd(c, number);
}

int notify_open(const struct notify_call *c, int dir_fd, const char *path, bool follow)
{
    if (path[0] == '/')
        return open_absolute(c, path, follow);
    CLEANUP(fd_closep) int base = notify_open_fd(c, dir_fd);
    if (base < 0)
        return -1;
    /* Most are of this kind. */
    const int fd = fs_openat2(base, path, open_flags(follow), 0,
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd >= 0 || (errno != ELOOP && errno != EXDEV))
        return fd;
    return open_composed(c, base, path, follow);
}

int notify_open_parent(const struct notify_call *c, int dir_fd, char *path, char **name)
{
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
    char *const slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
        errno = EEXIST;
        return -1;
    }
    if (!slash)
        return notify_open_fd(c, dir_fd);
    if (slash == path)
        return notify_open(c, dir_fd, "/", true);
    *slash = '\0';
    return notify_open(c, dir_fd, path, true);
}

mode_t notify_umask(const struct notify_call *c)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* the usual one then */
    char path[PROC_PATH_SIZE];

    snprintf(path, sizeof path, "/proc/%u/status", c->request->pid);
    if (fs_read_file_at(AT_FDCWD, path, &text, &ignored) < 0)
        return 022;
    const char *const line = strstr(buf_text(&text), "\nUmask:\t");
    return line ? (mode_t)strtoul(line + sizeof "\nUmask:\t" - 1, NULL, 8) & 0777 : 022;
}
