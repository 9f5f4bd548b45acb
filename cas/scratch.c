#include "cas/scratch.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/ingest.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int cas_scratch_open(struct cas_scratch *x, struct cas_store *s, struct error *err)
{
    char *path = cas_ingest_name(s);

    *x = (struct cas_scratch){.store = s, .path = path, .fd = -1};
    if (mkdirat(s->fd, path, 0700) < 0) {
        error_sys(err, "make %s", path);
        base_freep(&x->path);
        return -1;
    }
    x->fd = fs_open_at(s->fd, path, O_RDONLY | O_DIRECTORY, 0, err);
    if (x->fd < 0) {
        cas_scratch_removep(x);
        return -1;
    }
    return 0;
}

void cas_scratch_removep(struct cas_scratch *x)
{
    fd_closep(&x->fd);
    if (!x->path)
        return;

    const int keep = errno;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    if (fs_remove_tree_at(x->store->fd, x->path, &ignored) < 0) {
        /* The lease's clean-up tries again: nothing refers to the tree. */
    }
    base_freep(&x->path);
    errno = keep;
}

struct cas_scratch cas_scratch_take(struct cas_scratch *x)
{
    const struct cas_scratch taken = *x;

    *x = (struct cas_scratch)CAS_SCRATCH_INIT;
    return taken;
}

int cas_scratch_publish(struct cas_scratch *x,
                        const char *path,
                        bool *published,
                        struct error *err)
{
    const int fd = x->store->fd;

    *published = renameat2(fd, x->path, fd, path, RENAME_NOREPLACE) == 0;
    if (!*published && errno != EEXIST && errno != ENOTEMPTY)
        return error_sys(err, "publish %s", path);
    if (*published) {
        base_freep(&x->path);
        atomic_store(&x->store->grew, true);
    }
    return 0;
}
