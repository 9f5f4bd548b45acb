/* chown and stat: owners written down, and told. */
#include "builder/sandbox/notify_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fs.h"

#define NO_ID ((uid_t)-1)

/* --- Records --- */

/*
 * overlayfs shows a file that it copied up under the number that it has below, so an entry
 * of the table gets a second key: that of the inode in the upper directory, which is what
 * the layer is made of.
 */
static void record_alias(struct sandbox_notify *n,
                         const struct cas_owner_key *seen,
                         int fd,
                         const struct cas_owner *owner)
{
    char link[32];
    char path[LIMIT_PATH_SIZE];
    struct cas_owner_key real;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 1 || path[0] != '/')
        return;
    path[size] = '\0';
    if (cas_owner_key(n->upper_fd, path + 1, &real) == 0 && real.ino != seen->ino &&
        real.born_s == seen->born_s && real.born_ns == seen->born_ns)
        cas_owners_put(n->owners, &real, owner);
}

int notify_record(struct sandbox_notify *n, int fd, const struct cas_owner *owner)
{
    struct cas_owner_key key;
    struct cas_owner old;

    if (cas_owner_write(n->owners, fd, "", owner) < 0)
        return -1;
    if (n->upper_fd >= 0 && !cas_owners_is_empty(n->owners) &&
        cas_owner_key(fd, "", &key) == 0 && cas_owners_find(n->owners, &key, &old))
        record_alias(n, &key, fd, owner);
    return 0;
}

bool notify_in_group(const struct notify_person *p, gid_t gid)
{
    if (gid == p->gid.fs)
        return true;
    for (size_t i = 0; i < p->group_count; i++)
        if (p->groups[i] == gid)
            return true;
    return false;
}

/* chown(2), "EPERM". */
static bool may_chown(const struct notify_person *p,
                      const struct cas_owner *now,
                      uid_t uid,
                      gid_t gid)
{
    if (p->uid.fs == 0)
        return true;
    return now->uid == p->uid.fs && (uid == NO_ID || uid == now->uid) &&
           (gid == NO_ID || gid == now->gid || notify_in_group(p, gid));
}

/*
 * The kernel's own chown, to the one id there is, comes first: it takes setuid bits and
 * file capabilities away as any chown does, sets the time of change, copies the file up,
 * and fails where it has to.
 */
static struct notify_answer chown_open(const struct notify_call *c,
                                       int fd,
                                       uid_t uid,
                                       gid_t gid)
{
    struct cas_owner owner;
    bool found = false;

    if (cas_owner_read(c->n->owners, fd, "", &owner, &found) < 0)
        return notify_return(-errno);
    if (!may_chown(notify_person(c), &owner, uid, gid))
        return notify_return(-EPERM);
    if (fchownat(fd, "", uid == NO_ID ? NO_ID : geteuid(), gid == NO_ID ? NO_ID : getegid(),
                 AT_EMPTY_PATH) < 0)
        return notify_return(-errno);
    owner.uid = uid == NO_ID ? owner.uid : uid;
    owner.gid = gid == NO_ID ? owner.gid : gid;
    if (notify_record(c->n, fd, &owner) < 0)
        return notify_return(-errno);
    return notify_return(0);
}

static struct notify_answer chown_path(
    const struct notify_call *c, int dir_fd, unsigned path_at, unsigned ids_at, int flags)
{
    const uint64_t address = notify_argument(c, path_at);
    struct notify_path path = {.text = ""};
    const bool follow = !(flags & AT_SYMLINK_NOFOLLOW);

    if ((address != 0 || !(flags & AT_EMPTY_PATH)) &&
        notify_read_path(c, address, &path) < 0)
        return notify_return(-errno);
    if (path.text[0] == '\0' && !(flags & AT_EMPTY_PATH))
        return notify_return(-ENOENT);

    CLEANUP(fd_closep)
    int fd = path.text[0] ? notify_open(c, dir_fd, path.text, follow)
                          : notify_open_fd(c, dir_fd);
    /* The kernel knows why, and what only it can resolve. */
    if (fd < 0 || !notify_is_valid(c))
        return notify_pass();
    return chown_open(c, fd, (uid_t)notify_argument(c, ids_at),
                      (gid_t)notify_argument(c, ids_at + 1));
}

struct notify_answer notify_chown(const struct notify_call *c)
{
    return chown_path(c, AT_FDCWD, 0, 1, 0);
}

struct notify_answer notify_lchown(const struct notify_call *c)
{
    return chown_path(c, AT_FDCWD, 0, 1, AT_SYMLINK_NOFOLLOW);
}

struct notify_answer notify_fchownat(const struct notify_call *c)
{
    return chown_path(c, (int)notify_argument(c, 0), 1, 2, (int)notify_argument(c, 4));
}

