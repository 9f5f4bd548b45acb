#include "cas/layer_names.h"

#include "base/limits.h"

#include <string.h>

void layer_names_init(struct layer_names *n)
{
    *n = (struct layer_names){0};
    buf_init(&n->raw_parent, LIMIT_PATH_SIZE);
    buf_init(&n->parent, LIMIT_PATH_SIZE);
    buf_init(&n->result, LIMIT_PATH_SIZE);
    /* The rest of a name behind symlink texts of at most LIMIT_PATH_SIZE each. */
    buf_init(&n->rest, (LIMIT_SYMLINKS + 2) * LIMIT_PATH_SIZE);
}

void layer_names_release(struct layer_names *n)
{
    cas_path_map_release(&n->map);
    cas_arena_release(&n->arena);
    buf_release(&n->raw_parent);
    buf_release(&n->parent);
    buf_release(&n->result);
    buf_release(&n->rest);
}

static struct layer_name *find(const struct layer_names *n, struct view path)
{
    return cas_path_map_find(&n->map, path);
}

/* Bytes up to and with the last slash. */
static size_t parent_size(struct view raw)
{
    size_t size = raw.size;

    while (size > 0 && raw.data[size - 1] != '/')
        size--;
    return size;
}

static struct view parent_of(struct view path)
{
    const size_t split = parent_size(path);

    return view_sub(path, 0, split > 0 ? split - 1 : 0);
}

/* --- Resolving --- */

static int check_component(struct view part, struct view raw, struct error *err)
{
    if (part.size > LIMIT_NAME_SIZE)
        return error_set(err, ERROR_LIMIT,
                         "'%.*s...': a name of %zu bytes (at most %zu are possible)",
                         VIEW_ARG(view_sub(raw, 0, 64)), part.size, LIMIT_NAME_SIZE);
    return 0;
}

/* What the archive itself says must not even look as if it left the root. */
static int check_raw(struct view raw, struct error *err)
{
    struct view rest = raw;
    struct view part;

    if (raw.size > 0 && raw.data[0] == '/')
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' tries to leave the root: its name is absolute",
                         VIEW_ARG(raw));
    while (rest.size > 0) {
        view_cut(rest, '/', &part, &rest);
        if (view_eq_text(part, ".."))
            return error_set(err, ERROR_CORRUPT,
                             "'%.*s' tries to leave the root: '..' in its name",
                             VIEW_ARG(raw));
        if (check_component(part, raw, err) < 0)
            return -1;
    }
    return 0;
}

static int climb(struct buf *result, struct view raw, struct error *err)
{
    if (result->size == 0)
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' tries to leave the root through a symlink", VIEW_ARG(raw));

    result->size = parent_of(buf_view(result)).size;
    result->data[result->size] = '\0';
    return 0;
}

/* Puts the link's text before what is left of the name. */
static void put_before(struct layer_names *n, struct view target, struct view rest)
{
    struct buf next = BUF_INIT(n->rest.max);

    buf_append_view(&next, target);
    buf_append_char(&next, '/');
    buf_append_view(&next, rest);
    buf_release(&n->rest);
    n->rest = next;
}

/* Every component is one of a directory: each link on the way is followed. */
static int resolve_dir(struct layer_names *n, struct view raw, struct error *err)
{
    struct view part;
    struct view rest;
    unsigned links = 0;

    buf_clear(&n->result);
    buf_clear(&n->rest);
    buf_append_view(&n->rest, raw);
    rest = buf_view(&n->rest);
    while (rest.size > 0) {
        view_cut(rest, '/', &part, &rest);
        if (part.size == 0 || view_eq_text(part, "."))
            continue;
        if (view_eq_text(part, "..")) {
            if (climb(&n->result, raw, err) < 0)
                return -1;
            continue;
        }
        if (check_component(part, raw, err) < 0)
            return -1;

        const size_t before = n->result.size;

        if (before > 0)
            buf_append_char(&n->result, '/');
        buf_append_view(&n->result, part);
        if (buf_ok(&n->result, "a name in a layer", err) < 0)
            return -1;

        const struct layer_name *name = find(n, buf_view(&n->result));

        if (!name || name->type != CAS_ENTRY_SYMLINK)
            continue;
        if (++links > LIMIT_SYMLINKS)
            return error_set(err, ERROR_CORRUPT, "'%.*s': too many symlinks lead to it",
                             VIEW_ARG(raw));

        /* An absolute link starts from the image's root, not from the host's. */
        n->result.size = name->target.data[0] == '/' ? 0 : before;
        n->result.data[n->result.size] = '\0';
        put_before(n, name->target, rest);
        rest = buf_view(&n->rest);
    }
    return 0;
}

