#include "builder/compare/compare_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/tree_extract.h"

#include <stdlib.h>

/* A package.json; those that people write have a few kilobytes. */
enum { NPM_SIZE_MAX = 1 << 20 };

/* Files of one side that tell of packages and that the other side has not. */
struct side {
    struct cas_tree_entry *files;
    size_t count;
    size_t capacity;
};

struct compare_packages {
    struct side sides[2];
    bool has_rpm; /* a file of rpm's database is among what differs */
};

struct compare_packages *compare_packages_new(void)
{
    return base_alloc(sizeof(struct compare_packages));
}

void compare_packages_free(struct compare_packages *p)
{
    if (p == NULL)
        return;
    free(p->sides[0].files);
    free(p->sides[1].files);
    free(p);
}

void compare_packages_freep(struct compare_packages **p)
{
    compare_packages_free(*p);
    *p = NULL;
}

static void found(void *context, size_t which, const struct cas_tree_entry *e)
{
    struct compare_packages *const p = context;
    struct side *const side = &p->sides[which];

    switch (build_package_file_of(e->entry.path)) {
    case BUILD_PACKAGE_FILE_NONE:
        return;
    case BUILD_PACKAGE_FILE_RPM:
    case BUILD_PACKAGE_FILE_RPM_LOG:
    case BUILD_PACKAGE_FILE_RPM_OTHER:
        p->has_rpm = true;
        return;
    case BUILD_PACKAGE_FILE_DPKG:
    case BUILD_PACKAGE_FILE_APK:
    case BUILD_PACKAGE_FILE_PIP:
    case BUILD_PACKAGE_FILE_NPM:
        side->files =
            base_grow(side->files, side->count, &side->capacity, sizeof *side->files);
        side->files[side->count++] = *e;
        return;
    }
}

struct compare_watch compare_packages_watch(struct compare_packages *p)
{
    return (struct compare_watch){found, p};
}

/* --- Reading one side --------------------------------------------------------------- */

struct reading {
    struct build_compare *out;
    struct build_packages *packages;
    const struct cas_tree_entry *files;
    struct buf text;
};

static int take_text(struct reading *r, const struct cas_tree_entry *e, struct error *err)
{
    const struct view text = buf_view(&r->text);
    const struct view path = e->entry.path;

    switch (build_package_file_of(path)) {
    case BUILD_PACKAGE_FILE_DPKG:
        return build_packages_dpkg(r->packages, text, err);
    case BUILD_PACKAGE_FILE_APK:
        return build_packages_apk(r->packages, text, err);
    case BUILD_PACKAGE_FILE_NPM:
        return build_packages_npm(r->packages, path, text, err);
    case BUILD_PACKAGE_FILE_NONE:
    case BUILD_PACKAGE_FILE_PIP:
    case BUILD_PACKAGE_FILE_RPM:
    case BUILD_PACKAGE_FILE_RPM_LOG:
    case BUILD_PACKAGE_FILE_RPM_OTHER:
        break;
    }
    return 0;
}

static void note_unread(struct build_compare *c, struct view path, const struct error *why)
{
    compare_note(c, base_format("packages of /%.*s are not compared: %s", VIEW_ARG(path),
                                error_text(why)));
}

/* A file is read when it has come whole. One that makes no sense is noted: that it differs
 * is said by the list of files. */
static int give(void *context, size_t which, struct view piece, struct error *err)
{
    struct reading *const r = context;
    const struct cas_tree_entry *const e = &r->files[which];
    CLEANUP(error_clear) struct error bad = ERROR_INIT;

    if (piece.size > 0) {
        buf_append_view(&r->text, piece);
        return buf_ok(&r->text, "a package database", err);
    }
    if (take_text(r, e, &bad) < 0)
        note_unread(r->out, e->entry.path, &bad);
    buf_clear(&r->text);
    return 0;
}

static uint64_t size_max(enum build_package_file kind)
{
    return kind == BUILD_PACKAGE_FILE_NPM ? NPM_SIZE_MAX : LIMIT_PACKAGES_SIZE;
}

/* The files whose bytes are needed come to the front; names that tell all are read here. */
static int choose(struct reading *r, struct side *side, size_t *count, struct error *err)
{
    *count = 0;
    for (size_t i = 0; i < side->count; i++) {
        const struct cas_tree_entry *const e = &side->files[i];
        const enum build_package_file kind = build_package_file_of(e->entry.path);

        if (kind == BUILD_PACKAGE_FILE_PIP) {
            if (build_packages_pip(r->packages, e->entry.path, err) < 0)
                return -1;
        } else if (e->entry.size > size_max(kind)) {
            CLEANUP(error_clear) struct error large = ERROR_INIT;

            (void)error_set(&large, ERROR_LIMIT, "it has %ju bytes (at most %ju)",
                            (uintmax_t)e->entry.size, (uintmax_t)size_max(kind));
            note_unread(r->out, e->entry.path, &large);
        } else if (e->entry.size > 0) {
            side->files[(*count)++] = *e;
        }
    }
    return 0;
}

