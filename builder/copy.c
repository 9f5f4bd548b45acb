#include "builder/copy.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/link_names.h"
#include "builder/mode.h"
#include "builder/wildcard.h"
#include "parser/ignore.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_DIR_MODE = 0755 };

/* A source directory that the walk is in. Its target may not exist yet: with include
 * patterns directories are only made when something in them is taken. */
struct level {
    struct build_tree_entry entry;
    size_t dest_size; /* of the target path up to here, in copier.dest */
    uint8_t *include; /* states of the patterns */
    uint8_t *exclude;
    bool is_made;
};

struct copier {
    const struct build_copy_request *request;
    struct build_delta *delta;
    struct dockerfile_ignore *include; /* --parents; NULL: all */
    struct dockerfile_ignore *exclude; /* --exclude; NULL: none */
    struct view source;                /* resolved path that is being copied */
    struct buf dest;                   /* target of the current entry */
    size_t dest_root_size;
    struct level *levels;
    size_t depth;
    size_t capacity;
    /* Where the first of several names was put; within one source only, as BuildKit does
     * it. */
    struct build_link_names links;
};

/* --- Attributes --- */

static uint32_t mode_for(const struct copier *c, const struct cas_entry *e)
{
    if (e->type == CAS_ENTRY_SYMLINK)
        return 0777;
    if (!c->request->op->chmod)
        return e->mode;
    return build_mode_apply(view_of(c->request->op->chmod), e->mode,
                            e->type == CAS_ENTRY_DIR);
}

static struct cas_entry target_entry(const struct copier *c, const struct cas_entry *from)
{
    struct cas_entry e = *from;

    e.path = buf_view(&c->dest);
    e.mode = mode_for(c, from);
    e.opaque = false;
    if (c->request->has_owner) {
        e.uid = c->request->uid;
        e.gid = c->request->gid;
    }
    return e;
}

/* Directories that are made on the way: --chmod counts only if octal. */
static int make_parents(struct copier *c, struct view path, struct error *err)
{
    const char *chmod = c->request->op->chmod;
    uint32_t mode = DEFAULT_DIR_MODE;

    if (!chmod || !build_mode_octal(view_of(chmod), &mode))
        mode = DEFAULT_DIR_MODE;
    return build_delta_mkdir_all(c->delta, path, mode,
                                 c->request->has_owner ? c->request->uid : 0,
                                 c->request->has_owner ? c->request->gid : 0, err);
}

/* --- One entry --- */

static int check_replaceable(struct copier *c, struct error *err)
{
    struct cas_entry old;
    bool found;

    if (build_delta_find(c->delta, buf_view(&c->dest), &found, &old, err) < 0)
        return -1;
    if (found && old.type == CAS_ENTRY_DIR)
        return error_set(err, ERROR_INVALID, "cannot replace directory /%s by a file",
                         buf_text(&c->dest));
    return 0;
}

static int copy_file(struct copier *c, const struct build_tree_entry *e, struct error *err)
{
    const struct cas_entry target = target_entry(c, &e->entry);
    const struct build_delta_content content = {.tree = c->request->tree,
                                                .place = e->place};
    const char *first;

    if (check_replaceable(c, err) < 0)
        return -1;
    first = e->entry.type == CAS_ENTRY_FILE ? build_link_names_find(&c->links, e->link_key)
                                            : NULL;
    if (first && strcmp(first, buf_text(&c->dest)) != 0)
        return build_delta_link(c->delta, buf_view(&c->dest), view_of(first), err);
    build_delta_put(c->delta, &target, &content);
    if (e->entry.type == CAS_ENTRY_FILE && !first)
        build_link_names_add(&c->links, e->link_key, buf_view(&c->dest));
    return 0;
}

/* Makes the target of a source directory, or gives an existing one the source's attributes.
 * Those of the copy's own root stay as they are. */
static int make_dir(struct copier *c,
                    const struct build_tree_entry *e,
                    size_t dest_size,
                    bool overwrite,
                    bool full,
                    struct error *err)
{
    const struct view path = {buf_text(&c->dest), dest_size};
    struct cas_entry target = target_entry(c, &e->entry);
    struct cas_entry old;
    bool found;

