#include "cas/index_priv.h"

static bool find_entry(const struct cas_entry *entries,
                       size_t count,
                       struct view path,
                       size_t *at)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = cas_entry_path_compare(entries[middle].path, path);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static struct view parent_of(struct view path)
{
    size_t size = path.size;

    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return view_sub(path, 0, size ? size - 1 : 0);
}

bool index_self_contained(const struct cas_entry *entries, size_t count)
{
    struct view known = {NULL, 0}; /* a directory that was found; the root needs none */
    size_t at;

    for (size_t i = 0; i < count; i++) {
        const struct cas_entry *e = &entries[i];
        const struct view parent = parent_of(e->path);
        if (parent.size && !view_eq(parent, known)) {
            if (!find_entry(entries, count, parent, &at) ||
                entries[at].type != CAS_ENTRY_DIR)
                return false;
            known = entries[at].path;
        }
        if (e->type == CAS_ENTRY_HARDLINK && (!find_entry(entries, count, e->target, &at) ||
                                              entries[at].type == CAS_ENTRY_WHITEOUT))
            return false;
    }
    return true;
}
