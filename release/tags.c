#include "release/tags.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>

void release_names_add(struct release_names *n, const char *name)
{
    n->items = base_grow(n->items, n->count, &n->capacity, sizeof *n->items);
    n->items[n->count++] = base_strdup(name);
}

bool release_names_has(const struct release_names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->items[i], name) == 0)
            return true;
    }
    return false;
}

void release_names_release(struct release_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
    *n = (struct release_names){0};
}

bool release_tag_is_internal(const char *tag)
{
    const struct view t = view_of(tag);

    return view_eq_text(t, RELEASE_TAG_ANCHOR) || view_starts(t, RELEASE_TAG_LOG) ||
           view_starts(t, RELEASE_TAG_CLAIM) ||
           (view_starts(t, "sha256-") && t.size >= 71) ||
           (view_starts(t, "sha512-") && t.size >= 135);
}

/* --- Templates --- */

static const char *const placeholders[] = {"{major}", "{minor}", "{patch}"};

/* The index of the placeholder that `text` begins with, or -1. */
static int placeholder_at(struct view text)
{
    for (size_t i = 0; i < ARRAY_COUNT(placeholders); i++) {
        if (view_starts(text, placeholders[i]))
            return (int)i;
    }
    return -1;
}

/* Puts a version's numbers in; false if one is missing. */
static bool template_fill(struct view template,
                          const struct release_version *version,
                          struct buf *out)
{
    if (version->has_v && view_starts(template, "{"))
        buf_append_char(out, 'v');
    while (template.size > 0) {
        const int i = placeholder_at(template);

        if (i < 0) {
            buf_append_char(out, template.data[0]);
            template = view_sub(template, 1, template.size);
            continue;
        }
        if ((size_t)i >= version->part_count)
            return false;
        buf_append_view(out, version->parts[i]);
        template = view_sub(template, strlen(placeholders[i]), template.size);
    }
    return !out->failed;
}

static int template_check(struct view template, struct error *err)
{
    static const struct release_version sample = {.parts = {{"1", 1}, {"1", 1}, {"1", 1}},
                                                  .part_count = 3};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_NAME_SIZE);

    (void)template_fill(template, &sample, &text);
    if (registry_reference_is_tag(buf_view(&text)) &&
        !release_tag_is_internal(buf_text(&text)))
        return 0;
    return error_set(err, ERROR_USAGE,
                     "'%.*s' is no moving tag: a tag with {major}, {minor} and {patch} is, "
                     "as in " RELEASE_MOVES_DEFAULT,
                     VIEW_ARG(template));
}

int release_moves_parse(const char *text,
                        struct release_names *templates,
                        struct error *err)
{
    struct view rest = view_of(text ? text : RELEASE_MOVES_DEFAULT);
    struct view one;
    bool more = true;

    if (view_eq_text(rest, "none"))
        return 0;
    while (more) {
        more = view_cut(rest, ',', &one, &rest);
        one = view_trim(one);
        if (template_check(one, err) < 0)
            return -1;
        CLEANUP(base_freep) char *name = view_dup(one);
        if (!release_names_has(templates, name))
            release_names_add(templates, name);
    }
    return 0;
}

char *release_move_render(const char *template, const struct release_version *version)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_NAME_SIZE);

    if (release_version_is_pre(version) ||
        !template_fill(view_of(template), version, &text) ||
        strcmp(buf_text(&text), version->tag) == 0 ||
        !registry_reference_is_tag(buf_view(&text)))
        return NULL;
    return buf_take(&text);
}

/* --- Among the tags of a repository --- */

/* Is `tag` a version newer than *best? */
static bool is_newer(const char *tag,
                     const struct release_version *best,
                     struct release_version *out)
{
    if (release_tag_is_internal(tag) || !release_version_from_tag(best->scheme, tag, out))
        return false;
    if (release_version_compare(out, best) > 0)
        return true;
    release_version_release(out);
    return false;
}

static bool renders_alike(const char *template,
                          const struct release_version *a,
                          const struct release_version *b)
{
    CLEANUP(base_freep) char *x = release_move_render(template, a);
    CLEANUP(base_freep) char *y = release_move_render(template, b);

    return x && y && strcmp(x, y) == 0;
}

/* The newest of the tags that are newer than `version` and that `fits` takes. */
static const char *newest(const struct release_version *version,
                          const struct release_names *tags,
                          bool (*fits)(const char *template,
                                       const struct release_version *version,
                                       const struct release_version *other),
                          const char *template)
{
    CLEANUP(release_version_release) struct release_version best = {0};
    const char *found = NULL;

    for (size_t i = 0; i < tags->count; i++) {
        struct release_version other = {0};

        if (!is_newer(tags->items[i], found ? &best : version, &other))
            continue;
        if (!fits(template, version, &other)) {
            release_version_release(&other);
            continue;
        }
        release_version_release(&best);
        best = other;
        found = tags->items[i];
    }
    return found;
}

const char *release_move_owner(const char *template,
                               const struct release_version *version,
                               const struct release_names *tags)
{
    return newest(version, tags, renders_alike, template);
}

static bool is_of_line(const char *template,
                       const struct release_version *version,
                       const struct release_version *other)
{
    (void)template;
    return release_version_same_line(version, other) &&
           (release_version_is_pre(version) || !release_version_is_pre(other));
}

const char *release_line_newest(const struct release_version *version,
                                const struct release_names *tags)
{
    return newest(version, tags, is_of_line, NULL);
}
