/* Paths as text: the functions of base/fs.h that touch no file system. */
#include "base/fs.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Takes the last component of out[from..] away. `from` is what may not be removed. */
static void drop_last(struct buf *out, size_t from)
{
    size_t size = out->size;

    while (size > from && out->data[size - 1] != '/')
        size--;
    if (size > from)
        size--; /* the slash before it */
    out->size = size;
    out->data[size] = '\0';
}

/*
 * Components are appended one by one behind `floor`: everything before it (the leading "/"
 * or "../..") cannot be taken away by a later "..".
 */
void path_clean(struct view path, struct buf *out)
{
    const size_t start = out->size;
    const bool rooted = path.size > 0 && path.data[0] == '/';
    size_t floor = start;
    struct view part;

    if (rooted) {
        buf_append_char(out, '/');
        floor++;
    }
    while (path.size > 0 && !out->failed) {
        view_cut(path, '/', &part, &path);
        if (part.size == 0 || view_eq_text(part, "."))
            continue;
        if (view_eq_text(part, "..") && out->size > floor) {
            drop_last(out, floor);
            continue;
        }
        if (view_eq_text(part, "..") && rooted)
            continue;
        if (out->size > start + (rooted ? 1 : 0))
            buf_append_char(out, '/');
        buf_append_view(out, part);
        if (view_eq_text(part, ".."))
            floor = out->size;
    }
    if (out->size == start)
        buf_append_char(out, '.');
}

/* What a C string can hold of it. Cut before the path is cleaned, as "..\0" is no ".." but
 * would become one. */
static struct view before_nul(struct view path)
{
    struct view rest;

    view_cut(path, '\0', &path, &rest);
    return path;
}

/* A clean path is never longer than its source, but for the "." of an empty one. */
static char *clean_of(struct view path)
{
    struct buf out = BUF_INIT(path.size + 1);

    path_clean(path, &out);
    return buf_take(&out);
}

char *path_clean_rooted(struct view path)
{
    path = before_nul(path);

    CLEANUP(base_freep) char *rooted = base_alloc(path.size + 2);

    rooted[0] = '/';
    if (path.size)
        memcpy(rooted + 1, path.data, path.size);
    return clean_of((struct view){rooted, path.size + 1});
}

char *path_join(struct view a, struct view b)
{
    a = before_nul(a);
    b = before_nul(b);
    if (b.size > 0 && b.data[0] == '/')
        return clean_of(b);
    if (a.size == 0)
        return clean_of(b);

    struct buf joined = BUF_INIT(a.size + 1 + b.size);

    buf_append_view(&joined, a);
    buf_append_char(&joined, '/');
    buf_append_view(&joined, b);

    char *clean = clean_of(buf_view(&joined));

    buf_release(&joined);
    return clean;
}

static struct view without_trailing_slashes(struct view path)
{
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    return path;
}

/* Where the last component begins. */
static size_t base_offset(struct view path)
{
    size_t at = path.size;

    while (at > 0 && path.data[at - 1] != '/')
        at--;
    return at;
}

struct view path_base(struct view path)
{
    path = without_trailing_slashes(path);
    if (path.size == 0)
        return VIEW_LIT(".");
    if (path.size == 1 && path.data[0] == '/')
        return path;
    return view_sub(path, base_offset(path), path.size);
}

struct view path_dir(struct view path)
{
    path = without_trailing_slashes(path);

    const size_t at = base_offset(path);

    if (at == 0)
        return VIEW_LIT(".");
    return without_trailing_slashes(view_sub(path, 0, at));
}

bool path_has_prefix(struct view path, struct view prefix)
{
    if (view_eq_text(prefix, "/"))
        return path.size > 0 && path.data[0] == '/';
    if (view_eq_text(prefix, "."))
        return !view_starts(path, "/") && !view_starts(path, "../") &&
               !view_eq_text(path, "..");
    if (path.size < prefix.size || !view_eq(view_sub(path, 0, prefix.size), prefix))
        return false;
    return path.size == prefix.size || path.data[prefix.size] == '/';
}
