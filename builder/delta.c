#include "builder/delta.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What the delta holds at one path. */
struct node {
    struct cas_entry e; /* type 0: removed, hides what is below */
    struct build_delta_content content;
    struct node *first; /* of several names of one file: the one with the content */
    bool is_shared;     /* others name it as their `first` */
    bool is_fresh;      /* a directory with nothing below it in the lower layers */
};

/* A place in the table: empty, or a node with the upper half of its path's hash, so that
 * other paths are told apart without looking at them. */
struct slot {
    uint32_t hash;
    uint32_t node; /* its number, counted from one; 0: empty */
};

struct build_delta {
    struct build_tree *below;
    int64_t epoch;
    struct node **nodes; /* as they came, which mostly is sorted */
    size_t count;
    size_t capacity;
    struct slot *slots; /* open addressing, by path; a power of two */
    size_t slot_count;
    struct cas_arena arena; /* the nodes and their texts */
    struct node **sorted;   /* after finish */
    struct cas_entry *entries;
};

static uint64_t hash_path(struct view path)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < path.size; i++)
        h = (h ^ (unsigned char)path.data[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 29);
}

/* The path's place, or the empty one where it would be. */
static struct slot *slot_of(const struct build_delta *d, struct view path, uint64_t hash)
{
    size_t i = (size_t)hash & (d->slot_count - 1);

    while (d->slots[i].node != 0 &&
           (d->slots[i].hash != hash >> 32 ||
            !view_eq(d->nodes[d->slots[i].node - 1]->e.path, path)))
        i = (i + 1) & (d->slot_count - 1);
    return &d->slots[i];
}

static struct node *node_at(const struct build_delta *d, struct view path)
{
    const struct slot *slot = slot_of(d, path, hash_path(path));

    return slot->node != 0 ? d->nodes[slot->node - 1] : NULL;
}

static void insert(struct build_delta *d, struct view path, size_t number)
{
    const uint64_t hash = hash_path(path);

    *slot_of(d, path, hash) = (struct slot){(uint32_t)(hash >> 32), (uint32_t)number};
}

static void grow(struct build_delta *d)
{
    free(d->slots);
    d->slot_count *= 2;
    d->slots = base_alloc_array(d->slot_count, sizeof *d->slots);
    for (size_t i = 0; i < d->count; i++)
        insert(d, d->nodes[i]->e.path, i + 1);
}

static void node_clear(struct node *n)
{
    n->e = (struct cas_entry){.path = n->e.path};
    n->content = (struct build_delta_content){0};
    n->first = NULL;
    n->is_fresh = false;
}

/* Takes over everything but the path, which stays the node's own. What was there before is
 * freed with the arena only: little is ever replaced. */
static void node_assign(struct build_delta *d, struct node *n, const struct cas_entry *e)
{
    const struct view path = n->e.path;

    n->e = *e;
    n->e.path = (struct view){0};
    /* Few entries borrow anything. */
    if (e->target.size > 0 || e->xattr_count > 0)
        n->e = cas_arena_entry(&d->arena, &n->e);
    n->e.path = path;
}

static struct node *node_add(struct build_delta *d, struct view path)
{
    struct node *n = node_at(d, path);

    if (n)
        return n;
    assert(d->count < UINT32_MAX);
    if ((d->count + 1) * 4 > d->slot_count * 3)
        grow(d);
    n = cas_arena_alloc(&d->arena, sizeof *n);
    n->e.path = cas_arena_view(&d->arena, path);
    d->nodes = base_grow(d->nodes, d->count, &d->capacity, sizeof(struct node *));
    d->nodes[d->count++] = n;
    insert(d, n->e.path, d->count);
    return n;
}

struct build_delta *build_delta_new(struct build_tree *below)
{
    struct build_delta *d = base_alloc(sizeof *d);

    d->below = below;
    d->epoch = -1;
    d->slot_count = 64;
    d->slots = base_alloc_array(d->slot_count, sizeof *d->slots);
    return d;
}

void build_delta_set_epoch(struct build_delta *d, int64_t epoch)
{
    d->epoch = epoch;
}

void build_delta_free(struct build_delta *d)
{
    if (!d)
        return;
    cas_arena_release(&d->arena);
    free(d->nodes);
    free(d->slots);
    free(d->sorted);
    free(d->entries);
    free(d);
}

void build_delta_freep(struct build_delta **d)
{
    build_delta_free(*d);
    *d = NULL;
}

