#include "cas/unpacker.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/arena.h"
#include "cas/dir_read.h"
#include "cas/file_attr.h"
#include "cas/layer_dir.h"
#include "cas/path_map.h"
#include "cas/scratch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RESOLVE_SAFE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
/* In the scratch directory, beside fs/: the inode of all whiteouts. */
#define WHITEOUT_NAME "whiteout"
/* Zeros are looked for in pieces of this size: holes smaller than it gain little. */
#define HOLE_SIZE ((size_t)32 << 10)

/* A directory that was made; `entry` is kept until the end. */
struct unpack_dir {
    bool has_entry;
    bool gone; /* something else took its place */
    struct cas_entry entry;
};

struct cas_unpacker {
    struct cas_scratch scratch;
    int root_fd;
    bool plain;
    struct cas_layer_form form;

    struct cas_arena arena;
    struct cas_path_map dir_map;
    struct unpack_dir **dirs;
    size_t dir_count;
    size_t dir_capacity;
    struct cas_entry_list links_below;
    struct cas_layer_root root;
    bool self_contained;
    bool has_whiteout;

    struct buf path; /* of the entry at hand, its parent cut off with a NUL */
    struct buf target;
    struct buf parent; /* whose descriptor is parent_fd */
    int parent_fd;

    const struct cas_path_map *only; /* NULL: everything */
    bool skipping;                   /* the file at hand is not wanted */

    int file_fd; /* of the file whose bytes come; -1: none */
    struct cas_arena file_texts;
    struct cas_entry file;
    uint64_t file_end; /* bytes up to which it was written */
};

static struct cas_unpacker *new_unpacker(void)
{
    struct cas_unpacker *u = base_alloc(sizeof *u);

    u->scratch = (struct cas_scratch)CAS_SCRATCH_INIT;
    u->root_fd = -1;
    u->parent_fd = -1;
    u->file_fd = -1;
    u->self_contained = true;
    buf_init(&u->path, LIMIT_PATH_SIZE);
    buf_init(&u->target, LIMIT_PATH_SIZE);
    buf_init(&u->parent, LIMIT_PATH_SIZE);
    return u;
}

struct cas_unpacker *cas_unpacker_new(struct cas_store *s, struct error *err)
{
    struct cas_unpacker *u = new_unpacker();

    if (cas_layer_form(&u->form, err) < 0 || cas_scratch_open(&u->scratch, s, err) < 0) {
        cas_unpacker_free(u);
        return NULL;
    }
    if (mkdirat(u->scratch.fd, "fs", 0755) < 0)
        error_sys(err, "make %s/fs", u->scratch.path);
    else
        u->root_fd = fs_open_at(u->scratch.fd, "fs", O_RDONLY | O_DIRECTORY, 0, err);
    if (u->root_fd < 0) {
        cas_unpacker_free(u);
        return NULL;
    }
    return u;
}

struct cas_unpacker *cas_unpacker_new_plain(int dir_fd)
{
    struct cas_unpacker *u = new_unpacker();

    u->plain = true;
    u->root_fd = dir_fd;
    return u;
}

void cas_unpacker_only(struct cas_unpacker *u, const struct cas_path_map *files)
{
    u->only = files;
    u->skipping = false;
}

void cas_unpacker_free(struct cas_unpacker *u)
{
    if (!u)
        return;
    fd_closep(&u->file_fd);
    fd_closep(&u->parent_fd);
    if (!u->plain)
        fd_closep(&u->root_fd);
    cas_scratch_removep(&u->scratch);
    buf_release(&u->path);
    buf_release(&u->target);
    buf_release(&u->parent);
    cas_path_map_release(&u->dir_map);
    free(u->dirs);
    cas_entry_list_release(&u->links_below);
    cas_arena_release(&u->file_texts);
    cas_arena_release(&u->arena);
    free(u);
}

void cas_unpacker_freep(struct cas_unpacker **u)
{
    cas_unpacker_free(*u);
    *u = NULL;
}

bool cas_unpacker_is_self_contained(const struct cas_unpacker *u)
{
    return u->self_contained;
}

/* --- Directories --- */

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

static void forget_parent(struct cas_unpacker *u)
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
    forget_parent(u);
    u->parent_fd = fs_openat2(u->root_fd, name, flags, 0, RESOLVE_SAFE);
    if (u->parent_fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        if (make_parents(u, path, err) < 0)
            return -1;
        u->parent_fd = fs_openat2(u->root_fd, name, flags, 0, RESOLVE_SAFE);
    }
    if (u->parent_fd < 0)
        return error_sys(err, "open directory '%s'", path);
    buf_append_text(&u->parent, path);
    return u->parent_fd;
}

