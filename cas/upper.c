#include "cas/upper.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/dir_read.h"
#include "cas/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * Every directory of the upper one is walked together with the directories of the layers
 * that merge with it, top first:
 *
 *     upper        usr/bin            being walked
 *     lower fds    [ 3:usr/bin, 0:usr/bin ]   layers 1 and 2 have no usr/bin
 *
 * A name's counterpart below is the first that one of them has.
 */
struct dirs_below {
    int *fds; /* top first */
    size_t count;
};

enum below_kind { BELOW_NONE, BELOW_DIR, BELOW_OTHER };

struct below {
    enum below_kind kind;
    struct cas_entry entry; /* without extended attributes */
    int fd;                 /* directory that has the name; borrowed */
    struct dirs_below dirs; /* of BELOW_DIR: those that merge; owned */
};

/* What an inode with several names is known by. */
struct inode_key {
    dev_t dev;
    ino_t ino;
};

struct upper_walk {
    const struct cas_upper_options *options;
    struct cas_entry_list *list;
    struct cas_path_map firsts; /* inode_key -> struct view, its first path */
};

/* One directory being walked. */
struct frame {
    int fd;
    struct view path;
    const struct dirs_below *below;
    bool lost;      /* something was taken out of it */
    bool lost_stub; /* and that was a stub, which had changed the directory's time */
    bool changed;   /* names in it changed, beyond what was taken out */
};

static void dirs_close(struct dirs_below *d)
{
    for (size_t i = 0; i < d->count; i++)
        close(d->fds[i]);
    free(d->fds);
    *d = (struct dirs_below){0};
}

static void below_releasep(struct below *b)
{
    dirs_close(&b->dirs);
}

/* Owner and device of an entry made from stat, where they are recorded. */
static int apply_owner(const struct upper_walk *w,
                       int dir_fd,
                       const char *name,
                       struct cas_entry *e,
                       struct error *err)
{
    if (w->options->owners && cas_owner_apply(w->options->owners, dir_fd, name, e) < 0)
        return error_sys(err, "look up the owner of '%s'", name);
    return 0;
}

/* --- What is below --- */

static int has_opaque_mark(const struct upper_walk *w,
                           int fd,
                           bool *opaque,
                           struct error *err)
{
    char value = 0;
    const ssize_t size = fgetxattr(fd, w->options->opaque_xattr, &value, 1);

    *opaque = size == 1 && value == 'y';
    /* ERANGE: a longer value, as "x" forms of newer kernels, is no "y". */
    if (size < 0 && errno != ENODATA && errno != ENOTSUP && errno != ERANGE)
        return error_sys(err, "read %s", w->options->opaque_xattr);
    return 0;
}

static void push_dir(struct dirs_below *d, size_t room, int fd)
{
    if (!d->fds)
        d->fds = base_alloc_array(room, sizeof *d->fds);
    d->fds[d->count++] = fd;
}

/* The layer's directory merges with those found above; *stop: nothing below it does. */
static int merge_dir(const struct upper_walk *w,
                     struct below *b,
                     size_t room,
                     int parent_fd,
                     const char *name,
                     bool *stop,
                     struct error *err)
{
    const int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open '%s' of a layer below", name);
    push_dir(&b->dirs, room, fd);
    return has_opaque_mark(w, fd, stop, err);
}

static int find_below(const struct upper_walk *w,
                      const struct dirs_below *dirs,
                      const char *name,
                      struct below *b,
                      struct error *err)
{
    bool stop = false;

    *b = (struct below){.fd = -1};
    for (size_t i = 0; i < dirs->count && !stop; i++) {
        struct stat st;

        if (fstatat(dirs->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT)
                continue;
            return error_sys(err, "look at '%s' of a layer below", name);
        }
        if (cas_stat_is_whiteout(&st))
            return 0;
        const bool first = b->kind == BELOW_NONE;

        if (first) {
            b->kind = S_ISDIR(st.st_mode) ? BELOW_DIR : BELOW_OTHER;
            b->fd = dirs->fds[i];
            cas_entry_from_stat(&st, &b->entry);
            if (apply_owner(w, b->fd, name, &b->entry, err) < 0)
                return -1;
        }
        if (!S_ISDIR(st.st_mode))
            return 0;
        if (merge_dir(w, b, dirs->count, dirs->fds[i], name, &stop, err) < 0)
            return -1;
    }
    return 0;
}

