#include "builder/source_tree.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/single_tree.h"
#include "cas/index.h"

#include <stdlib.h>
#include <string.h>

/* --- Resolving paths --- */

/* One component after the other: `done` is what is resolved already, `todo` what is not. A
 * symlink's text is put before the rest and the walk goes on, from the root if absolute. */
struct resolver {
    const struct build_tree *tree;
    struct buf done;
    struct buf todo;
    size_t at; /* where the unread part of `todo` begins */
    unsigned links;
};

static bool next_component(struct resolver *r, struct view *name)
{
    const char *text = buf_text(&r->todo);
    size_t end;

    while (r->at < r->todo.size && text[r->at] == '/')
        r->at++;
    if (r->at == r->todo.size)
        return false;
    for (end = r->at; end < r->todo.size && text[end] != '/';)
        end++;
    *name = (struct view){text + r->at, end - r->at};
    r->at = end;
    return true;
}

static void to_parent(struct buf *path)
{
    while (path->size > 0 && path->data[path->size - 1] != '/')
        path->size--;
    if (path->size > 0)
        path->size--;
    if (path->data)
        path->data[path->size] = '\0';
}

static void push(struct buf *path, struct view name)
{
    if (path->size > 0)
        buf_append_char(path, '/');
    buf_append_view(path, name);
}

static bool is_last(const struct resolver *r)
{
    for (size_t i = r->at; i < r->todo.size; i++)
        if (buf_text(&r->todo)[i] != '/')
            return false;
    return true;
}

static int follow_link(struct resolver *r,
                       struct view target,
                       struct view path,
                       struct error *err)
{
    struct buf todo;

    if (++r->links > LIMIT_SYMLINKS)
        return error_set(err, ERROR_INVALID, "%.*s: more than %d symlinks", VIEW_ARG(path),
                         LIMIT_SYMLINKS);
    buf_init(&todo, LIMIT_TEXT_SIZE);
    buf_append_view(&todo, target);
    buf_append_char(&todo, '/');
    buf_append(&todo, buf_text(&r->todo) + r->at, r->todo.size - r->at);
    to_parent(&r->done);
    if (target.size > 0 && target.data[0] == '/')
        buf_clear(&r->done);
    buf_release(&r->todo);
    r->todo = todo;
    r->at = 0;
    return buf_ok(&r->todo, "symlink", err);
}

static int resolve_step(struct resolver *r,
                        struct view name,
                        bool follow,
                        bool *found,
                        struct build_tree_entry *e,
                        struct error *err)
{
    if (view_eq_text(name, "."))
        return 0;
    if (view_eq_text(name, "..")) {
        if (r->tree->is_beneath && r->done.size == 0)
            return error_set(err, ERROR_INVALID,
                             "it tries to leave the root through a symlink");
        to_parent(&r->done);
        return r->tree->find(r->tree->self, buf_view(&r->done), found, e, err);
    }
    push(&r->done, name);
    if (*found && r->tree->find(r->tree->self, buf_view(&r->done), found, e, err) < 0)
        return -1;
    if (!*found || e->entry.type != CAS_ENTRY_SYMLINK || (is_last(r) && !follow))
        return 0;
    if (follow_link(r, e->entry.target, buf_view(&r->done), err) < 0)
        return -1;
    return r->tree->find(r->tree->self, buf_view(&r->done), found, e, err);
}

int build_tree_resolve(const struct build_tree *t,
                       struct view path,
                       bool follow,
                       bool *found,
                       struct build_tree_entry *out,
                       char **resolved,
                       struct error *err)
{
    struct resolver r = {
        .tree = t, .done = BUF_INIT(LIMIT_TEXT_SIZE), .todo = BUF_INIT(LIMIT_TEXT_SIZE)};
    struct view name;
    int status;

    buf_append_view(&r.todo, path);
    status = t->find(t->self, VIEW_LIT(""), found, out, err);
    while (status == 0 && next_component(&r, &name))
        status = resolve_step(&r, name, follow, found, out, err);
    if (status == 0)
        status = buf_ok(&r.done, "path", err);
    if (status == 0 && resolved) {
        *resolved = base_strndup(buf_text(&r.done), r.done.size);
    }
    buf_release(&r.done);
    buf_release(&r.todo);
    return status;
}

/* --- Layers --- */

struct build_layer_tree {
    struct build_tree tree;
    struct cas_tree *cas;
    struct cas_layer **layers;
    size_t count;
};

/* A hard link becomes the file it names, found in the layer's own index; the file's place
 * there is what its names have in common. */
static int to_entry(struct build_layer_tree *t,
                    const struct cas_tree_entry *from,
                    struct build_tree_entry *out,
                    struct error *err)
{
    const struct cas_index *index;
    struct cas_entry file = from->entry;
    size_t at = 0;

