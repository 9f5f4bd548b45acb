/* An unpacked layer against its index: names, types, sizes, modes, owners; and bytes. */
#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/dir_read.h"
#include "cas/index.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_SIZE ((size_t)256 << 10)
#define BENEATH   (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct comparing {
    const struct fsck_compare *c;
    bool *seen; /* of the index's entries */
    char **why; /* set once */
    struct buf path;
};

/* Returns 0, so that the walk can end with it; the first finding counts. */
static int differs(struct comparing *x, struct view path, const char *how)
{
    if (!*x->why)
        *x->why = base_format("%.*s %s", VIEW_ARG(path), how);
    return 0;
}

/* --- One entry --- */

static bool has_opaque_mark(const struct fsck_compare *c, int dir_fd, const char *name)
{
    CLEANUP(base_freep) char *path = base_format("/proc/self/fd/%d/%s", dir_fd, name);
    char value[8];

    return lgetxattr(path, c->opaque_xattr, value, sizeof value) == 1 && value[0] == 'y';
}

static bool same_link(int dir_fd, const char *name, struct view target)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *text = fs_readlink_at(dir_fd, name, &ignored);

    return text && view_eq_text(target, text);
}

/* A link whose file lies in a layer below is a file of its own here. */
static bool same_inode(const struct fsck_compare *c,
                       const struct stat *st,
                       struct view target)
{
    CLEANUP(base_freep) char *path = view_dup(target);
    CLEANUP(fd_closep)
    int fd = fs_openat2(c->fs_fd, path, O_PATH | O_NOFOLLOW, 0, BENEATH);
    struct stat other;

    return fd < 0 || fstat(fd, &other) < 0 || other.st_ino == st->st_ino;
}

