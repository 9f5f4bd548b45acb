#include "release/retention.h"

#include "base/alloc.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

const char *release_tag_kind_name(enum release_tag_kind kind)
{
    switch (kind) {
    case RELEASE_TAG_VERSION:
        return "version";
    case RELEASE_TAG_PRERELEASE:
        return "pre-release";
    case RELEASE_TAG_MOVING:
        return "moving";
    case RELEASE_TAG_INTERNAL:
        return "internal";
    case RELEASE_TAG_OTHER:
        return "other";
    }
    return "";
}

void release_retained_release(struct release_retained *tags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        base_freep(&tags[i].why);
}

/* A tag with what its name says. */
struct known {
    struct release_retained *tag;
    struct release_version version; /* of versions and pre-releases */
    size_t rank;                    /* newest is 0, within its kind */
};

struct decision {
    const struct release_policy *policy;
    struct known *all;
    size_t count;
    int64_t now;
};

static void keep(struct release_retained *t, char *why)
{
    t->is_kept = true;
    free(t->why);
    t->why = why;
}

/* --- What a tag is ------------------------------------------------------------------- */

/* Could the template make the tag, of some version? Without a placeholder it is a name. */
static bool has_shape(struct view template, struct view tag)
{
    if (view_starts(template, "{") && view_starts(tag, "v"))
        tag = view_sub(tag, 1, tag.size);
    while (template.size > 0) {
        struct view inner, rest;
        size_t digits = 0;

        if (template.data[0] != '{' || !view_cut(template, '}', &inner, &rest)) {
            if (tag.size == 0 || tag.data[0] != template.data[0])
                return false;
            template = view_sub(template, 1, template.size);
            tag = view_sub(tag, 1, tag.size);
            continue;
        }
        while (digits < tag.size && tag.data[digits] >= '0' && tag.data[digits] <= '9')
            digits++;
        if (digits == 0)
            return false;
        template = rest;
        tag = view_sub(tag, digits, tag.size);
    }
    return tag.size == 0;
}

/* Does a template make this tag of one of the versions? Of what is no version itself it is
 * enough that one could: the versions that it followed may be gone. */
static bool is_moving(const struct decision *d, const struct release_retained *tag)
{
    for (size_t t = 0; t < d->policy->moving.count; t++) {
        const char *const template = d->policy->moving.items[t];

        if (tag->kind == RELEASE_TAG_OTHER &&
            has_shape(view_of(template), view_of(tag->tag)))
            return true;
        for (size_t i = 0; i < d->count; i++) {
            const struct known *const k = &d->all[i];

            if (k->tag->kind != RELEASE_TAG_VERSION)
                continue;
            CLEANUP(base_freep) char *name = release_move_render(template, &k->version);

            if (name != NULL && strcmp(name, tag->tag) == 0 && k->tag != tag)
                return true;
        }
    }
    return false;
}

static void name_versions(struct decision *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct known *const k = &d->all[i];

        k->tag->kind = RELEASE_TAG_OTHER;
        if (release_tag_is_internal(k->tag->tag))
            k->tag->kind = RELEASE_TAG_INTERNAL;
        else if (release_version_from_tag(d->policy->scheme, k->tag->tag, &k->version))
            k->tag->kind = release_version_is_pre(&k->version) ? RELEASE_TAG_PRERELEASE
                                                               : RELEASE_TAG_VERSION;
    }
}

/* After the versions are known. By scheme "any" every tag is a version, and by calver
 * 2026.11 may be one or move with 2026.11.2: who is made by a template of another is
 * moving. */
static void name_moving(struct decision *d)
{
    CLEANUP(base_freep) bool *moving = base_alloc(d->count + 1);

    for (size_t i = 0; i < d->count; i++)
        moving[i] =
            d->all[i].tag->kind != RELEASE_TAG_INTERNAL && is_moving(d, d->all[i].tag);
    for (size_t i = 0; i < d->count; i++) {
        if (moving[i])
            d->all[i].tag->kind = RELEASE_TAG_MOVING;
    }
}

/* --- Order --------------------------------------------------------------------------- */

static int by_age(const struct known *a, const struct known *b)
{
    const int64_t x = a->tag->has_created ? a->tag->created : INT64_MAX;
    const int64_t y = b->tag->has_created ? b->tag->created : INT64_MAX;

    return x == y ? strcmp(b->tag->tag, a->tag->tag) : x > y ? -1 : 1;
}

static bool has_order(const struct known *k)
{
    return k->tag->kind != RELEASE_TAG_OTHER && k->version.scheme != RELEASE_ANY;
}

static int compare_parts(const struct known *a, const struct known *b)
{
    return a->version.part_count < b->version.part_count   ? -1
           : a->version.part_count > b->version.part_count ? 1
                                                           : 0;
}

/* By kind, then newest first: versions by precedence (versions of another shape, which have
 * no order, apart), the others by age. */
