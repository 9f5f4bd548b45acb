#include "cas/file_attr.h"

#include "base/alloc.h"
#include "cas/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int owner_error(const struct cas_entry *e, struct error *err)
{
    if (errno != EINVAL)
        return error_sys(err, "set owner %u:%u of '%.*s'", e->uid, e->gid,
                         VIEW_ARG(e->path));
    return error_set(err, ERROR_UNSUPPORTED,
                     "owner %u:%u of '%.*s' does not exist in this user namespace: more "
                     "subordinate ids are needed (/etc/subuid, /etc/subgid)",
                     e->uid, e->gid, VIEW_ARG(e->path));
}

/*
 * Attributes of other security modules and file systems are no reason to refuse a layer:
 * docker and containerd pass over what the file system does not know. A lost
 * security.capability would change what programs do, so that must work.
 */
static bool may_ignore(struct view name)
{
    return (errno == ENOTSUP || errno == EPERM) &&
           !view_eq_text(name, "security.capability");
}

static int xattr_error(const struct cas_entry *e, struct view name, struct error *err)
{
    return error_sys(err, "set attribute %.*s of '%.*s'", VIEW_ARG(name),
                     VIEW_ARG(e->path));
}

/* Ours are no part of a layer: one that brings them along is told nothing, and believed
 * nothing. */
static bool is_own(struct view name)
{
    return view_starts(name, "user.cooper.");
}

static int set_xattrs(int fd, const struct cas_entry *e, struct error *err)
{
    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct cas_xattr *x = &e->xattrs[i];
        if (is_own(x->name))
            continue;
        CLEANUP(base_freep) char *name = view_dup(x->name);

        if (fsetxattr(fd, name, x->value.data, x->value.size, 0) < 0 &&
            !may_ignore(x->name))
            return xattr_error(e, x->name, err);
    }
    return 0;
}

static struct timespec mtime_of(const struct cas_entry *e)
{
    return (struct timespec){.tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns};
}

/* Files are made with our own ids, in directories of which none is setgid yet. */
static bool needs_owner(const struct cas_entry *e)
{
    return e->uid != geteuid() || e->gid != getegid();
}

static int record_owner(int dir_fd,
                        const char *name,
                        const struct cas_entry *e,
                        struct cas_owners *owners,
                        struct error *err)
{
    struct cas_owner owner = {.uid = e->uid, .gid = e->gid};

    if (e->type == CAS_ENTRY_CHAR || e->type == CAS_ENTRY_BLOCK) {
        owner.device = e->type;
        owner.rdev_major = e->rdev_major;
        owner.rdev_minor = e->rdev_minor;
    }
    /* What was just made has no record yet. */
    if (owner.uid == 0 && owner.gid == 0 && !owner.device)
        return 0;
    if (cas_owner_write(owners, dir_fd, name, &owner) < 0)
        return error_sys(err, "record owner %u:%u of '%.*s'", e->uid, e->gid,
                         VIEW_ARG(e->path));
    return 0;
}

static int own(int fd, const struct cas_entry *e, struct error *err)
{
    if ((needs_owner(e) || e->type == CAS_ENTRY_DIR) && fchown(fd, e->uid, e->gid) < 0)
        return owner_error(e, err);
    return 0;
}

int cas_file_attr_set(int fd,
                      const struct cas_entry *e,
                      struct cas_owners *owners,
                      struct error *err)
{
    const struct timespec times[2] = {mtime_of(e), mtime_of(e)};

    if ((owners ? record_owner(fd, "", e, owners, err) : own(fd, e, err)) < 0)
        return -1;
    if (e->xattr_count > 0 && set_xattrs(fd, e, err) < 0)
        return -1;
    if (fchmod(fd, e->mode) < 0)
        return error_sys(err, "set mode of '%.*s'", VIEW_ARG(e->path));
    if (futimens(fd, times) < 0)
        return error_sys(err, "set times of '%.*s'", VIEW_ARG(e->path));
    return 0;
}

static int set_xattrs_at(int dir_fd,
                         const char *file,
                         const struct cas_entry *e,
                         struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("/proc/self/fd/%d/%s", dir_fd, file);

    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct cas_xattr *x = &e->xattrs[i];
        if (is_own(x->name))
            continue;
        CLEANUP(base_freep) char *name = view_dup(x->name);

        if (lsetxattr(path, name, x->value.data, x->value.size, 0) < 0 &&
            !may_ignore(x->name))
            return xattr_error(e, x->name, err);
    }
    return 0;
}

static int own_at(int dir_fd,
                  const char *name,
                  const struct cas_entry *e,
                  struct error *err)
{
    if (needs_owner(e) && fchownat(dir_fd, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return owner_error(e, err);
    return 0;
}

int cas_file_attr_set_at(int dir_fd,
                         const char *name,
                         const struct cas_entry *e,
                         struct cas_owners *owners,
                         struct error *err)
{
    const struct timespec times[2] = {mtime_of(e), mtime_of(e)};

    if ((owners ? record_owner(dir_fd, name, e, owners, err)
                : own_at(dir_fd, name, e, err)) < 0)
        return -1;
    if (e->xattr_count > 0 && set_xattrs_at(dir_fd, name, e, err) < 0)
        return -1;
    /* Nobody else can reach the directory: the name is still what was made. */
    if (e->type != CAS_ENTRY_SYMLINK && fchmodat(dir_fd, name, e->mode, 0) < 0)
        return error_sys(err, "set mode of '%.*s'", VIEW_ARG(e->path));
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set times of '%.*s'", VIEW_ARG(e->path));
    return 0;
}