static int same_bytes(
    int dir_fd, const char *name, const struct digest *want, bool *same, struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_at(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
    CLEANUP(hasher_freep) struct hasher *h = NULL;
    CLEANUP(base_freep) char *data = NULL;
    struct digest got;
    ssize_t n;

    if (fd < 0)
        return -1;
    h = hasher_new(want->alg);
    data = base_alloc(READ_SIZE);
    while ((n = read(fd, data, READ_SIZE)) != 0) {
        if (n < 0 && errno != EINTR)
            return error_sys(err, "read %s", name);
        if (n > 0)
            hasher_update(h, data, (size_t)n);
    }
    hasher_final(h, &got);
    *same = digest_eq(&got, want);
    return 0;
}

static const char *compare_type(const struct fsck_compare *c,
                                const struct cas_entry *e,
                                const struct stat *st)
{
    struct cas_entry found;

    if (e->type == CAS_ENTRY_WHITEOUT)
        return cas_stat_is_whiteout(st) ? NULL : "is no whiteout";
    /* Where devices cannot be made an empty file may stand in. */
    if ((e->type == CAS_ENTRY_CHAR || e->type == CAS_ENTRY_BLOCK) && !c->devices &&
        S_ISREG(st->st_mode))
        return NULL;
    if (!cas_entry_from_stat(st, &found))
        return "is a socket";
    if (e->type == CAS_ENTRY_HARDLINK)
        return found.type == CAS_ENTRY_DIR ? "is a directory" : NULL;
    if (found.type != e->type)
        return "is of another type";
    if ((e->type == CAS_ENTRY_CHAR || e->type == CAS_ENTRY_BLOCK) &&
        (found.rdev_major != e->rdev_major || found.rdev_minor != e->rdev_minor))
        return "is another device";
    if (e->type == CAS_ENTRY_FILE && found.size != e->size)
        return "has another size";
    return NULL;
}

static const char *compare_attributes(const struct fsck_compare *c,
                                      const struct cas_entry *e,
                                      const struct stat *st)
{
    if (e->type == CAS_ENTRY_WHITEOUT || e->type == CAS_ENTRY_HARDLINK)
        return NULL;
    if (e->type != CAS_ENTRY_SYMLINK && (st->st_mode & 07777) != e->mode)
        return "has another mode";
    if (c->owners && (st->st_uid != e->uid || st->st_gid != e->gid))
        return "has another owner";
    return NULL;
}

static int compare_entry(struct comparing *x,
                         const struct cas_entry *e,
                         int dir_fd,
                         const char *name,
                         const struct stat *st,
                         struct error *err)
{
    const char *how = compare_type(x->c, e, st);
    bool same = true;

    if (!how)
        how = compare_attributes(x->c, e, st);
    if (!how && e->type == CAS_ENTRY_SYMLINK && !same_link(dir_fd, name, e->target))
        how = "points elsewhere";
    if (!how && e->type == CAS_ENTRY_HARDLINK && !same_inode(x->c, st, e->target))
        how = "is no link any more";
    if (!how && e->type == CAS_ENTRY_DIR && e->opaque &&
        !has_opaque_mark(x->c, dir_fd, name))
        how = "does not hide what is below";
    if (!how && x->c->content && e->type == CAS_ENTRY_FILE && S_ISREG(st->st_mode) &&
        e->size > 0 && digest_is_set(&e->content)) {
        if (same_bytes(dir_fd, name, &e->content, &same, err) < 0)
            return -1;
        how = same ? NULL : "has other bytes";
    }
    return how ? differs(x, e->path, how) : 0;
}

/* --- The tree --- */

/* Directories on the way to entries need no entry themselves. */
static bool is_on_the_way(const struct cas_index *index, size_t position, struct view path)
{
    struct cas_entry e;

    if (position >= cas_index_count(index))
        return false;
    cas_index_at(index, position, &e);
    return path_has_prefix(e.path, path);
}

static int walk(struct comparing *x, int dir_fd, struct error *err);

static int walk_below(struct comparing *x, int dir_fd, const char *name, struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_at(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);

    return fd < 0 ? -1 : walk(x, fd, err);
}

static int visit(struct comparing *x, int dir_fd, const char *name, struct error *err)
{
    const struct view path = buf_view(&x->path);
    struct cas_entry e;
    struct stat st;
    size_t i;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "stat %s", buf_text(&x->path));
    if (cas_index_find(x->c->index, path, &i)) {
        cas_index_at(x->c->index, i, &e);
        x->seen[i] = true;
        if (compare_entry(x, &e, dir_fd, name, &st, err) < 0)
            return -1;
    } else if (!S_ISDIR(st.st_mode) || !is_on_the_way(x->c->index, i, path)) {
        return differs(x, path, "is not part of the layer");
    }
    return S_ISDIR(st.st_mode) && !*x->why ? walk_below(x, dir_fd, name, err) : 0;
}

/* As deep as paths of layers are: each level holds one descriptor. */
static int walk(struct comparing *x, int dir_fd, struct error *err)
{
    struct cas_dir_names names;
    const size_t before = x->path.size;
    int result = 0;

    if (cas_dir_names_read(dir_fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count && result == 0 && !*x->why; i++) {
        if (before > 0)
            buf_append_char(&x->path, '/');
        buf_append_view(&x->path, names.items[i]);
        result = visit(x, dir_fd, names.items[i].data, err);
        x->path.size = before;
        if (x->path.data)
            x->path.data[before] = '\0';
    }
    cas_dir_names_release(&names);
    return result;
}

static void find_missing(struct comparing *x)
{
    for (size_t i = 0; i < cas_index_count(x->c->index) && !*x->why; i++) {
        struct cas_entry e;
        cas_index_at(x->c->index, i, &e);
        const bool is_device = e.type == CAS_ENTRY_CHAR || e.type == CAS_ENTRY_BLOCK;
        if (!x->seen[i] && e.path.size > 0 && (x->c->devices || !is_device))
            differs(x, e.path, "is missing");
    }
}

int fsck_compare_tree(const struct fsck_compare *c, char **why, struct error *err)
{
    CLEANUP(base_freep)
    bool *seen = base_alloc_array(cas_index_count(c->index) + 1, sizeof *seen);
    struct comparing x = {
        .c = c, .seen = seen, .why = why, .path = BUF_INIT(LIMIT_TEXT_SIZE)};

    *why = NULL;
    const int result = walk(&x, c->fs_fd, err);
    buf_release(&x.path);
    if (result == 0)
        find_missing(&x);
    else
        base_freep(why);
    return result;
}
