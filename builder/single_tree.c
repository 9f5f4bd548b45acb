#include "builder/single_tree.h"

static struct build_tree_entry root(void)
{
    return (struct build_tree_entry){
        .entry = {.path = VIEW_LIT(""), .type = CAS_ENTRY_DIR, .mode = 0755}};
}

void build_single_find(const struct build_tree_entry *file,
                       struct view path,
                       bool *found,
                       struct build_tree_entry *out)
{
    *found = path.size == 0 || view_eq(path, file->entry.path);
    if (*found)
        *out = path.size == 0 ? root() : *file;
}

int build_single_walk(const struct build_tree_entry *file,
                      struct view path,
                      build_tree_visit_fn *visit,
                      void *context,
                      struct error *err)
{
    const struct build_tree_entry top = root();
    int more = 1;

    if (path.size == 0)
        more = visit(context, &top, err);
    if (more > 0)
        more = visit(context, file, err);
    return more < 0 ? -1 : 0;
}
