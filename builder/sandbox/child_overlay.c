#include "builder/sandbox/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * Overlays, by descriptors and by mount(2). The directories are cooper's own: that they are
 * layers, and of whom, was decided when they were opened.
 */

int child_set_slot(struct sandbox_child *child, uint32_t slot, int fd)
{
    if (fd < 0)
        return -1;
    if (child->slots[slot] >= 0)
        close(child->slots[slot]);
    child->slots[slot] = fd;
    return 0;
}

int child_close_after(int fd, int result)
{
    const int saved = errno;

    close(fd);
    errno = saved;
    return result;
}

uint64_t child_attributes(const struct sandbox_op *op)
{
    return (op->flags & OP_FLAG_READONLY ? (uint64_t)MOUNT_ATTR_RDONLY : 0) |
           (op->flags & OP_FLAG_NODEV ? (uint64_t)MOUNT_ATTR_NODEV : 0);
}

unsigned long child_mount_flags(const struct sandbox_op *op)
{
    return (op->flags & OP_FLAG_READONLY ? (unsigned long)MS_RDONLY : 0) |
           (op->flags & OP_FLAG_NODEV ? (unsigned long)MS_NODEV : 0);
}

/* Adds `flags` to a mount, keeping those it has: in a user namespace they may not be
 * cleared. */
int child_remount(int fd, unsigned long flags)
{
    const struct child_fd_path path = child_fd_path(fd);
    struct statvfs st;

    if (fstatvfs(fd, &st) < 0)
        return -1;
    flags |= MS_REMOUNT | MS_BIND;
    flags |= st.f_flag & ST_NOSUID ? MS_NOSUID : 0;
    flags |= st.f_flag & ST_NODEV ? MS_NODEV : 0;
    flags |= st.f_flag & ST_NOEXEC ? MS_NOEXEC : 0;
    flags |= st.f_flag & ST_RDONLY ? MS_RDONLY : 0;
    flags |= st.f_flag & ST_NOATIME ? MS_NOATIME : 0;
    flags |= st.f_flag & ST_NODIRATIME ? MS_NODIRATIME : 0;
    flags |= st.f_flag & ST_RELATIME ? MS_RELATIME : 0;
    return mount(NULL, path.text, NULL, flags, NULL);
}

static int overlay_option(int fs, const char *key, const char *value)
{
    return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int overlay_configure(const struct sandbox_child *child,
                             const struct sandbox_op *op,
                             int fs)
{
    const int *lower = child->slots + op->slot;

    /* nofollow is off, and does not heed a redirect that is there either; off would
     * conflict with userxattr on some kernels. */
    if (overlay_option(fs, "index", "off") < 0 ||
        overlay_option(fs, "metacopy", "off") < 0 ||
        overlay_option(fs, "redirect_dir", "nofollow") < 0 ||
        overlay_option(fs, "xino", "off") < 0 ||
        fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
        return -1;
    if ((op->flags & OP_FLAG_USERXATTR) &&
        fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
        return -1;
    for (uint32_t i = op->count; i-- > 0;)
        if (fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, lower[i]) < 0)
            return -1;
    if (fsconfig(fs, FSCONFIG_SET_FD, "upperdir", NULL, lower[op->count]) < 0 ||
        fsconfig(fs, FSCONFIG_SET_FD, "workdir", NULL, lower[op->count + 1]) < 0)
        return -1;
    return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

/* The overlay's mount takes the place of the upper directory in the slots. */
int child_overlay(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    int fd = -1;

    if (fs < 0)
        return -1;
    if (overlay_configure(child, op, fs) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)child_attributes(op));
    return child_close_after(fs, child_set_slot(child, (uint32_t)op->slot + op->count, fd));
}

/* Opens in this mount namespace what was opened in another, by its path, and makes sure
 * that it is the same: whoever moved something else there in between gains an error. */
static int reopen(int old)
{
    const struct child_fd_path link = child_fd_path(old);
    char path[4096]; /* the kernel's limit for a path */
    struct stat was;
    struct stat is;
    const ssize_t size = readlink(link.text, path, sizeof path - 1);

    if (size < 0 || fstat(old, &was) < 0)
        return -1;
    path[size] = '\0';
    const int fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    if (fstat(fd, &is) == 0 && was.st_dev == is.st_dev && was.st_ino == is.st_ino)
        return fd;
    close(fd);
    errno = ESTALE;
    return -1;
}

int child_reopen(struct sandbox_child *child, const struct sandbox_op *op)
{
    for (uint32_t i = 0; i < op->count; i++)
        if (child_set_slot(child, (uint32_t)op->slot + i,
                           reopen(child->slots[(uint32_t)op->slot + i])) < 0)
            return -1;
    return 0;
}

/* The mount that now covers the directory `covered`. */
static int open_over(int covered)
{
    const struct child_fd_path link = child_fd_path(covered);
    char path[4096]; /* the kernel's limit for a path */
    const ssize_t size = readlink(link.text, path, sizeof path - 1);

    if (size < 0)
        return -1;
    path[size] = '\0';
    return open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY);
}

/* What mount(2) takes: one page. */
struct overlay_options {
    char text[4096];
    size_t size;
};

static void options_add(struct overlay_options *o, const char *text)
{
    for (; *text && o->size < sizeof o->text - 1; text++)
        o->text[o->size++] = *text;
    o->text[o->size] = '\0';
}

static void options_add_fd(struct overlay_options *o, int fd)
{
    const struct child_fd_path path = child_fd_path(fd);

    options_add(o, path.text + sizeof "/proc/self/fd/" - 1);
}

/* Directories are named relative to /proc/self/fd: 500 layers fit into one page then. */
int child_classic_overlay(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int *lower = child->slots + op->slot;
    const int upper = lower[op->count];
    const struct child_fd_path target = child_fd_path(upper);
    struct overlay_options o = {.size = 0};

    options_add(&o, "lowerdir=");
    for (uint32_t i = op->count; i-- > 0;) {
        options_add_fd(&o, lower[i]);
        options_add(&o, i > 0 ? ":" : ",upperdir=");
    }
    options_add_fd(&o, upper);
    options_add(&o, ",workdir=");
    options_add_fd(&o, lower[op->count + 1]);
    options_add(&o, ",index=off,metacopy=off,redirect_dir=nofollow,xino=off,volatile");
    if (op->flags & OP_FLAG_USERXATTR)
        options_add(&o, ",userxattr");
    if (o.size == sizeof o.text - 1) {
        errno = E2BIG;
        return -1;
    }
    const unsigned long flags = child_mount_flags(op);
    if (chdir("/proc/self/fd") < 0 ||
        mount("overlay", target.text, "overlay", flags, o.text) < 0 || chdir("/") < 0)
        return -1;
    return child_set_slot(child, (uint32_t)op->slot + op->count, open_over(upper));
}

int child_classic_self(struct sandbox_child *child, const struct sandbox_op *op)
{
    const int fd = child->slots[op->slot];
    const struct child_fd_path path = child_fd_path(fd);

    if (mount(path.text, path.text, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -1;
    if (child_set_slot(child, (uint32_t)op->slot, open_over(fd)) < 0)
        return -1;
    return child_remount(child->slots[op->slot], child_mount_flags(op));
}
