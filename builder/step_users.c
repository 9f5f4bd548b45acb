#include "builder/step_users.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum look { LOOK_FOUND, LOOK_GONE, LOOK_BELOW, LOOK_UNSURE };

static bool is_opaque(int dir)
{
    char value = '\0';

    return (fgetxattr(dir, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y') ||
           (fgetxattr(dir, "user.overlay.opaque", &value, 1) == 1 && value == 'y');
}

/* What one layer says about etc/NAME. */
static enum look look_at(int layer, const char *path, int *out)
{
    const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    CLEANUP(fd_closep)
    int dir = fs_openat2(layer, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, resolve);
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    if (dir < 0)
        return errno == ENOENT ? LOOK_BELOW : errno == ENOTDIR ? LOOK_GONE : LOOK_UNSURE;
    fd = fs_openat2(layer, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, resolve);
    if (fd < 0)
        return errno != ENOENT ? LOOK_UNSURE : is_opaque(dir) ? LOOK_GONE : LOOK_BELOW;
    if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode))
        return LOOK_UNSURE;
    if (!S_ISREG(st.st_mode))
        return LOOK_GONE;
    *out = fs_openat2(layer, path, O_RDONLY | O_CLOEXEC, 0, resolve);
    return *out < 0 ? LOOK_UNSURE : LOOK_FOUND;
}

struct files {
    const struct cas_snapshot_mount *mount;
    bool is_unsure;
};

static int read_from_layers(void *context,
                            const char *path,
                            struct buf *out,
                            struct error *err)
{
    struct files *f = context;

    for (size_t i = f->mount->lower_count; i-- > 0 && !f->is_unsure;) {
        CLEANUP(fd_closep) int fd = -1;

        switch (look_at(f->mount->lower_fds[i], path, &fd)) {
        case LOOK_FOUND:
            return fs_read_all(fd, out, err);
        case LOOK_GONE:
            return 0;
        case LOOK_BELOW:
            break;
        case LOOK_UNSURE:
            f->is_unsure = true;
            break;
        }
    }
    return 0;
}

int step_user(const struct cas_snapshot_mount *mount,
              struct cas_layer *const *layers,
              size_t count,
              const char *spec,
              struct build_process_user *out,
              struct error *err)
{
    struct files files = {.mount = mount, .is_unsure = !mount->overlay};
    const struct build_user_files how = {.read = read_from_layers, .context = &files};
    CLEANUP(error_clear) struct error local = ERROR_INIT;
    struct cas_tree *tree;
    int status = -1;

    if (!files.is_unsure)
        status = build_user_of_process_in(&how, spec, out, &local);
    if (!files.is_unsure)
        return status < 0 ? error_move(err, &local) : 0;
    if (status == 0)
        build_process_user_release(out);
    tree = cas_tree_new(layers, count);
    status = build_user_of_process(tree, spec, out, err);
    cas_tree_free(tree);
    return status;
}
