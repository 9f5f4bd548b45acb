#include "builder/sandbox/child.h"

#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Paths inside the root come from a Dockerfile and meet a tree that an image wrote: every
 * lookup is openat2 with RESOLVE_IN_ROOT, so that neither ".." nor a symlink leaves it, and
 * RESOLVE_NO_MAGICLINKS, as /proc/self/fd of this process still leads to the host. Creation
 * acts on one final name in a directory that was opened that way, without following it.
 *
 * The buffers are of the kernel's own limit for a path, as nothing may be allocated here.
 */
#define CHILD_PATH_SIZE LIMIT_PATH_SIZE

struct child_fd_path child_fd_path(int fd)
{
    struct child_fd_path path = {"/proc/self/fd/"};
    char digits[12];
    size_t count = 0;
    size_t at = sizeof "/proc/self/fd/" - 1;

    do {
        digits[count++] = (char)('0' + fd % 10);
        fd /= 10;
    } while (fd > 0);
    while (count > 0)
        path.text[at++] = digits[--count];
    path.text[at] = '\0';
    return path;
}

int child_open(int root, const char *path, bool kernel)
{
    const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                             (kernel ? (uint64_t)RESOLVE_NO_SYMLINKS : 0);

    return fs_openat2(root, path[0] ? path : ".", O_PATH | O_CLOEXEC, 0, resolve);
}

static uint64_t mount_id(int fd)
{
    struct statx st;

    return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0 ? st.stx_mnt_id : 0;
}

/* Where the open directory is, as the kernel names it, without a slash at the end ("" for
 * the root); the size, or -1. */
static ssize_t fd_name(int fd, char *out)
{
    const struct child_fd_path link = child_fd_path(fd);
    ssize_t size = readlink(link.text, out, CHILD_PATH_SIZE - 1);

    if (size < 0)
        return -1;
    if (size == 1)
        size = 0;
    out[size] = '\0';
    return size;
}

/*
 * Tells cooper that `name` was made in `parent`, by the path that it really has: the target
 * may have led through symlinks. What lies in another mount (a cache, a bind) is no stub of
 * the root.
 */
static int report_stub(struct sandbox_child *child, int parent, const char *name)
{
    const struct sandbox_message message = {.kind = SANDBOX_MESSAGE_STUB};
    char root[CHILD_PATH_SIZE];
    char path[CHILD_PATH_SIZE + LIMIT_NAME_SIZE + 2];
    const ssize_t root_size = fd_name(child->root, root);
    ssize_t size = fd_name(parent, path);

    if (mount_id(parent) != mount_id(child->root))
        return 0;
    if (root_size < 0 || size < root_size)
        return -1;
    path[size++] = '/';
    for (; *name; name++)
        path[size++] = *name;
    path[size] = '\0';
    child_send(child, &message, path + root_size + 1, -1);
    return 0;
}

/* A path that is being created: components up to `end` are there. */
struct walk {
    char path[CHILD_PATH_SIZE];
    size_t size;
    size_t links;
};

static int walk_set(struct walk *w, size_t at, const char *text)
{
    size_t i = 0;

    for (; text[i]; i++) {
        if (at + i >= sizeof w->path - 1) {
            errno = ENAMETOOLONG;
            return -1;
        }
        w->path[at + i] = text[i];
    }
    w->path[at + i] = '\0';
    w->size = at + i;
    return 0;
}

/*
 * The component from `start` to `end` is a symlink that leads nowhere: puts its text in its
 * place, as the kernel's lookup would, and the walk begins anew.
 */
static int walk_follow(
    struct walk *w, int parent, const char *name, size_t start, size_t end)
{
    char link[CHILD_PATH_SIZE];
    char rest[CHILD_PATH_SIZE];
    const ssize_t size = readlinkat(parent, name, link, sizeof link - 1);
    size_t rest_size = 0;

    if (size < 0)
        return -1;
    if (++w->links > LIMIT_SYMLINKS) {
        errno = ELOOP;
        return -1;
    }
    link[size] = '\0';
    for (; end + rest_size < w->size; rest_size++)
        rest[rest_size] = w->path[end + rest_size];
    rest[rest_size] = '\0';
    if (walk_set(w, link[0] == '/' ? 0 : start, link) < 0)
        return -1;
    return walk_set(w, w->size, rest);
}

