/* The mount namespace of a step, and its root. */
#include "builder/sandbox/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More directories than any path of Linux has. */
enum { CLIMB_MAX = 4096 };

static bool is_same_place(const struct statx *a, const struct statx *b)
{
    return a->stx_mnt_id == b->stx_mnt_id && a->stx_ino == b->stx_ino &&
           a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

/* Changes to the directory above until there is none. */
static int climb(void)
{
    const unsigned what = STATX_INO | STATX_MNT_ID;
    struct statx here, above;

    if (statx(AT_FDCWD, ".", AT_NO_AUTOMOUNT, what, &here) < 0)
        return -1;
    for (unsigned i = 0; i < CLIMB_MAX; i++) {
        if (chdir("..") < 0 || statx(AT_FDCWD, ".", AT_NO_AUTOMOUNT, what, &above) < 0)
            return -1;
        if (is_same_place(&here, &above))
            return chroot(".");
        here = above;
    }
    errno = ELOOP;
    return -1;
}

/*
 * Cooper may itself run in a chroot, whose root is no root to pivot_root, or a mount that
 * hangs in another tree. That tree would stay behind the step's root, and chroot(2), which
 * a step may use, would lead there: `..` ends at the root of a process only if one begins
 * beneath it. So this process first goes that same way, to the root of the mount namespace;
 * what pivot_root then leaves behind is all there is. (Who has no CAP_SYS_CHROOT is in no
 * chroot that could be left, and gives no step that could leave one.)
 */
static int leave_chroot(void)
{
    const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int result = 0;

    if (root < 0)
        return -1;
    if (chroot("/proc") == 0)
        result = fchdir(root) < 0 ? -1 : climb();
    else if (errno != EPERM)
        result = -1;
    return child_close_after(root, result);
}

int child_unshare(void)
{
    if (unshare(CLONE_NEWNS) < 0 || leave_chroot() < 0)
        return -1;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* On top of the host's "/", which this process does not see, being below it; pivot_root
 * then leaves it behind with the host's root. The kernel copies no part of a detached
 * mount. */
int child_stage(struct sandbox_child *child, const struct sandbox_op *op)
{
    return move_mount(child->slots[op->slot], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int child_root(struct sandbox_child *child, const struct sandbox_op *op)
{
    child->root = child->slots[op->slot];
    if (op->flags & OP_FLAG_CLASSIC)
        return 0;
    return child_stage(child, op);
}

/* "/" is the mount that is this process's root; the way "/.." leads to what is mounted on
 * top of it. */
static int is_covered(bool *covered)
{
    const unsigned what = STATX_INO | STATX_MNT_ID;
    struct statx root, top;

    if (statx(AT_FDCWD, "/", AT_NO_AUTOMOUNT, what, &root) < 0 ||
        statx(AT_FDCWD, "/..", AT_NO_AUTOMOUNT, what, &top) < 0)
        return -1;
    *covered = !is_same_place(&root, &top);
    return 0;
}

/*
 * pivot_root(2), "pivot_root(".", ".")": the old root ends on top of the new one and is
 * taken away with all its mounts, so no path leads to the host any more. umount takes the
 * topmost of what lies there, and that is a staged mount, if there are any, which lies on
 * the old root: so it is taken away until nothing is left.
 */
int child_pivot(struct sandbox_child *child)
{
    bool covered = true;

    if (fchdir(child->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 || is_covered(&covered) < 0)
        return -1;
    while (covered)
        if (umount2("/..", MNT_DETACH) < 0 || is_covered(&covered) < 0)
            return -1;
    return 0;
}

int child_root_readonly(void)
{
    const int fd = open("/", O_PATH | O_CLOEXEC | O_DIRECTORY);
    struct statvfs st;

    if (fd < 0 || fstatvfs(fd, &st) < 0)
        return -1;
    close(fd);
    return mount(NULL, "/", NULL,
                 MS_REMOUNT | MS_BIND | MS_RDONLY |
                     (st.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC)),
                 NULL);
}
