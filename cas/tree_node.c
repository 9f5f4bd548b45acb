#include "cas/tree_node.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- What the layers say of one name --- */

/* Collects from the top layer downwards until one says that nothing below counts. */
struct merge {
    struct tree_node *node; /* its spans are all empty at first */
    bool exists;
    bool has_attributes; /* self was set from an entry */
    bool closed;
};

static struct cas_entry default_dir(struct view path)
{
    return (struct cas_entry){.path = path, .type = CAS_ENTRY_DIR, .mode = 0755};
}

/* `e` is NULL where the layer has something beneath the name but no entry for it. */
static void merge_layer(struct merge *m,
                        size_t layer,
                        const struct cas_entry *e,
                        struct tree_span beneath)
{
    struct tree_node *node = m->node;

    if (e && e->type != CAS_ENTRY_DIR) {
        node->floor = layer + 1;
        m->closed = true;
        if (m->exists || e->type == CAS_ENTRY_WHITEOUT)
            return;
        node->self = (struct cas_tree_entry){*e, layer};
        node->floor = layer;
        m->exists = true;
        m->has_attributes = true;
        return;
    }
    node->spans[layer] = beneath;
    node->floor = layer;
    if (!m->exists)
        node->self.layer = layer;
    m->exists = true;
    if (e && !m->has_attributes) {
        node->self = (struct cas_tree_entry){*e, layer};
        m->has_attributes = true;
    }
    m->closed = e && e->opaque;
}

static void merge_end(struct merge *m, struct view path)
{
    if (m->exists && !m->has_attributes)
        m->node->self.entry = default_dir(path);
}

/* --- Ranges of an index --- */

static bool is_beneath(struct view path, struct view dir)
{
    if (dir.size == 0)
        return path.size > 0;
    return path.size > dir.size && path.data[dir.size] == '/' &&
           memcmp(path.data, dir.data, dir.size) == 0;
}

static struct view path_at(const struct cas_index *x, size_t i)
{
    struct cas_entry e;

    cas_index_at(x, i, &e);
    return e.path;
}

/* The first position in [begin, end) whose path is not less than `path`. */
static size_t lower_bound(const struct cas_index *x, struct tree_span in, struct view path)
{
    while (in.begin < in.end) {
        const size_t middle = in.begin + (in.end - in.begin) / 2;

        if (cas_entry_path_compare(path_at(x, middle), path) < 0)
            in.begin = middle + 1;
        else
            in.end = middle;
    }
    return in.begin;
}

/* The end of the entries beneath `dir`, which begin at in.begin. Doubling steps first: most
 * directories are small. */
static size_t beneath_end(const struct cas_index *x, struct tree_span in, struct view dir)
{
    size_t step = 1;

    while (in.begin < in.end && in.end - in.begin > step &&
           is_beneath(path_at(x, in.begin + step), dir)) {
        in.begin += step;
        step *= 2;
    }
    if (in.end - in.begin > step)
        in.end = in.begin + step;
    while (in.begin < in.end) {
        const size_t middle = in.begin + (in.end - in.begin) / 2;

        if (is_beneath(path_at(x, middle), dir))
            in.begin = middle + 1;
        else
            in.end = middle;
    }
    return in.begin;
}

/* What one layer has at position `at` for `path`; false: nothing. */
static bool look_at(const struct cas_index *x,
                    size_t at,
                    size_t end,
                    struct view path,
                    struct cas_entry *e,
                    bool *is_entry,
                    struct tree_span *beneath)
{
    if (at >= end)
        return false;
    cas_index_at(x, at, e);
    *is_entry = view_eq(e->path, path);
    if (!*is_entry && !is_beneath(e->path, path))
        return false;
    beneath->begin = at + (*is_entry ? 1 : 0);
    beneath->end = beneath_end(x, (struct tree_span){beneath->begin, end}, path);
    return true;
}

/* --- Look-ups --- */

static void clear_spans(const struct tree_layers *t, struct tree_node *node)
{
    if (t->count > 0)
        memset(node->spans, 0, t->count * sizeof *node->spans);
}