/* What a missing component is created as. */
struct creation {
    enum child_target_kind kind; /* of the last one; the others are directories */
    bool stub;                   /* report it */
    uid_t uid;
    gid_t gid;
};

/* Creates one name; its parent keeps its times, so that a stub leaves no trace in a layer.
 */
static int create_name(struct sandbox_child *child,
                       int parent,
                       const char *name,
                       bool last,
                       const struct creation *how)
{
    struct stat st;
    int fd = 0;

    if (fstat(parent, &st) < 0)
        return -1;
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (last && how->kind == CHILD_TARGET_FILE) {
        fd = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                    0755); /* as runc; to be seen where a step moves it away */
        if (fd >= 0)
            close(fd);
    } else {
        fd = mkdirat(parent, name, 0755);
    }
    if (fd < 0)
        return errno == EEXIST ? 0
                               : -1; /* another step of a shared cache mount was first */
    if (how->stub)
        return utimensat(parent, ".", times, 0) < 0 ? -1 : report_stub(child, parent, name);
    if (how->uid == 0 && how->gid == 0)
        return 0;
    return fchownat(parent, name, how->uid, how->gid, AT_SYMLINK_NOFOLLOW);
}

/* Makes sure that the component from `start` to `end` of the walk exists. 0: it does; 1:
 * the path changed, begin anew. */
static int walk_step(struct sandbox_child *child,
                     struct walk *w,
                     size_t start,
                     size_t end,
                     const struct creation *how)
{
    const char separator = w->path[end];
    struct stat st;
    int result = 0;

    w->path[end] = '\0';
    int fd = child_open(child->root, w->path, false);
    if (fd >= 0) {
        close(fd);
        w->path[end] = separator;
        return 0;
    }
    if (errno != ENOENT)
        return -1;
    char name[LIMIT_NAME_SIZE + 1];
    if (end - start > LIMIT_NAME_SIZE) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (size_t i = start; i <= end; i++)
        name[i - start] = w->path[i];
    const char first = w->path[start];
    w->path[start] = '\0';
    fd = child_open(child->root, w->path, false);
    w->path[start] = first;
    w->path[end] = separator;
    if (fd < 0)
        return -1;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        result = walk_follow(w, fd, name, start, end) < 0 ? -1 : 1;
    else
        result = create_name(child, fd, name, end == w->size, how);
    const int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

static int create_path(struct sandbox_child *child,
                       const char *path,
                       const struct creation *how)
{
    struct walk w = {.links = 0};

    if (walk_set(&w, 0, path) < 0)
        return -1;
    while (w.size > 1 && w.path[w.size - 1] == '/')
        w.path[--w.size] = '\0';
    for (size_t start = 0; start < w.size;) {
        size_t end = start;
        while (end < w.size && w.path[end] != '/')
            end++;
        const int step = end == start ? 0 : walk_step(child, &w, start, end, how);
        if (step < 0)
            return -1;
        start = step > 0 ? 0 : end + 1;
    }
    return child_open(child->root, w.path, false);
}

int child_target(struct sandbox_child *child,
                 const char *path,
                 enum child_target_kind kind,
                 bool kernel)
{
    const struct creation how = {.kind = kind, .stub = true};
    struct stat st;
    int fd = child_open(child->root, path, kernel);

    if (fd < 0 && errno == ENOENT)
        fd = create_path(child, path, &how);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) == (kind == CHILD_TARGET_DIRECTORY))
        return fd;
    close(fd);
    errno = kind == CHILD_TARGET_DIRECTORY ? ENOTDIR : EISDIR;
    return -1;
}

int child_directory(struct sandbox_child *child, const char *path, uid_t uid, gid_t gid)
{
    const struct creation how = {.kind = CHILD_TARGET_DIRECTORY, .uid = uid, .gid = gid};
    const int fd = child_open(child->root, path, false);

    return fd < 0 && errno == ENOENT ? create_path(child, path, &how) : fd;
}
