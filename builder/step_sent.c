#include "builder/step_sent.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/wildcard.h"

/* "/a" holds "/a" and "/a/b". */
static bool holds(struct view dir, struct view path)
{
    while (dir.size > 0 && dir.data[dir.size - 1] == '/')
        dir.size--;
    return path.size >= dir.size && view_eq(view_sub(path, 0, dir.size), dir) &&
           (path.size == dir.size || path.data[dir.size] == '/');
}

/* Does one bring a part of the other? */
static bool touch(struct view a, struct view b)
{
    return holds(a, b) || holds(b, a);
}

static int matches_touch(const struct build_copy_source *other,
                         struct view path,
                         struct view dir,
                         bool *touches,
                         struct error *err)
{
    CLEANUP(build_matches_release) struct build_matches m = {0};
    struct view below, pattern;
    bool found;

    build_wildcard_split(path, &below, &pattern);
    *touches = false;
    if (!touch(below, dir))
        return 0;
    if (build_wildcard_match(build_context_tree(other->context), below, pattern, &found, &m,
                             err) < 0)
        return -1;
    for (size_t i = 0; i < m.count && !*touches; i++)
        *touches = touch(view_of(m.paths[i]), dir);
    return 0;
}

static int source_touches(const struct build_copy_source *other,
                          struct view dir,
                          bool *touches,
                          struct error *err)
{
    CLEANUP(base_freep) char *path = path_clean_rooted(view_of(other->path));

    if (other->wildcard)
        return matches_touch(other, view_of(path), dir, touches, err);
    *touches = touch(view_of(path), dir);
    return 0;
}

static int node_touches(const struct build_node *n,
                        const struct build_context *context,
                        struct view dir,
                        bool *touches,
                        struct error *err)
{
    for (size_t i = 0; n->op == BUILD_OP_COPY && i < n->copy.source_count; i++) {
        const struct build_copy_source *other = &n->copy.sources[i];

        if (other->from != BUILD_FROM_CONTEXT || other->context != context)
            continue;
        if (source_touches(other, dir, touches, err) < 0)
            return -1;
        if (*touches)
            return 0;
    }
    return 0;
}

int step_sent_has(const struct solver *s,
                  const struct build_copy_source *source,
                  struct view dir,
                  bool *sent,
                  struct error *err)
{
    *sent = build_context_is_whole(source->context);
    for (size_t i = 0; i < s->count && !*sent; i++)
        if (node_touches(s->nodes[i].node, source->context, dir, sent, err) < 0)
            return -1;
    return 0;
}