/* Layers from `top` (exclusive) downwards. */
static bool find_child(const struct tree_layers *t,
                       const struct tree_node *dir,
                       struct view path,
                       size_t top,
                       struct tree_node *out)
{
    struct merge m = {.node = out};

    clear_spans(t, out);
    out->floor = 0;
    for (size_t i = top; i-- > dir->floor && !m.closed;) {
        const struct tree_span in = dir->spans[i];
        struct tree_span beneath;
        struct cas_entry e;
        bool is_entry = false;

        if (in.begin == in.end)
            continue;
        if (look_at(t->items[i], lower_bound(t->items[i], in, path), in.end, path, &e,
                    &is_entry, &beneath))
            merge_layer(&m, i, is_entry ? &e : NULL, beneath);
    }
    merge_end(&m, path);
    return m.exists;
}

static struct tree_node *new_node(struct tree_layers *t)
{
    struct tree_node *node = cas_arena_alloc(&t->arena, sizeof *node);

    node->spans = cas_arena_alloc(&t->arena, t->count * sizeof *node->spans);
    return node;
}

static void fill_root(const struct tree_layers *t, struct tree_node *root, size_t top)
{
    struct merge m = {.node = root};

    clear_spans(t, root);
    root->floor = 0;
    for (size_t i = top; i-- > 0 && !m.closed;) {
        const size_t count = cas_index_count(t->items[i]);
        struct cas_entry e;
        bool is_entry = false;

        if (count > 0) {
            cas_index_at(t->items[i], 0, &e);
            is_entry = e.path.size == 0;
        }
        merge_layer(&m, i, is_entry ? &e : NULL,
                    (struct tree_span){is_entry ? 1 : 0, count});
    }
    m.exists = true;
    merge_end(&m, VIEW_LIT(""));
}

void tree_layers_init(struct tree_layers *t,
                      const struct cas_index *const *items,
                      size_t count)
{
    *t = (struct tree_layers){.count = count};
    t->items = base_alloc_array(count + 1, sizeof(const struct cas_index *));
    for (size_t i = 0; i < count; i++)
        t->items[i] = items[i];
    t->root = new_node(t);
    t->probe = new_node(t);
    fill_root(t, t->root, count);
}

void tree_layers_release(struct tree_layers *t)
{
    free(t->items);
    cas_path_map_release(&t->dirs);
    cas_arena_release(&t->arena);
    *t = (struct tree_layers){0};
}

const struct tree_node *tree_layers_root(const struct tree_layers *t)
{
    return t->root;
}

static struct view parent_of(struct view path)
{
    size_t size = path.size;

    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return view_sub(path, 0, size > 0 ? size - 1 : 0);
}

/* The node of a directory whose parent is known. */
static const struct tree_node *enter_dir(struct tree_layers *t,
                                         const struct tree_node *parent,
                                         struct view path)
{
    struct cas_tree_entry e;

    return tree_layers_child(t, parent, path, &e) ? cas_path_map_find(&t->dirs, path)
                                                  : NULL;
}

const struct tree_node *tree_layers_dir(struct tree_layers *t, struct view path)
{
    const struct tree_node *node = t->root;
    size_t end = 0;

    if (path.size == 0)
        return t->root;

    const struct tree_node *known = cas_path_map_find(&t->dirs, path);

    if (known)
        return known;
    /* The parent first, which is known in nearly all cases. */
    known = cas_path_map_find(&t->dirs, parent_of(path));
    if (known)
        return enter_dir(t, known, path);
    while (node && end < path.size) {
        end++;
        while (end < path.size && path.data[end] != '/')
            end++;
        node = enter_dir(t, node, view_sub(path, 0, end));
    }
    return node;
}

/* --- Hard links --- */

/* An entry at a real path in the layers below `top`, nothing kept. */
static bool find_below(struct tree_layers *t,
                       struct view path,
                       size_t top,
                       struct cas_tree_entry *out)
{
    struct tree_node *dir = new_node(t);
    struct tree_node *next = new_node(t);
    size_t end = 0;