    target.path = path;
    if (build_delta_find(c->delta, path, &found, &old, err) < 0)
        return -1;
    if (found && old.type != CAS_ENTRY_DIR)
        return error_set(err, ERROR_INVALID, "cannot copy to non-directory: /%.*s",
                         VIEW_ARG(path));
    if (!found) {
        build_delta_put(c->delta, &target, NULL);
        return 0;
    }
    if (!overwrite)
        return 0;
    if (!full) {
        const uint32_t mode = e->entry.mode;

        target = old;
        target.path = path;
        target.mode = mode;
    }
    return build_delta_change(c->delta, &target, err);
}

/* Directories above that waited for something to be taken from them. */
static int make_waiting(struct copier *c, struct error *err)
{
    for (size_t i = 0; i < c->depth; i++) {
        struct level *l = &c->levels[i];

        if (l->is_made)
            continue;
        if (make_dir(c, &l->entry, l->dest_size, i > 0, false, err) < 0)
            return -1;
        l->is_made = true;
    }
    return 0;
}

/* --- The walk --- */

static void leave_level(struct copier *c)
{
    struct level *l = &c->levels[--c->depth];

    free(l->include);
    free(l->exclude);
}

/* Levels that do not hold the path are left. */
static void settle_depth(struct copier *c, struct view path)
{
    while (c->depth > 0) {
        const struct view dir = c->levels[c->depth - 1].entry.entry.path;

        if (dir.size == 0 || (path.size > dir.size && path.data[dir.size] == '/' &&
                              memcmp(path.data, dir.data, dir.size) == 0))
            return;
        leave_level(c);
    }
}

static struct view relative_to_source(const struct copier *c, struct view path)
{
    struct view rest = view_sub(path, c->source.size, path.size);

    return rest.size > 0 && rest.data[0] == '/' ? view_sub(rest, 1, rest.size) : rest;
}

static void set_dest(struct copier *c, struct view relative)
{
    c->dest.size = c->dest_root_size;
    if (c->dest.data)
        c->dest.data[c->dest.size] = '\0';
    if (relative.size == 0)
        return;
    if (c->dest.size > 0)
        buf_append_char(&c->dest, '/');
    buf_append_view(&c->dest, relative);
}

static uint8_t *new_state(const struct dockerfile_ignore *set, bool is_dir)
{
    return set && is_dir ? base_alloc(dockerfile_ignore_state_size(set) + 1) : NULL;
}

struct verdict {
    bool include;
    bool excluded;
    uint8_t *include_state;
    uint8_t *exclude_state;
};

static struct verdict judge(const struct copier *c, struct view relative, bool is_dir)
{
    const struct level *parent = c->depth > 0 ? &c->levels[c->depth - 1] : NULL;
    struct verdict v = {.include = true,
                        .include_state = new_state(c->include, is_dir),
                        .exclude_state = new_state(c->exclude, is_dir)};

    if (relative.size == 0)
        return v;
    if (c->include)
        v.include = dockerfile_ignore_step(
            c->include, relative, parent ? parent->include : NULL, v.include_state);
    if (c->exclude)
        v.excluded = dockerfile_ignore_step(
            c->exclude, relative, parent ? parent->exclude : NULL, v.exclude_state);
    v.include = v.include && !v.excluded;
    return v;
}

static int enter_dir(struct copier *c,
                     const struct build_tree_entry *e,
                     struct verdict v,
                     struct view relative,
                     struct error *err)
{
    int status = 0;

    if (v.include)
        status = make_dir(c, e, c->dest.size, relative.size > 0 || c->request->op->is_tree,
                          true, err);
    c->levels = base_grow(c->levels, c->depth, &c->capacity, sizeof *c->levels);
    c->levels[c->depth++] = (struct level){.entry = *e,
                                           .dest_size = c->dest.size,
                                           .include = v.include_state,
                                           .exclude = v.exclude_state,
                                           .is_made = v.include};
    if (status < 0)
        return -1;
    return v.excluded && !dockerfile_ignore_may_reinclude(c->exclude, relative) ? 0 : 1;
}

