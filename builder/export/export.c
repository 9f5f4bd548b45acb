#include "builder/export/export.h"

#include "base/alloc.h"
#include "registry/reference.h"

#include <stdlib.h>

int build_export(const struct build_export *x, struct error *err)
{
    switch (x->output->type) {
    case BUILD_OUTPUT_STORE:
    case BUILD_OUTPUT_CACHE:
        return 0;
    case BUILD_OUTPUT_REGISTRY:
        return build_export_registry(x, err);
    case BUILD_OUTPUT_OCI:
    case BUILD_OUTPUT_DOCKER:
        return build_export_archive(x, err);
    case BUILD_OUTPUT_LOAD:
        return build_export_load(x, err);
    case BUILD_OUTPUT_LOCAL:
        return build_export_local(x, err);
    case BUILD_OUTPUT_TAR:
        return build_export_tar(x, err);
    }
    return error_set(err, ERROR_INVALID, "unknown output type");
}

int build_names_of(const struct build_output *output,
                   const char *const *names,
                   size_t name_count,
                   struct build_names *out,
                   struct error *err)
{
    struct view rest = view_of(output->name ? output->name : "");
    struct view name;

    for (size_t i = 0; !output->name && i < name_count; i++) {
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = base_strdup(names[i]);
    }
    while (rest.size > 0) {
        view_cut(rest, ',', &name, &rest);
        char *full = registry_reference_normalize(name, err);
        if (!full)
            return error_wrap(err, "output name \"%.*s\"", VIEW_ARG(name));
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = full;
    }
    return 0;
}

void build_names_release(struct build_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
    *n = (struct build_names){0};
}

char *build_platform_dir(const struct build_export *x, size_t plan)
{
    const struct registry_platform *p = &x->plans->items[plan].platform;
    const enum build_answer splits = x->output->splits_platforms;
    char *dir;

    if (splits == BUILD_NO || (splits == BUILD_UNSAID && x->plans->count == 1))
        return NULL;
    dir = base_strdup(registry_platform_format(p).text);

    for (char *c = dir; *c; c++)
        if (*c == '/')
            *c = '_';
    return dir;
}