/* --- Taking out --- */

static int take_out(struct frame *f, const char *name, int flags, struct error *err)
{
    if (unlinkat(f->fd, name, flags) < 0)
        return error_sys(err, "take '%s' out of the layer", name);
    f->lost = true;
    return 0;
}

static bool is_stub(const struct upper_walk *w, struct view path)
{
    return w->options->stubs && cas_path_map_find(w->options->stubs, path);
}

static int same_link(
    const struct frame *f, const char *name, int below_fd, bool *same, struct error *err)
{
    CLEANUP(base_freep) char *a = fs_readlink_at(f->fd, name, err);
    CLEANUP(base_freep) char *b = a ? fs_readlink_at(below_fd, name, err) : NULL;

    if (!a || !b)
        return -1;
    *same = strcmp(a, b) == 0;
    return 0;
}

static int same_xattrs(struct upper_walk *w,
                       const struct cas_entry *e,
                       const struct below *b,
                       const char *name,
                       bool *same,
                       struct error *err)
{
    struct cas_entry below = b->entry;

    if (cas_dir_read_xattrs(b->fd, name, &w->list->arena, &below, err) < 0)
        return -1;
    *same = cas_xattrs_equal(e, &below);
    return 0;
}

/* Copied up, but what it was: the time is compared too, as touching is a change. */
static int is_unchanged(struct upper_walk *w,
                        const struct frame *f,
                        const char *name,
                        const struct cas_entry *e,
                        const struct below *b,
                        bool *same,
                        struct error *err)
{
    *same = b->kind == BELOW_OTHER && cas_entry_attr_equal(e, &b->entry) &&
            e->mtime_s == b->entry.mtime_s && e->mtime_ns == b->entry.mtime_ns;
    if (!*same)
        return 0;
    if (same_xattrs(w, e, b, name, same, err) < 0)
        return -1;
    if (*same && e->type == CAS_ENTRY_SYMLINK)
        return same_link(f, name, b->fd, same, err);
    if (*same && e->type == CAS_ENTRY_FILE && e->size > 0)
        return cas_dir_content_equal(f->fd, name, b->fd, name, same, err);
    return 0;
}

/* --- Entries --- */

