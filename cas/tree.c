#include "cas/tree.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/index.h"
#include "cas/layer.h"
#include "cas/tree_node.h"
#include "cas/unpack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct cas_tree {
    struct cas_layer **layers;
    size_t count;
    struct tree_layers indexes; /* of the layers; loaded when first needed */
    bool loaded;
};

struct cas_tree *cas_tree_new(struct cas_layer *const *layers, size_t count)
{
    struct cas_tree *t = base_alloc(sizeof *t);

    t->count = count;
    t->layers = base_alloc_array(count + 1, sizeof(struct cas_layer *));
    for (size_t i = 0; i < count; i++)
        t->layers[i] = cas_layer_ref(layers[i]);
    return t;
}

void cas_tree_free(struct cas_tree *t)
{
    if (!t)
        return;
    tree_layers_release(&t->indexes);
    for (size_t i = 0; i < t->count; i++)
        cas_layer_unref(t->layers[i]);
    free(t->layers);
    free(t);
}

void cas_tree_freep(struct cas_tree **t)
{
    cas_tree_free(*t);
    *t = NULL;
}

struct cas_layer *cas_tree_layer(const struct cas_tree *t, size_t i)
{
    return t->layers[i];
}

static int load(struct cas_tree *t, struct error *err)
{
    if (t->loaded)
        return 0;

    CLEANUP(base_freep)
    const struct cas_index **indexes =
        base_alloc_array(t->count + 1, sizeof(const struct cas_index *));

    for (size_t i = 0; i < t->count; i++) {
        indexes[i] = cas_layer_index(t->layers[i], err);
        if (!indexes[i])
            return -1;
    }
    tree_layers_init(&t->indexes, indexes, t->count);
    t->loaded = true;
    return 0;
}

/* --- Paths --- */

/* A lookup under way: `done` is a real directory, `rest` what is still to be walked. */
struct lookup {
    struct cas_tree *t;
    struct buf done;
    struct buf rest;
    struct view todo; /* within rest */
    const struct tree_node *dir;
    unsigned links;
};

static void climb(struct buf *path)
{
    size_t size = path->size;

    if (size == 0)
        return;
    while (size > 0 && path->data[size - 1] != '/')
        size--;
    path->size = size > 0 ? size - 1 : 0;
    path->data[path->size] = '\0';
}

static void append_name(struct buf *path, struct view name)
{
    if (path->size > 0)
        buf_append_char(path, '/');
    buf_append_view(path, name);
}

static void put_before(struct lookup *w, struct view target)
{
    struct buf next = BUF_INIT(w->rest.max);

    buf_append_view(&next, target);
    buf_append_char(&next, '/');
    buf_append_view(&next, w->todo);
    buf_release(&w->rest);
    w->rest = next;
    w->todo = buf_view(&w->rest);
}

/* The next component that is a name; false at the end. */
static bool next_name(struct lookup *w, struct view *name)
{
    while (w->todo.size > 0) {
        view_cut(w->todo, '/', name, &w->todo);
        if (name->size > 0 && !view_eq_text(*name, "."))
            return true;
    }
    return false;
}

static bool is_last(const struct lookup *w)
{
    for (size_t i = 0; i < w->todo.size; i++) {
        if (w->todo.data[i] != '/')
            return false;
    }
    return true;
}

static int follow(struct lookup *w, struct view target, struct error *err)
{
    if (++w->links > LIMIT_SYMLINKS)
        return error_set(err, ERROR_INVALID, "too many levels of symbolic links");
    if (target.size > 0 && target.data[0] == '/') {
        buf_clear(&w->done);
        w->dir = tree_layers_root(&w->t->indexes);
    }
    put_before(w, target);
    return buf_ok(&w->rest, "a path", err);
}

/* Walks on to the end, or to the first name that is not there. *found tells which; *at is
 * the last thing found, if `done` names it. */
static int walk_names(struct lookup *w,
                      enum cas_tree_flags flags,
                      bool *found,
                      struct cas_tree_entry *at,
                      struct error *err)
{
    struct tree_layers *layers = &w->t->indexes;
    struct view name;

