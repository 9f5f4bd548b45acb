/*
 * Snapshots as plain copies: the merged tree is unpacked into a directory, and what changed
 * is found by comparing the directory with the tree afterwards.
 */
#include "cas/snapshot_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/digest.h"
#include "cas/dir_read.h"
#include "cas/tree.h"
#include "cas/unpack.h"
#include "cas/upper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Preparation --- */

/* The time, as the file system stamps it, after which changes are not ours. */
static int note_time(struct cas_snapshot *snap, struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_at(snap->scratch.fd, "copied", O_WRONLY | O_CREAT | O_EXCL, 0600, err);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return error_sys(err, "look at the snapshot");
    snap->copied = st.st_ctim;
    return 0;
}

static int set_root(struct cas_snapshot *snap, struct error *err)
{
    CLEANUP(cas_tree_freep) struct cas_tree *tree = cas_tree_new(snap->layers, snap->count);
    struct cas_tree_entry root;
    bool found = false;

    if (cas_tree_find(tree, VIEW_LIT(""), CAS_TREE_FOLLOW, &found, &root, NULL, err) < 0)
        return -1;

    const struct cas_owner owner = {.uid = root.entry.uid, .gid = root.entry.gid};
    const int result = snap->owners
                           ? cas_owner_write(snap->owners, snap->upper_fd, "", &owner)
                           : fchown(snap->upper_fd, root.entry.uid, root.entry.gid);

    if (result < 0 && errno != EPERM)
        return error_sys(err, "set owner of the root");
    if (fchmod(snap->upper_fd, root.entry.mode) < 0)
        return error_sys(err, "set mode of the root");
    return 0;
}

int snapshot_copy_prepare(struct cas_snapshot *snap, struct error *err)
{
    if (cas_unpack_merged(snap->layers, snap->count, snap->upper_fd, snap->owners, err) <
            0 ||
        set_root(snap, err) < 0)
        return -1;
    return note_time(snap, err);
}

/* --- Comparison --- */

struct comparison {
    struct cas_snapshot *snap;
    struct cas_entry_list base; /* the merged tree before the step */
    struct cas_entry_list now;  /* the directory after it */
    bool *keep;                 /* of `now` */
    struct cas_path_map kept_files;
    struct cas_entry_list *out; /* kept entries and whiteouts */
};

static int collect(void *context, const struct cas_tree_entry *e, struct error *err)
{
    struct cas_entry_list *list = context;
    const struct cas_entry copy = cas_arena_entry(&list->arena, &e->entry);

    (void)err;
    if (copy.path.size > 0)
        cas_entry_list_add(list, &copy);
    return 1;
}

static int read_base(struct comparison *c, struct error *err)
{
    CLEANUP(cas_tree_freep)
    struct cas_tree *tree = cas_tree_new(c->snap->layers, c->snap->count);

    return cas_tree_walk(tree, VIEW_LIT(""), collect, &c->base, err);
}

/* Times later than SOURCE_DATE_EPOCH are clamped while the layer is written: the directory,
 * which is not kept, has them as they are. */
static int read_now(struct comparison *c, struct error *err)
{
    const struct cas_upper_options options = {
        .stubs = &c->snap->stubs,
        .opaque_xattr = cas_layer_form_opaque(&c->snap->form),
        .epoch = -1,
        .owners = c->snap->owners,
    };

    return cas_upper_read(c->snap->upper_fd, &options, &c->now, err);
}

static int hash_file(int fd, struct digest *out, struct error *err)
{
    enum { BLOCK = 64 << 10 };
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(DIGEST_SHA256);
    CLEANUP(base_freep) char *data = base_alloc(BLOCK);

    for (;;) {
        const ssize_t got = read(fd, data, BLOCK);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, "read");
        if (got == 0)
            break;
        hasher_update(hasher, data, (size_t)got);
    }
    hasher_final(hasher, out);
    return 0;
}

/*
 * A file whose inode did not change since the copy was made is what it was: ctime cannot be
 * set by a step. Anything else is read.
 */
