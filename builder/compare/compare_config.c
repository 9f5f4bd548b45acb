#include "builder/compare/compare_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <stdlib.h>

/* A config as it is compared: an object whose members are values or objects of them. What
 * says nothing about how the image runs (history, the list of layers, which has a part of
 * its own) is left out. */
static const char *const left_out[] = {"rootfs", "history", "config", "created", "Id"};

static bool is_left_out(const char *key)
{
    for (size_t i = 0; i < ARRAY_COUNT(left_out); i++) {
        if (strcmp(left_out[i], key) == 0)
            return true;
    }
    return false;
}

/* ["A=1", "B=2"] as {"A": "1", "B": "2"}: the order of variables means nothing. */
static struct doc *environment(const struct doc *list)
{
    struct doc *const out = doc_new_object();

    for (size_t i = 0; i < doc_count(list); i++) {
        struct view name, value;

        view_cut(doc_view(doc_at(list, i)), '=', &name, &value);
        CLEANUP(base_freep) char *key = view_dup(name);

        doc_set_view(out, key, value);
    }
    return out;
}

/* Docker writes null, "" and [] for what is not there; others leave it out. */
static bool is_absent(const struct doc *value)
{
    switch (doc_type(value)) {
    case DOC_ABSENT:
    case DOC_NULL:
        return true;
    case DOC_TEXT:
        return doc_view(value).size == 0;
    case DOC_ARRAY:
    case DOC_OBJECT:
        return doc_count(value) == 0;
    case DOC_BOOL:
        return !doc_bool(value);
    case DOC_INT:
    case DOC_REAL:
        return false;
    }
    return false;
}

static void set_present(struct doc *out, const char *key, const struct doc *value)
{
    if (!is_absent(value))
        doc_set(out, key, doc_copy(value));
}

static struct doc *comparable(const struct build_compare_image *image, bool times)
{
    const struct doc *const run = doc_get(image->config, "config");
    struct doc *const out = doc_new_object();
    struct doc *const inner = doc_new_object();
    const struct doc *value;

    for (const char *key = NULL; doc_next(image->config, &key, &value);) {
        if (!is_left_out(key))
            set_present(out, key, value);
    }
    if (times)
        set_present(out, "created", doc_get(image->config, "created"));
    for (const char *key = NULL; doc_next(run, &key, &value);) {
        if (strcmp(key, "Env") == 0 && doc_count(value) > 0)
            doc_set(inner, key, environment(value));
        else
            set_present(inner, key, value);
    }
    doc_set(out, "config", inner);
    set_present(out, "annotations", doc_get(image->manifest, "annotations"));
    return out;
}

static void add(struct build_compare *c,
                const char *path,
                const struct doc *before,
                const struct doc *after)
{
    c->values = base_realloc_array(c->values, c->value_count + 1, sizeof *c->values);
    c->values[c->value_count++] = (struct build_compare_value){
        .change = before == NULL  ? BUILD_CHANGE_ADDED
                  : after == NULL ? BUILD_CHANGE_REMOVED
                                  : BUILD_CHANGE_CHANGED,
        .path = base_strdup(path),
        .before = before != NULL ? doc_copy(before) : NULL,
        .after = after != NULL ? doc_copy(after) : NULL,
    };
}

/* An object with members is what its members are; an empty one is a value ("80/tcp": {}).
 */
static bool has_members(const struct doc *value)
{
    return doc_type(value) == DOC_OBJECT && doc_count(value) > 0;
}

static bool is_object_or_none(const struct doc *value)
{
    return value == NULL || doc_type(value) == DOC_OBJECT;
}

static void compare_value(struct build_compare *c,
                          const char *path,
                          const struct doc *before,
                          const struct doc *after);

static char *member_path(const char *path, const char *key)
{
    return path[0] != '\0' ? base_format("%s.%s", path, key) : base_strdup(key);
}

/* Depth: that of a document, LIMIT_JSON_DEPTH. */
static void compare_members(struct build_compare *c,
                            const char *path,
                            const struct doc *before,
                            const struct doc *after)
{
    const struct doc *value;

    for (const char *key = NULL; doc_next(before, &key, &value);) {
        CLEANUP(base_freep) char *at = member_path(path, key);

        compare_value(c, at, value, doc_get(after, key));
    }
    for (const char *key = NULL; doc_next(after, &key, &value);) {
        CLEANUP(base_freep) char *at = member_path(path, key);

        if (doc_get(before, key) == NULL)
            compare_value(c, at, NULL, value);
    }
}

static void compare_value(struct build_compare *c,
                          const char *path,
                          const struct doc *before,
                          const struct doc *after)
{
    const bool members = has_members(before) || has_members(after);

    if (members && is_object_or_none(before) && is_object_or_none(after))
        compare_members(c, path, before, after);
    else if (before == NULL || after == NULL || !doc_equal(before, after))
        add(c, path, before, after);
}

void compare_config(struct build_compare *c,
                    const struct build_compare_image *before,
                    const struct build_compare_image *after,
                    bool times)
{
    CLEANUP(doc_unrefp) struct doc *old = comparable(before, times);
    CLEANUP(doc_unrefp) struct doc *new = comparable(after, times);

    compare_members(c, "", old, new);
}
