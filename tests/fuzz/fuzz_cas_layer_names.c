/*
 * Names of a layer, one entry a line: "TYPE NAME" or "TYPE NAME>TARGET". What is let in is
 * clean, stays in the root, and stands beneath directories only.
 */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/layer_names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void check_clean(struct view path)
{
    struct view part;

    assert(path.size <= LIMIT_PATH_SIZE);
    assert(path.size == 0 || path.data[path.size - 1] != '/');
    while (path.size > 0) {
        view_cut(path, '/', &part, &path);
        assert(part.size > 0 && part.size <= LIMIT_NAME_SIZE);
        assert(!view_eq_text(part, ".") && !view_eq_text(part, ".."));
    }
}

static enum cas_entry_type type_of(char letter)
{
    switch (letter) {
    case 'd':
        return CAS_ENTRY_DIR;
    case 'l':
        return CAS_ENTRY_SYMLINK;
    case 'h':
        return CAS_ENTRY_HARDLINK;
    case 'w':
        return CAS_ENTRY_WHITEOUT;
    default:
        return CAS_ENTRY_FILE;
    }
}

static int enter(struct layer_names *n, struct view line, struct error *err)
{
    struct cas_entry e = {.type = type_of(line.size ? line.data[0] : 'f')};
    struct layer_name *name = NULL;
    struct view raw;
    struct view target;
    struct view path;

    line = view_sub(line, 2, line.size);
    view_cut(line, '>', &raw, &target);
    if (layer_names_resolve(n, raw, &path, err) < 0)
        return -1;
    check_clean(path);

    CLEANUP(base_freep) char *own = view_dup(path);

    e.path = view_of(own);
    e.target = target;
    if ((e.type == CAS_ENTRY_SYMLINK || e.type == CAS_ENTRY_HARDLINK) && target.size == 0)
        return 0;
    if (e.type == CAS_ENTRY_HARDLINK &&
        layer_names_resolve_link(n, target, &e.target, err) < 0)
        return -1;
    if (e.type == CAS_ENTRY_HARDLINK)
        check_clean(e.target);
    return layer_names_add(n, &e, &name, err);
}

static void check_parents(const struct layer_names *n)
{
    for (const struct layer_name *name = n->first; name; name = name->next) {
        size_t size = name->path.size;

        while (size > 0 && name->path.data[size - 1] != '/')
            size--;
        if (size == 0)
            continue;

        const struct layer_name *parent =
            cas_path_map_find(&n->map, view_sub(name->path, 0, size - 1));

        assert(parent);
        assert(parent->type == CAS_ENTRY_DIR || parent->type == LAYER_NAME_IMPLIED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = {(const char *)data, size};
    struct error err = ERROR_INIT;
    struct layer_names names;
    struct view line;

    if (memchr(size ? data : (const uint8_t *)"", '\0', size))
        return 0; /* the tar reader lets no NUL through */
    layer_names_init(&names);
    while (rest.size > 0) {
        view_cut(rest, '\n', &line, &rest);
        if (enter(&names, line, &err) < 0) {
            assert(err.code == ERROR_CORRUPT || err.code == ERROR_LIMIT);
            error_clear(&err);
        }
    }
    check_parents(&names);
    layer_names_release(&names);
    return 0;
}
