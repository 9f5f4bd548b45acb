#include "builder/compare/compare_priv.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <stdlib.h>

/*
 * Both trees side by side, a directory at a time: what a directory has is listed on each
 * side, sorted, and merged by name. So memory holds the listings along one path only,
 * however large the images are.
 */
struct walk {
    struct build_compare *out;
    struct cas_tree *const *trees;
    const struct compare_watch *watch;
    size_t capacity;
    bool list;
    bool times;
};

struct listing {
    struct cas_tree_entry *items;
    size_t count;
    size_t capacity;
    bool has_dir;
};

static void listing_release(struct listing *l)
{
    free(l->items);
}

static int list_visit(void *context, const struct cas_tree_entry *e, struct error *err)
{
    struct listing *const l = context;

    (void)err;
    if (!l->has_dir) {
        l->has_dir = true;
        return 1;
    }
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count++] = *e;
    return 0;
}

static struct view name_of(struct view dir, struct view path)
{
    const size_t skip = dir.size > 0 ? dir.size + 1 : 0;

    return view_sub(path, skip, path.size);
}

/* --- One entry ---------------------------------------------------------------------- */

static bool same_xattrs(const struct cas_entry *a, const struct cas_entry *b)
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

static bool same_content(const struct cas_entry *a, const struct cas_entry *b)
{
    return a->size == b->size && (a->size == 0 || digest_eq(&a->content, &b->content));
}

static bool is_device(const struct cas_entry *e)
{
    return e->type == CAS_ENTRY_CHAR || e->type == CAS_ENTRY_BLOCK;
}

static unsigned aspects_of(const struct cas_entry *a, const struct cas_entry *b)
{
    unsigned aspects = 0;

    if (a->type != b->type)
        return BUILD_FILE_TYPE;
    if (a->type == CAS_ENTRY_FILE && !same_content(a, b))
        aspects |= BUILD_FILE_CONTENT;
    if (a->type == CAS_ENTRY_SYMLINK && !view_eq(a->target, b->target))
        aspects |= BUILD_FILE_TARGET;
    if (is_device(a) && (a->rdev_major != b->rdev_major || a->rdev_minor != b->rdev_minor))
        aspects |= BUILD_FILE_DEVICE;
    if (a->mode != b->mode)
        aspects |= BUILD_FILE_MODE;
    if (a->uid != b->uid || a->gid != b->gid)
        aspects |= BUILD_FILE_OWNER;
    if (!same_xattrs(a, b))
        aspects |= BUILD_FILE_XATTRS;
    if (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns)
        aspects |= BUILD_FILE_TIME;
    return aspects;
}

static struct build_file_side side_of(struct walk *w, const struct cas_tree_entry *e)
{
    const struct cas_entry *const entry = &e->entry;

    return (struct build_file_side){
        .type = entry->type,
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .size = entry->type == CAS_ENTRY_FILE ? entry->size : 0,
        .mtime_s = entry->mtime_s,
        .target = entry->type == CAS_ENTRY_SYMLINK
                      ? cas_arena_view(&w->out->arena, entry->target)
                      : (struct view){NULL, 0},
    };
}

static int add(struct walk *w,
               const struct cas_tree_entry *before,
               const struct cas_tree_entry *after,
               unsigned aspects,
               struct error *err)
{
    struct build_compare *const c = w->out;

    if (!w->list)
        return 0;
    if (c->file_count == LIMIT_COMPARE_FILES)
        return error_set(err, ERROR_LIMIT, "more than %zu files differ",
                         LIMIT_COMPARE_FILES);
    c->files = base_grow(c->files, c->file_count, &w->capacity, sizeof *c->files);

    struct build_compare_file *const f = &c->files[c->file_count++];

    *f = (struct build_compare_file){
        .change = before == NULL  ? BUILD_CHANGE_ADDED
                  : after == NULL ? BUILD_CHANGE_REMOVED
                                  : BUILD_CHANGE_CHANGED,
        .aspects = aspects,
        .path = cas_arena_view(&c->arena, (before != NULL ? before : after)->entry.path),
    };
    if (before != NULL)
        f->before = side_of(w, before);
    if (after != NULL)
        f->after = side_of(w, after);
    return 0;
}

static void tell(const struct walk *w, size_t side, const struct cas_tree_entry *e)
{
    if (w->watch != NULL && e->entry.type == CAS_ENTRY_FILE)
        w->watch->found(w->watch->context, side, e);
}

static int compare_pair(struct walk *w,
                        const struct cas_tree_entry *before,
                        const struct cas_tree_entry *after,
                        struct error *err)
{
    const unsigned aspects = aspects_of(&before->entry, &after->entry);