struct notify_answer notify_fchown(const struct notify_call *c)
{
    CLEANUP(fd_closep) int fd = notify_open_fd(c, (int)notify_argument(c, 0));

    if ((int)notify_argument(c, 0) < 0 || fd < 0 || !notify_is_valid(c))
        return notify_pass();
    return chown_open(c, fd, (uid_t)notify_argument(c, 1), (gid_t)notify_argument(c, 2));
}

/* --- stat --- */

/* Without a user namespace the kernel would call the user by its number: what belongs to it
 * belongs to the step's root. */
static bool is_unmapped_own(int fd)
{
    struct stat st;

    return geteuid() != 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

/* What lies at the path has a record, or needs one to be shown as it should be: its
 * descriptor. Else the kernel's answer is right. */
static int open_recorded(const struct notify_call *c,
                         int dir_fd,
                         uint64_t path_address,
                         int flags,
                         struct cas_owner *owner)
{
    struct notify_path path = {.text = ""};
    bool found = false;

    if (path_address != 0 && notify_read_path(c, path_address, &path) < 0)
        return -1;
    if (path.text[0] == '\0' && !(flags & AT_EMPTY_PATH))
        return -1;

    CLEANUP(fd_closep)
    int fd = path.text[0]
                 ? notify_open(c, dir_fd, path.text, !(flags & AT_SYMLINK_NOFOLLOW))
                 : notify_open_fd(c, dir_fd);
    if (fd < 0 || cas_owner_read(c->n->owners, fd, "", owner, &found) < 0 ||
        (!found && !is_unmapped_own(fd)))
        return -1;
    return fd_take(&fd);
}

static mode_t device_mode(mode_t mode, const struct cas_owner *owner)
{
    if (!owner->device)
        return mode;
    return (mode & ~(mode_t)S_IFMT) | (owner->device == CAS_ENTRY_CHAR ? S_IFCHR : S_IFBLK);
}

static struct notify_answer stat_path(
    const struct notify_call *c, int dir_fd, uint64_t path, uint64_t out, int flags)
{
    struct cas_owner owner;
    struct stat st;
    CLEANUP(fd_closep) int fd = open_recorded(c, dir_fd, path, flags, &owner);

    if (fd < 0 || fstat(fd, &st) < 0)
        return notify_pass();
    st.st_uid = owner.uid;
    st.st_gid = owner.gid;
    st.st_mode = device_mode(st.st_mode, &owner);
    if (owner.device) {
        st.st_rdev = makedev(owner.rdev_major, owner.rdev_minor);
        st.st_size = 0;
    }
    /* On the 64-bit machines that notify_filter.c knows the kernel's layout is glibc's. */
    return notify_return(notify_write(c, out, &st, sizeof st) < 0 ? -EFAULT : 0);
}

struct notify_answer notify_stat(const struct notify_call *c)
{
    return stat_path(c, AT_FDCWD, notify_argument(c, 0), notify_argument(c, 1), 0);
}

struct notify_answer notify_lstat(const struct notify_call *c)
{
    return stat_path(c, AT_FDCWD, notify_argument(c, 0), notify_argument(c, 1),
                     AT_SYMLINK_NOFOLLOW);
}

struct notify_answer notify_fstat(const struct notify_call *c)
{
    const int fd = (int)notify_argument(c, 0);

    return fd < 0 ? notify_pass()
                  : stat_path(c, fd, 0, notify_argument(c, 1), AT_EMPTY_PATH);
}

struct notify_answer notify_newfstatat(const struct notify_call *c)
{
    return stat_path(c, (int)notify_argument(c, 0), notify_argument(c, 1),
                     notify_argument(c, 2), (int)notify_argument(c, 3));
}

struct notify_answer notify_statx(const struct notify_call *c)
{
    const int flags = (int)notify_argument(c, 2);
    struct cas_owner owner;
    struct statx st;
    CLEANUP(fd_closep)
    int fd =
        open_recorded(c, (int)notify_argument(c, 0), notify_argument(c, 1), flags, &owner);

    if (fd < 0 || statx(fd, "", (flags & AT_STATX_SYNC_TYPE) | AT_EMPTY_PATH,
                        (unsigned)notify_argument(c, 3), &st) < 0)
        return notify_pass();
    st.stx_uid = owner.uid;
    st.stx_gid = owner.gid;
    st.stx_mode = (uint16_t)device_mode(st.stx_mode, &owner);
    if (owner.device) {
        st.stx_rdev_major = owner.rdev_major;
        st.stx_rdev_minor = owner.rdev_minor;
        st.stx_size = 0;
    }
    return notify_return(
        notify_write(c, notify_argument(c, 4), &st, sizeof st) < 0 ? -EFAULT : 0);
}
