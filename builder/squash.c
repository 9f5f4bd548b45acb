/*
 * Joining layers: what their tree has that is theirs, and whiteouts for what was below and
 * is no more. Nothing of how the layers got there remains.
 */
#include "builder/reshape.h"

#include "base/alloc.h"
#include "builder/link_names.h"
#include "builder/source_tree.h"
#include "cas/index.h"

#include <stdlib.h>

struct squash {
    struct build_layer_tree *tree;  /* of all layers */
    struct build_layer_tree *below; /* of those that stay */
    size_t from;
    struct build_link_names links;
    struct cas_entry *entries;
    struct build_tree_place *places; /* as `entries` */
    size_t count;
    size_t entry_capacity;
    size_t place_capacity;
};

static void squash_release(struct squash *s)
{
    build_layer_tree_free(s->tree);
    build_layer_tree_free(s->below);
    build_link_names_release(&s->links);
    free(s->entries);
    free(s->places);
    *s = (struct squash){0};
}

/* Texts live as long as the layers' indexes, which the trees hold. */
static void add(struct squash *s,
                const struct cas_entry *e,
                const struct build_tree_place *place)
{
    s->entries = base_grow(s->entries, s->count, &s->entry_capacity, sizeof *s->entries);
    s->places = base_grow(s->places, s->count, &s->place_capacity, sizeof *s->places);
    s->entries[s->count] = *e;
    s->places[s->count++] = *place;
}

/* What the joined layers have put there. */
static int visit_new(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct squash *s = context;
    struct cas_entry entry = e->entry;
    const char *earlier;

    (void)err;
    if (entry.path.size == 0 || e->place.at < s->from)
        return 1;
    /* Everything below is seen here: what an opaque directory hid has its own whiteout. */
    entry.opaque = false;
    earlier = build_link_names_find(&s->links, e->link_key);
    if (earlier) {
        entry.type = CAS_ENTRY_HARDLINK;
        entry.target = view_of(earlier);
        entry.size = 0;
        entry.content = (struct digest){0};
    } else {
        entry.target = entry.type == CAS_ENTRY_SYMLINK ? entry.target : VIEW_LIT("");
        build_link_names_add(&s->links, e->link_key, entry.path);
    }
    add(s, &entry, &e->place);
    return 1;
}

/* What was below: a whiteout where it is gone. Beneath what is no directory any more there
 * is nothing to hide, and a symlink there must not be followed. */
static int visit_below(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct squash *s = context;
    struct build_tree *tree = build_layer_tree_tree(s->tree);
    struct build_tree_entry now;
    bool found;

    if (e->entry.path.size == 0)
        return 1;
    if (tree->find(tree->self, e->entry.path, &found, &now, err) < 0)
        return -1;
    if (found)
        return now.entry.type == CAS_ENTRY_DIR;
    const struct cas_entry whiteout = {.path = e->entry.path, .type = CAS_ENTRY_WHITEOUT};
    add(s, &whiteout, &(struct build_tree_place){0});
    return 0;
}

/* The root's own attributes, where one of the layers says something of them. */
static int add_root(struct squash *s, const struct build_solution *in, struct error *err)
{
    for (size_t i = in->count; i-- > s->from;) {
        const struct cas_index *index = cas_layer_index(in->layers[i], err);
        struct cas_entry root;
        size_t at;

        if (!index)
            return -1;
        if (!cas_index_find(index, VIEW_LIT(""), &at))
            continue;
        cas_index_at(index, at, &root);
        root.opaque = false;
        add(s, &root, &(struct build_tree_place){0});
        return 0;
    }
    return 0;
}

/* A whiteout says nothing but its path, so the two can be sorted by index. */
struct order {
    struct view path;
    size_t at;
};

static int compare(const void *a, const void *b)
{
    const struct order *x = a;
    const struct order *y = b;

    return cas_entry_path_compare(x->path, y->path);
}

static void sort(struct squash *s)
{
    struct order *order = base_alloc_array(s->count + 1, sizeof *order);
    struct cas_entry *entries = base_alloc_array(s->count + 1, sizeof *entries);
    struct build_tree_place *places = base_alloc_array(s->count + 1, sizeof *places);

    for (size_t i = 0; i < s->count; i++)
        order[i] = (struct order){s->entries[i].path, i};
    qsort(order, s->count, sizeof *order, compare);
    for (size_t i = 0; i < s->count; i++) {
        entries[i] = s->entries[order[i].at];
        places[i] = s->places[order[i].at];
    }
    free(order);
    free(s->entries);
    free(s->places);
    s->entries = entries;
    s->places = places;
}

static int content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    const struct squash *s = context;
    struct build_tree *tree = build_layer_tree_tree(s->tree);

    return tree->open(tree->self, &s->places[i], out, err);
}

static int collect(struct squash *s, const struct build_solution *in, struct error *err)
{
    struct build_tree *tree = build_layer_tree_tree(s->tree);
    struct build_tree *below = build_layer_tree_tree(s->below);

    if (add_root(s, in, err) < 0 ||
        tree->walk(tree->self, VIEW_LIT(""), visit_new, s, err) < 0 ||
        (s->from > 0 && below->walk(below->self, VIEW_LIT(""), visit_below, s, err) < 0))
        return -1;
    sort(s);
    return 0;
}

struct cas_layer *build_squash(struct cas_store *store,
                               const struct build_solution *in,
                               size_t from,
                               const struct cas_layer_options *options,
                               struct error *err)
{
    CLEANUP(squash_release)
    struct squash s = {.tree = build_layer_tree_new(in->layers, in->count),
                       .below = build_layer_tree_new(in->layers, from),
                       .from = from};

    if (collect(&s, in, err) < 0)
        return NULL;
    return cas_layer_write(store, s.entries, s.count, content, &s, options, err);
}
