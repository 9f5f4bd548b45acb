/* New names: what is created belongs to whom it would belong to. */
#include "builder/sandbox/notify_priv.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The name to be created. */
struct place {
    struct notify_path path;
    int parent; /* O_PATH */
    struct stat parent_stat;
    char *name; /* in `path` */
    struct cas_owner owner;
    bool is_there; /* the name */
    bool is_plain; /* 0:0: the kernel can do it all */
};

/*
 * To the kernel a step's every process owns every file. So that one that took another
 * user's name cannot write where that user could not, the bits of the mode are looked at
 * here, for what is created and opened for writing.
 */
static bool may(const struct notify_call *c, int fd, mode_t want)
{
    const struct notify_person *const person = notify_person(c);
    struct cas_owner owner;
    struct stat st;
    bool found = false;

    if (person->uid.fs == 0)
        return true;
    if (fstat(fd, &st) < 0 || cas_owner_read(c->n->owners, fd, "", &owner, &found) < 0)
        return true; /* the kernel will know */
    if (person->uid.fs == owner.uid)
        return (st.st_mode >> 6 & want) == want;
    if (notify_in_group(person, owner.gid))
        return (st.st_mode >> 3 & want) == want;
    return (st.st_mode & want) == want;
}

enum { MAY_WRITE = 2, MAY_CREATE = 3 };

static void place_releasep(struct place *p)
{
    fd_closep(&p->parent);
}

/* inode(7): the group of a directory with the set-group-ID bit is passed on. */
static int find_owner(const struct notify_call *c, struct place *p)
{
    const struct notify_person *const person = notify_person(c);
    struct cas_owner parent;
    bool found = false;

    p->owner = (struct cas_owner){.uid = person->uid.fs, .gid = person->gid.fs};
    if (fstat(p->parent, &p->parent_stat) < 0)
        return -1;
    if (p->parent_stat.st_mode & S_ISGID) {
        if (cas_owner_read(c->n->owners, p->parent, "", &parent, &found) < 0)
            return -1;
        p->owner.gid = parent.gid;
    }
    p->is_plain = p->owner.uid == 0 && p->owner.gid == 0;
    return 0;
}

/* False: it is the kernel's to do, or to refuse. */
static bool find_place(const struct notify_call *c,
                       int dir_fd,
                       uint64_t address,
                       struct place *p)
{
    struct stat st;

    p->parent = -1;
    if (notify_read_path(c, address, &p->path) < 0)
        return false;
    p->parent = notify_open_parent(c, dir_fd, p->path.text, &p->name);
    if (p->parent < 0 || find_owner(c, p) < 0)
        return false;
    p->is_there = fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    return p->is_there || errno == ENOENT;
}

/* The same for what fails with EEXIST if the name is there. */
static bool find_new_place(const struct notify_call *c,
                           int dir_fd,
                           uint64_t address,
                           struct place *p)
{
    return find_place(c, dir_fd, address, p) && !p->is_there;
}

/* What was just created has lost what cooper's own mask takes away. */
static int unmask(const struct notify_call *c, int fd, mode_t mode)
{
    char path[32];

    if (!c->n->is_masked)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, mode);
}

enum { NO_MODE = -1 };

/* Records the owner of what was just created, and gives it its mode. */
static struct notify_answer own(const struct notify_call *c,
                                const struct place *p,
                                int64_t mode)
{
    CLEANUP(fd_closep)
    int fd = openat(p->parent, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || notify_record(c->n, fd, &p->owner) < 0 ||
        (mode != NO_MODE && unmask(c, fd, (mode_t)mode) < 0))
        return notify_return(-errno);
    return notify_return(0);
}

/* --- Directories and symlinks --- */

static struct notify_answer make_directory(const struct notify_call *c,
                                           int dir_fd,
                                           unsigned path_at)
{
    const mode_t mode = (mode_t)notify_argument(c, path_at + 1) & 01777;
    CLEANUP(place_releasep) struct place p;

    if (!find_new_place(c, dir_fd, notify_argument(c, path_at), &p) || p.is_plain)
        return notify_pass();
    if (!may(c, p.parent, MAY_CREATE))
        return notify_return(-EACCES);

    const mode_t mask = notify_umask(c);
    if (!notify_is_valid(c))
        return notify_pass();
    if (mkdirat(p.parent, p.name, mode & ~mask) < 0)
        return notify_return(-errno);
    /* One of a directory with the set-group-ID bit has it too. */
    const struct stat *const parent = &p.parent_stat;
    return own(c, &p, (mode & ~mask) | (parent->st_mode & S_ISGID));
}

struct notify_answer notify_mkdir(const struct notify_call *c)
{
    return make_directory(c, AT_FDCWD, 0);
}

struct notify_answer notify_mkdirat(const struct notify_call *c)
{
    return make_directory(c, (int)notify_argument(c, 0), 1);
}

static struct notify_answer make_symlink(const struct notify_call *c,
                                         int dir_fd,
                                         unsigned path_at)
{
    struct notify_path target;
    CLEANUP(place_releasep) struct place p;

    if (!find_new_place(c, dir_fd, notify_argument(c, path_at), &p) || p.is_plain ||
        notify_read_path(c, notify_argument(c, 0), &target) < 0 || !notify_is_valid(c))
        return notify_pass();
    if (!may(c, p.parent, MAY_CREATE))
        return notify_return(-EACCES);
    if (symlinkat(target.text, p.parent, p.name) < 0)
        return notify_return(-errno);
    return own(c, &p, NO_MODE);
}

struct notify_answer notify_symlink(const struct notify_call *c)
{
    return make_symlink(c, AT_FDCWD, 1);
}

