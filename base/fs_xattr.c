/* Extended attributes: the functions of base/fs.h that read them. */
#include "base/fs.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* The f*xattr calls refuse O_PATH descriptors, but the link in /proc leads to the very
 * object that was opened, symlinks included. */
struct proc_path {
    char text[32];
};

static struct proc_path proc_path_of(int fd)
{
    struct proc_path path;

    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

static ssize_t list_names(int fd, char *names, size_t size)
{
    const ssize_t got = flistxattr(fd, names, size);

    if (got >= 0 || errno != EBADF)
        return got;
    return listxattr(proc_path_of(fd).text, names, size);
}

static ssize_t get_value(int fd, const char *name, void *value, size_t size)
{
    const ssize_t got = fgetxattr(fd, name, value, size);

    if (got >= 0 || errno != EBADF)
        return got;
    return getxattr(proc_path_of(fd).text, name, value, size);
}

int fs_list_xattrs(int fd, char **names, size_t *size, struct error *err)
{
    for (unsigned attempt = 0; attempt < FS_RACE_RETRIES; attempt++) {
        const ssize_t needed = list_names(fd, NULL, 0);

        if (needed < 0 && errno != ENOTSUP)
            return error_sys(err, "list extended attributes");
        if (needed <= 0) {
            *names = base_alloc(1);
            *size = 0;
            return 0;
        }

        CLEANUP(base_freep) char *list = base_alloc((size_t)needed + 1);
        const ssize_t got = list_names(fd, list, (size_t)needed);

        if (got >= 0) {
            *names = list;
            *size = (size_t)got;
            list = NULL;
            return 0;
        }
        /* ERANGE: one was added in between. */
        if (errno != ERANGE)
            return error_sys(err, "list extended attributes");
    }
    return error_sys(err, "list extended attributes");
}

int fs_get_xattr(int fd, const char *name, struct buf *out, struct error *err)
{
    for (unsigned attempt = 0; attempt < FS_RACE_RETRIES; attempt++) {
        const ssize_t needed = get_value(fd, name, NULL, 0);

        if (needed < 0)
            break;

        char *room = buf_reserve(out, (size_t)needed);

        if (!room)
            return buf_ok(out, name, err);
        /* With a size of 0 the kernel only tells the size, which may have grown. */
        const ssize_t got = needed ? get_value(fd, name, room, (size_t)needed) : 0;

        if (got >= 0) {
            buf_commit(out, (size_t)got);
            return 0;
        }
        if (errno != ERANGE)
            break;
    }
    if (errno == ENODATA)
        return error_set(err, ERROR_NOT_FOUND, "no extended attribute %s", name);
    return error_sys(err, "read extended attribute %s", name);
}
