/*
 * Removal of trees whose names, depth and permissions somebody else chose.
 *
 * A stack of frames, one a directory, replaces recursion: depth is bounded by memory, not
 * by the stack. A directory is read once, its files are unlinked while reading, and the
 * names of its subdirectories are kept for the descent:
 *
 *     frame 0: "tree"   fd 7   todo: [b, c]       read; its files are gone; a is being
 * removed frame 1: "a"      fd 8   todo: []           being read
 *
 * At most FRAMES_OPEN descriptors are open. Deeper down, the descriptors of the upper
 * frames are closed, and found again through ".."; device and inode must then be what they
 * were, or somebody moved the directory and ".." leads out of the tree.
 *
 * Every step names a single component relative to a descriptor and follows no symlink, and
 * RESOLVE_NO_XDEV keeps what is mounted below from being emptied.
 */
#include "base/fs.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FRAMES_OPEN = 64, DIRENTS_SIZE = 64 << 10 };

struct frame {
    int fd; /* -1: closed for the time being */
    dev_t dev;
    ino_t ino;
    char *name;       /* in the frame above */
    struct buf todo;  /* names of subdirectories, each ending in NUL */
    size_t todo_at;   /* the next of them */
    unsigned rescans; /* how often it was found not to be empty after all */
};

struct removal {
    int dir_fd; /* the caller's; never chmod'ed */
    struct frame *frames;
    size_t count;
    size_t capacity;
    char *dirents;
};

static struct frame *top(const struct removal *r)
{
    assert(r->count > 0);
    return &r->frames[r->count - 1];
}

static int top_fd(const struct removal *r)
{
    return r->count ? top(r)->fd : r->dir_fd;
}

static void frame_release(struct frame *f)
{
    fd_closep(&f->fd);
    buf_release(&f->todo);
    base_freep(&f->name);
}

static void removal_release(struct removal *r)
{
    while (r->count > 0)
        frame_release(&r->frames[--r->count]);
    base_freep(&r->frames);
    base_freep(&r->dirents);
}

/* Directories that we may not change are ours to make changeable, as they are about to go.
 */
static bool make_writable(const struct removal *r)
{
    return r->count > 0 && fchmod(top(r)->fd, 0700) == 0;
}

/* Unlinks a name in the top directory. Absence is success. */
static int unlink_name(const struct removal *r, const char *name, int flags)
{
    if (unlinkat(top_fd(r), name, flags) == 0 || errno == ENOENT)
        return 0;
    if ((errno != EACCES && errno != EPERM) || !make_writable(r))
        return -1;
    return unlinkat(top_fd(r), name, flags) == 0 || errno == ENOENT ? 0 : -1;
}

static int open_directory(int dir_fd, const char *name, int flags)
{
    const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

    return fs_openat2(dir_fd, name, flags | O_DIRECTORY | O_NOFOLLOW, 0, resolve);
}

/* Opens a subdirectory of the top one, giving ourselves the permission if need be. chmod
 * has no form that follows no symlink, so it goes through a descriptor that does not. */
static int open_for_removal(const struct removal *r, const char *name)
{
    int fd = open_directory(top_fd(r), name, O_RDONLY);

    if (fd >= 0 || errno != EACCES)
        return fd;
    make_writable(r);

    CLEANUP(fd_closep) int handle = open_directory(top_fd(r), name, O_PATH);
    char proc[32];

    if (handle < 0)
        return -1;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", handle);
    if (chmod(proc, 0700) < 0)
        return -1;
    return open_directory(top_fd(r), name, O_RDONLY);
}

/* One entry of the top directory: a subdirectory is noted, anything else unlinked. */
static int take_entry(struct removal *r, const char *name, unsigned char type)
{
    struct frame *f = top(r);

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (type != DT_DIR) {
        if (unlink_name(r, name, 0) == 0)
            return 0;
        /* The type was not told, or a directory came in its place. */
        if (errno != EISDIR)
            return -1;
    }
    buf_append(&f->todo, name, strlen(name) + 1);
    return 0;
}