static int resolve_parent(struct layer_names *n, struct view raw, struct error *err)
{
    if (n->parent_known && view_eq(raw, buf_view(&n->raw_parent)))
        return 0;
    n->parent_known = false;
    if (resolve_dir(n, raw, err) < 0)
        return -1;
    buf_clear(&n->raw_parent);
    buf_append_view(&n->raw_parent, raw);
    buf_clear(&n->parent);
    buf_append_view(&n->parent, buf_view(&n->result));
    n->parent_known = !n->raw_parent.failed;
    return buf_ok(&n->parent, "a name in a layer", err);
}

/* Cuts slashes and "." components off the end. */
static struct view trim_end(struct view raw)
{
    for (;;) {
        if (raw.size > 0 && raw.data[raw.size - 1] == '/')
            raw.size--;
        else if (view_eq_text(raw, ".") || view_ends(raw, "/."))
            raw.size--;
        else
            return raw;
    }
}

int layer_names_resolve(struct layer_names *n,
                        struct view raw,
                        struct view *path,
                        struct error *err)
{
    if (check_raw(raw, err) < 0)
        return -1;

    const struct view trimmed = trim_end(raw);
    const size_t split = parent_size(trimmed);
    const struct view name = view_sub(trimmed, split, trimmed.size);

    if (resolve_parent(n, view_sub(trimmed, 0, split), err) < 0)
        return -1;
    buf_clear(&n->result);
    buf_append_view(&n->result, buf_view(&n->parent));
    if (n->result.size > 0)
        buf_append_char(&n->result, '/');
    buf_append_view(&n->result, name);
    *path = buf_view(&n->result);
    return buf_ok(&n->result, "a name in a layer", err);
}

int layer_names_resolve_link(struct layer_names *n,
                             struct view raw,
                             struct view *target,
                             struct error *err)
{
    if (layer_names_resolve(n, raw, target, err) < 0)
        return error_wrap(err, "hard link's target");

    struct layer_name *name = find(n, *target);

    if (name && name->type == CAS_ENTRY_HARDLINK) {
        *target = name->target;
        name = find(n, *target);
    }
    if (!name) {
        n->links_below = true;
        return 0;
    }
    if (name->type == CAS_ENTRY_DIR || name->type == LAYER_NAME_IMPLIED ||
        name->type == CAS_ENTRY_WHITEOUT)
        return error_set(err, ERROR_CORRUPT, "a hard link to '%.*s', which is no file",
                         VIEW_ARG(*target));
    name->is_linked = true;
    return 0;
}

/* --- Entering --- */

static struct layer_name *append(struct layer_names *n, struct view path)
{
    struct layer_name *name = cas_arena_alloc(&n->arena, sizeof *name);

    name->path = cas_arena_view(&n->arena, path);
    cas_path_map_put(&n->map, name->path, name);
    if (n->last)
        n->last->next = name;
    else
        n->first = name;
    n->last = name;
    n->count++;
    return name;
}

static bool is_dir(const struct layer_name *name)
{
    return name->type == CAS_ENTRY_DIR || name->type == LAYER_NAME_IMPLIED;
}

