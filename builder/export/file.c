#include "builder/export/export.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beside its place, under a name that nobody could have put there before us. */
static int open_temporary(struct build_export_file *f, struct error *err)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return error_sys(err, "random number");
    f->temporary = base_format("%s.%016llx.tmp", f->path, (unsigned long long)number);
    f->fd = fs_open_at(AT_FDCWD, f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                       0666, err);
    if (f->fd >= 0)
        return 0;
    free(f->temporary);
    f->temporary = NULL;
    build_export_file_discard(f);
    return -1;
}

int build_export_file_open(const char *path, struct build_export_file *f, struct error *err)
{
    struct stat st;

    *f = (struct build_export_file){.fd = -1};
    if (strcmp(path, "-") == 0) {
        f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return f->fd < 0 ? error_sys(err, "standard output") : 0;
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        if (S_ISDIR(st.st_mode))
            return error_set(err, ERROR_INVALID, "%s is a directory: name a file", path);
        f->fd = fs_open_at(AT_FDCWD, path, O_WRONLY, 0, err);
        return f->fd < 0 ? -1 : 0;
    }
    f->path = base_strdup(path);
    return open_temporary(f, err);
}

int build_export_file_commit(struct build_export_file *f, struct error *err)
{
    int status = f->path ? fs_sync(f->fd, f->path, err) : 0;

    if (status == 0 && f->path && rename(f->temporary, f->path) < 0)
        status = error_sys(err, "rename %s to %s", f->temporary, f->path);
    if (status == 0) {
        free(f->temporary);
        f->temporary = NULL;
    }
    build_export_file_discard(f);
    return status;
}

void build_export_file_discard(struct build_export_file *f)
{
    if (f->temporary)
        unlink(f->temporary);
    fd_closep(&f->fd);
    free(f->temporary);
    free(f->path);
    *f = (struct build_export_file){.fd = -1};
}