    *found = true;
    *at = w->dir->self;
    while (next_name(w, &name)) {
        const bool last = is_last(w);

        if (view_eq_text(name, "..")) {
            climb(&w->done);
            w->dir = tree_layers_dir(layers, buf_view(&w->done));
            *at = w->dir->self;
            continue;
        }

        const size_t before = w->done.size;

        append_name(&w->done, name);
        if (buf_ok(&w->done, "a path", err) < 0)
            return -1;
        *found = w->dir && tree_layers_child(layers, w->dir, buf_view(&w->done), at);
        if (!*found)
            return 0;
        if (at->entry.type == CAS_ENTRY_SYMLINK && (!last || flags == CAS_TREE_FOLLOW)) {
            w->done.size = before;
            w->done.data[before] = '\0';
            if (follow(w, at->entry.target, err) < 0)
                return -1;
            *at = w->dir->self;
            continue;
        }
        /* NULL for what is no directory: nothing is beneath it. */
        w->dir = tree_layers_dir(layers, buf_view(&w->done));
        if (!w->dir && !is_last(w)) {
            *found = false;
            return 0;
        }
    }
    return 0;
}

/* What does not exist is taken as text. */
static char *resolved_path(struct lookup *w)
{
    struct view name;

    while (next_name(w, &name)) {
        if (view_eq_text(name, ".."))
            climb(&w->done);
        else
            append_name(&w->done, name);
    }
    return view_dup(buf_view(&w->done));
}

static int check_path(struct view path, struct error *err)
{
    if (memchr(path.size ? path.data : "", '\0', path.size))
        return error_set(err, ERROR_INVALID, "a path with a NUL byte");
    return 0;
}

int cas_tree_find(struct cas_tree *t,
                  struct view path,
                  enum cas_tree_flags flags,
                  bool *found,
                  struct cas_tree_entry *out,
                  char **resolved,
                  struct error *err)
{
    struct lookup w = {.t = t};
    struct cas_tree_entry at;

    if (check_path(path, err) < 0 || load(t, err) < 0)
        return -1;
    buf_init(&w.done, LIMIT_PATH_SIZE * 2);
    buf_init(&w.rest, (LIMIT_SYMLINKS + 2) * LIMIT_PATH_SIZE);
    buf_append_view(&w.rest, path);
    w.todo = buf_view(&w.rest);
    w.dir = tree_layers_root(&t->indexes);

    int result = buf_ok(&w.rest, "a path", err);

    if (result == 0)
        result = walk_names(&w, flags, found, &at, err);
    if (result == 0 && *found)
        *out = at;
    if (result == 0 && resolved)
        *resolved = resolved_path(&w);
    buf_release(&w.done);
    buf_release(&w.rest);
    return result < 0 ? error_wrap(err, "'%.*s'", VIEW_ARG(path)) : 0;
}

int cas_tree_walk(struct cas_tree *t,
                  struct view path,
                  cas_tree_visit_fn *visit,
                  void *context,
                  struct error *err)
{
    if (load(t, err) < 0)
        return -1;
    return tree_layers_walk(&t->indexes, path, visit, context, err);
}

/* --- Content --- */

int cas_tree_open(struct cas_tree *t, const struct cas_tree_entry *e, struct error *err)
{
    CLEANUP(fd_closep) int dir_fd = cas_layer_unpacked(t->layers, e->layer, err);
    CLEANUP(base_freep) char *path = view_dup(e->entry.path);

    if (dir_fd < 0)
        return error_wrap(err, "'%s'", path);
    /* The type comes from the index; a fifo in its place must not make us wait. */
    return fs_open_nofollow(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
}

static bool read_inline(struct cas_tree *t, const struct cas_tree_entry *e, struct buf *out)
{
    const struct cas_index *index = t->indexes.items[e->layer];
    struct view bytes;
    size_t at = 0;

    if (!cas_index_find(index, e->entry.path, &at) || !cas_index_inline(index, at, &bytes))
        return false;
    buf_append_view(out, bytes);
    return true;
}

int cas_tree_read(
    struct cas_tree *t, struct view path, struct buf *out, bool *found, struct error *err)
{
    struct cas_tree_entry e = {0};

    if (cas_tree_find(t, path, CAS_TREE_FOLLOW, found, &e, NULL, err) < 0)
        return -1;
    *found = *found && e.entry.type == CAS_ENTRY_FILE;
    if (!*found || e.entry.size == 0)
        return 0;
    if (e.entry.size > out->max - out->size)
        return error_set(err, ERROR_LIMIT, "'%.*s' has %ju bytes (at most %zu)",
                         VIEW_ARG(path), (uintmax_t)e.entry.size, out->max);
    if (read_inline(t, &e, out))
        return buf_ok(out, "a file", err);

    CLEANUP(fd_closep) int fd = cas_tree_open(t, &e, err);

    return fd < 0 ? -1 : fs_read_all(fd, out, err);
}