    if (aspects & (BUILD_FILE_TYPE | BUILD_FILE_CONTENT)) {
        tell(w, 0, before);
        tell(w, 1, after);
    }
    if (aspects == BUILD_FILE_TIME && !w->times) {
        /* That of a directory changes whenever something in it does. */
        w->out->time_only_count += before->entry.type != CAS_ENTRY_DIR;
        return 0;
    }
    return aspects != 0 ? add(w, before, after, aspects, err) : 0;
}

/* --- Directories -------------------------------------------------------------------- */

struct one_sided {
    struct walk *walk;
    size_t side;
};

static int one_visit(void *context, const struct cas_tree_entry *e, struct error *err)
{
    const struct one_sided *const o = context;

    tell(o->walk, o->side, e);
    return add(o->walk, o->side == 0 ? e : NULL, o->side == 1 ? e : NULL, 0, err) < 0 ? -1
                                                                                      : 1;
}

/* Everything at and below a path that only one side has. */
static int one_side(struct walk *w,
                    size_t side,
                    const struct cas_tree_entry *e,
                    struct error *err)
{
    struct one_sided context = {w, side};

    if (e->entry.type != CAS_ENTRY_DIR)
        return one_visit(&context, e, err) < 0 ? -1 : 0;
    return cas_tree_walk(w->trees[side], e->entry.path, one_visit, &context, err);
}

static int list_dir(
    struct walk *w, size_t side, struct view dir, struct listing *out, struct error *err)
{
    return cas_tree_walk(w->trees[side], dir, list_visit, out, err);
}

static int compare_dirs(struct walk *w, struct view dir, struct error *err);

static int one_side_children(struct walk *w,
                             size_t side,
                             struct view dir,
                             struct error *err)
{
    CLEANUP(listing_release) struct listing l = {0};

    if (list_dir(w, side, dir, &l, err) < 0)
        return -1;
    for (size_t i = 0; i < l.count; i++) {
        if (one_side(w, side, &l.items[i], err) < 0)
            return -1;
    }
    return 0;
}

static int both_sides(struct walk *w,
                      const struct cas_tree_entry *before,
                      const struct cas_tree_entry *after,
                      struct error *err)
{
    const bool was_dir = before->entry.type == CAS_ENTRY_DIR;
    const bool is_dir = after->entry.type == CAS_ENTRY_DIR;

    if (compare_pair(w, before, after, err) < 0)
        return -1;
    if (was_dir && is_dir)
        return compare_dirs(w, before->entry.path, err);
    if (was_dir)
        return one_side_children(w, 0, before->entry.path, err);
    return is_dir ? one_side_children(w, 1, after->entry.path, err) : 0;
}

static int compare_dirs(struct walk *w, struct view dir, struct error *err)
{
    CLEANUP(listing_release) struct listing old = {0};
    CLEANUP(listing_release) struct listing new = {0};
    size_t i = 0, j = 0;
    int result = 0;

    if (list_dir(w, 0, dir, &old, err) < 0 || list_dir(w, 1, dir, &new, err) < 0)
        return -1;
    while (result == 0 && (i < old.count || j < new.count)) {
        int order = i == old.count ? 1 : j == new.count ? -1 : 0;

        if (order == 0)
            order = view_compare(name_of(dir, old.items[i].entry.path),
                                 name_of(dir, new.items[j].entry.path));
        if (order == 0)
            result = both_sides(w, &old.items[i++], &new.items[j++], err);
        else if (order < 0)
            result = one_side(w, 0, &old.items[i++], err);
        else
            result = one_side(w, 1, &new.items[j++], err);
    }
    return result;
}

/* The root, where layers tell of it. */
static int compare_roots(struct walk *w, struct error *err)
{
    struct cas_tree_entry roots[2];
    bool found = false;

    for (size_t side = 0; side < 2; side++) {
        if (cas_tree_find(w->trees[side], (struct view){"", 0}, CAS_TREE_NOFOLLOW, &found,
                          &roots[side], NULL, err) < 0)
            return -1;
    }
    return compare_pair(w, &roots[0], &roots[1], err);
}

int compare_files(struct build_compare *c,
                  struct cas_tree *const trees[2],
                  bool list,
                  bool times,
                  const struct compare_watch *watch,
                  struct error *err)
{
    struct walk w = {
        .out = c, .trees = trees, .watch = watch, .list = list, .times = times};

    if (compare_roots(&w, err) < 0)
        return -1;
    return compare_dirs(&w, (struct view){"", 0}, err);
}
