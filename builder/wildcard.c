#include "builder/wildcard.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "parser/glob.h"

#include <stdlib.h>

void build_matches_release(struct build_matches *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->paths[i]);
    free(m->paths);
    *m = (struct build_matches){0};
}

void build_wildcard_split(struct view path, struct view *dir, struct view *pattern)
{
    size_t start = 0;

    *dir = path;
    *pattern = (struct view){0};
    while (start < path.size) {
        size_t end = start;

        while (end < path.size && path.data[end] != '/')
            end++;
        if (dockerfile_glob_has_wildcards(view_sub(path, start, end - start))) {
            *dir = view_sub(path, 0, start);
            *pattern = view_sub(path, start, path.size);
            return;
        }
        start = end + 1;
    }
}

struct search {
    struct view base; /* the directory, resolved */
    struct view pattern;
    struct build_matches *out;
};

static int visit(void *context, const struct build_tree_entry *e, struct error *err)
{
    const struct search *s = context;
    struct build_matches *m = s->out;
    struct view relative = view_sub(e->entry.path, s->base.size, e->entry.path.size);

    (void)err;
    if (view_starts(relative, "/"))
        relative = view_sub(relative, 1, relative.size);
    if (relative.size == 0 || !dockerfile_glob_match(s->pattern, relative))
        return 1;
    m->paths = base_grow(m->paths, m->count, &m->capacity, sizeof(char *));
    m->paths[m->count++] = base_format("/%.*s", VIEW_ARG(e->entry.path));
    return 0;
}

int build_wildcard_match(struct build_tree *tree,
                         struct view dir,
                         struct view pattern,
                         bool *found,
                         struct build_matches *out,
                         struct error *err)
{
    CLEANUP(base_freep) char *resolved = NULL;
    struct search s = {.pattern = pattern, .out = out};
    struct build_tree_entry e;

    *out = (struct build_matches){0};
    if (build_tree_resolve(tree, dir, true, found, &e, &resolved, err) < 0)
        return -1;
    if (!*found)
        return 0;
    s.base = view_of(resolved);
    return tree->walk(tree->self, s.base, visit, &s, err);
}