static int clamp_time(const struct upper_walk *w,
                      const struct frame *f,
                      const char *name,
                      struct cas_entry *e,
                      struct error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = w->options->epoch}};

    if (w->options->epoch < 0 || e->mtime_s < w->options->epoch)
        return 0;
    e->mtime_s = w->options->epoch;
    e->mtime_ns = 0;
    if (utimensat(f->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set time of '%s'", name);
    return 0;
}

/* True if the inode was seen before: the entry becomes a link to its first name. */
static bool link_to_first(struct upper_walk *w, const struct stat *st, struct cas_entry *e)
{
    struct inode_key key;

    memset(&key, 0, sizeof key); /* hashed with its padding */
    key.dev = st->st_dev;
    key.ino = st->st_ino;

    const struct view bytes = {(const char *)&key, sizeof key};
    const struct view *first = cas_path_map_find(&w->firsts, bytes);

    if (first) {
        e->target = *first;
        e->type = CAS_ENTRY_HARDLINK;
        e->size = 0;
        return true;
    }

    struct view *path = cas_arena_alloc(&w->list->arena, sizeof *path);

    *path = e->path;
    cas_path_map_put(&w->firsts, cas_arena_view(&w->list->arena, bytes), path);
    return false;
}

/* A record that the inode does not carry itself goes with the layer. */
static int keep_owner(const struct upper_walk *w,
                      int dir_fd,
                      const char *name,
                      const struct cas_entry *e,
                      struct error *err)
{
    const struct cas_owner owner = {.uid = e->uid, .gid = e->gid};
    struct cas_owner_key key;

    if (!w->options->kept || (e->type != CAS_ENTRY_SYMLINK && e->type != CAS_ENTRY_FIFO) ||
        (e->uid == 0 && e->gid == 0))
        return 0;
    if (cas_owner_key(dir_fd, name, &key) < 0)
        return error_sys(err, "keep the owner of '%s'", name);
    cas_owners_put(w->options->kept, &key, &owner);
    return 0;
}

static int on_whiteout(struct upper_walk *w,
                       struct frame *f,
                       struct view name,
                       const struct below *b,
                       struct error *err)
{
    if (b->kind == BELOW_NONE)
        return take_out(f, name.data, 0, err);

    const struct cas_entry e = {.path = cas_arena_join(&w->list->arena, f->path, name),
                                .type = CAS_ENTRY_WHITEOUT};

    cas_entry_list_add(w->list, &e);
    f->changed = true;
    return 0;
}

static int on_file(struct upper_walk *w,
                   struct frame *f,
                   struct view name,
                   const struct stat *st,
                   const struct below *b,
                   struct error *err)
{
    const struct view path = cas_arena_join(&w->list->arena, f->path, name);
    struct cas_entry e;
    bool same = false;

    if (!cas_entry_from_stat(st, &e))
        return take_out(f, name.data, 0, err); /* a socket */
    if (e.type == CAS_ENTRY_FILE && e.size == 0 && b->kind == BELOW_NONE &&
        is_stub(w, path)) {
        f->lost_stub = true;
        return take_out(f, name.data, 0, err);
    }
    e.path = path;
    if (apply_owner(w, f->fd, name.data, &e, err) < 0 ||
        cas_dir_read_xattrs(f->fd, name.data, &w->list->arena, &e, err) < 0)
        return -1;
    /* Also one of several names: the others keep the inode, and the layers below show this
     * name as it was. BuildKit joins only what one layer holds. */
    if (is_unchanged(w, f, name.data, &e, b, &same, err) < 0)
        return -1;
    if (same)
        return take_out(f, name.data, 0, err);
    if (e.type == CAS_ENTRY_SYMLINK &&
        cas_dir_read_link(f->fd, name.data, &w->list->arena, &e.target, err) < 0)
        return -1;
    if (clamp_time(w, f, name.data, &e, err) < 0 ||
        keep_owner(w, f->fd, name.data, &e, err) < 0)
        return -1;
    if (st->st_nlink > 1 && link_to_first(w, st, &e))
        e.xattr_count = 0;
    cas_entry_list_add(w->list, &e);
    f->changed = true;
    return 0;
}

/* --- Directories --- */

static int walk_dir(struct upper_walk *w, struct frame *f, struct error *err);

static int check_redirect(const struct frame *f, struct error *err)
{
    if (fgetxattr(f->fd, "trusted.overlay.redirect", NULL, 0) > 0 ||
        fgetxattr(f->fd, "user.overlay.redirect", NULL, 0) > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "'%.*s' was renamed by overlayfs' redirect_dir, which must be off",
                         VIEW_ARG(f->path));
    return 0;
}

/* Puts the directory's time back to what it was below, if all that happened in it is that
 * names came and were taken out again. Else to what it was before the walk. */
static int restore_time(struct upper_walk *w,
                        struct frame *f,
                        struct cas_entry *e,
                        const struct below *b,
                        struct error *err)
{
    if (f->lost_stub && !f->changed && b->kind == BELOW_DIR) {
        e->mtime_s = b->entry.mtime_s;
        e->mtime_ns = b->entry.mtime_ns;
    }
    if (w->options->epoch >= 0 && e->mtime_s >= w->options->epoch) {
        e->mtime_s = w->options->epoch;
        e->mtime_ns = 0;
    } else if (!f->lost) {
        return 0;
    }

    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns}};

    if (futimens(f->fd, times) < 0)
        return error_sys(err, "set time of '%.*s'", VIEW_ARG(f->path));
    return 0;
}

/* Without a change in it or beneath it, a directory was only copied up. */
static int dir_is_unchanged(struct upper_walk *w,
                            const struct cas_entry *e,
                            const struct below *b,
                            const char *name,
                            bool *same,
                            struct error *err)
{
    *same = false;
    if (e->opaque || b->kind != BELOW_DIR || !cas_entry_attr_equal(e, &b->entry))
        return 0;
    return same_xattrs(w, e, b, name, same, err);
}

