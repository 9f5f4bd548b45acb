/* Links, devices and whiteouts of a layer that is unpacked. */
#include "cas/unpacker_priv.h"

#include "base/fs.h"
#include "cas/file_attr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int unpack_make_symlink(struct cas_unpacker *u,
                        const struct cas_entry *e,
                        struct error *err)
{
    const char *name = NULL;
    const int dir_fd = unpack_open_parent(u, e->path, &name, err);

    if (dir_fd < 0)
        return -1;
    buf_clear(&u->target);
    buf_append_view(&u->target, e->target);
    if (buf_ok(&u->target, "a symlink's target", err) < 0)
        return -1;
    if (symlinkat(buf_text(&u->target), dir_fd, name) < 0) {
        if (errno != EEXIST)
            return error_sys(err, "make symlink '%.*s'", VIEW_ARG(e->path));
        if (unpack_clear_name(u, dir_fd, name, e->path, err) < 0)
            return -1;
        if (symlinkat(buf_text(&u->target), dir_fd, name) < 0)
            return error_sys(err, "make symlink '%.*s'", VIEW_ARG(e->path));
    }
    return cas_file_attr_set_at(dir_fd, name, e, u->owners, err);
}

static mode_t node_type(enum cas_entry_type type)
{
    if (type == CAS_ENTRY_FIFO)
        return S_IFIFO;
    return type == CAS_ENTRY_BLOCK ? S_IFBLK : S_IFCHR;
}

static int make_stand_in(struct cas_unpacker *u,
                         int dir_fd,
                         const char *name,
                         const struct cas_entry *e,
                         struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_at(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, err);

    return fd < 0 ? -1 : cas_file_attr_set(fd, e, u->owners, err);
}

int unpack_make_node(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    const mode_t mode = node_type(e->type) | 0600;
    const dev_t rdev =
        e->type == CAS_ENTRY_FIFO ? 0 : makedev(e->rdev_major, e->rdev_minor);
    const char *name = NULL;
    const int dir_fd = unpack_open_parent(u, e->path, &name, err);

    if (dir_fd < 0 || unpack_clear_name(u, dir_fd, name, e->path, err) < 0)
        return -1;
    if (mknodat(dir_fd, name, mode, rdev) == 0)
        return cas_file_attr_set_at(dir_fd, name, e, u->owners, err);
    /* Devices are not for ordinary users to make: where owners are recorded, a record is
     * made of them too; else, as with every rootless runtime, the image lacks them: /dev is
     * mounted over anyway. */
    if (errno == EPERM && e->type != CAS_ENTRY_FIFO)
        return u->owners ? make_stand_in(u, dir_fd, name, e, err) : 0;
    return error_sys(err, "make device '%.*s'", VIEW_ARG(e->path));
}

static int link_whiteout(struct cas_unpacker *u, int dir_fd, const char *name)
{
    if (u->has_whiteout && linkat(u->scratch.fd, UNPACK_WHITEOUT, dir_fd, name, 0) == 0)
        return 0;
    if (u->has_whiteout && errno != EMLINK)
        return -1;
    /* The first one, or the inode has as many names as it can have. */
    if (u->has_whiteout && unlinkat(u->scratch.fd, UNPACK_WHITEOUT, 0) < 0)
        return -1;
    if (mknodat(u->scratch.fd, UNPACK_WHITEOUT, S_IFCHR, makedev(0, 0)) < 0)
        return -1;
    u->has_whiteout = true;
    return linkat(u->scratch.fd, UNPACK_WHITEOUT, dir_fd, name, 0);
}

int unpack_make_whiteout(struct cas_unpacker *u,
                         const struct cas_entry *e,
                         struct error *err)
{
    const char *name = NULL;

    if (u->plain)
        return 0;

    const int dir_fd = unpack_open_parent(u, e->path, &name, err);

    if (dir_fd < 0 || unpack_clear_name(u, dir_fd, name, e->path, err) < 0)
        return -1;
    if (link_whiteout(u, dir_fd, name) < 0)
        return error_sys(err, "make whiteout of '%.*s'", VIEW_ARG(e->path));
    return 0;
}

/* Where the file was made by this layer; false: it was not. */
static int link_within(struct cas_unpacker *u,
                       const struct cas_entry *e,
                       bool *found,
                       struct error *err)
{
    const char *name = NULL;
    const char *file = NULL;

    *found = false;
    buf_clear(&u->target);
    buf_append_view(&u->target, e->target);
    if (buf_ok(&u->target, "a hard link's target", err) < 0)
        return -1;

    const char *dir = unpack_split_path(&u->target, &file);
    CLEANUP(fd_closep)
    int file_fd = fs_openat2(u->root_fd, *dir ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC,
                             0, UNPACK_RESOLVE);

    if (file_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (file_fd < 0)
        return error_sys(err, "link to '%.*s'", VIEW_ARG(e->target));

    const int dir_fd = unpack_open_parent(u, e->path, &name, err);

    if (dir_fd < 0 || unpack_clear_name(u, dir_fd, name, e->path, err) < 0)
        return -1;
    *found = linkat(file_fd, file, dir_fd, name, 0) == 0;
    if (!*found && errno != ENOENT)
        return error_sys(err, "link to '%.*s'", VIEW_ARG(e->target));
    return 0;
}

int unpack_make_hardlink(struct cas_unpacker *u,
                         const struct cas_entry *e,
                         struct error *err)
{
    bool found = false;

    if (link_within(u, e, &found, err) < 0)
        return error_wrap(err, "'%.*s'", VIEW_ARG(e->path));
    if (found)
        return 0;

    const struct cas_entry kept = cas_arena_entry(&u->links_below.arena, e);

    cas_entry_list_add(&u->links_below, &kept);
    u->self_contained = false;
    return 0;
}