/* "a/b" -> "a", "a" -> "". */
static struct view parent_of(struct view path)
{
    while (path.size > 0 && path.data[path.size - 1] != '/')
        path.size--;
    if (path.size > 0)
        path.size--;
    return path;
}

/* Can the layers below still be seen at this path? Not beneath what the delta replaced. */
static bool is_below_visible(const struct build_delta *d, struct view path)
{
    struct view dir = path;

    if (!d->below)
        return false;
    while (dir.size > 0) {
        const struct node *n;

        dir = parent_of(dir);
        n = node_at(d, dir);
        if (n)
            return n->e.type == CAS_ENTRY_DIR && !n->is_fresh;
    }
    return true;
}

int build_delta_find(struct build_delta *d,
                     struct view path,
                     bool *found,
                     struct cas_entry *out,
                     struct error *err)
{
    const struct node *n = node_at(d, path);
    struct build_tree_entry e;

    *found = false;
    if (n) {
        *found = n->e.type != 0;
        *out = n->first ? n->first->e : n->e;
        out->path = n->e.path;
        return 0;
    }
    if (is_below_visible(d, path)) {
        if (d->below->find(d->below->self, path, found, &e, err) < 0)
            return -1;
        if (*found)
            *out = e.entry;
    } else if (path.size == 0) {
        *found = true;
        *out =
            (struct cas_entry){.path = VIEW_LIT(""), .type = CAS_ENTRY_DIR, .mode = 0755};
    }
    return 0;
}

static int find_for_resolve(void *self,
                            struct view path,
                            bool *found,
                            struct build_tree_entry *out,
                            struct error *err)
{
    *out = (struct build_tree_entry){0};
    return build_delta_find(self, path, found, &out->entry, err);
}

char *build_delta_resolve(struct build_delta *d, struct view path, struct error *err)
{
    const struct build_tree view = {.self = d, .find = find_for_resolve};
    struct build_tree_entry e;
    char *resolved = NULL;
    bool found;

    if (build_tree_resolve(&view, path, true, &found, &e, &resolved, err) < 0)
        return NULL;
    return resolved;
}

int build_delta_mkdir_all(struct build_delta *d,
                          struct view path,
                          uint32_t mode,
                          uint32_t uid,
                          uint32_t gid,
                          struct error *err)
{
    size_t end = 0;

    while (end < path.size) {
        struct cas_entry e;
        bool found;

        end += end > 0;
        while (end < path.size && path.data[end] != '/')
            end++;
        const struct view part = {path.data, end};
        if (build_delta_find(d, part, &found, &e, err) < 0)
            return -1;
        if (found && e.type != CAS_ENTRY_DIR)
            return error_set(err, ERROR_INVALID, "/%.*s is not a directory",
                             VIEW_ARG(part));
        if (found)
            continue;
        const struct cas_entry dir = {.path = part,
                                      .type = CAS_ENTRY_DIR,
                                      .mode = mode & 0777,
                                      .uid = uid,
                                      .gid = gid};
        build_delta_put(d, &dir, NULL);
    }
    return 0;
}

/* Other names of a file that is replaced keep its content: the first of them inherits it.
 */
static void disinherit(struct build_delta *d, struct node *n)
{
    struct node *heir = NULL;

    for (size_t i = 0; n->is_shared && i < d->count; i++) {
        struct node *other = d->nodes[i];

        if (other->first != n)
            continue;
        other->first = heir;
        if (!heir) {
            heir = other;
            node_assign(d, heir, &n->e);
            heir->content = n->content;
        } else {
            heir->is_shared = true;
        }
    }
    n->is_shared = false;
    n->first = NULL;
}

/* Does a directory put there take a place where none was? Then nothing below shows in it. A
 * look-up that fails only means that it may not be taken for fresh. */
static bool would_be_fresh(struct build_delta *d, struct view path)
{
    struct error ignored = ERROR_INIT;
    const struct node *n = node_at(d, path);
    struct cas_entry old;
    bool found = false;

    if (n && n->e.type == CAS_ENTRY_DIR)
        return n->is_fresh;
    if (n)
        return true;
    if (build_delta_find(d, path, &found, &old, &ignored) < 0) {
        error_clear(&ignored);
        return false;
    }
    return !found || old.type != CAS_ENTRY_DIR;
}