static int same_content(struct comparison *c,
                        const struct cas_entry *was,
                        const struct cas_entry *is,
                        bool *same,
                        struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_nofollow(c->snap->upper_fd, is->path.data,
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
    const struct timespec *copied = &c->snap->copied;
    struct digest digest;
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return error_sys(err, "look at '%s'", is->path.data);
    *same = st.st_ctim.tv_sec < copied->tv_sec ||
            (st.st_ctim.tv_sec == copied->tv_sec && st.st_ctim.tv_nsec < copied->tv_nsec);
    if (*same || is->size == 0) {
        *same = true;
        return 0;
    }
    if (hash_file(fd, &digest, err) < 0)
        return error_wrap(err, "'%s'", is->path.data);
    *same = digest_eq(&digest, &was->content);
    return 0;
}

/* File systems differ in the fraction that they keep; layers have none. */
static bool same_time(const struct cas_entry *a, const struct cas_entry *b)
{
    return a->mtime_s == b->mtime_s;
}

static int is_unchanged(struct comparison *c,
                        const struct cas_entry *was,
                        const struct cas_entry *is,
                        bool *same,
                        struct error *err)
{
    *same = false;
    if (is->type == CAS_ENTRY_HARDLINK) {
        /* The same name of the same file; whether that changed is seen there. */
        *same = was->type == CAS_ENTRY_FILE && view_eq(was->target, is->target) &&
                !cas_path_map_find(&c->kept_files, is->target);
        return 0;
    }
    if (!cas_entry_attr_equal(was, is) || !cas_xattrs_equal(was, is))
        return 0;
    *same = is->type == CAS_ENTRY_DIR || same_time(was, is);
    if (*same && is->type == CAS_ENTRY_SYMLINK)
        *same = view_eq(was->target, is->target);
    if (*same && is->type == CAS_ENTRY_FILE)
        return same_content(c, was, is, same, err);
    return 0;
}

static bool is_beneath(struct view path, struct view dir)
{
    return path.size > dir.size && path.data[dir.size] == '/' &&
           memcmp(path.data, dir.data, dir.size) == 0;
}

/* One whiteout takes away the whole tree. */
static size_t add_whiteout(struct comparison *c, size_t at)
{
    const struct view path = c->base.items[at].path;
    const struct cas_entry e = {.path = cas_arena_view(&c->out->arena, path),
                                .type = CAS_ENTRY_WHITEOUT};

    cas_entry_list_add(c->out, &e);
    for (at++; at < c->base.count && is_beneath(c->base.items[at].path, path); at++)
        continue;
    return at;
}

static size_t skip_beneath(const struct comparison *c, size_t at, struct view dir)
{
    while (at < c->base.count && is_beneath(c->base.items[at].path, dir))
        at++;
    return at;
}

static void keep(struct comparison *c, size_t i)
{
    const struct cas_entry *e = &c->now.items[i];

    c->keep[i] = true;
    if (e->type == CAS_ENTRY_FILE)
        cas_path_map_put(&c->kept_files, e->path, c);
}

/* Both lists are in the same order: one pass. */
static int compare_lists(struct comparison *c, struct error *err)
{
    size_t b = 0;

    for (size_t i = 0; i < c->now.count; i++) {
        const struct cas_entry *is = &c->now.items[i];
        bool same = false;
        int order = 1;

        while (b < c->base.count &&
               (order = cas_entry_path_compare(c->base.items[b].path, is->path)) < 0)
            b = add_whiteout(c, b);
        if (b == c->base.count || order > 0) {
            keep(c, i);
            continue;
        }

        const struct cas_entry *was = &c->base.items[b++];

        if (is_unchanged(c, was, is, &same, err) < 0)
            return -1;
        if (!same)
            keep(c, i);
        if (was->type == CAS_ENTRY_DIR && is->type != CAS_ENTRY_DIR)
            b = skip_beneath(c, b, was->path);
    }
    while (b < c->base.count)
        b = add_whiteout(c, b);
    return 0;
}

/* A new name for an old file: the file comes along, as links lead within the layer. And
 * then all its other names, or they would be names of another file. */
static void keep_linked(struct comparison *c)
{
    struct cas_path_map wanted = {0};

    for (size_t i = 0; i < c->now.count; i++) {
        if (c->keep[i] && c->now.items[i].type == CAS_ENTRY_HARDLINK)
            cas_path_map_put(&wanted, c->now.items[i].target, c);
    }
    for (size_t i = 0; i < c->now.count; i++) {
        const struct cas_entry *e = &c->now.items[i];
        const struct view file = e->type == CAS_ENTRY_HARDLINK ? e->target : e->path;

        if (e->type == CAS_ENTRY_HARDLINK || e->type == CAS_ENTRY_FILE)
            c->keep[i] |= cas_path_map_find(&wanted, file) != NULL;
    }
    cas_path_map_release(&wanted);
}

static struct view parent_of(struct view path)
{
    size_t size = path.size;

    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return view_sub(path, 0, size > 0 ? size - 1 : 0);
}

static void want_parents(struct cas_path_map *parents, struct view path)
{
    for (struct view p = parent_of(path); p.size > 0; p = parent_of(p)) {
        if (cas_path_map_find(parents, p))
            return;
        cas_path_map_put(parents, p, parents);
    }
}

/* Every kept entry and whiteout brings its parents. */
static void keep_parents(struct comparison *c)
{
    struct cas_path_map parents = {0};

    for (size_t i = 0; i < c->out->count; i++)
        want_parents(&parents, c->out->items[i].path);
    for (size_t i = 0; i < c->now.count; i++) {
        if (c->keep[i])
            want_parents(&parents, c->now.items[i].path);
    }
    for (size_t i = 0; i < c->now.count; i++)
        c->keep[i] |= cas_path_map_find(&parents, c->now.items[i].path) != NULL;
    cas_path_map_release(&parents);
}

static int compare(struct comparison *c, struct error *err)
{
    if (read_base(c, err) < 0 || read_now(c, err) < 0)
        return -1;
    c->keep = base_alloc_array(c->now.count + 1, sizeof *c->keep);
    if (compare_lists(c, err) < 0)
        return -1;
    keep_linked(c);
    keep_parents(c);
    for (size_t i = 0; i < c->now.count; i++) {
        if (!c->keep[i])
            continue;

        const struct cas_entry copy = cas_arena_entry(&c->out->arena, &c->now.items[i]);

        cas_entry_list_add(c->out, &copy);
    }
    cas_entry_list_sort(c->out);
    return 0;
}

int snapshot_copy_changes(struct cas_snapshot *snap,
                          struct cas_entry_list *out,
                          struct error *err)
{
    struct comparison c = {.snap = snap, .out = out};
    const int result = compare(&c, err);

    cas_path_map_release(&c.kept_files);
    free(c.keep);
    cas_entry_list_release(&c.base);
    cas_entry_list_release(&c.now);
    return result;
}
