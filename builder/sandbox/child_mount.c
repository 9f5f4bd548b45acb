#include "builder/sandbox/child.h"

#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A hostile requester gains nothing by any of these: all of it happens in a mount namespace
 * that only the step will see (child_unshare stands before the first attachment), every
 * source is a descriptor that cooper had opened itself or a path beneath one, and every
 * target lies in the new root (child_target.c).
 */

/* Nothing that happens beneath the detached tree may propagate to the host, so it becomes
 * private before it is attached. */
static int seal_tree(int tree, uint64_t attributes)
{
    struct mount_attr attr = {.attr_set = attributes, .propagation = MS_PRIVATE};

    return mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
}

static int clone_tree(int dir, const char *path, uint64_t attributes)
{
    const int tree = open_tree(
        dir, path, AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (tree >= 0 && seal_tree(tree, attributes) < 0)
        return child_close_after(tree, -1);
    return tree;
}

static int move_tree(int tree, int target)
{
    return move_mount(tree, "", target, "",
                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/*
 * Binds `source` over the target that is open as `target_fd` and named `target` in the
 * root, with mount(2). A read-only one comes without the mounts below it, as mount(2) could
 * not make those read-only too.
 */
static int classic_bind(struct sandbox_child *child,
                        int source,
                        int target_fd,
                        const char *target,
                        unsigned long flags)
{
    const struct child_fd_path from = child_fd_path(source);
    const struct child_fd_path to = child_fd_path(target_fd);

    if (mount(from.text, to.text, NULL, MS_BIND | (flags ? 0 : MS_REC), NULL) < 0)
        return -1;
    if (flags == 0)
        return 0;
    const int fd = child_open(child->root, target, false);
    return fd < 0 ? -1 : child_close_after(fd, child_remount(fd, flags));
}

int child_tree(struct sandbox_child *child, const struct sandbox_op *op)
{
    const char *source = child_text(child, op->text);
    const uint64_t attributes = child_attributes(op);

    if (!source)
        return child_set_slot(child, (uint32_t)op->slot,
                              clone_tree(child->slots[op->slot], "", attributes));

    const int fd = child_open(child->slots[op->slot], source, false);

    if (fd < 0)
        return -1;
    return child_close_after(
        fd, child_set_slot(child, (uint32_t)op->slot, clone_tree(fd, "", attributes)));
}

int child_subtree(struct sandbox_child *child, const struct sandbox_op *op)
{
    const char *source = child_text(child, op->text);
    const int fd = child_open(child->slots[op->slot], source ? source : "", false);

    return child_set_slot(child, (uint32_t)op->slot, fd);
}

/* For the host's /proc and /sys: nothing of them is a program or a device. */
static int bind_kernel(struct sandbox_child *child,
                       const struct sandbox_op *op,
                       const char *source)
{
    const char *target = child_text(child, op->target);
    const int fd = child_target(child, target, CHILD_TARGET_DIRECTORY,
                                (op->flags & OP_FLAG_KERNEL) != 0);

    if (fd < 0)
        return -1;
    const struct child_fd_path path = child_fd_path(fd);
    if (!(op->flags & OP_FLAG_CLASSIC)) {
        const uint64_t none = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        const int tree = clone_tree(AT_FDCWD, source, child_attributes(op) | none);
        const int result = tree < 0 ? -1 : child_close_after(tree, move_tree(tree, fd));
        return child_close_after(fd, result);
    }
    /* With the mounts below it: a user namespace may not uncover what they cover. */
    if (mount(source, path.text, NULL, MS_BIND | MS_REC, NULL) < 0)
        return child_close_after(fd, -1);
    close(fd);
    const unsigned long flags = child_mount_flags(op) | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    const int over = child_open(child->root, target, false);
    return over < 0 ? -1 : child_close_after(over, child_remount(over, flags));
}

int child_bind(struct sandbox_child *child, const struct sandbox_op *op)
{
    return bind_kernel(child, op, child_text(child, op->text));
}

/* What a mount of the step's becomes only when it is there. */
static int finish_mount(struct sandbox_child *child,
                        const struct sandbox_op *op,
                        const struct stat *covered)
{
    const int fd = child_open(child->root, child_text(child, op->target), false);
    const struct child_fd_path path = child_fd_path(fd < 0 ? 0 : fd);

    if (fd < 0)
        return -1;
    if (covered && chmod(path.text, covered->st_mode & 07777) < 0)
        return child_close_after(fd, -1);
    return child_close_after(fd, op->flags & OP_FLAG_READONLY ? child_remount(fd, MS_RDONLY)
                                                              : 0);
}

/* As runc: a tmpfs over a directory has its mode. */
static bool find_covered(const struct sandbox_child *child,
                         const struct sandbox_op *op,
                         struct stat *out)
{
    const int fd = child_open(child->root, child_text(child, op->target), false);

    return fd >= 0 && child_close_after(fd, fstat(fd, out)) == 0;
}

/*
 * In a container whose /proc or /sys are covered in part the kernel mounts nobody a new
 * one, as that would uncover it (mount_too_revealing). The container's own is shown then,
 * with all that covers it. The step sees the numbers of the container's processes there,
 * but is of another user namespace, or has less capabilities, than each: it may look into
 * none.
 */
int child_mount(struct sandbox_child *child, const struct sandbox_op *op)
{
    const char *type = child_text(child, op->text);
    const char *target = child_text(child, op->target);
    const bool is_kernel = (op->flags & OP_FLAG_KERNEL) != 0;
    struct stat covered;
    const bool keep_mode =
        op->flags & OP_FLAG_TARGET_MODE && find_covered(child, op, &covered);
    const int fd = child_target(child, target, CHILD_TARGET_DIRECTORY, is_kernel);

    if (fd < 0)
        return -1;
    const struct child_fd_path path = child_fd_path(fd);
    const int result =
        child_close_after(fd, mount(type, path.text, type, (unsigned long)op->a,
                                    child_text(child, op->data)));
    if (result < 0 && errno == EPERM && (op->flags & OP_FLAG_OR_BIND))
        return bind_kernel(child, op, target);
    if (result == 0 && !is_kernel)
        return finish_mount(child, op, keep_mode ? &covered : NULL);
    return result;
}

struct device {
    const char *name;
    const char *path;
    unsigned minor;
    unsigned major;
};

static const struct device devices[] = {
    {"null", "/dev/null", 3, 1},       {"zero", "/dev/zero", 5, 1},
    {"full", "/dev/full", 7, 1},       {"random", "/dev/random", 8, 1},
    {"urandom", "/dev/urandom", 9, 1}, {"tty", "/dev/tty", 0, 5},
};

static const struct {
    const char *name;
    const char *to;
} device_links[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
    {"core", "/proc/kcore"},       {"ptmx", "pts/ptmx"},
};

/* A mount of its own for one node, with flags that are not those of /dev. */
static int bind_node(int dev, const struct device *d, const char *source, bool readonly)
{
    const int fd = openat(dev, d->name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    const struct child_fd_path path = child_fd_path(fd < 0 ? 0 : fd);

    if (fd < 0)
        return -1;
    if (child_close_after(
            fd, mount(source ? source : path.text, path.text, NULL, MS_BIND, NULL)) < 0)
        return -1;

    const int over = openat(dev, d->name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    const struct child_fd_path bound = child_fd_path(over < 0 ? 0 : over);
    const unsigned long usable = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NOEXEC;

    if (over < 0)
        return -1;
    return child_close_after(over, readonly ? child_remount(over, MS_RDONLY)
                                            : mount(NULL, bound.text, NULL, usable, NULL));
}

/*
 * These six give a step nothing: no memory, no disk, no other terminal than its own. What a
 * step may do to the nodes themselves, chmod or chown them, must not reach those of the
 * host: they are nodes of the step's own tmpfs, or else read-only, which devices can be
 * written through.
 */
static int make_device(int dev, const struct device *d, uint32_t flags)
{
    const dev_t number = ((dev_t)d->major << 8) | d->minor;

    if (!(flags & OP_FLAG_BIND_NODES)) {
        if (mknodat(dev, d->name, S_IFCHR | 0666, number) < 0)
            return -1;
        return flags & OP_FLAG_NODEV ? bind_node(dev, d, NULL, false) : 0;
    }
    const int fd = openat(dev, d->name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    close(fd);
    return bind_node(dev, d, d->path, true);
}

int child_dev(struct sandbox_child *child, const struct sandbox_op *op)
{
    if (child_mount(child, op) < 0)
        return -1;
    child->dev = child_open(child->root, child_text(child, op->target), true);
    if (child->dev < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(devices); i++)
        if (make_device(child->dev, &devices[i], op->flags) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_COUNT(device_links); i++)
        if (symlinkat(device_links[i].to, child->dev, device_links[i].name) < 0)
            return -1;
    return 0;
}

static int write_content(int fd, const char *data, uint64_t size)
{
    while (size > 0) {
        const ssize_t wrote = write(fd, data, size);
        if (wrote < 0 && errno != EINTR)
            return -1;
        if (wrote > 0) {
            data += wrote;
            size -= (uint64_t)wrote;
        }
    }
    return 0;
}

static int fill_file(const struct sandbox_child *child, const struct sandbox_op *op, int fd)
{
    if (write_content(fd, child->plan + op->data, op->count) < 0 ||
        fchown(fd, (uid_t)(op->a >> 32), (gid_t)(op->a & UINT32_MAX)) < 0)
        return -1;
    return fchmod(fd, (mode_t)op->number);
}

static int place_file(struct sandbox_child *child,
                      const struct sandbox_op *op,
                      const char *name,
                      int target_fd)
{
    /* A here-document with "#!" is a file to be executed; a secret or a socket never is. */
    const bool is_script = op->code == OP_FILE && (op->number & 0111) != 0;

    if (!(op->flags & OP_FLAG_CLASSIC)) {
        const uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                    (is_script ? 0 : MOUNT_ATTR_NOEXEC) |
                                    (op->flags & OP_FLAG_READONLY ? MOUNT_ATTR_RDONLY : 0);
        const int tree = clone_tree(child->dev, name, attributes);
        return tree < 0 ? -1 : child_close_after(tree, move_tree(tree, target_fd));
    }
    const int fd = openat(child->dev, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    const unsigned long flags = MS_NOSUID | MS_NODEV | (is_script ? 0 : MS_NOEXEC) |
                                (op->flags & OP_FLAG_READONLY ? MS_RDONLY : 0);
    if (fd < 0)
        return -1;
    return child_close_after(
        fd, classic_bind(child, fd, target_fd, child_text(child, op->target), flags));
}

/* The file is born in the tmpfs of /dev, bound to its target and loses its name there:
 * memory that ends with the step, seen at the target only. */
int child_file(struct sandbox_child *child, const struct sandbox_op *op)
{
    const struct child_fd_path number = child_fd_path((int)child->files++);
    const char *name = number.text + sizeof "/proc/self/fd/" - 1;
    int fd = openat(child->dev, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                    0600);

    if (fd < 0 || child_close_after(fd, fill_file(child, op, fd)) < 0)
        return -1;
    fd = child_target(child, child_text(child, op->target), CHILD_TARGET_FILE, false);
    if (fd < 0 || child_close_after(fd, place_file(child, op, name, fd)) < 0)
        return -1;
    return unlinkat(child->dev, name, 0);
}

/* "/proc/self/fd/DEV/NAME": bind(2) knows paths only. */
static void socket_address(int dev, const char *name, struct sockaddr_un *out)
{
    const struct child_fd_path path = child_fd_path(dev);
    size_t size = 0;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    for (const char *p = path.text; *p; p++)
        out->sun_path[size++] = *p;
    out->sun_path[size++] = '/';
    for (const char *p = name; *p; p++)
        out->sun_path[size++] = *p;
}

static int open_socket(const struct sandbox_child *child,
                       const struct sandbox_op *op,
                       const char *name)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;

    socket_address(child->dev, name, &address);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        fchmodat(child->dev, name, (mode_t)op->number, 0) < 0 ||
        fchownat(child->dev, name, (uid_t)(op->a >> 32), (gid_t)(op->a & UINT32_MAX),
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return child_close_after(fd, -1);
    return fd;
}

/* As a file: born in the tmpfs of /dev, of which the step has made nothing yet. What is
 * listened to goes to cooper; the step can connect, and nothing else. */
int child_socket(struct sandbox_child *child, const struct sandbox_op *op)
{
    const struct sandbox_message message = {.kind = SANDBOX_MESSAGE_LISTENER,
                                            .value = (int32_t)op->count};
    const struct child_fd_path number = child_fd_path((int)child->files++);
    const char *name = number.text + sizeof "/proc/self/fd/" - 1;
    const int listener = open_socket(child, op, name);

    if (listener < 0)
        return -1;
    const int fd =
        child_target(child, child_text(child, op->target), CHILD_TARGET_FILE, false);
    if (fd < 0 || child_close_after(fd, place_file(child, op, name, fd)) < 0)
        return child_close_after(listener, -1);
    child_send(child, &message, NULL, listener);
    close(listener);
    return unlinkat(child->dev, name, 0);
}

int child_attach(struct sandbox_child *child, const struct sandbox_op *op)
{
    const char *target = child_text(child, op->target);
    const int source = child->slots[op->slot];
    struct stat st;

    if (fstat(source, &st) < 0)
        return -1;
    const int fd = child_target(
        child, target, S_ISDIR(st.st_mode) ? CHILD_TARGET_DIRECTORY : CHILD_TARGET_FILE,
        false);
    if (fd < 0)
        return -1;
    if (!(op->flags & OP_FLAG_CLASSIC))
        return child_close_after(fd, move_tree(source, fd));
    return child_close_after(
        fd, classic_bind(child, source, fd, target, child_mount_flags(op)));
}

static bool is_absent(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES;
}

int child_mask(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int fd = child_open(child->root, child_text(child, op->target), true);
    const struct child_fd_path path = child_fd_path(fd < 0 ? 0 : fd);
    struct stat st;

    if (fd < 0)
        return is_absent(errno) ? 0 : -1;
    if (fstat(fd, &st) < 0)
        return child_close_after(fd, -1);
    if (S_ISDIR(st.st_mode))
        return child_close_after(fd, mount("tmpfs", path.text, "tmpfs",
                                           MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                                           "size=4k,mode=755"));
    const int null = child_open(child->dev, "null", true);
    if (null < 0)
        return child_close_after(fd, -1);
    const struct child_fd_path from = child_fd_path(null);
    const int result =
        child_close_after(null, mount(from.text, path.text, NULL, MS_BIND, NULL));
    return child_close_after(fd, result);
}

int child_readonly(struct sandbox_child *child, const struct sandbox_op *op)
{
    const char *target = child_text(child, op->target);
    const int fd = child_open(child->root, target, true);

    if (fd < 0)
        return is_absent(errno) ? 0 : -1;
    if (op->flags & OP_FLAG_CLASSIC)
        return child_close_after(fd, classic_bind(child, fd, fd, target, MS_RDONLY));
    const int tree = clone_tree(fd, "", MOUNT_ATTR_RDONLY);
    return child_close_after(fd,
                             tree < 0 ? -1 : child_close_after(tree, move_tree(tree, fd)));
}
