#include "cas/dir_read.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static int compare_names(const void *a, const void *b)
{
    return view_compare(*(const struct view *)a, *(const struct view *)b);
}

int cas_dir_names_read(int dir_fd, struct cas_dir_names *out, struct error *err)
{
    /* A descriptor of its own: the position is shared among duplicates. */
    const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t capacity = 0;

    *out = (struct cas_dir_names){0};
    if (!dir) {
        error_sys(err, "read directory");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    for (;;) {
        errno = 0;

        const struct dirent *e = readdir(dir);

        if (!e && errno != 0) {
            error_sys(err, "read directory");
            cas_dir_names_release(out);
            return -1;
        }
        if (!e)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        out->items = base_grow(out->items, out->count, &capacity, sizeof *out->items);
        out->items[out->count++] = cas_arena_view(&out->arena, view_of(e->d_name));
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_names);
    return 0;
}

void cas_dir_names_release(struct cas_dir_names *n)
{
    free(n->items);
    cas_arena_release(&n->arena);
    *n = (struct cas_dir_names){0};
}

/* --- Attributes --- */

bool cas_stat_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool cas_entry_from_stat(const struct stat *st, struct cas_entry *out)
{
    *out = (struct cas_entry){
        .mode = (uint32_t)st->st_mode & 07777,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mtime_s = st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
    };
    out->type = cas_entry_type_of(st->st_mode);
    if (out->type == 0)
        return false;
    if (out->type == CAS_ENTRY_FILE)
        out->size = (uint64_t)st->st_size;
    if (out->type == CAS_ENTRY_CHAR || out->type == CAS_ENTRY_BLOCK) {
        out->rdev_major = major(st->st_rdev);
        out->rdev_minor = minor(st->st_rdev);
    }
    return true;
}

int cas_dir_read_link(int dir_fd,
                      const char *name,
                      struct cas_arena *arena,
                      struct view *out,
                      struct error *err)
{
    CLEANUP(base_freep) char *text = fs_readlink_at(dir_fd, name, err);

    if (!text)
        return -1;
    *out = cas_arena_view(arena, view_of(text));
    return 0;
}

/* What docker keeps (security.capability), ACLs, and what users set. */
static bool is_layer_xattr(struct view name)
{
    if (view_starts(name, "user."))
        return !view_starts(name, "user.overlay.") && !view_starts(name, "user.cooper.");
    return view_eq_text(name, "security.capability") ||
           view_starts(name, "system.posix_acl_");
}

static int compare_xattrs(const void *a, const void *b)
{
    return view_compare(((const struct cas_xattr *)a)->name,
                        ((const struct cas_xattr *)b)->name);
}

/* Reads one value; an attribute that vanished meanwhile has none. */
static int read_value(const char *path,
                      const char *name,
                      struct cas_arena *arena,
                      struct view *out,
                      bool *found,
                      struct error *err)
{
    CLEANUP(base_freep) char *value = base_alloc(LIMIT_XATTR_SIZE);
    const ssize_t size = lgetxattr(path, name, value, LIMIT_XATTR_SIZE);

    *found = size >= 0;
    if (size < 0)
        return errno == ENODATA ? 0 : error_sys(err, "read attribute %s", name);
    *out = cas_arena_view(arena, (struct view){value, (size_t)size});
    return 0;
}

int cas_dir_read_xattrs(int dir_fd,
                        const char *name,
                        struct cas_arena *arena,
                        struct cas_entry *out,
                        struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("/proc/self/fd/%d/%s", dir_fd, name);
    const ssize_t size = llistxattr(path, NULL, 0);

    out->xattrs = NULL;
    out->xattr_count = 0;
    if (size < 0 && errno != ENOTSUP)
        return error_sys(err, "list attributes");
    if (size <= 0)
        return 0;

    CLEANUP(base_freep) char *names = base_alloc((size_t)size + 1);
    const ssize_t got = llistxattr(path, names, (size_t)size);

    if (got < 0)
        return error_sys(err, "list attributes");

    /* "a" NUL: more attributes than half the bytes there cannot be. */
    struct cas_xattr *xattrs = NULL;
    size_t count = 0;

    for (const char *at = names; at < names + got; at += strlen(at) + 1) {
        const struct view text = view_of(at);
        bool found = false;

        if (!is_layer_xattr(text))
            continue;
        if (!xattrs)
            xattrs = cas_arena_alloc(arena, (size_t)got / 2 * sizeof *xattrs);
        xattrs[count].name = cas_arena_view(arena, text);
        if (read_value(path, at, arena, &xattrs[count].value, &found, err) < 0)
            return -1;
        count += found;
    }
    if (count > 1)
        qsort(xattrs, count, sizeof *xattrs, compare_xattrs);
    out->xattrs = xattrs;
    out->xattr_count = count;
    return 0;
}

bool cas_xattrs_equal(const struct cas_entry *a, const struct cas_entry *b)
{
    if (a->xattr_count != b->xattr_count)
        return false;
    for (size_t i = 0; i < a->xattr_count; i++) {
        if (!view_eq(a->xattrs[i].name, b->xattrs[i].name) ||
            !view_eq(a->xattrs[i].value, b->xattrs[i].value))
            return false;
    }
    return true;
}

bool cas_entry_attr_equal(const struct cas_entry *a, const struct cas_entry *b)
{
    return a->type == b->type && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->rdev_major == b->rdev_major &&
           a->rdev_minor == b->rdev_minor && a->size == b->size;
}

/* --- Content --- */

/* Reads until the block is full or the file ends. */
static ssize_t read_block(int fd, char *data, size_t size)
{
    size_t have = 0;

    while (have < size) {
        const ssize_t got = read(fd, data + have, size - have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

int cas_dir_content_equal(int dir_a,
                          const char *name_a,
                          int dir_b,
                          const char *name_b,
                          bool *equal,
                          struct error *err)
{
    enum { BLOCK = 64 << 10 };
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    CLEANUP(fd_closep) int a = fs_open_at(dir_a, name_a, flags, 0, err);

    if (a < 0)
        return -1;

    CLEANUP(fd_closep) int b = fs_open_at(dir_b, name_b, flags, 0, err);

    if (b < 0)
        return -1;

    CLEANUP(base_freep) char *data = base_alloc((size_t)2 * BLOCK);
    ssize_t got_a = 1;

    *equal = true;
    while (*equal && got_a > 0) {
        got_a = read_block(a, data, BLOCK);

        const ssize_t got_b = read_block(b, data + BLOCK, BLOCK);

        if (got_a < 0 || got_b < 0)
            return error_sys(err, "read '%s'", name_a);
        *equal = got_a == got_b && memcmp(data, data + BLOCK, (size_t)got_a) == 0;
    }
    return 0;
}
