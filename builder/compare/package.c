#include "builder/compare/package.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/limits.h"

#include <stdlib.h>

void build_packages_release(struct build_packages *l)
{
    free(l->items);
    l->items = NULL;
    l->count = l->capacity = 0;
}

/* What goes to a terminal and stands for one thing. */
static bool is_word(struct view text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f)
            return false;
    }
    return text.size > 0 && text.size <= LIMIT_PATH_SIZE;
}

int build_packages_add(struct build_packages *l,
                       const char *kind,
                       struct view name,
                       struct view architecture,
                       struct view version,
                       struct error *err)
{
    if (!is_word(name) || !is_word(version))
        return 0;
    if (l->count == LIMIT_PACKAGES)
        return error_set(err, ERROR_LIMIT, "more than %zu packages", LIMIT_PACKAGES);
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count++] = (struct build_package){
        .kind = kind,
        .name = cas_arena_view(l->arena, name).data,
        .architecture =
            is_word(architecture) ? cas_arena_view(l->arena, architecture).data : NULL,
        .version = cas_arena_view(l->arena, version).data,
    };
    return 0;
}

/* --- Where they are ----------------------------------------------------------------- */

/* In the directories that rpm and distributions have used. */
static const char *const rpm_dirs[] = {"var/lib/rpm/", "usr/lib/sysimage/rpm/",
                                       "usr/share/rpm/"};

static enum build_package_file rpm_file_of(struct view path)
{
    static const struct {
        const char *name;
        enum build_package_file file;
    } names[] = {
        {"rpmdb.sqlite", BUILD_PACKAGE_FILE_RPM},
        {"rpmdb.sqlite-wal", BUILD_PACKAGE_FILE_RPM_LOG},
        {"Packages", BUILD_PACKAGE_FILE_RPM_OTHER},
        {"Packages.db", BUILD_PACKAGE_FILE_RPM_OTHER},
    };

    for (size_t d = 0; d < ARRAY_COUNT(rpm_dirs); d++) {
        if (!view_starts(path, rpm_dirs[d]))
            continue;
        for (size_t n = 0; n < ARRAY_COUNT(names); n++) {
            if (view_eq_text(view_sub(path, strlen(rpm_dirs[d]), path.size), names[n].name))
                return names[n].file;
        }
    }
    return BUILD_PACKAGE_FILE_NONE;
}

/* The last component, which is taken off the path. */
static struct view take_last(struct view *path)
{
    size_t at = path->size;

    while (at > 0 && path->data[at - 1] != '/')
        at--;
    const struct view last = view_sub(*path, at, path->size);

    path->size = at > 0 ? at - 1 : 0;
    return last;
}

/* The directory "NAME-VERSION.dist-info" of a METADATA, where Python looks for it. */
static bool dist_info(struct view path, struct view *out)
{
    struct view rest = path;
    struct view place;

    if (!view_eq_text(take_last(&rest), "METADATA"))
        return false;
    *out = take_last(&rest);
    place = take_last(&rest);
    if (!view_ends(*out, ".dist-info"))
        return false;
    out->size -= strlen(".dist-info");
    return view_eq_text(place, "site-packages") || view_eq_text(place, "dist-packages");
}

/* The name that the directory below node_modules gives: "NAME" or "@SCOPE/NAME". */
static bool npm_name(struct view path, struct view *out)
{
    struct view rest = path;
    struct view name, above;

    if (!view_eq_text(take_last(&rest), "package.json"))
        return false;
    name = take_last(&rest);
    above = take_last(&rest);
    if (view_starts(above, "@")) {
        name = (struct view){above.data, above.size + 1 + name.size};
        above = take_last(&rest);
    }
    *out = name;
    return name.size > 0 && !view_starts(name, ".") && view_eq_text(above, "node_modules");
}

enum build_package_file build_package_file_of(struct view path)
{
    struct view ignored;

    if (view_eq_text(path, "var/lib/dpkg/status"))
        return BUILD_PACKAGE_FILE_DPKG;
    if (view_starts(path, "var/lib/dpkg/status.d/") && !view_ends(path, ".md5sums"))
        return BUILD_PACKAGE_FILE_DPKG;
    if (view_eq_text(path, "lib/apk/db/installed") ||
        view_eq_text(path, "usr/lib/apk/db/installed"))
        return BUILD_PACKAGE_FILE_APK;
    if (dist_info(path, &ignored))
        return BUILD_PACKAGE_FILE_PIP;
    if (npm_name(path, &ignored))
        return BUILD_PACKAGE_FILE_NPM;
    return rpm_file_of(path);
}

/* --- Paths that tell ---------------------------------------------------------------- */

/* Lower case, runs of "-_." as one "-". Spec: PyPA "Name normalization". */
static void normalize(struct view name, struct buf *out)
{
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];

        if (strchr("-_.", c) == NULL)
            buf_append_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
        else if (out->size > 0 && out->data[out->size - 1] != '-')
            buf_append_char(out, '-');
    }
}

int build_packages_pip(struct build_packages *l, struct view path, struct error *err)
{
    CLEANUP(buf_release) struct buf normal = BUF_INIT(LIMIT_PATH_SIZE);
    struct view dir, name, version;

    if (!dist_info(path, &dir))
        return 0;
    view_cut(dir, '-', &name, &version);
    normalize(name, &normal);
    return build_packages_add(l, "pip", buf_view(&normal), (struct view){NULL, 0}, version,
                              err);
}

int build_packages_npm(struct build_packages *l,
                       struct view path,
                       struct view text,
                       struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(text, err);
    struct view name;

    if (doc == NULL)
        return -1;
    if (!npm_name(path, &name))
        return 0;
    return build_packages_add(l, "npm", name, (struct view){NULL, 0},
                              doc_view(doc_get(doc, "version")), err);
}