/* The nearest parent that is known must be a directory, or be going to be one again. */
static int check_parents(const struct layer_names *n, struct view path, struct error *err)
{
    for (struct view dir = parent_of(path); dir.size > 0; dir = parent_of(dir)) {
        const struct layer_name *name = find(n, dir);

        if (name && !is_dir(name) && name->type != CAS_ENTRY_WHITEOUT)
            return error_set(err, ERROR_CORRUPT, "'%.*s': '%.*s' is no directory",
                             VIEW_ARG(path), VIEW_ARG(name->path));
        if (name)
            return 0;
    }
    return 0;
}

/* Makes the parents directories, known ones or implied ones, upwards until one is known.
 * The root is always there. Nothing is entered if that cannot be. */
static int enter_parents(struct layer_names *n, struct view path, struct error *err)
{
    if (check_parents(n, path, err) < 0)
        return -1;
    for (struct view dir = parent_of(path); dir.size > 0; dir = parent_of(dir)) {
        struct layer_name *name = find(n, dir);
        const bool known = name && is_dir(name);

        if (!name)
            name = append(n, dir);
        if (name->type == CAS_ENTRY_WHITEOUT) {
            /* Removed and made anew in the same layer: nothing below shows through. */
            name->type = LAYER_NAME_IMPLIED;
            name->opaque = true;
        }
        name->has_children = true;
        if (known)
            break;
    }
    return 0;
}

static int replace(struct layer_name *name, const struct cas_entry *e, struct error *err)
{
    const bool stays_dir = is_dir(name) && e->type == CAS_ENTRY_DIR;

    if (!stays_dir && name->has_children)
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' is a directory with contents and later something else",
                         VIEW_ARG(e->path));
    if (name->is_linked)
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' comes again after something was linked to it",
                         VIEW_ARG(e->path));
    if (name->type == CAS_ENTRY_WHITEOUT && e->type == CAS_ENTRY_DIR)
        name->opaque = true;
    else if (e->type != CAS_ENTRY_DIR)
        name->opaque = false;
    return 0;
}

static void fill(struct layer_names *n, struct layer_name *name, const struct cas_entry *e)
{
    /* What was resolved through it, or past it, may now be resolved otherwise. */
    if (name->type == CAS_ENTRY_SYMLINK || e->type == CAS_ENTRY_SYMLINK)
        n->parent_known = false;
    name->type = e->type;
    name->target = cas_arena_view(&n->arena, e->target);
    if (e->type == CAS_ENTRY_DIR) {
        struct cas_entry *entry = cas_arena_alloc(&n->arena, sizeof *entry);

        *entry = cas_arena_entry(&n->arena, e);
        name->entry = entry;
    }
}

int layer_names_add(struct layer_names *n,
                    const struct cas_entry *e,
                    struct layer_name **out,
                    struct error *err)
{
    struct layer_name *name = find(n, e->path);

    *out = NULL;
    if (n->count >= LIMIT_LAYER_ENTRIES)
        return error_set(err, ERROR_LIMIT, "a layer with more than %ju entries",
                         (uintmax_t)LIMIT_LAYER_ENTRIES);
    if (e->path.size == 0 && e->type != CAS_ENTRY_DIR)
        return error_set(err, ERROR_CORRUPT, "an entry replaces the root");
    if (name && e->type == CAS_ENTRY_WHITEOUT) {
        name->opaque |= is_dir(name);
        return 0;
    }
    if (enter_parents(n, e->path, err) < 0 || (name && replace(name, e, err) < 0))
        return -1;
    if (!name)
        name = append(n, e->path);
    fill(n, name, e);
    *out = name;
    return 0;
}

int layer_names_set_opaque(struct layer_names *n, struct view path, struct error *err)
{
    struct layer_name *name = find(n, path);

    if (name && !is_dir(name) && name->type != CAS_ENTRY_WHITEOUT)
        return error_set(err, ERROR_CORRUPT, "'%.*s' is marked opaque, but is no directory",
                         VIEW_ARG(path));
    if (!name) {
        if (enter_parents(n, path, err) < 0)
            return -1;
        name = append(n, path);
    }
    if (name->type == CAS_ENTRY_WHITEOUT)
        name->type = LAYER_NAME_IMPLIED;
    name->opaque = true;
    return 0;
}