    fill_root(t, dir, top);
    while (end < path.size) {
        if (end > 0)
            end++;
        while (end < path.size && path.data[end] != '/')
            end++;
        if (!find_child(t, dir, view_sub(path, 0, end), top, next))
            return false;

        struct tree_node *swap = dir;

        dir = next;
        next = swap;
    }
    *out = dir->self;
    return true;
}

static bool find_plain(struct tree_layers *t, struct view path, struct cas_tree_entry *out)
{
    const struct tree_node *dir = tree_layers_dir(t, parent_of(path));

    if (!dir || !find_child(t, dir, path, t->count, t->probe))
        return false;
    *out = t->probe->self;
    return true;
}

/* The attributes are those of the file it names; the link counts only if that name still
 * leads to the file in the merged tree. */
static void resolve_link(struct tree_layers *t, struct cas_tree_entry *e)
{
    const struct view path = e->entry.path;
    const struct view target = e->entry.target;
    const size_t layer = e->layer;
    struct cas_tree_entry file;
    struct cas_tree_entry seen;
    size_t at = 0;

    if (e->entry.type != CAS_ENTRY_HARDLINK)
        return;
    if (cas_index_find(t->items[layer], target, &at)) {
        cas_index_at(t->items[layer], at, &file.entry);
        file.layer = layer;
    } else if (!find_below(t, target, layer, &file)) {
        return;
    }
    e->entry = file.entry;
    e->entry.path = path;
    if (e->entry.type != CAS_ENTRY_FILE)
        return;
    if (file.layer == layer && find_plain(t, target, &seen) && seen.layer == layer)
        e->entry.target = target;
}

/* Directories are remembered, for what is asked beneath them. */
static void keep_dir(struct tree_layers *t, struct tree_node *found, struct view path)
{
    struct tree_node *node = new_node(t);
    struct tree_span *spans = node->spans;

    /* That of a directory without an entry is the caller's. */
    found->self.entry.path = cas_arena_view(&t->arena, path);
    *node = *found;
    node->spans = spans;
    memcpy(spans, found->spans, t->count * sizeof *spans);
    cas_path_map_put(&t->dirs, node->self.entry.path, node);
}

bool tree_layers_child(struct tree_layers *t,
                       const struct tree_node *dir,
                       struct view path,
                       struct cas_tree_entry *out)
{
    const struct tree_node *known = cas_path_map_find(&t->dirs, path);

    if (known) {
        *out = known->self;
        return true;
    }

    if (!find_child(t, dir, path, t->count, t->probe))
        return false;
    if (t->probe->self.entry.type == CAS_ENTRY_DIR)
        keep_dir(t, t->probe, path);
    *out = t->probe->self;
    resolve_link(t, out);
    return true;
}

/* --- Walking --- */

/* The index is ours, and yet a file that anybody could have damaged: names are within what
 * layer_names lets through. */
#define WALK_PATH_SIZE (2 * LIMIT_PATH_SIZE)

struct tree_walk {
    struct tree_layers *t;
    cas_tree_visit_fn *visit;
    void *context;
    char *path; /* of the child at hand; that of its directory is the beginning of it */
};

/* One layer's place among the children of a directory. */
struct cursor {
    size_t at;
    struct view name; /* of the child at hand; empty: no more */
};

static void read_name(const struct tree_walk *w,
                      struct cursor *c,
                      size_t layer,
                      struct tree_span in,
                      struct view dir)
{
    const size_t skip = dir.size > 0 ? dir.size + 1 : 0;
    struct view rest;

    c->name = (struct view){NULL, 0};
    if (c->at >= in.end)
        return;

    const struct view path = path_at(w->t->items[layer], c->at);

    view_cut(view_sub(path, skip, path.size), '/', &c->name, &rest);
}

/* The smallest name that any layer has next; empty at the end. */
static struct view next_name(const struct tree_walk *w, const struct cursor *cursors)
{
    struct view least = {NULL, 0};

    for (size_t i = 0; i < w->t->count; i++) {
        const struct view name = cursors[i].name;

        if (name.size > 0 && (least.size == 0 || view_compare(name, least) < 0))
            least = name;
    }
    return least;
}

