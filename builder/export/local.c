#include "builder/export/export.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/source_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

/* Directories get their mode and time when everything in them is written. */
struct late_dir {
    char *path;
    uint32_t mode;
    struct timespec times[2];
};

struct local_output {
    struct build_tree *tree;
    int root;
    int64_t epoch;
    char *chunk;
    struct late_dir *dirs;
    size_t dir_count;
    size_t dir_capacity;
};

static void times_of(const struct local_output *o,
                     const struct cas_entry *e,
                     struct timespec times[2])
{
    const int64_t seconds = o->epoch >= 0 && e->mtime_s > o->epoch ? o->epoch : e->mtime_s;

    times[0] = times[1] = (struct timespec){
        .tv_sec = seconds, .tv_nsec = seconds == e->mtime_s ? (long)e->mtime_ns : 0};
}

/* The directory that holds the path, opened without following any link: what stands in the
 * destination from before is not to be trusted either. */
static int open_parent(const struct local_output *o,
                       struct view path,
                       char **name,
                       struct error *err)
{
    const struct view base = path_base(path);
    const struct view dir = path_dir(path);
    char *text = view_dup(dir);
    const int fd = fs_open_nofollow(o->root, text, O_RDONLY | O_DIRECTORY, 0, err);

    free(text);
    *name = fd < 0 ? NULL : view_dup(base);
    return fd;
}

static int write_file(const struct local_output *o,
                      int dir,
                      const char *name,
                      const struct build_tree_entry *e,
                      struct error *err)
{
    CLEANUP(fd_closep) int from = -1;
    CLEANUP(fd_closep)
    int to = fs_open_at(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, err);
    struct cas_content content = {.fd = -1};
    struct timespec times[2];
    ssize_t n = 0;

    if (to < 0 ||
        (e->entry.size > 0 && o->tree->open(o->tree->self, &e->place, &content, err) < 0))
        return -1;
    from = content.fd;
    while (from >= 0 && (n = read(from, o->chunk, CHUNK)) > 0)
        if (fs_write_all(to, o->chunk, (size_t)n, err) < 0)
            return -1;
    times_of(o, &e->entry, times);
    if (n < 0 || fchmod(to, e->entry.mode) < 0 || futimens(to, times) < 0)
        return error_sys(err, "%.*s", VIEW_ARG(e->entry.path));
    return 0;
}

static int make_dir(struct local_output *o,
                    int dir,
                    const char *name,
                    const struct cas_entry *e,
                    struct error *err)
{
    struct late_dir late = {.path = view_dup(e->path), .mode = e->mode};
    struct stat st;

    times_of(o, e, late.times);
    o->dirs = base_grow(o->dirs, o->dir_count, &o->dir_capacity, sizeof *o->dirs);
    o->dirs[o->dir_count++] = late;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return 0;
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return error_sys(err, "replace %.*s", VIEW_ARG(e->path));
    return mkdirat(dir, name, 0700) < 0 ? error_sys(err, "create %.*s", VIEW_ARG(e->path))
                                        : 0;
}

static int make_symlink(const struct local_output *o,
                        int dir,
                        const char *name,
                        const struct cas_entry *e,
                        struct error *err)
{
    CLEANUP(base_freep) char *target = view_dup(e->target);
    struct timespec times[2];

    times_of(o, e, times);
    if (symlinkat(target, dir, name) < 0 ||
        utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "create %.*s", VIEW_ARG(e->path));
    return 0;
}

static int visit(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct local_output *o = context;
    CLEANUP(base_freep) char *name = NULL;
    CLEANUP(fd_closep) int dir = -1;
    int status = 0;

    if (e->entry.path.size == 0)
        return 1;
    if (e->entry.type == CAS_ENTRY_CHAR || e->entry.type == CAS_ENTRY_BLOCK)
        return 1;
    dir = open_parent(o, e->entry.path, &name, err);
    if (dir < 0)
        return -1;
    if (e->entry.type == CAS_ENTRY_DIR)
        return make_dir(o, dir, name, &e->entry, err) < 0 ? -1 : 1;
    if (fs_remove_tree_at(dir, name, err) < 0)
        return -1;
    if (e->entry.type == CAS_ENTRY_FILE)
        status = write_file(o, dir, name, e, err);
    else if (e->entry.type == CAS_ENTRY_SYMLINK)
        status = make_symlink(o, dir, name, &e->entry, err);
    else if (mkfifoat(dir, name, e->entry.mode) < 0)
        status = error_sys(err, "create %.*s", VIEW_ARG(e->entry.path));
    return status < 0 ? -1 : 1;
}

static int finish_dirs(struct local_output *o, int status, struct error *err)
{
    while (o->dir_count > 0) {
        struct late_dir *d = &o->dirs[--o->dir_count];
        CLEANUP(fd_closep) int fd = -1;

        if (status == 0) {
            fd = fs_open_nofollow(o->root, d->path, O_RDONLY | O_DIRECTORY, 0, err);
            if (fd < 0)
                status = -1;
            else if (fchmod(fd, d->mode) < 0 || futimens(fd, d->times) < 0)
                status = error_sys(err, "%s", d->path);
        }
        free(d->path);
    }
    free(o->dirs);
    return status;
}

/* The files of one platform. */
static int export_plan(const struct build_export *x, size_t plan, struct error *err)
{
    CLEANUP(base_freep) char *below = build_platform_dir(x, plan);
    CLEANUP(base_freep)
    char *dest =
        base_format("%s%s%s", x->output->dest, below ? "/" : "", below ? below : "");
    struct local_output o = {.root = -1, .epoch = x->epoch};
    struct build_layer_tree *tree;
    int status;

    if (fs_mkdir_all_at(AT_FDCWD, dest, 0777, err) < 0 ||
        (o.root = fs_open_at(AT_FDCWD, dest, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
        return error_wrap(err, "output %s", dest);
    tree = build_layer_tree_new(x->solutions[plan].layers, x->solutions[plan].count);
    o.tree = build_layer_tree_tree(tree);
    o.chunk = base_alloc(CHUNK);
    status = o.tree->walk(o.tree->self, VIEW_LIT(""), visit, &o, err);
    status = finish_dirs(&o, status, err);
    free(o.chunk);
    fd_closep(&o.root);
    build_layer_tree_free(tree);
    return status < 0 ? error_wrap(err, "output %s", dest) : 0;
}

int build_export_local(const struct build_export *x, struct error *err)
{
    if (!x->output->dest)
        return error_set(err, ERROR_USAGE, "output needs dest=PATH");
    for (size_t i = 0; i < x->plans->count; i++)
        if (export_plan(x, i, err) < 0)
            return -1;
    return 0;
}