static int read_side(struct build_compare *c,
                     struct cas_tree *tree,
                     struct side *side,
                     struct build_packages *packages,
                     struct error *err)
{
    struct reading r = {c, packages, side->files, BUF_INIT(LIMIT_PACKAGES_SIZE)};
    size_t count = 0;
    int result = choose(&r, side, &count, err);

    if (result == 0)
        result = cas_tree_extract(tree, side->files, count, give, &r, err);
    buf_release(&r.text);
    return result;
}

/* --- Pairing ------------------------------------------------------------------------ */

static int compare_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

/* Kind, name, architecture: what is the same package in another version. */
static int compare_identity(const struct build_package *a, const struct build_package *b)
{
    int order = compare_text(a->kind, b->kind);

    if (order == 0)
        order = compare_text(a->name, b->name);
    return order != 0 ? order : compare_text(a->architecture, b->architecture);
}

static int compare_package(const void *a, const void *b)
{
    const struct build_package *const x = a;
    const struct build_package *const y = b;
    const int order = compare_identity(x, y);

    return order != 0 ? order : compare_text(x->version, y->version);
}

static void sort(struct build_packages *l)
{
    if (l->count > 0)
        qsort(l->items, l->count, sizeof *l->items, compare_package);
}

static void add(struct build_compare *c,
                const struct build_package *before,
                const struct build_package *after)
{
    const struct build_package *const one = before != NULL ? before : after;

    c->packages =
        base_realloc_array(c->packages, c->package_count + 1, sizeof *c->packages);
    c->packages[c->package_count++] = (struct build_compare_package){
        .change = before == NULL  ? BUILD_CHANGE_ADDED
                  : after == NULL ? BUILD_CHANGE_REMOVED
                                  : BUILD_CHANGE_CHANGED,
        .kind = one->kind,
        .name = one->name,
        .architecture = one->architecture,
        .before = before != NULL ? before->version : NULL,
        .after = after != NULL ? after->version : NULL,
    };
}

/* How many from `at` on are the same package, in whatever version. */
static size_t group(const struct build_packages *l, size_t at)
{
    size_t end = at;

    while (end < l->count && compare_identity(&l->items[end], &l->items[at]) == 0)
        end++;
    return end - at;
}

/* Takes out of two sorted groups what both have; the rest moves to their fronts. */
static void cancel(struct build_package *a,
                   size_t *a_count,
                   struct build_package *b,
                   size_t *b_count)
{
    size_t i = 0, j = 0, a_left = 0, b_left = 0;

    while (i < *a_count || j < *b_count) {
        const int order = i == *a_count   ? 1
                          : j == *b_count ? -1
                                          : compare_text(a[i].version, b[j].version);
        if (order == 0) {
            i++;
            j++;
        } else if (order < 0) {
            a[a_left++] = a[i++];
        } else {
            b[b_left++] = b[j++];
        }
    }
    *a_count = a_left;
    *b_count = b_left;
}

/* An image may have several versions of one package (kernels, modules of node). What is
 * left on both sides is taken in pairs, the rest is new or gone. */
static void pair_group(struct build_compare *c,
                       struct build_package *before,
                       size_t before_count,
                       struct build_package *after,
                       size_t after_count)
{
    cancel(before, &before_count, after, &after_count);
    for (size_t i = 0; i < before_count || i < after_count; i++)
        add(c, i < before_count ? &before[i] : NULL, i < after_count ? &after[i] : NULL);
}

void compare_packages_pair(struct build_compare *c,
                           struct build_packages *before,
                           struct build_packages *after)
{
    size_t i = 0, j = 0;

    sort(before);
    sort(after);
    while (i < before->count || j < after->count) {
        const int order = i == before->count ? 1
                          : j == after->count
                              ? -1
                              : compare_identity(&before->items[i], &after->items[j]);
        const size_t old = order <= 0 ? group(before, i) : 0;
        const size_t new = order >= 0 ? group(after, j) : 0;

        pair_group(c, old > 0 ? &before->items[i] : NULL, old,
                   new > 0 ? &after->items[j] : NULL, new);
        i += old;
        j += new;
    }
}

int compare_packages_run(struct compare_packages *p,
                         struct build_compare *c,
                         struct cas_store *store,
                         struct cas_tree *const trees[2],
                         struct error *err)
{
    struct build_packages packages[2] = {{.arena = &c->arena}, {.arena = &c->arena}};
    int result = 0;

    for (size_t i = 0; result == 0 && i < 2; i++)
        result = read_side(c, trees[i], &p->sides[i], &packages[i], err);
    if (result == 0 && p->has_rpm)
        result = compare_rpm(c, store, trees, packages, err);
    if (result == 0)
        compare_packages_pair(c, &packages[0], &packages[1]);
    build_packages_release(&packages[0]);
    build_packages_release(&packages[1]);
    return result;
}