static int read_directory(struct removal *r, struct error *err)
{
    struct frame *f = top(r);

    buf_clear(&f->todo);
    f->todo_at = 0;
    if (lseek(f->fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind directory %s", f->name);
    for (;;) {
        const long size = syscall(SYS_getdents64, f->fd, r->dirents, (size_t)DIRENTS_SIZE);

        if (size < 0)
            return error_sys(err, "read directory %s", f->name);
        if (size == 0)
            return buf_ok(&f->todo, "the list of subdirectories", err);
        for (long at = 0; at < size;) {
            /* The kernel aligns records to 8 bytes. */
            const struct dirent64 *entry = (const void *)(r->dirents + at);

            if (take_entry(r, entry->d_name, entry->d_type) < 0)
                return error_sys(err, "%s/%s", f->name, entry->d_name);
            at += entry->d_reclen;
        }
    }
}

/* Pushes the subdirectory `name` of the top one and reads it. One that has gone is done. */
static int enter(struct removal *r, const char *name, struct error *err)
{
    CLEANUP(fd_closep) int fd = open_for_removal(r, name);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_sys(err, "open directory %s", name);

    CLEANUP(base_freep) char *own_name = base_strdup(name);

    r->frames = base_grow(r->frames, r->count, &r->capacity, sizeof *r->frames);
    if (r->count >= FRAMES_OPEN)
        fd_closep(&r->frames[r->count - FRAMES_OPEN].fd);
    r->frames[r->count++] = (struct frame){
        .fd = fd_take(&fd),
        .dev = st.st_dev,
        .ino = st.st_ino,
        .name = own_name,
        /* Names are at most 255 bytes and the file system bounds their number. */
        .todo = BUF_INIT(SIZE_MAX / 2),
    };
    own_name = NULL;
    return read_directory(r, err);
}

/* Gives the frame above the top one its descriptor back. */
static int reopen_parent(struct removal *r, struct error *err)
{
    struct frame *child = top(r);
    struct frame *parent = child - 1;
    struct stat st;

    if (r->count < 2 || parent->fd >= 0)
        return 0;
    parent->fd = openat(child->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent->fd < 0 || fstat(parent->fd, &st) < 0)
        return error_sys(err, "open the parent of %s", child->name);
    if (st.st_dev != parent->dev || st.st_ino != parent->ino)
        return error_set(err, ERROR_SYSTEM, "%s was moved during its removal", child->name);
    return 0;
}

/* The top directory should be empty now: removes it, or reads it again. */
static int leave(struct removal *r, struct error *err)
{
    if (reopen_parent(r, err) < 0)
        return -1;

    struct frame done = *top(r);

    r->count--;
    if (unlink_name(r, done.name, AT_REMOVEDIR) == 0) {
        frame_release(&done);
        return 0;
    }
    /* Somebody added an entry, or the file system hid one while others went. */
    if ((errno == ENOTEMPTY || errno == EEXIST) && done.rescans < FS_RACE_RETRIES) {
        done.rescans++;
        r->frames[r->count++] = done;
        return read_directory(r, err);
    }
    error_sys(err, "remove directory %s", done.name);
    frame_release(&done);
    return -1;
}

static int remove_directory(struct removal *r, const char *name, struct error *err)
{
    if (enter(r, name, err) < 0)
        return -1;
    while (r->count > 0) {
        struct frame *f = top(r);

        if (f->todo_at == f->todo.size) {
            if (leave(r, err) < 0)
                return -1;
            continue;
        }

        /* Entering may move the frames but not the names. */
        const char *child = f->todo.data + f->todo_at;

        f->todo_at += strlen(child) + 1;
        if (enter(r, child, err) < 0)
            return -1;
    }
    return 0;
}

/* `name` is a single component. */
static int remove_name(int dir_fd, const char *name, struct error *err)
{
    CLEANUP(removal_release) struct removal r = {.dir_fd = dir_fd};

    assert(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return error_sys(err, "remove %s", name);
    r.dirents = base_alloc(DIRENTS_SIZE);
    if (remove_directory(&r, name, err) < 0)
        return error_wrap(err, "remove %s", name);
    return 0;
}

int fs_remove_tree_at(int dir_fd, const char *path, struct error *err)
{
    CLEANUP(base_freep) char *name = view_dup(path_base(view_of(path)));
    CLEANUP(fd_closep) int parent = -1;

    if (strchr(path, '/')) {
        CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(path)));

        parent = openat(dir_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
            return errno == ENOENT ? 0 : error_sys(err, "open directory %s", dir);
        dir_fd = parent;
    }
    return remove_name(dir_fd, name, err);
}