void build_delta_put(struct build_delta *d,
                     const struct cas_entry *e,
                     const struct build_delta_content *content)
{
    const bool is_fresh = e->type == CAS_ENTRY_DIR && would_be_fresh(d, e->path);
    struct node *n = node_add(d, e->path);

    disinherit(d, n);
    node_assign(d, n, e);
    n->is_fresh = is_fresh;
    n->content = content ? *content : (struct build_delta_content){0};
}

int build_delta_link(struct build_delta *d,
                     struct view path,
                     struct view target,
                     struct error *err)
{
    struct node *first = node_at(d, target);
    struct node *n;

    if (!first || first->e.type == CAS_ENTRY_DIR || first->e.type == 0)
        return error_set(err, ERROR_INVALID, "hard link %.*s to %.*s, which is not there",
                         VIEW_ARG(path), VIEW_ARG(target));
    if (first->first)
        first = first->first;
    n = node_add(d, path);
    if (n == first)
        return 0;
    disinherit(d, n);
    node_assign(d, n, &first->e);
    n->content = first->content;
    n->first = first;
    n->is_fresh = false;
    first->is_shared = true;
    return 0;
}

int build_delta_change(struct build_delta *d, const struct cas_entry *e, struct error *err)
{
    struct node *n = node_at(d, e->path);
    const bool is_fresh = n && n->is_fresh;

    if (n && n->e.type != e->type)
        return error_set(err, ERROR_INVALID, "/%.*s changed its type", VIEW_ARG(e->path));
    if (!n)
        n = node_add(d, e->path);
    node_assign(d, n->first ? n->first : n, e);
    n->is_fresh = is_fresh;
    return 0;
}

int build_delta_remove(struct build_delta *d, struct view path, struct error *err)
{
    struct cas_entry e;
    bool found;

    if (build_delta_find(d, path, &found, &e, err) < 0)
        return -1;
    if (!found)
        return 0;
    for (size_t i = 0; i < d->count; i++) {
        struct node *n = d->nodes[i];

        if (path_has_prefix(n->e.path, path)) {
            disinherit(d, n);
            node_clear(n);
        }
    }
    node_clear(node_add(d, path));
    return 0;
}

/* --- Finishing --- */

static int add_parents(struct build_delta *d, struct view path, struct error *err)
{
    struct view dir = path;

    while ((dir = parent_of(dir)).size > 0) {
        struct cas_entry e = {0};
        bool found;

        if (node_at(d, dir))
            return 0;
        if (build_delta_find(d, dir, &found, &e, err) < 0)
            return -1;
        if (!found || e.type != CAS_ENTRY_DIR)
            return error_set(err, ERROR_INVALID, "/%.*s is not a directory", VIEW_ARG(dir));
        e.path = dir;
        e.opaque = false;
        node_assign(d, node_add(d, dir), &e);
    }
    return 0;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct node *const *x = a;
    const struct node *const *y = b;

    return cas_entry_path_compare((*x)->e.path, (*y)->e.path);
}

/* The name that sorts first carries the content, whichever was made first. */
static void settle_links(struct build_delta *d, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct node *n = d->sorted[i];
        struct node *first = n->first;

        /* The one that was first may have handed its place on. */
        if (first && first->first)
            n->first = first = first->first;
        if (!first || cas_entry_path_compare(first->e.path, n->e.path) < 0)
            continue;
        n->content = first->content;
        node_assign(d, n, &first->e);
        n->first = NULL;
        first->first = n;
    }
}

/* A removal is only worth a whiteout if something is below, and it is not hidden anyway. */
static int needs_whiteout(struct build_delta *d,
                          const struct node *n,
                          bool *needed,
                          struct error *err)
{
    struct build_tree_entry e;

    *needed = false;
    if (!is_below_visible(d, n->e.path))
        return 0;
    return d->below->find(d->below->self, n->e.path, needed, &e, err);
}

/* A new directory where the layers below have one that was removed hides it. */
static int settle_opaque(struct build_delta *d, struct node *n, struct error *err)
{
    struct build_tree_entry e;
    bool found;

    if (n->e.type != CAS_ENTRY_DIR || !n->is_fresh || !is_below_visible(d, n->e.path))
        return 0;
    if (d->below->find(d->below->self, n->e.path, &found, &e, err) < 0)
        return -1;
    n->e.opaque = found && e.entry.type == CAS_ENTRY_DIR;
    return 0;
}

static bool same_time(const struct build_delta *d, int64_t below, int64_t ours)
{
    return below == ours || (d->epoch >= 0 && ours > d->epoch && below == d->epoch);
}