static int visit(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct copier *c = context;
    const bool is_dir = e->entry.type == CAS_ENTRY_DIR;
    const struct view relative = relative_to_source(c, e->entry.path);
    struct verdict v;

    settle_depth(c, e->entry.path);
    v = judge(c, relative, is_dir);
    set_dest(c, relative);
    if (buf_ok(&c->dest, "destination path", err) < 0 ||
        (v.include && make_waiting(c, err) < 0)) {
        free(v.include_state);
        free(v.exclude_state);
        return -1;
    }
    if (is_dir)
        return enter_dir(c, e, v, relative, err);
    return v.include && copy_file(c, e, err) < 0 ? -1 : 1;
}

/* --- Where to --- */

/* Everything before the last component, if that is a name; else all of it. */
static struct view parent_to_make(const char *dest)
{
    const struct view all = view_of(dest);
    const char *slash = strrchr(dest, '/');
    const char *name = slash ? slash + 1 : dest;

    if (*name == '\0' || strcmp(name, ".") == 0)
        return all;
    return view_sub(all, 0, (size_t)(name - dest));
}

static int make_resolved(struct copier *c, struct view path, struct error *err)
{
    char *resolved = build_delta_resolve(c->delta, path, err);
    int status;

    if (!resolved)
        return -1;
    status = make_parents(c, view_of(resolved), err);
    free(resolved);
    return status;
}

/* The target of one source, whose parents then exist: inside the destination if that is a
 * directory and the source none, else the destination itself. In c->dest. */
static int choose_dest(struct copier *c,
                       const struct build_tree_entry *source,
                       const char *name,
                       struct error *err)
{
    const bool is_dir = source->entry.type == CAS_ENTRY_DIR;
    const bool contents_only = c->request->source->from != BUILD_FROM_TEXT &&
                               c->request->source->from != BUILD_FROM_REMOTE;
    CLEANUP(base_freep) char *dest = NULL;
    struct cas_entry old;
    bool found;

    dest = build_delta_resolve(c->delta, view_of(c->request->op->dest), err);
    if (!dest || build_delta_find(c->delta, view_of(dest), &found, &old, err) < 0)
        return -1;
    buf_clear(&c->dest);
    buf_append_text(&c->dest, dest);
    if (found && !is_dir && old.type == CAS_ENTRY_DIR) {
        if (c->dest.size > 0)
            buf_append_char(&c->dest, '/');
        buf_append_view(&c->dest, path_base(view_of(name)));
    }
    c->dest_root_size = c->dest.size;
    if (is_dir && !found && contents_only)
        return make_parents(c, buf_view(&c->dest), err);
    const char *slash = strrchr(buf_text(&c->dest), '/');
    return slash ? make_parents(
                       c, (struct view){c->dest.data, (size_t)(slash - c->dest.data)}, err)
                 : 0;
}

/* --- Archives --- */

/* Unpacks the source if it is an archive; *done tells. */
static int try_unpack(struct copier *c,
                      const struct build_tree_entry *source,
                      bool *done,
                      struct error *err)
{
    struct cas_content content;
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(base_freep) char *dest = NULL;
    bool is_tar = false;

    *done = false;
    if (source->entry.type != CAS_ENTRY_FILE || source->entry.size == 0)
        return 0;
    if (c->request->tree->open(c->request->tree->self, &source->place, &content, err) < 0)
        return -1;
    fd = content.fd;
    if (fd < 0)
        return 0;
    if (build_archive_is_tar(fd, &is_tar, err) < 0)
        return -1;
    if (!is_tar)
        return 0;
    dest = build_delta_resolve(c->delta, view_of(c->request->op->dest), err);
    if (!dest ||
        build_delta_mkdir_all(c->delta, view_of(dest), DEFAULT_DIR_MODE,
                              c->request->has_owner ? c->request->uid : 0,
                              c->request->has_owner ? c->request->gid : 0, err) < 0)
        return -1;
    const struct build_archive_options options = {.dest = dest,
                                                  .has_owner = c->request->has_owner,
                                                  .uid = c->request->uid,
                                                  .gid = c->request->gid};
    *done = true;
    return build_archive_unpack(fd, c->delta, c->request->spool, &options, err);
}

