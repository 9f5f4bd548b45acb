/* The annotations of --annotation and -o. */
#include "cli/build_output.h"

#include "base/alloc.h"
#include "registry/platform.h"

#include <stdlib.h>
#include <string.h>

void cli_annotations_release(struct cli_annotations *a)
{
    for (size_t i = 0; i < a->count; i++) {
        base_free_text(a->items[i].name);
        base_free_text(a->items[i].value);
        base_free_text(a->items[i].platform);
    }
    free(a->items);
    *a = (struct cli_annotations){0};
}

static int type_read(struct view type, enum build_annotated *out, struct error *err)
{
    static const struct {
        const char *name;
        enum build_annotated on;
    } types[] = {
        {"", BUILD_ANNOTATED_MANIFEST},
        {"manifest", BUILD_ANNOTATED_MANIFEST},
        {"manifest-descriptor", BUILD_ANNOTATED_MANIFEST_DESCRIPTOR},
        {"index", BUILD_ANNOTATED_INDEX},
        {"index-descriptor", BUILD_ANNOTATED_INDEX_DESCRIPTOR},
    };

    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (!view_eq_text(type, types[i].name))
            continue;
        *out = types[i].on;
        return 0;
    }
    return error_set(err, ERROR_USAGE,
                     "the type of an annotation is manifest, manifest-descriptor, index or "
                     "index-descriptor, not '%.*s'",
                     VIEW_ARG(type));
}

/* TYPE or TYPE[PLATFORM]; then adds the annotation. */
static int add(struct view where,
               struct view key,
               const char *value,
               struct cli_annotations *out,
               struct error *err)
{
    struct build_annotation a = {0};
    struct view type, platform;

    if (view_cut(where, '[', &type, &platform)) {
        struct registry_platform known;

        if (!view_ends(platform, "]"))
            return error_set(err, ERROR_USAGE, "the platform ends with ]");
        platform = view_sub(platform, 0, platform.size - 1);
        if (registry_platform_parse(platform, &known, err) < 0) {
            err->code = ERROR_USAGE;
            return -1;
        }
        a.platform = view_dup(platform);
    }
    a.name = view_dup(key);
    a.value = base_strdup(value);
    out->items = base_grow(out->items, out->count, &out->capacity, sizeof out->items[0]);
    out->items[out->count++] = a;
    return type_read(type, &out->items[out->count - 1].on, err);
}

int cli_annotation_read(const char *text, struct cli_annotations *out, struct error *err)
{
    struct view left, value, types, key, type;

    if (!view_cut(view_of(text), '=', &left, &value) || left.size == 0)
        return error_set(err, ERROR_USAGE, "--annotation is [TYPE:]KEY=VALUE, not '%s'",
                         text);
    if (!view_cut(left, ':', &types, &key)) {
        key = left;
        types = VIEW_LIT("manifest");
    }
    if (key.size == 0)
        return error_set(err, ERROR_USAGE, "--annotation %s: the key is empty", text);
    while (types.size > 0) {
        (void)view_cut(types, ',', &type, &types);
        if (add(type, key, value.data, out, err) < 0)
            return error_wrap(err, "--annotation %s", text);
    }
    return 0;
}

int cli_annotation_key_read(const char *key,
                            const char *value,
                            struct cli_annotations *out,
                            bool *found,
                            struct error *err)
{
    struct view rest = view_of(key);
    struct view where, name;

    *found = view_starts(rest, "annotation") && view_cut(rest, '.', &where, &name) &&
             name.size > 0;
    if (!*found)
        return 0;
    where = view_sub(where, strlen("annotation"), where.size);
    if (where.size > 0 && where.data[0] == '-')
        where = view_sub(where, 1, where.size);
    else if (where.size > 0 && where.data[0] != '[')
        *found = false;
    return *found ? add(where, name, value ? value : "", out, err) : 0;
}