static int read_dir_entry(struct upper_walk *w,
                          struct frame *f,
                          const struct stat *st,
                          const struct below *b,
                          struct cas_entry *e,
                          struct error *err)
{
    cas_entry_from_stat(st, e);
    e->path = f->path;
    if (check_redirect(f, err) < 0 || apply_owner(w, f->fd, "", e, err) < 0 ||
        cas_dir_read_xattrs(f->fd, ".", &w->list->arena, e, err) < 0)
        return -1;
    /* The kernel marks new directories opaque as well: that hides nothing. */
    return b->kind == BELOW_DIR ? has_opaque_mark(w, f->fd, &e->opaque, err) : 0;
}

static int on_dir(struct upper_walk *w,
                  struct frame *parent,
                  struct view name,
                  const struct stat *st,
                  struct below *b,
                  struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_at(parent->fd, name.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
    const size_t index = w->list->count;
    struct frame f = {.fd = fd, .below = &b->dirs};
    struct cas_entry e;
    bool same = false;

    if (fd < 0)
        return -1;
    f.path = cas_arena_join(&w->list->arena, parent->path, name);
    if (read_dir_entry(w, &f, st, b, &e, err) < 0)
        return -1;
    if (e.opaque)
        dirs_close(&b->dirs);
    cas_entry_list_add(w->list, &e);
    if (walk_dir(w, &f, err) < 0)
        return -1;

    const bool empty = w->list->count == index + 1;
    const bool is_new_stub = b->kind == BELOW_NONE && is_stub(w, f.path);

    if (empty && !is_new_stub && dir_is_unchanged(w, &e, b, name.data, &same, err) < 0)
        return -1;
    if (empty && (same || is_new_stub)) {
        w->list->count = index;
        parent->lost_stub |= is_new_stub;
        return take_out(parent, name.data, AT_REMOVEDIR, err);
    }
    if (restore_time(w, &f, &e, b, err) < 0)
        return -1;
    w->list->items[index] = e;
    /* A directory that was there changes nothing in the names of its parent. */
    parent->changed |= b->kind != BELOW_DIR || e.opaque;
    return 0;
}

static int on_name(struct upper_walk *w,
                   struct frame *f,
                   struct view name,
                   struct error *err)
{
    CLEANUP(below_releasep) struct below b = {.fd = -1};
    struct stat st;

    if (fstatat(f->fd, name.data, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "look at it");
    if (find_below(w, f->below, name.data, &b, err) < 0)
        return -1;
    if (cas_stat_is_whiteout(&st))
        return on_whiteout(w, f, name, &b, err);
    if (S_ISDIR(st.st_mode))
        return on_dir(w, f, name, &st, &b, err);
    return on_file(w, f, name, &st, &b, err);
}

static int walk_dir(struct upper_walk *w, struct frame *f, struct error *err)
{
    struct cas_dir_names names;
    int result = 0;

    if (cas_dir_names_read(f->fd, &names, err) < 0)
        return error_wrap(err, "'%.*s'", VIEW_ARG(f->path));
    for (size_t i = 0; i < names.count && result == 0; i++) {
        result = on_name(w, f, names.items[i], err);
        if (result < 0 && f->path.size == 0)
            error_wrap(err, "changes: '%.*s'", VIEW_ARG(names.items[i]));
    }
    cas_dir_names_release(&names);
    return result;
}

int cas_upper_read(int upper_fd,
                   const struct cas_upper_options *options,
                   struct cas_entry_list *out,
                   struct error *err)
{
    struct dirs_below below = {0};
    struct upper_walk w = {.options = options, .list = out};
    struct frame root = {.fd = upper_fd, .path = VIEW_LIT(""), .below = &below};
    int result = 0;

    below.fds = base_alloc_array(options->lower_count + 1, sizeof *below.fds);
    for (size_t i = options->lower_count; i-- > 0;)
        below.fds[below.count++] = options->lower_fds[i];
    result = walk_dir(&w, &root, err);
    free(below.fds); /* the descriptors are the caller's */
    cas_path_map_release(&w.firsts);
    return result;
}
