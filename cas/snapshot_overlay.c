/* Snapshots as overlayfs mounts: unpacked layers below, an upper directory above. */
#include "cas/snapshot_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/layer_priv.h"
#include "cas/unpack.h"
#include "cas/upper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Does the file system of the upper directory take overlayfs' attributes? */
static bool takes_attributes(const struct cas_snapshot *snap)
{
    const char *name = cas_layer_form_opaque(&snap->form);

    return fsetxattr(snap->upper_fd, name, "n", 1, 0) == 0 &&
           fremovexattr(snap->upper_fd, name) == 0;
}

bool snapshot_overlay_usable(const struct cas_snapshot *snap)
{
    CLEANUP(fd_closep) int fd = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

    /* Where fsopen itself is filtered or missing, mount(2) may still work. */
    return (fd >= 0 || errno == ENOSYS) && takes_attributes(snap);
}

static struct cas_layer_root root_of(struct cas_layer *l)
{
    const struct cas_layer_root root = cas_layer_lock_dir(l)->root;

    cas_layer_unlock_dir(l);
    return root;
}

static void drop_lower(struct cas_snapshot *snap, size_t i)
{
    fd_closep(&snap->lower_fds[i]);
    for (snap->lower_count--; i < snap->lower_count; i++) {
        snap->lower_fds[i] = snap->lower_fds[i + 1];
        snap->lower_inodes[i] = snap->lower_inodes[i + 1];
    }
}

/* The kernel refuses a directory that is in the stack twice. The lower one adds nothing:
 * all that it says the upper one says again, on top. */
static int drop_twin(struct cas_snapshot *snap,
                     int fd,
                     struct cas_snapshot_inode *inode,
                     struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_sys(err, "look at an unpacked layer");
    *inode = (struct cas_snapshot_inode){st.st_dev, st.st_ino};
    for (size_t i = 0; i < snap->lower_count; i++) {
        if (snap->lower_inodes[i].dev == inode->dev &&
            snap->lower_inodes[i].ino == inode->ino)
            drop_lower(snap, i);
    }
    return 0;
}

static void drop_all_lower(struct cas_snapshot *snap)
{
    while (snap->lower_count > 0)
        fd_closep(&snap->lower_fds[--snap->lower_count]);
}

/* The root is as the topmost layer that says so has it. It is the upper directory's that is
 * seen: those of lower directories do not matter. */
static int set_root(struct cas_snapshot *snap,
                    const struct cas_layer_root *root,
                    struct error *err)
{
    const mode_t mode = root->known ? root->mode : 0755;
    const struct cas_owner owner = {.uid = root->uid, .gid = root->gid};
    const int result = snap->owners
                           ? cas_owner_write(snap->owners, snap->upper_fd, "", &owner)
                           : fchown(snap->upper_fd, root->uid, root->gid);

    if (result < 0 && root->known)
        return error_sys(err, "set owner %u:%u of the root", root->uid, root->gid);
    if (fchmod(snap->upper_fd, mode) < 0)
        return error_sys(err, "set mode of the root");
    return 0;
}

/* What a snapshot wrote and was kept lies on top of the layers. */
static int add_over(struct cas_snapshot *snap,
                    struct cas_layer_root *root,
                    struct error *err)
{
    struct stat st;

    if (fstat(snap->over_fd, &st) < 0)
        return error_sys(err, "look at what was kept");
    *root = (struct cas_layer_root){
        .known = true, .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid};
    snap->lower_inodes[snap->lower_count] =
        (struct cas_snapshot_inode){st.st_dev, st.st_ino};
    snap->lower_fds[snap->lower_count++] = fd_take(&snap->over_fd);
    return 0;
}

int snapshot_overlay_prepare(struct cas_snapshot *snap, struct error *err)
{
    struct cas_layer_root root = {0};

    if (cas_layers_unpack(snap->layers, snap->count, err) < 0)
        return -1;
    snap->lower_fds = base_alloc_array(snap->count + 2, sizeof *snap->lower_fds);
    snap->lower_inodes = base_alloc_array(snap->count + 2, sizeof *snap->lower_inodes);
    for (size_t i = 0; i < snap->count; i++) {
        CLEANUP(fd_closep) int fd = cas_layer_unpacked(snap->layers, i, err);
        struct cas_snapshot_inode inode;

        if (fd < 0 || drop_twin(snap, fd, &inode, err) < 0 ||
            (snap->owners && cas_owners_load(snap->owners, fd, err) < 0))
            return -1;

        const struct cas_layer_root own = root_of(snap->layers[i]);

        if (own.known)
            root = own;
        /* overlayfs does not look for the mark on roots. */
        if (own.opaque)
            drop_all_lower(snap);
        snap->lower_inodes[snap->lower_count] = inode;
        snap->lower_fds[snap->lower_count++] = fd_take(&fd);
    }
    if (snap->over_fd >= 0 && add_over(snap, &root, err) < 0)
        return -1;
    return set_root(snap, &root, err);
}

int snapshot_overlay_changes(struct cas_snapshot *snap,
                             int64_t epoch,
                             struct cas_entry_list *out,
                             struct error *err)
{
    const struct cas_upper_options options = {
        .lower_fds = snap->lower_fds,
        .lower_count = snap->lower_count,
        .stubs = &snap->stubs,
        .opaque_xattr = cas_layer_form_opaque(&snap->form),
        .epoch = epoch,
        .owners = snap->owners,
        .kept = snap->kept,
    };

    return cas_upper_read(snap->upper_fd, &options, out, err);
}
