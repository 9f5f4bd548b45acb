#include "builder/compare/compare.h"

#include "base/alloc.h"
#include "builder/compare/compare_priv.h"

#include <stdlib.h>

const char *build_change_name(enum build_change change)
{
    switch (change) {
    case BUILD_CHANGE_NONE:
        return "same";
    case BUILD_CHANGE_ADDED:
        return "added";
    case BUILD_CHANGE_REMOVED:
        return "removed";
    case BUILD_CHANGE_CHANGED:
        return "changed";
    }
    return "";
}

void build_compare_release(struct build_compare *c)
{
    for (size_t i = 0; i < c->value_count; i++) {
        free(c->values[i].path);
        doc_unref(c->values[i].before);
        doc_unref(c->values[i].after);
    }
    for (size_t i = 0; i < c->note_count; i++)
        free(c->notes[i]);
    free(c->values);
    free(c->layers);
    free(c->files);
    free(c->packages);
    free(c->notes);
    cas_arena_release(&c->arena);
    *c = (struct build_compare){0};
}

void compare_note(struct build_compare *c, char *text)
{
    c->notes = base_realloc_array(c->notes, c->note_count + 1, sizeof(char *));
    c->notes[c->note_count++] = text;
}

static bool same_layers(const struct build_compare_image *before,
                        const struct build_compare_image *after)
{
    if (before->image->layer_count != after->image->layer_count)
        return false;
    for (size_t i = 0; i < before->image->layer_count; i++) {
        if (!digest_eq(cas_layer_diff_id(before->layers[i]),
                       cas_layer_diff_id(after->layers[i])))
            return false;
    }
    return true;
}

/* Files, and what packages the files that differ tell of. */
static int compare_trees(struct build_compare *c,
                         const struct build_compare_image *before,
                         const struct build_compare_image *after,
                         unsigned flags,
                         struct error *err)
{
    CLEANUP(cas_tree_freep)
    struct cas_tree *old = cas_tree_new(before->layers, before->image->layer_count);
    CLEANUP(cas_tree_freep)
    struct cas_tree *new = cas_tree_new(after->layers, after->image->layer_count);
    CLEANUP(compare_packages_freep)
    struct compare_packages *packages = compare_packages_new();
    struct cas_tree *const trees[2] = {old, new};
    const struct compare_watch watch = compare_packages_watch(packages);
    const bool wants_packages = (flags & BUILD_COMPARE_PACKAGES) != 0;

    if (compare_files(c, trees, (flags & BUILD_COMPARE_FILES) != 0,
                      (flags & BUILD_COMPARE_TIMES) != 0, wants_packages ? &watch : NULL,
                      err) < 0)
        return -1;
    return wants_packages ? compare_packages_run(packages, c, before->store, trees, err)
                          : 0;
}

int build_compare_run(const struct build_compare_image *before,
                      const struct build_compare_image *after,
                      unsigned flags,
                      struct build_compare *out,
                      struct error *err)
{
    const unsigned parts =
        (flags & BUILD_COMPARE_ALL) != 0 ? flags : flags | BUILD_COMPARE_ALL;
    const bool trees = (parts & (BUILD_COMPARE_FILES | BUILD_COMPARE_PACKAGES)) != 0;

    *out = (struct build_compare){0};
    if (parts & BUILD_COMPARE_CONFIG)
        compare_config(out, before, after, (flags & BUILD_COMPARE_TIMES) != 0);
    if (parts & BUILD_COMPARE_LAYERS)
        compare_layers(out, before, after);
    if (!trees || same_layers(before, after) ||
        compare_trees(out, before, after, parts, err) == 0)
        return 0;
    build_compare_release(out);
    return -1;
}

bool build_compare_differs(const struct build_compare *c)
{
    if (c->value_count > 0 || c->file_count > 0 || c->package_count > 0)
        return true;
    for (size_t i = 0; i < c->layer_count; i++) {
        if (c->layers[i].change != BUILD_CHANGE_NONE)
            return true;
    }
    return false;
}