struct notify_answer notify_symlinkat(const struct notify_call *c)
{
    return make_symlink(c, (int)notify_argument(c, 1), 2);
}

/* --- Nodes --- */

/* An empty file stands in for a device (cas/owner.h): it gives nothing, as one that the
 * step could use would not either (mounts are nodev). */
static int make_node(struct place *p, mode_t mode, uint64_t number)
{
    if (!S_ISCHR(mode) && !S_ISBLK(mode))
        return mknodat(p->parent, p->name, mode, 0);

    CLEANUP(fd_closep)
    int fd = openat(p->parent, p->name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 07777);
    if (fd < 0)
        return -1;
    p->owner.device = S_ISCHR(mode) ? CAS_ENTRY_CHAR : CAS_ENTRY_BLOCK;
    p->owner.rdev_major = major(number);
    p->owner.rdev_minor = minor(number);
    return 0;
}

static struct notify_answer make_any_node(const struct notify_call *c,
                                          int dir_fd,
                                          unsigned path_at)
{
    const mode_t mode = (mode_t)notify_argument(c, path_at + 1);
    const uint64_t number = notify_argument(c, path_at + 2);
    const bool is_device = S_ISCHR(mode) || S_ISBLK(mode);
    CLEANUP(place_releasep) struct place p;

    if (!find_new_place(c, dir_fd, notify_argument(c, path_at), &p))
        return notify_pass();
    if (is_device && notify_person(c)->uid.fs != 0)
        return notify_return(-EPERM);
    /* 0/0 is overlayfs' whiteout, which everybody may make. */
    if ((p.is_plain && !is_device) || (S_ISCHR(mode) && number == 0))
        return notify_pass();
    if (!may(c, p.parent, MAY_CREATE))
        return notify_return(-EACCES);

    const mode_t mask = notify_umask(c);
    if (!notify_is_valid(c))
        return notify_pass();
    if (make_node(&p, mode & ~mask, number) < 0)
        return notify_return(-errno);
    return own(c, &p, mode & ~mask & 07777);
}

struct notify_answer notify_mknod(const struct notify_call *c)
{
    return make_any_node(c, AT_FDCWD, 0);
}

struct notify_answer notify_mknodat(const struct notify_call *c)
{
    return make_any_node(c, (int)notify_argument(c, 0), 1);
}

/* --- Files --- */

/* The descriptor becomes the step's, as the answer to its call. Ours is closed before the
 * step goes on: what it writes it may want to execute at once (ETXTBSY). */
static struct notify_answer hand_over(const struct notify_call *c, int *fd, int flags)
{
    struct seccomp_notif_addfd add = {
        .id = c->request->id,
        .srcfd = (uint32_t)*fd,
        .newfd_flags = (uint32_t)(flags & O_CLOEXEC),
    };
    const int number = ioctl(c->n->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

    if (number < 0)
        return notify_return(-errno);
    fd_closep(fd);
    return notify_return(number);
}

/* What is there already is opened by the kernel. */
static struct notify_answer open_old(const struct notify_call *c,
                                     int dir_fd,
                                     unsigned path_at,
                                     int flags)
{
    struct notify_path path;

    if ((flags & O_ACCMODE) == O_RDONLY || notify_person(c)->uid.fs == 0 ||
        notify_read_path(c, notify_argument(c, path_at), &path) < 0)
        return notify_pass();
    CLEANUP(fd_closep) int fd = notify_open(c, dir_fd, path.text, !(flags & O_NOFOLLOW));
    return fd < 0 || may(c, fd, MAY_WRITE) ? notify_pass() : notify_return(-EACCES);
}

static struct notify_answer create_file(const struct notify_call *c,
                                        struct place *p,
                                        int flags,
                                        mode_t mode)
{
    const int more = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const mode_t mask = notify_umask(c);

    if (!notify_is_valid(c))
        return notify_pass();
    if (!may(c, p->parent, MAY_CREATE))
        return notify_return(-EACCES);
    CLEANUP(fd_closep)
    int fd = openat(p->parent, p->name, flags | more, mode & 07777 & ~mask);
    if (fd < 0)
        return errno == EEXIST ? notify_pass() : notify_return(-errno);
    if (notify_record(c->n, fd, &p->owner) < 0 || unmask(c, fd, mode & 07777 & ~mask) < 0)
        return notify_return(-errno);
    return hand_over(c, &fd, flags);
}

static struct notify_answer make_file(
    const struct notify_call *c, int dir_fd, unsigned path_at, int flags, mode_t mode)
{
    CLEANUP(place_releasep) struct place p = {.parent = -1};

    if ((flags & O_TMPFILE) == O_TMPFILE || (flags & O_DIRECTORY))
        return notify_pass();
    if (!(flags & O_CREAT))
        return open_old(c, dir_fd, path_at, flags);
    if (!find_place(c, dir_fd, notify_argument(c, path_at), &p))
        return notify_pass();
    if (p.is_there)
        return flags & O_EXCL ? notify_pass() : open_old(c, dir_fd, path_at, flags);
    return p.is_plain ? notify_pass() : create_file(c, &p, flags, mode);
}

struct notify_answer notify_sys_open(const struct notify_call *c)
{
    return make_file(c, AT_FDCWD, 0, (int)notify_argument(c, 1),
                     (mode_t)notify_argument(c, 2));
}

struct notify_answer notify_creat(const struct notify_call *c)
{
    return make_file(c, AT_FDCWD, 0, O_CREAT | O_WRONLY | O_TRUNC,
                     (mode_t)notify_argument(c, 1));
}

struct notify_answer notify_openat(const struct notify_call *c)
{
    return make_file(c, (int)notify_argument(c, 0), 1, (int)notify_argument(c, 2),
                     (mode_t)notify_argument(c, 3));
}
