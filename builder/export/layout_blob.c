/*
 * Blobs into the directory of an OCI image layout. Spec: OCI image-spec image-layout.md.
 */
#include "builder/export/export.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int copy_bytes(int from, int to, struct error *err)
{
    enum { CHUNK = 1 << 20 };
    CLEANUP(base_freep) char *chunk = base_alloc(CHUNK);
    ssize_t n;

    while ((n = read(from, chunk, CHUNK)) > 0)
        if (fs_write_all(to, chunk, (size_t)n, err) < 0)
            return -1;
    return n < 0 ? error_sys(err, "read blob") : 0;
}

int build_export_blob(struct cas_store *store,
                      const char *layout,
                      const struct digest *d,
                      struct error *err)
{
    CLEANUP(base_freep)
    char *path =
        base_format("%s/blobs/%s/%s", layout, digest_alg_name(d->alg), digest_hex(d).text);
    CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(path)));
    CLEANUP(fd_closep) int from = cas_blob_open(store, d, err);
    struct build_export_file to;

    if (from < 0 || fs_mkdir_all_at(AT_FDCWD, dir, 0777, err) < 0 ||
        build_export_file_open(path, &to, err) < 0)
        return -1;
    if (copy_bytes(from, to.fd, err) == 0)
        return build_export_file_commit(&to, err);
    build_export_file_discard(&to);
    return error_wrap(err, "%s", path);
}