/* Cuts the path at its last slash: *name is the last component, the result its parent. */
static const char *split_path(struct buf *path, const char **name)
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
static int open_parent(struct cas_unpacker *u,
                       struct view path,
                       const char **name,
                       struct error *err)
{
    buf_clear(&u->path);
    buf_append_view(&u->path, path);
    if (buf_ok(&u->path, "a path", err) < 0)
        return -1;
    return open_dir(u, split_path(&u->path, name), err);
}

/* An entry of the same name came before: it makes room. */
static int clear_name(struct cas_unpacker *u,
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

static int make_dir(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    const char *name = NULL;
    struct stat st;

    if (e->path.size > 0) {
        const int fd = open_parent(u, e->path, &name, err);

        if (fd < 0)
            return -1;
        if (mkdirat(fd, name, 0700) < 0) {
            if (errno != EEXIST || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_sys(err, "make directory '%.*s'", VIEW_ARG(e->path));
            if (!S_ISDIR(st.st_mode) &&
                (clear_name(u, fd, name, e->path, err) < 0 || mkdirat(fd, name, 0700) < 0))
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

/* --- Files --- */

static int end_file(struct cas_unpacker *u, struct error *err)
{
    CLEANUP(fd_closep) int fd = fd_take(&u->file_fd);

    if (fd < 0)
        return 0;
    if (u->file_end < u->file.size && ftruncate(fd, (off_t)u->file.size) < 0)
        return error_sys(err, "write '%.*s'", VIEW_ARG(u->file.path));
    return cas_file_attr_set(fd, &u->file, err);
}

static int make_file(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const char *name = NULL;
    const int dir_fd = open_parent(u, e->path, &name, err);

    if (dir_fd < 0)
        return -1;
    u->file_fd = openat(dir_fd, name, flags, 0600);
    if (u->file_fd < 0 && errno == EEXIST) {
        if (clear_name(u, dir_fd, name, e->path, err) < 0)
            return -1;
        u->file_fd = openat(dir_fd, name, flags, 0600);
    }
    if (u->file_fd < 0)
        return error_sys(err, "make file '%.*s'", VIEW_ARG(e->path));
    u->file_end = 0;
    if (e->size == 0) {
        u->file = *e; /* no bytes come: nothing needs to outlive the call */
        return end_file(u, err);
    }
    cas_arena_release(&u->file_texts);
    u->file = cas_arena_entry(&u->file_texts, e);
    return 0;
}

static int write_at(struct cas_unpacker *u,
                    uint64_t offset,
                    struct view data,
                    struct error *err)
{
    while (data.size > 0) {
        const ssize_t done = pwrite(u->file_fd, data.data, data.size, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_sys(err, "write '%.*s'", VIEW_ARG(u->file.path));
        offset += (uint64_t)done;
        data = view_sub(data, (size_t)done, data.size);
    }
    return 0;
}

/* Other data is told from zeros by its first bytes, mostly. */
static bool is_zero(const char *data, size_t size)
{
    return size > 0 && data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Bytes of the pieces at the start of `data` that are all zeros, or all something else. */
static size_t run_size(struct view data, bool zeros)
{
    size_t at = 0;

    while (at < data.size) {
        const size_t left = data.size - at;
        const size_t piece = left < HOLE_SIZE ? left : HOLE_SIZE;

        if (is_zero(data.data + at, piece) != zeros)
            break;
        at += piece;
    }
    return at;
}

/* Zeros become holes: ten gigabytes of them, which fit into ten megabytes of gzip, shall
 * not fill the disk. */
int cas_unpacker_data(struct cas_unpacker *u,
                      uint64_t offset,
                      struct view data,
                      struct error *err)
{
    if (u->skipping)
        return 0;
    assert(u->file_fd >= 0 && offset >= u->file_end && offset + data.size <= u->file.size);
    while (data.size > 0) {
        const size_t hole = run_size(data, true);

        offset += hole;
        data = view_sub(data, hole, data.size);

        const size_t run = run_size(data, false);

        if (run > 0) {
            if (write_at(u, offset, view_sub(data, 0, run), err) < 0)
                return -1;
            offset += run;
            data = view_sub(data, run, data.size);
            u->file_end = offset;
        }
    }
    return 0;
}

/* One run of data, kernel to kernel. */
static int copy_range(
    struct cas_unpacker *u, int fd, off_t from, off_t to, struct error *err)
{
    off_t in = from;
    off_t out = from;

    while (in < to) {
        const ssize_t done =
            copy_file_range(fd, &in, u->file_fd, &out, (size_t)(to - in), 0);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_sys(err, "copy '%.*s'", VIEW_ARG(u->file.path));
        if (done == 0)
            return error_set(err, ERROR_FAILED, "'%.*s' changed while it was read",
                             VIEW_ARG(u->file.path));
    }
    return 0;
}

int cas_unpacker_copy(struct cas_unpacker *u, int fd, struct error *err)
{
    const off_t size = (off_t)u->file.size;
    off_t at = 0;

    if (u->file_fd < 0)
        return 0; /* an empty file is complete already */
    while (at < size) {
        const off_t data = lseek(fd, at, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            break;

        const off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (hole < 0)
            return error_sys(err, "read '%.*s'", VIEW_ARG(u->file.path));

        const off_t end = hole < size ? hole : size;

        if (data < end && copy_range(u, fd, data, end, err) < 0)
            return -1;
        u->file_end = (uint64_t)end;
        at = hole;
    }
    return 0;
}

/* --- Links, devices, whiteouts --- */

static int make_symlink(struct cas_unpacker *u,
                        const struct cas_entry *e,
                        struct error *err)
{
    const char *name = NULL;
    const int dir_fd = open_parent(u, e->path, &name, err);

    if (dir_fd < 0)
        return -1;
    buf_clear(&u->target);
    buf_append_view(&u->target, e->target);
    if (buf_ok(&u->target, "a symlink's target", err) < 0)
        return -1;
    if (symlinkat(buf_text(&u->target), dir_fd, name) < 0) {
        if (errno != EEXIST)
            return error_sys(err, "make symlink '%.*s'", VIEW_ARG(e->path));
        if (clear_name(u, dir_fd, name, e->path, err) < 0)
            return -1;
        if (symlinkat(buf_text(&u->target), dir_fd, name) < 0)
            return error_sys(err, "make symlink '%.*s'", VIEW_ARG(e->path));
    }
    return cas_file_attr_set_at(dir_fd, name, e, err);
}

static mode_t node_type(enum cas_entry_type type)
{
    if (type == CAS_ENTRY_FIFO)
        return S_IFIFO;
    return type == CAS_ENTRY_BLOCK ? S_IFBLK : S_IFCHR;
}

static int make_node(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    const mode_t mode = node_type(e->type) | 0600;
    const dev_t rdev =
        e->type == CAS_ENTRY_FIFO ? 0 : makedev(e->rdev_major, e->rdev_minor);
    const char *name = NULL;
    const int dir_fd = open_parent(u, e->path, &name, err);

    if (dir_fd < 0 || clear_name(u, dir_fd, name, e->path, err) < 0)
        return -1;
    if (mknodat(dir_fd, name, mode, rdev) == 0)
        return cas_file_attr_set_at(dir_fd, name, e, err);
    /* Devices are not for ordinary users to make; as with every rootless runtime, the image
     * lacks them then: /dev is mounted over anyway. */
    if (errno == EPERM && e->type != CAS_ENTRY_FIFO)
        return 0;
    return error_sys(err, "make device '%.*s'", VIEW_ARG(e->path));
}

static int link_whiteout(struct cas_unpacker *u, int dir_fd, const char *name)
{
    if (u->has_whiteout && linkat(u->scratch.fd, WHITEOUT_NAME, dir_fd, name, 0) == 0)
        return 0;
    if (u->has_whiteout && errno != EMLINK)
        return -1;
    /* The first one, or the inode has as many names as it can have. */
    if (u->has_whiteout && unlinkat(u->scratch.fd, WHITEOUT_NAME, 0) < 0)
        return -1;
    if (mknodat(u->scratch.fd, WHITEOUT_NAME, S_IFCHR, makedev(0, 0)) < 0)
        return -1;
    u->has_whiteout = true;
    return linkat(u->scratch.fd, WHITEOUT_NAME, dir_fd, name, 0);
}

static int make_whiteout(struct cas_unpacker *u,
                         const struct cas_entry *e,
                         struct error *err)
{
    const char *name = NULL;

    if (u->plain)
        return 0;

    const int dir_fd = open_parent(u, e->path, &name, err);

    if (dir_fd < 0 || clear_name(u, dir_fd, name, e->path, err) < 0)
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

    const char *dir = split_path(&u->target, &file);
    CLEANUP(fd_closep)
    int file_fd = fs_openat2(u->root_fd, *dir ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC,
                             0, RESOLVE_SAFE);

    if (file_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (file_fd < 0)
        return error_sys(err, "link to '%.*s'", VIEW_ARG(e->target));

    const int dir_fd = open_parent(u, e->path, &name, err);

    if (dir_fd < 0 || clear_name(u, dir_fd, name, e->path, err) < 0)
        return -1;
    *found = linkat(file_fd, file, dir_fd, name, 0) == 0;
    if (!*found && errno != ENOENT)
        return error_sys(err, "link to '%.*s'", VIEW_ARG(e->target));
    return 0;
}

static int make_hardlink(struct cas_unpacker *u,
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

int cas_unpacker_entry(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    if (end_file(u, err) < 0)
        return -1;
    u->skipping =
        u->only && (e->type != CAS_ENTRY_FILE || !cas_path_map_find(u->only, e->path));
    if (u->skipping)
        return 0;
    switch (e->type) {
    case CAS_ENTRY_FILE:
        return make_file(u, e, err);
    case CAS_ENTRY_DIR:
        return make_dir(u, e, err);
    case CAS_ENTRY_SYMLINK:
        return make_symlink(u, e, err);
    case CAS_ENTRY_HARDLINK:
        return make_hardlink(u, e, err);
    case CAS_ENTRY_CHAR:
    case CAS_ENTRY_BLOCK:
    case CAS_ENTRY_FIFO:
        return make_node(u, e, err);
    case CAS_ENTRY_WHITEOUT:
        return make_whiteout(u, e, err);
    }
    return error_set(err, ERROR_CORRUPT, "'%.*s' is of no known type", VIEW_ARG(e->path));
}

/* --- Completion --- */

/* A hard link that leads to a layer below becomes a file of its own: links cannot cross. */
static int copy_from_below(struct cas_unpacker *u,
                           const struct cas_entry *link,
                           struct cas_tree *below,
                           struct error *err)
{
    struct cas_tree_entry found;
    bool exists = false;

    if (below && cas_tree_find(below, link->target, CAS_TREE_NOFOLLOW, &exists, &found,
                               NULL, err) < 0)
        return -1;
    if (!exists || found.entry.type != CAS_ENTRY_FILE)
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' is a hard link to '%.*s', which no layer has as a file",
                         VIEW_ARG(link->path), VIEW_ARG(link->target));

    CLEANUP(fd_closep) int fd = cas_tree_open(below, &found, err);
    struct cas_entry e = found.entry;

    if (fd < 0)
        return -1;
    e.path = link->path;
    if (cas_unpacker_entry(u, &e, err) < 0 || cas_unpacker_copy(u, fd, err) < 0)
        return -1;
    return end_file(u, err);
}

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
                        0, RESOLVE_SAFE);

    if (fd < 0)
        return error_sys(err, "open directory '%s'", path);
    if (e->opaque && !u->plain &&
        fsetxattr(fd, cas_layer_form_opaque(&u->form), "y", 1, 0) < 0)
        return error_sys(err, "mark '%s' as opaque", path);
    return cas_file_attr_set(fd, e, err);
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
static int finish_dirs(struct cas_unpacker *u, struct cas_tree *below, struct error *err)
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

int cas_unpacker_finish(struct cas_unpacker *u, struct cas_tree *below, struct error *err)
{
    if (end_file(u, err) < 0)
        return -1;
    for (size_t i = 0; i < u->links_below.count; i++) {
        if (copy_from_below(u, &u->links_below.items[i], below, err) < 0)
            return -1;
    }
    forget_parent(u);
    if (finish_dirs(u, below, err) < 0)
        return -1;
    if (u->has_whiteout && unlinkat(u->scratch.fd, WHITEOUT_NAME, 0) < 0)
        return error_sys(err, "remove %s/" WHITEOUT_NAME, u->scratch.path);
    return 0;
}

int cas_unpacker_publish(struct cas_unpacker *u,
                         const struct digest *diff_id,
                         const struct digest *chain_id,
                         struct error *err)
{
    const bool is_chain = !u->self_contained;
    CLEANUP(base_freep)
    char *path = cas_layer_dir_path(&u->form, is_chain ? chain_id : diff_id, is_chain);
    bool published = false;

    if (cas_layer_dir_mark(u->scratch.fd, &u->root, err) < 0)
        return -1;
    /* Not published: somebody else was faster, and made the same. */
    return cas_scratch_publish(&u->scratch, path, &published, err);
}
