/* Directories of a layer that is unpacked: made on the way, completed at the end. */
#include "cas/unpacker_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/dir_read.h"
#include "cas/file_attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct unpack_dir *enter_dir(struct cas_unpacker *u, struct view path)
{
    struct unpack_dir *dir = cas_path_map_find(&u->dir_map, path);

    if (dir)
        return dir;
    dir = cas_arena_alloc(&u->arena, sizeof *dir);
    dir->entry.type = CAS_ENTRY_DIR;
    dir->entry.path = cas_arena_view(&u->arena, path);
    cas_path_map_put(&u->dir_map, dir->entry.path, dir);
    u->dirs =
        base_grow(u->dirs, u->dir_count, &u->dir_capacity, sizeof(struct unpack_dir *));
    u->dirs[u->dir_count++] = dir;
    return dir;
}

/* Removed and made anew by the same layer: the whiteout that stands there makes room. Only
 * our own are met, as 0/0 devices of layers are refused. */
static int replace_whiteout(int dir_fd, const char *name)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (!cas_stat_is_whiteout(&st)) {
        errno = ENOTDIR;
        return -1;
    }
    return unlinkat(dir_fd, name, 0) < 0 ? -1 : mkdirat(dir_fd, name, 0700);
}

/* Makes one directory where there is none; its descriptor, or -1 with errno set. */
static int make_component(int dir_fd, const char *name)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
        return -1;

    const int fd = openat(dir_fd, name, flags);

    if (fd >= 0 || errno != ENOTDIR)
        return fd;
    return replace_whiteout(dir_fd, name) < 0 ? -1 : openat(dir_fd, name, flags);
}

/* mkdir -p of a clean path: each component by itself, none followed. */
static int make_parents(struct cas_unpacker *u, const char *path, struct error *err)
{
    CLEANUP(fd_closep) int fd = openat(u->root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const struct view whole = view_of(path);
    size_t at = 0;

    while (at < whole.size) {
        struct view name;
        struct view rest;

        view_cut(view_sub(whole, at, whole.size), '/', &name, &rest);

        const size_t end = at + name.size;
        CLEANUP(base_freep) char *text = view_dup(name);
        const int next = make_component(fd, text);

        if (next < 0)
            return error_sys(err, "make directory '%s'", path);
        fd_closep(&fd);
        fd = next;
        enter_dir(u, view_sub(whole, 0, end))->gone = false;
        at = end + 1;
    }
    return 0;
}

void unpack_forget_parent(struct cas_unpacker *u)
{
    fd_closep(&u->parent_fd);
    buf_clear(&u->parent);
}

/* The descriptor of a directory, kept for the next entry. "" is the root. */
static int open_dir(struct cas_unpacker *u, const char *path, struct error *err)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    const char *name = *path ? path : ".";

    if (u->parent_fd >= 0 && view_eq_text(buf_view(&u->parent), path))
        return u->parent_fd;
    unpack_forget_parent(u);
    u->parent_fd = fs_openat2(u->root_fd, name, flags, 0, UNPACK_RESOLVE);
    if (u->parent_fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        if (make_parents(u, path, err) < 0)
            return -1;
        u->parent_fd = fs_openat2(u->root_fd, name, flags, 0, UNPACK_RESOLVE);
    }
    if (u->parent_fd < 0)
        return error_sys(err, "open directory '%s'", path);
    buf_append_text(&u->parent, path);
    return u->parent_fd;
}

/* Cuts the path at its last slash: *name is the last component, the result its parent. */
const char *unpack_split_path(struct buf *path, const char **name)
{
    char *slash = strrchr(path->data, '/');

    if (!slash) {
        *name = path->data;
        return "";
    }
    *slash = '\0';
    *name = slash + 1;
    return path->data;
}

/* The parent's descriptor (borrowed) and the last component of the entry's path. */
int unpack_open_parent(struct cas_unpacker *u,
                       struct view path,
                       const char **name,
                       struct error *err)
{
    buf_clear(&u->path);
    buf_append_view(&u->path, path);
    if (buf_ok(&u->path, "a path", err) < 0)
        return -1;
    return open_dir(u, unpack_split_path(&u->path, name), err);
}