/* --- One source path --- */

static int copy_resolved(struct copier *c,
                         const struct build_tree_entry *source,
                         const char *name,
                         struct error *err)
{
    bool done = false;
    int status;

    if (c->request->source->unpack && try_unpack(c, source, &done, err) < 0)
        return error_wrap(err, "unpack /%.*s", VIEW_ARG(source->entry.path));
    if (done)
        return 0;
    if (make_resolved(c, parent_to_make(c->request->op->dest), err) < 0 ||
        choose_dest(c, source, name, err) < 0)
        return -1;
    c->source = source->entry.path;
    status =
        c->request->tree->walk(c->request->tree->self, source->entry.path, visit, c, err);
    while (c->depth > 0)
        leave_level(c);
    build_link_names_release(&c->links);
    return status;
}

static int not_found(const struct copier *c, const char *path, struct error *err)
{
    return error_set(err, ERROR_NOT_FOUND, "%s%s: not found",
                     *path == '/' || c->request->source->from == BUILD_FROM_TEXT ? "" : "/",
                     path);
}

static int copy_path(struct copier *c, const char *path, struct error *err)
{
    struct build_tree_entry e;
    char *resolved = NULL;
    bool found;
    int status;

    if (build_tree_resolve(c->request->tree, view_of(path), true, &found, &e, &resolved,
                           err) < 0)
        return -1;
    status = found ? copy_resolved(c, &e, path, err) : not_found(c, path, err);
    free(resolved);
    return status;
}

static int copy_matches(struct copier *c,
                        struct view dir,
                        struct view pattern,
                        struct error *err)
{
    CLEANUP(build_matches_release) struct build_matches m = {0};
    bool found;
    int status = 0;

    if (build_wildcard_match(c->request->tree, dir, pattern, &found, &m, err) < 0)
        return -1;
    if (!found)
        return not_found(c, c->request->source->path, err);
    if (c->request->no_match)
        *c->request->no_match = m.count == 0;
    for (size_t i = 0; i < m.count && status == 0; i++)
        status = copy_path(c, m.paths[i], err);
    return status;
}

static int check_required(struct copier *c, struct error *err)
{
    const char *required = c->request->source->required;
    struct build_tree_entry e;
    bool found;

    if (!required)
        return 0;
    if (build_tree_resolve(c->request->tree, view_of(required), true, &found, &e, NULL,
                           err) < 0)
        return -1;
    return found ? 0 : not_found(c, required, err);
}

static int load_patterns(struct copier *c, struct error *err)
{
    const struct build_copy_op *op = c->request->op;

    if (c->request->source->pattern) {
        const struct view pattern = view_of(c->request->source->pattern);

        c->include = dockerfile_ignore_new(&pattern, 1, err);
        if (!c->include)
            return -1;
    }
    if (op->exclude_count > 0) {
        c->exclude = dockerfile_ignore_new(op->excludes, op->exclude_count, err);
        if (!c->exclude)
            return -1;
    }
    return 0;
}

int build_copy_apply(struct build_delta *delta,
                     const struct build_copy_request *request,
                     struct error *err)
{
    struct copier c = {
        .request = request, .delta = delta, .dest = BUF_INIT(LIMIT_PATH_SIZE)};
    struct view dir, pattern = {0};
    char *clean = path_clean_rooted(view_of(request->source->path));
    int status = load_patterns(&c, err);

    if (status == 0)
        status = check_required(&c, err);
    if (request->source->wildcard)
        build_wildcard_split(view_of(clean), &dir, &pattern);
    if (status == 0)
        status = pattern.size > 0 ? copy_matches(&c, dir, pattern, err)
                                  : copy_path(&c, clean, err);
    free(c.levels);
    free(clean);
    buf_release(&c.dest);
    dockerfile_ignore_free(c.include);
    dockerfile_ignore_free(c.exclude);
    return status;
}