/* An entry that says again what is there already is no change: a file copied over its
 * equal. */
static int is_unchanged(struct build_delta *d,
                        struct node *n,
                        bool *same,
                        struct error *err)
{
    const struct build_delta_content *c = &n->content;
    struct build_tree_entry below;

    *same = false;
    if ((n->e.type != CAS_ENTRY_FILE && n->e.type != CAS_ENTRY_SYMLINK) || n->first ||
        n->is_shared || !is_below_visible(d, n->e.path))
        return 0;
    if (d->below->find(d->below->self, n->e.path, same, &below, err) < 0)
        return -1;
    *same = *same && below.entry.type == n->e.type && below.entry.mode == n->e.mode &&
            below.entry.uid == n->e.uid && below.entry.gid == n->e.gid &&
            below.entry.size == n->e.size &&
            same_time(d, below.entry.mtime_s, n->e.mtime_s) &&
            below.entry.xattr_count == 0 && n->e.xattr_count == 0;
    if (!*same || n->e.type == CAS_ENTRY_SYMLINK) {
        *same = *same && view_eq(below.entry.target, n->e.target);
        return 0;
    }
    if (c->tree && c->tree->digest && !digest_is_set(&n->e.content) &&
        c->tree->digest(c->tree->self, &c->place, &n->e.content, err) < 0)
        return -1;
    *same = digest_is_set(&n->e.content) && digest_eq(&n->e.content, &below.entry.content);
    return 0;
}

/* Copying walks its source in order: then there is nothing to sort. */
static void sort(struct node **nodes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (compare_nodes(&nodes[i - 1], &nodes[i]) < 0)
            continue;
        qsort(nodes, count, sizeof(struct node *), compare_nodes);
        return;
    }
}

static int collect(struct build_delta *d, size_t *count, struct error *err)
{
    *count = 0;
    d->sorted = base_alloc_array(d->count + 1, sizeof(struct node *));
    for (size_t i = 0; i < d->count; i++) {
        struct node *n = d->nodes[i];
        bool keep = n->e.type != 0 && n->e.type != CAS_ENTRY_WHITEOUT;
        bool same = false;

        if (n->e.path.size == 0)
            continue;
        if ((!keep && needs_whiteout(d, n, &keep, err) < 0) ||
            settle_opaque(d, n, err) < 0 || is_unchanged(d, n, &same, err) < 0)
            return -1;
        if (keep && !same)
            d->sorted[(*count)++] = n;
    }
    sort(d->sorted, *count);
    return 0;
}

static int add_all_parents(struct build_delta *d, struct error *err)
{
    const size_t count = d->count; /* parents have their own */
    int status = 0;

    for (size_t i = 0; status == 0 && i < count; i++) {
        const struct node *n = d->nodes[i];
        bool is_entry = n->e.type != 0;

        if (!is_entry)
            status = needs_whiteout(d, n, &is_entry, err);
        if (status == 0 && is_entry)
            status = add_parents(d, n->e.path, err);
    }
    return status;
}

int build_delta_finish(struct build_delta *d,
                       struct cas_entry **entries,
                       size_t *count,
                       struct error *err)
{
    assert(!d->sorted);
    if (add_all_parents(d, err) < 0 || collect(d, count, err) < 0)
        return -1;
    settle_links(d, *count);
    d->entries = base_alloc_array(*count + 1, sizeof *d->entries);
    for (size_t i = 0; i < *count; i++) {
        const struct node *n = d->sorted[i];

        d->entries[i] = n->first ? n->first->e : n->e;
        d->entries[i].path = n->e.path;
        if (n->first) {
            d->entries[i].type = CAS_ENTRY_HARDLINK;
            d->entries[i].target = n->first->e.path;
        } else if (n->e.type == 0) {
            d->entries[i].type = CAS_ENTRY_WHITEOUT;
        }
    }
    *entries = d->entries;
    return 0;
}

const struct build_delta_content *build_delta_content_at(const struct build_delta *d,
                                                         size_t i)
{
    return d->entries[i].type == CAS_ENTRY_FILE ? &d->sorted[i]->content : NULL;
}

int build_delta_content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    const struct build_delta *d = context;
    const struct build_delta_content *c = &d->sorted[i]->content;

    if (c->tree)
        return c->tree->open(c->tree->self, &c->place, out, err);
    *out = (struct cas_content){.fd = -1, .memory = c->memory};
    return 0;
}
