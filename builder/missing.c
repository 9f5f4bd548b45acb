#include "builder/missing.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/suggest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Paths that are looked at, and named at most. */
#define LOOK_MAX       50000
#define NAME_MAX_COUNT 3

/* --- How near is a path? --- */

/* Smaller is nearer; FAR is not worth naming. */
enum { FAR = 1000 };

static bool is_same_nocase(struct view a, struct view b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (tolower((unsigned char)a.data[i]) != tolower((unsigned char)b.data[i]))
            return false;
    return true;
}

/* A third of the letters may be wrong, and one of short names. */
static size_t typing_errors(struct view a, struct view b)
{
    const size_t limit = b.size < 6 ? 2 : b.size / 3 + 1;
    const size_t distance = dockerfile_edit_distance(a, b, limit);

    return distance < limit ? distance : FAR;
}

static size_t distance_of(struct view path, struct view wanted)
{
    const struct view name = path_base(path);
    const struct view wanted_name = path_base(wanted);
    const bool same_directory = view_eq(path_dir(path), path_dir(wanted));
    size_t errors;

    if (is_same_nocase(path, wanted))
        return 1;
    if (same_directory) {
        errors = typing_errors(name, wanted_name);
        if (errors < FAR)
            return 2 + errors;
    }
    if (view_eq(name, wanted_name))
        return 20;
    errors = typing_errors(path, wanted);
    if (errors < FAR)
        return 22 + errors;
    return is_same_nocase(name, wanted_name) ? 60 : FAR;
}

/* --- The nearest --- */

struct search {
    struct view wanted;
    size_t looked;
    struct near {
        char *path;
        size_t distance;
    } best[NAME_MAX_COUNT]; /* nearest first */
    size_t count;
};

static void insert(struct search *s, struct view path, size_t distance)
{
    size_t at = s->count;

    while (at > 0 && s->best[at - 1].distance > distance)
        at--;
    if (at == NAME_MAX_COUNT)
        return;
    if (s->count == NAME_MAX_COUNT)
        free(s->best[--s->count].path);
    memmove(&s->best[at + 1], &s->best[at], (s->count - at) * sizeof s->best[0]);
    s->best[at] = (struct near){view_dup(path), distance};
    s->count++;
}

static int look(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct search *s = context;
    const size_t distance = distance_of(e->entry.path, s->wanted);

    if (e->entry.path.size > 0 && distance < FAR)
        insert(s, e->entry.path, distance);
    if (++s->looked < LOOK_MAX)
        return 1;
    return error_set(err, ERROR_LIMIT, "looked at enough");
}

/* Far guesses beside a near one only confuse. */
static void name_nearest(const struct search *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->best[i].distance > s->best[0].distance + 10)
            break;
        buf_printf(out, "%s/%s", i == 0 ? "; did you mean " : " or ", s->best[i].path);
    }
    if (s->count > 0)
        buf_append_char(out, '?');
}

static void find_nearest(const struct build_tree *tree, struct view wanted, struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* what was found will do */
    struct search s = {.wanted = wanted};

    if (tree->walk(tree->self, VIEW_LIT(""), look, &s, &ignored) < 0)
        error_clear(&ignored);
    name_nearest(&s, out);
    for (size_t i = 0; i < s.count; i++)
        free(s.best[i].path);
}

/* --- Other causes --- */

/* The first part of the path that is there but left out. */
static bool name_rule(struct build_context *context, struct view path, struct buf *out)
{
    struct dockerfile_ignore_rule rule;

    for (size_t end = 0; end <= path.size; end++) {
        if (end < path.size && path.data[end] != '/')
            continue;
        if (!build_context_is_left_out(context, view_sub(path, 0, end), &rule))
            continue;
        buf_printf(out, "; it is excluded by %s:%u (%.*s)", rule.source, rule.line,
                   VIEW_ARG(rule.pattern));
        return true;
    }
    return false;
}

/* A symlink on the way whose target is not there. */
static bool name_link(const struct build_tree *tree, struct view path, struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* a loop: not this cause */

    for (size_t end = 0; end <= path.size; end++) {
        const struct view part = view_sub(path, 0, end);
        struct build_tree_entry e;
        bool found = false;

        if (end == 0 || (end < path.size && path.data[end] != '/'))
            continue;
        if (build_tree_resolve(tree, part, false, &found, &e, NULL, &ignored) < 0)
            return false;
        if (!found)
            return false;
        if (e.entry.type != CAS_ENTRY_SYMLINK)
            continue;
        const struct view target = e.entry.target;
        if (build_tree_resolve(tree, part, true, &found, &e, NULL, &ignored) < 0 ||
            !found) {
            buf_printf(out, "; /%.*s is a symlink to %.*s, which is not there",
                       VIEW_ARG(part), VIEW_ARG(target));
            return true;
        }
    }
    return false;
}

void build_missing_explain(const struct build_tree *tree,
                           struct build_context *context,
                           struct view path,
                           struct buf *out)
{
    CLEANUP(base_freep) char *rooted = path_clean_rooted(path);
    const struct view relative = view_of(rooted + 1);

    if (context && name_rule(context, relative, out))
        return;
    if (name_link(tree, relative, out))
        return;
    find_nearest(tree, relative, out);
}
