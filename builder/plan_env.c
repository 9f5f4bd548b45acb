#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

static size_t position(const struct plan_env *e, struct view name)
{
    for (size_t i = 0; i < e->count; i++)
        if (view_eq_text(name, e->items[i].name))
            return i;
    return e->count;
}

void plan_env_set(struct plan_env *e, struct view name, struct view value)
{
    const size_t at = position(e, name);
    /* The value may be a view of the very entry that it replaces. */
    char *text = base_strndup(value.data ? value.data : "", value.size);

    if (at < e->count) {
        struct plan_variable v = e->items[at];

        memmove(&e->items[at], &e->items[at + 1], (e->count - at - 1) * sizeof v);
        free(v.value);
        v.value = text;
        e->items[e->count - 1] = v;
        return;
    }
    e->items = base_grow(e->items, e->count, &e->capacity, sizeof *e->items);
    e->items[e->count++] = (struct plan_variable){.name = view_dup(name), .value = text};
}

void plan_env_put(struct plan_env *e, struct view name, struct view value)
{
    const size_t at = position(e, name);
    char *text;

    if (at == e->count) {
        plan_env_set(e, name, value);
        return;
    }
    text = base_strndup(value.data ? value.data : "", value.size);
    free(e->items[at].value);
    e->items[at].value = text;
}

int plan_env_check(const struct plan_env *e, struct error *err)
{
    if (e->count > LIMIT_BUILD_VARIABLES)
        return error_set(err, ERROR_LIMIT, "more than %zu variables are defined",
                         LIMIT_BUILD_VARIABLES);
    return 0;
}

bool plan_env_get(const struct plan_env *e, struct view name, struct view *value)
{
    const size_t at = position(e, name);

    if (at == e->count)
        return false;
    *value = view_of(e->items[at].value);
    return true;
}

void plan_env_copy(struct plan_env *to, const struct plan_env *from)
{
    for (size_t i = 0; i < from->count; i++)
        plan_env_set(to, view_of(from->items[i].name), view_of(from->items[i].value));
}

void plan_env_release(struct plan_env *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free(e->items[i].name);
        free(e->items[i].value);
    }
    free(e->items);
    *e = (struct plan_env){0};
}
