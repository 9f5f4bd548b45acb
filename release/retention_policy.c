#include "release/retention.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void release_policy_release(struct release_policy *p)
{
    release_names_release(&p->moving);
    release_names_release(&p->keep);
    *p = (struct release_policy){0};
}

bool release_policy_needs_age(const struct release_policy *p)
{
    /* Tags that are no versions have no other order. */
    return p->versions.has_younger || p->prereleases.has_younger || p->others.given ||
           p->scheme == RELEASE_ANY;
}

/* --- Values ------------------------------------------------------------------------- */

static int read_count(const struct doc *value,
                      const char *name,
                      uint64_t *out,
                      struct error *err)
{
    int64_t number = 0;

    if (!doc_int(value, &number) || number < 0)
        return error_set(err, ERROR_INVALID, "%s is a number of things to keep", name);
    *out = (uint64_t)number;
    return 0;
}

/* "90d": a number and one of h, d, w, y. */
static int read_age(const struct doc *value,
                    const char *name,
                    int64_t *out,
                    struct error *err)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'h', 3600}, {'d', 86400}, {'w', 604800}, {'y', 31536000}};
    const struct view text = doc_view(value);
    uint64_t number = 0;

    for (size_t i = 0; text.size > 1 && i < ARRAY_COUNT(units); i++) {
        if (text.data[text.size - 1] != units[i].unit ||
            !view_to_u64(view_sub(text, 0, text.size - 1), &number) || number > 100000)
            continue;
        *out = (int64_t)number * units[i].seconds;
        return 0;
    }
    return error_set(err, ERROR_INVALID, "%s is an age: 12h, 90d, 4w or 1y", name);
}

static int read_rule(struct release_rules *r,
                     const char *key,
                     const struct doc *value,
                     bool has_lines,
                     struct error *err)
{
    if (strcmp(key, "newest") == 0) {
        r->has_newest = true;
        return read_count(value, key, &r->newest, err);
    }
    if (strcmp(key, "younger") == 0) {
        r->has_younger = true;
        return read_age(value, key, &r->younger, err);
    }
    if (has_lines && strcmp(key, "per-line") == 0) {
        r->has_per_line = true;
        return read_count(value, key, &r->per_line, err);
    }
    if (has_lines && strcmp(key, "lines") == 0) {
        r->has_lines = true;
        return read_count(value, key, &r->lines, err);
    }
    return error_set(err, ERROR_INVALID, "'%s' is no rule: there are %snewest, younger",
                     key, has_lines ? "lines, per-line, " : "");
}

static int read_rules(const struct doc *section,
                      bool has_lines,
                      struct release_rules *out,
                      struct error *err)
{
    const struct doc *value;

    out->given = true;
    if (doc_type(section) != DOC_OBJECT || doc_count(section) == 0)
        return error_set(err, ERROR_INVALID,
                         "it keeps nothing: give it a rule ('newest: 0' says so plainly), "
                         "or leave the section out to keep all");
    for (const char *key = NULL; doc_next(section, &key, &value);) {
        if (read_rule(out, key, value, has_lines, err) < 0)
            return -1;
    }
    if (out->has_lines && !out->has_per_line)
        return error_set(err, ERROR_INVALID,
                         "lines says of how many lines 'per-line' keeps "
                         "some: give that too");
    return 0;
}

static int read_keep(const struct doc *list, struct release_names *out, struct error *err)
{
    for (size_t i = 0; i < doc_count(list); i++) {
        const char *const pattern = doc_text(doc_at(list, i));

        if (pattern == NULL || pattern[0] == '\0')
            return error_set(err, ERROR_INVALID,
                             "item %zu is no pattern of tags (quote numbers)", i + 1);
        release_names_add(out, pattern);
    }
    return doc_type(list) == DOC_ARRAY
               ? 0
               : error_set(err, ERROR_INVALID, "it is a list of patterns of tags");
}

static int read_line(const struct doc *value, size_t *out, struct error *err)
{
    if (view_eq_text(doc_view(value), "major"))
        *out = 1;
    else if (view_eq_text(doc_view(value), "minor"))
        *out = 2;
    else
        return error_set(err, ERROR_INVALID, "it is major or minor");
    return 0;
}

/* Texts of the policy are read by those who read them on the command line. */
static int as_invalid(int result, struct error *err)
{
    if (result < 0)
        err->code = ERROR_INVALID;
    return result;
}

static int read_moving(const struct doc *value,
                       struct release_names *out,
                       struct error *err)
{
    if (doc_text(value) == NULL)
        return error_set(err, ERROR_INVALID, "it is a text: \"%s\" is the default",
                         RELEASE_MOVES_DEFAULT);
    release_names_release(out);
    return as_invalid(release_moves_parse(doc_text(value), out, err), err);
}

static int read_scheme(const struct doc *value, enum release_scheme *out, struct error *err)
{
    if (doc_text(value) == NULL)
        return error_set(err, ERROR_INVALID, "it is semver, calver or any");
    return as_invalid(release_scheme_parse(doc_text(value), out, err), err);
}

static int read_member(struct release_policy *p,
                       const char *key,
                       const struct doc *value,
                       struct error *err)
{
    if (strcmp(key, "scheme") == 0)
        return read_scheme(value, &p->scheme, err);
    if (strcmp(key, "line") == 0)
        return read_line(value, &p->line_parts, err);
    if (strcmp(key, "moving") == 0)
        return read_moving(value, &p->moving, err);
    if (strcmp(key, "keep") == 0)
        return read_keep(value, &p->keep, err);
    if (strcmp(key, "versions") == 0)
        return read_rules(value, true, &p->versions, err);
    if (strcmp(key, "prereleases") == 0)
        return read_rules(value, true, &p->prereleases, err);
    if (strcmp(key, "others") == 0)
        return read_rules(value, false, &p->others, err);
    return error_set(err, ERROR_INVALID,
                     "it is not known: there are scheme, line, moving, keep, versions, "
                     "prereleases, others");
}

static int read_members(struct release_policy *p, const struct doc *doc, struct error *err)
{
    const struct doc *value;

    if (release_moves_parse(NULL, &p->moving, err) < 0)
        return -1;
    for (const char *key = NULL; doc_next(doc, &key, &value);) {
        if (read_member(p, key, value, err) < 0)
            return error_wrap(err, "'%s'", key);
    }
    if (!p->versions.given && !p->prereleases.given && !p->others.given)
        return error_set(err, ERROR_INVALID,
                         "without versions, prereleases and others it keeps everything");
    return 0;
}

int release_policy_read(const struct doc *doc,
                        struct release_policy *out,
                        struct error *err)
{
    *out = (struct release_policy){.line_parts = 1};
    if (doc_type(doc) != DOC_OBJECT)
        return error_set(err, ERROR_INVALID, "a policy is a mapping");
    if (read_members(out, doc, err) == 0)
        return 0;
    release_policy_release(out);
    return -1;
}