/* Merges what the layers have under `name` into `out` and moves them past it. */
static bool take_child(const struct tree_walk *w,
                       const struct tree_node *dir,
                       struct view path,
                       struct view name,
                       struct cursor *cursors,
                       struct tree_node *out)
{
    const struct tree_layers *t = w->t;
    struct merge m = {.node = out};

    clear_spans(t, out);
    out->floor = 0;
    for (size_t i = t->count; i-- > dir->floor;) {
        const struct tree_span in = dir->spans[i];
        struct tree_span beneath = {0, 0};
        struct cas_entry e;
        bool is_entry = false;

        if (!view_eq(cursors[i].name, name))
            continue;

        const bool there =
            look_at(t->items[i], cursors[i].at, in.end, path, &e, &is_entry, &beneath);

        assert(there);
        if (!m.closed)
            merge_layer(&m, i, is_entry ? &e : NULL, beneath);
        cursors[i].at = beneath.end;
        cursors[i].name = (struct view){NULL, 0}; /* read anew below */
    }
    for (size_t i = dir->floor; i < t->count; i++) {
        if (cursors[i].name.size == 0)
            read_name(w, &cursors[i], i, dir->spans[i], dir->self.entry.path);
    }
    if (m.exists && !m.has_attributes)
        merge_end(&m, cas_arena_view(&w->t->arena, path));
    return m.exists;
}

static struct view child_path(const struct tree_walk *w, struct view dir, struct view name)
{
    const size_t skip = dir.size > 0 ? dir.size + 1 : 0;

    assert(skip + name.size <= WALK_PATH_SIZE);
    if (dir.size > 0) {
        memcpy(w->path, dir.data, dir.size);
        w->path[dir.size] = '/';
    }
    memcpy(w->path + skip, name.data, name.size);
    return (struct view){w->path, skip + name.size};
}

static int walk_node(struct tree_walk *w, const struct tree_node *node, struct error *err);

static int walk_children(struct tree_walk *w,
                         const struct tree_node *dir,
                         struct error *err)
{
    const size_t count = w->t->count;
    CLEANUP(base_freep)
    struct cursor *cursors = base_alloc_array(count + 1, sizeof *cursors);
    CLEANUP(base_freep)
    struct tree_span *spans = base_alloc_array(count + 1, sizeof *spans);
    struct tree_node child = {.spans = spans};

    for (size_t i = dir->floor; i < count; i++) {
        cursors[i].at = dir->spans[i].begin;
        read_name(w, &cursors[i], i, dir->spans[i], dir->self.entry.path);
    }
    for (;;) {
        const struct view name = next_name(w, cursors);

        if (name.size == 0)
            return 0;

        const struct view path = child_path(w, dir->self.entry.path, name);

        if (take_child(w, dir, path, name, cursors, &child) &&
            walk_node(w, &child, err) < 0)
            return -1;
    }
}

static int walk_node(struct tree_walk *w, const struct tree_node *node, struct error *err)
{
    struct cas_tree_entry e = node->self;

    resolve_link(w->t, &e);

    const int result = w->visit(w->context, &e, err);

    if (result < 0)
        return -1;
    if (result > 0 && e.entry.type == CAS_ENTRY_DIR)
        return walk_children(w, node, err);
    return 0;
}

int tree_layers_walk(struct tree_layers *t,
                     struct view path,
                     cas_tree_visit_fn *visit,
                     void *context,
                     struct error *err)
{
    CLEANUP(base_freep) char *buffer = base_alloc(WALK_PATH_SIZE + 1);
    struct tree_walk w = {t, visit, context, buffer};

    if (path.size == 0)
        return walk_node(&w, t->root, err);

    const struct tree_node *dir = tree_layers_dir(t, parent_of(path));
    struct tree_node *node = new_node(t);

    path = cas_arena_view(&t->arena, path);
    if (!dir || !find_child(t, dir, path, t->count, node))
        return error_set(err, ERROR_NOT_FOUND, "'%.*s' does not exist", VIEW_ARG(path));
    return walk_node(&w, node, err);
}
