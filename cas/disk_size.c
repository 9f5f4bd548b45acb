#include "cas/disk_size.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u /* of st_blocks, whatever the file system's own */
/* Longer paths are opened in pieces: the kernel takes less than 4096 bytes at once. */
#define PIECE ((size_t)4000)

/* The kernel allows it to the owner only. */
int cas_disk_open(int dir_fd, const char *path, int flags)
{
    const int how = flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
    const int fd = openat(dir_fd, path, how | O_NOATIME);

    return fd >= 0 || errno != EPERM ? fd : openat(dir_fd, path, how);
}

/* --- Files with several names --- */

struct inode {
    dev_t dev;
    ino_t ino; /* 0: an empty slot */
};

struct cas_disk_links {
    pthread_mutex_t lock; /* guards everything below */
    struct inode *slots;  /* open addressing; at most half full */
    size_t capacity;
    size_t count;
};

struct cas_disk_links *cas_disk_links_new(void)
{
    struct cas_disk_links *l = base_alloc(sizeof *l);

    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void cas_disk_links_free(struct cas_disk_links *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l->slots);
    free(l);
}

void cas_disk_links_freep(struct cas_disk_links **l)
{
    cas_disk_links_free(*l);
    *l = NULL;
}

static struct inode *find_slot(struct inode *slots, size_t capacity, struct inode want)
{
    size_t i = (size_t)(want.ino * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);

    while (slots[i].ino != 0 && (slots[i].ino != want.ino || slots[i].dev != want.dev))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static void grow(struct cas_disk_links *l)
{
    const size_t capacity = l->capacity ? 2 * l->capacity : 256;
    struct inode *slots = base_alloc_array(capacity, sizeof *slots);

    for (size_t i = 0; i < l->capacity; i++) {
        if (l->slots[i].ino != 0)
            *find_slot(slots, capacity, l->slots[i]) = l->slots[i];
    }
    free(l->slots);
    l->slots = slots;
    l->capacity = capacity;
}

/* True if it was not seen yet. */
static bool see(struct cas_disk_links *l, const struct stat *st)
{
    const struct inode want = {st->st_dev, st->st_ino};

    pthread_mutex_lock(&l->lock);
    if (2 * (l->count + 1) > l->capacity)
        grow(l);
    struct inode *slot = find_slot(l->slots, l->capacity, want);
    const bool is_new = slot->ino == 0;
    if (is_new) {
        *slot = want;
        l->count++;
    }
    pthread_mutex_unlock(&l->lock);
    return is_new;
}

uint64_t cas_disk_size(const struct stat *st, struct cas_disk_links *links)
{
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && !see(links, st))
        return 0;
    return (uint64_t)st->st_blocks * BLOCK;
}

/* --- Trees --- */

/* Directories that are still to be read, as paths beneath the tree's top. */
struct walk {
    int top_fd;
    dev_t dev;
    struct cas_disk_links *links;
    char **todo;
    size_t count;
    size_t capacity;
    uint64_t size;
    uint64_t files;
};

static void walk_release(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->todo[i]);
    free(w->todo);
    fd_closep(&w->top_fd);
}

static int open_directory(int dir_fd, const char *path)
{
    const uint64_t resolve =
        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const int fd = fs_openat2(dir_fd, path, flags | O_NOATIME, 0, resolve);

    return fd >= 0 || errno != EPERM ? fd : fs_openat2(dir_fd, path, flags, 0, resolve);
}

/* Cuts a piece that ends before a slash off the path; names have at most 255 bytes. */
static int open_deep(int top_fd, const char *path)
{
    CLEANUP(fd_closep) int fd = -1;

    while (strlen(path) > PIECE) {
        const struct view piece = {path, PIECE};
        CLEANUP(base_freep) char *head = view_dup(path_dir(piece));
        const int next = open_directory(fd < 0 ? top_fd : fd, head);

        fd_closep(&fd);
        if (next < 0)
            return -1;
        fd = next;
        path += strlen(head) + 1;
    }
    return open_directory(fd < 0 ? top_fd : fd, path);
}

/* What cannot be read, or went away, is left out; the rest are failures. */
static bool may_skip(int error)
{
    return error == ENOENT || error == EACCES || error == EPERM || error == EXDEV ||
           error == ENOTDIR || error == ELOOP;
}

static void add_name(struct walk *w, int dir_fd, const char *dir, const char *name)
{
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != w->dev)
        return;
    w->size += cas_disk_size(&st, w->links);
    w->files++;
    if (!S_ISDIR(st.st_mode))
        return;
    w->todo = base_grow(w->todo, w->count, &w->capacity, sizeof *w->todo);
    w->todo[w->count++] =
        strcmp(dir, ".") == 0 ? base_strdup(name) : base_format("%s/%s", dir, name);
}

static int read_directory(struct walk *w, const char *path, struct error *err)
{
    const int fd = open_deep(w->top_fd, path);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!dir)
        return may_skip(errno) ? 0 : error_sys(err, "open %.200s", path);
    while ((e = readdir(dir)))
        add_name(w, fd, path, e->d_name);
    closedir(dir);
    return 0;
}

static int walk_all(struct walk *w, struct error *err)
{
    w->todo = base_grow(w->todo, w->count, &w->capacity, sizeof *w->todo);
    w->todo[w->count++] = base_strdup(".");
    while (w->count > 0) {
        CLEANUP(base_freep) char *path = w->todo[--w->count];
        if (read_directory(w, path, err) < 0)
            return -1;
    }
    return 0;
}

int cas_disk_tree_size(int dir_fd,
                       const char *path,
                       struct cas_disk_links *links,
                       uint64_t *size,
                       uint64_t *files,
                       struct error *err)
{
    CLEANUP(walk_release) struct walk w = {.top_fd = -1, .links = links};
    struct stat st;

    *size = 0;
    if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "stat %s", path);
    w.size = cas_disk_size(&st, links);
    w.files = 1;
    w.dev = st.st_dev;
    if (S_ISDIR(st.st_mode)) {
        w.top_fd = cas_disk_open(dir_fd, path, O_DIRECTORY);
        if (w.top_fd < 0 && !may_skip(errno))
            return error_sys(err, "open %s", path);
        if (w.top_fd >= 0 && walk_all(&w, err) < 0)
            return error_wrap(err, "measure %s", path);
    }
    *size = w.size;
    if (files)
        *files += w.files;
    return 0;
}