static int newest_first(const void *a, const void *b)
{
    const struct known *const x = a;
    const struct known *const y = b;
    int order;

    if (x->tag->kind != y->tag->kind)
        return x->tag->kind < y->tag->kind ? -1 : 1;
    if (!has_order(x))
        return by_age(x, y);
    order = compare_parts(x, y);
    if (order == 0)
        order = release_version_compare(&y->version, &x->version);
    return order != 0 ? order : strcmp(y->tag->tag, x->tag->tag);
}

static bool same_part(struct view a, struct view b)
{
    while (a.size > 1 && a.data[0] == '0')
        a = view_sub(a, 1, a.size);
    while (b.size > 1 && b.data[0] == '0')
        b = view_sub(b, 1, b.size);
    return view_eq(a, b);
}

static bool same_line(const struct decision *d,
                      const struct known *a,
                      const struct known *b)
{
    if (a->tag->kind != b->tag->kind || !has_order(a) ||
        a->version.part_count != b->version.part_count)
        return false;
    for (size_t i = 0; i < d->policy->line_parts && i < a->version.part_count; i++) {
        if (!same_part(a->version.parts[i], b->version.parts[i]))
            return false;
    }
    return true;
}

/* --- Rules --------------------------------------------------------------------------- */

static const struct release_rules *rules_of(const struct decision *d, const struct known *k)
{
    switch (k->tag->kind) {
    case RELEASE_TAG_VERSION:
        return &d->policy->versions;
    case RELEASE_TAG_PRERELEASE:
        return &d->policy->prereleases;
    case RELEASE_TAG_OTHER:
        return &d->policy->others;
    case RELEASE_TAG_MOVING:
    case RELEASE_TAG_INTERNAL:
        break;
    }
    return NULL;
}

/* Where a version stands: in its line, and which line that is; from 0, newest first. Lines
 * lie together, as they share their first numbers. */
struct standing {
    size_t in_line;
    size_t line;
};

static void apply_rules(const struct decision *d, struct known *k, struct standing at)
{
    const struct release_rules *const r = rules_of(d, k);
    struct release_retained *const t = k->tag;

    if (r == NULL || t->is_kept)
        return;
    if (!r->given)
        keep(t,
             base_format("the policy says nothing of %ss", release_tag_kind_name(t->kind)));
    else if (r->has_newest && k->rank < r->newest)
        keep(t, base_format("one of the %ju newest", (uintmax_t)r->newest));
    else if (r->has_per_line && has_order(k) && at.in_line < r->per_line &&
             (!r->has_lines || at.line < r->lines))
        keep(t, base_format("one of the %ju newest of its line", (uintmax_t)r->per_line));
    else if (r->has_younger && !t->has_created)
        keep(t, base_strdup("its age is not known"));
    else if (r->has_younger && t->created > d->now - r->younger)
        keep(t, base_format("younger than %ju days", (uintmax_t)(r->younger / 86400)));
    else if (r->newest > 0 && !has_order(k) && !t->has_created)
        keep(t, base_strdup("its age is not known"));
    else
        t->why = base_strdup("no rule keeps it");
}

static void keep_by_name(const struct decision *d, struct known *k)
{
    struct release_retained *const t = k->tag;

    if (t->kind == RELEASE_TAG_MOVING)
        keep(t, base_strdup("a moving tag"));
    else if (t->kind == RELEASE_TAG_INTERNAL)
        keep(t, base_strdup("part of the repository's records"));
    for (size_t i = 0; !t->is_kept && i < d->policy->keep.count; i++) {
        if (fnmatch(d->policy->keep.items[i], t->tag, 0) == 0)
            keep(t, base_format("matches '%s'", d->policy->keep.items[i]));
    }
}

/* Versions that a pattern keeps still have their rank: what else is kept does not depend on
 * them. */
static void decide_sorted(struct decision *d)
{
    struct standing at = {0, 0};
    size_t rank = 0;

    for (size_t i = 0; i < d->count; i++) {
        struct known *const k = &d->all[i];
        const bool is_first = i == 0 || d->all[i - 1].tag->kind != k->tag->kind;

        rank = is_first ? 0 : rank + 1;
        if (is_first)
            at = (struct standing){0, 0};
        else if (same_line(d, &d->all[i - 1], k))
            at.in_line++;
        else
            at = (struct standing){0, at.line + 1};
        k->rank = rank;
        keep_by_name(d, k);
        apply_rules(d, k, at);
    }
}

void release_policy_decide(const struct release_policy *p,
                           struct release_retained *tags,
                           size_t count,
                           int64_t now)
{
    CLEANUP(base_freep) struct known *all = base_alloc_array(count + 1, sizeof *all);
    struct decision d = {p, all, count, now};

    for (size_t i = 0; i < count; i++) {
        tags[i].is_kept = false;
        base_freep(&tags[i].why);
        all[i].tag = &tags[i];
    }
    name_versions(&d);
    name_moving(&d);
    qsort(all, count, sizeof *all, newest_first);
    decide_sorted(&d);
    for (size_t i = 0; i < count; i++)
        release_version_release(&all[i].version);
}