/* An entry of the same name came before: it makes room. */
int unpack_clear_name(struct cas_unpacker *u,
                      int dir_fd,
                      const char *name,
                      struct view path,
                      struct error *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return error_sys(err, "replace '%.*s'", VIEW_ARG(path));
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        return error_sys(err, "replace '%.*s'", VIEW_ARG(path));

    struct unpack_dir *dir = cas_path_map_find(&u->dir_map, path);

    if (dir)
        dir->gone = true;
    return 0;
}

int unpack_make_dir(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    const char *name = NULL;
    struct stat st;

    if (e->path.size > 0) {
        const int fd = unpack_open_parent(u, e->path, &name, err);

        if (fd < 0)
            return -1;
        if (mkdirat(fd, name, 0700) < 0) {
            if (errno != EEXIST || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_sys(err, "make directory '%.*s'", VIEW_ARG(e->path));
            if (!S_ISDIR(st.st_mode) && (unpack_clear_name(u, fd, name, e->path, err) < 0 ||
                                         mkdirat(fd, name, 0700) < 0))
                return error_sys(err, "make directory '%.*s'", VIEW_ARG(e->path));
        }
    }

    struct unpack_dir *dir = enter_dir(u, e->path);
    const bool opaque = dir->entry.opaque || e->opaque;

    dir->entry = cas_arena_entry(&u->arena, e);
    dir->entry.opaque = opaque;
    dir->has_entry = true;
    dir->gone = false;
    return 0;
}

/* --- Completion --- */

/* A stand-in would change the merged tree: the directory is what it is below. */
static int fill_implied(struct unpack_dir *dir, struct cas_tree *below, struct error *err)
{
    struct cas_tree_entry found;
    bool exists = false;

    if (below && cas_tree_find(below, dir->entry.path, CAS_TREE_FOLLOW, &exists, &found,
                               NULL, err) < 0)
        return -1;
    if (!exists || found.entry.type != CAS_ENTRY_DIR) {
        dir->entry.mode = 0755;
        return 0;
    }

    const struct view path = dir->entry.path;

    dir->entry = found.entry; /* borrowed from the tree, which outlives the use */
    dir->entry.path = path;
    dir->entry.opaque = false;
    return 0;
}

static int finish_dir(struct cas_unpacker *u, struct unpack_dir *dir, struct error *err)
{
    const struct cas_entry *e = &dir->entry;
    CLEANUP(base_freep) char *path = view_dup(e->path);
    CLEANUP(fd_closep)
    int fd = fs_openat2(u->root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                        0, UNPACK_RESOLVE);

    if (fd < 0)
        return error_sys(err, "open directory '%s'", path);
    if (e->opaque && !u->plain &&
        fsetxattr(fd, cas_layer_form_opaque(&u->form), "y", 1, 0) < 0)
        return error_sys(err, "mark '%s' as opaque", path);
    return cas_file_attr_set(fd, e, u->owners, err);
}

static int compare_dirs(const void *a, const void *b)
{
    const struct unpack_dir *const *x = a;
    const struct unpack_dir *const *y = b;

    return cas_entry_path_compare((*x)->entry.path, (*y)->entry.path);
}

static void note_root(struct cas_unpacker *u, const struct unpack_dir *dir)
{
    if (dir->entry.path.size > 0 || !dir->has_entry)
        return;
    u->root = (struct cas_layer_root){.known = true,
                                      .opaque = dir->entry.opaque,
                                      .mode = dir->entry.mode,
                                      .uid = dir->entry.uid,
                                      .gid = dir->entry.gid};
}

/* Children before parents: a parent's mode may keep us out. */
int unpack_finish_dirs(struct cas_unpacker *u, struct cas_tree *below, struct error *err)
{
    if (u->dir_count > 1)
        qsort(u->dirs, u->dir_count, sizeof(struct unpack_dir *), compare_dirs);
    for (size_t i = u->dir_count; i-- > 0;) {
        struct unpack_dir *dir = u->dirs[i];

        if (dir->gone)
            continue;
        if (!dir->has_entry) {
            u->self_contained = false;
            if (fill_implied(dir, below, err) < 0)
                return -1;
        }
        note_root(u, dir);
        if (finish_dir(u, dir, err) < 0)
            return -1;
    }
    return 0;
}