    *out = (struct build_tree_entry){
        .entry = from->entry, .place = {.at = from->layer, .path = from->entry.path}};
    if (from->entry.type != CAS_ENTRY_FILE && from->entry.type != CAS_ENTRY_HARDLINK)
        return 0;
    index = cas_layer_index(t->layers[from->layer], err);
    if (!index)
        return -1;
    /* The tree may have resolved the link already: what the index says of this name counts.
     */
    if (!cas_index_find(index, file.path, &at))
        return 0;
    cas_index_at(index, at, &file);
    for (unsigned hops = 0; file.type == CAS_ENTRY_HARDLINK; hops++) {
        if (hops > LIMIT_SYMLINKS || !cas_index_find(index, file.target, &at))
            return error_set(err, ERROR_CORRUPT,
                             "%.*s: hard link to %.*s, which the layer does not hold",
                             VIEW_ARG(from->entry.path), VIEW_ARG(file.target));
        cas_index_at(index, at, &file);
    }
    out->entry = file;
    out->entry.path = from->entry.path;
    out->place.path = file.path;
    out->place.size = file.size;
    out->link_key[0] = from->layer + 1;
    out->link_key[1] = at + 1;
    return 0;
}

static int layers_find(void *self,
                       struct view path,
                       bool *found,
                       struct build_tree_entry *out,
                       struct error *err)
{
    struct build_layer_tree *t = self;
    struct cas_tree_entry e;

    if (cas_tree_find(t->cas, path, CAS_TREE_NOFOLLOW, found, &e, NULL, err) < 0)
        return -1;
    return *found ? to_entry(t, &e, out, err) : 0;
}

struct layers_visitor {
    struct build_layer_tree *tree;
    build_tree_visit_fn *visit;
    void *context;
};

static int layers_visit(void *context, const struct cas_tree_entry *e, struct error *err)
{
    const struct layers_visitor *v = context;
    struct build_tree_entry entry;

    if (to_entry(v->tree, e, &entry, err) < 0)
        return -1;
    return v->visit(v->context, &entry, err);
}

static int layers_walk(void *self,
                       struct view path,
                       build_tree_visit_fn *visit,
                       void *context,
                       struct error *err)
{
    struct build_layer_tree *t = self;
    struct layers_visitor v = {.tree = t, .visit = visit, .context = context};

    return cas_tree_walk(t->cas, path, layers_visit, &v, err);
}

static int layers_open(void *self,
                       const struct build_tree_place *place,
                       struct cas_content *out,
                       struct error *err)
{
    struct build_layer_tree *t = self;
    const struct cas_tree_entry entry = {
        .entry = {.path = place->path, .type = CAS_ENTRY_FILE, .size = place->size},
        .layer = (size_t)place->at};

    *out = (struct cas_content){.fd = cas_tree_open(t->cas, &entry, err)};
    return out->fd < 0 ? -1 : 0;
}

struct build_layer_tree *build_layer_tree_new(struct cas_layer *const *layers, size_t count)
{
    struct build_layer_tree *t = base_alloc(sizeof *t);

    t->cas = cas_tree_new(layers, count);
    t->layers = base_alloc_array(count ? count : 1, sizeof(struct cas_layer *));
    t->count = count;
    for (size_t i = 0; i < count; i++)
        t->layers[i] = cas_layer_ref(layers[i]);
    t->tree = (struct build_tree){
        .self = t, .find = layers_find, .walk = layers_walk, .open = layers_open};
    return t;
}

void build_layer_tree_free(struct build_layer_tree *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        cas_layer_unref(t->layers[i]);
    free(t->layers);
    cas_tree_free(t->cas);
    free(t);
}

struct build_tree *build_layer_tree_tree(struct build_layer_tree *t)
{
    return &t->tree;
}

struct cas_tree *build_layer_tree_cas(struct build_layer_tree *t)
{
    return t->cas;
}

/* --- One text file --- */

struct build_text_tree {
    struct build_tree tree;
    struct view name;
    struct view text;
};

static struct build_tree_entry text_file(const struct build_text_tree *t)
{
    return (struct build_tree_entry){
        .entry = {.path = t->name,
                  .type = CAS_ENTRY_FILE,
                  .mode = 0644,
                  .size = t->text.size,
                  .content = digest_of(DIGEST_SHA256, t->text)},
        .place = {.size = t->text.size}};
}

static int text_find(void *self,
                     struct view path,
                     bool *found,
                     struct build_tree_entry *out,
                     struct error *err)
{
    const struct build_tree_entry file = text_file(self);

    (void)err;
    build_single_find(&file, path, found, out);
    return 0;
}

static int text_walk(void *self,
                     struct view path,
                     build_tree_visit_fn *visit,
                     void *context,
                     struct error *err)
{
    const struct build_tree_entry file = text_file(self);

    return build_single_walk(&file, path, visit, context, err);
}

static int text_open(void *self,
                     const struct build_tree_place *place,
                     struct cas_content *out,
                     struct error *err)
{
    const struct build_text_tree *t = self;

    (void)place;
    (void)err;
    *out = (struct cas_content){.fd = -1, .memory = t->text};
    return 0;
}

struct build_text_tree *build_text_tree_new(const char *name, struct view text)
{
    struct build_text_tree *t = base_alloc(sizeof *t);

    t->name = view_of(base_strdup(name));
    t->text = text;
    t->tree = (struct build_tree){
        .self = t, .find = text_find, .walk = text_walk, .open = text_open};
    return t;
}

void build_text_tree_free(struct build_text_tree *t)
{
    if (!t)
        return;
    union {
        const char *in;
        char *out;
    } name = {t->name.data};
    free(name.out);
    free(t);
}

struct build_tree *build_text_tree_tree(struct build_text_tree *t)
{
    return &t->tree;
}
