#include "base/alloc.h"
#include "base/limits.h"
#include "parser/check/context.h"
#include "parser/suggest.h"

#include <stdlib.h>
#include <string.h>

/* Names that a misspelt one is compared with: more only hostile files have. */
#define SUGGEST_COUNT_MAX ((size_t)500)

void dockerfile_scope_release(struct dockerfile_scope *scope)
{
    for (size_t i = 0; i < scope->count; i++) {
        free(scope->items[i].name);
        free(scope->items[i].value);
    }
    free(scope->items);
    free(scope->index);
    *scope = (struct dockerfile_scope){.count = 0};
}

static uint32_t hash(struct view name)
{
    uint32_t value = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < name.size; i++)
        value = (value ^ (unsigned char)name.data[i]) * 16777619u;
    return value;
}

/* The slot of the index that holds the name, or the empty one where it belongs. */
static uint32_t *find_slot(const struct dockerfile_scope *scope, struct view name)
{
    size_t at = hash(name) & (scope->index_size - 1);

    while (scope->index[at] && !view_eq_text(name, scope->items[scope->index[at] - 1].name))
        at = (at + 1) & (scope->index_size - 1);
    return &scope->index[at];
}

static void grow_index(struct dockerfile_scope *scope)
{
    free(scope->index);
    scope->index_size = scope->index_size ? 2 * scope->index_size : 64;
    scope->index = base_alloc_array(scope->index_size, sizeof *scope->index);
    for (size_t i = 0; i < scope->count; i++)
        *find_slot(scope, view_of(scope->items[i].name)) = (uint32_t)i + 1;
}

const struct dockerfile_variable *dockerfile_scope_find(
    const struct dockerfile_scope *scope, struct view name)
{
    const uint32_t *slot = scope->index_size ? find_slot(scope, name) : NULL;

    return slot && *slot ? &scope->items[*slot - 1] : NULL;
}

void dockerfile_scope_set(struct dockerfile_scope *scope,
                          struct view name,
                          const struct view *value)
{
    if (2 * (scope->count + 1) >= scope->index_size)
        grow_index(scope);
    uint32_t *slot = find_slot(scope, name);
    if (!*slot) {
        scope->items =
            base_grow(scope->items, scope->count, &scope->capacity, sizeof *scope->items);
        scope->items[scope->count++] = (struct dockerfile_variable){.name = view_dup(name)};
        *slot = (uint32_t)scope->count;
    }
    if (value) {
        struct dockerfile_variable *found = &scope->items[*slot - 1];
        free(found->value);
        found->value = view_dup(*value);
    }
}

void dockerfile_scope_suggest(const struct dockerfile_scope *scope,
                              struct view name,
                              const char *prefix,
                              struct buf *out)
{
    CLEANUP(base_freep)
    const char **names = base_alloc_array(scope->count + 1, sizeof *names);
    size_t count = 0;

    for (size_t i = 0; i < scope->count && count < SUGGEST_COUNT_MAX; i++)
        names[count++] = scope->items[i].name;
    const char *best = dockerfile_suggest(name, names, count, false);
    if (best)
        buf_printf(out, " (did you mean %s%s?)", prefix, best);
}

/* --- Expansion --------------------------------------------------------------------------
 */

struct use {
    const struct dockerfile_scope *scope;
    struct dockerfile_expansion *expansion;
};

static bool look_up(void *context, struct view name, struct view *value)
{
    const struct use *use = context;
    const struct dockerfile_variable *found = dockerfile_scope_find(use->scope, name);

    if (!found || !found->value)
        return false;
    *value = view_of(found->value);
    return true;
}

static void note_use(void *context, struct view name, bool found)
{
    const struct use *use = context;

    dockerfile_scope_set(found ? &use->expansion->matched : &use->expansion->unmatched,
                         name, NULL);
}

void dockerfile_expansion_release(struct dockerfile_expansion *expansion)
{
    buf_release(&expansion->text);
    dockerfile_scope_release(&expansion->matched);
    dockerfile_scope_release(&expansion->unmatched);
}

bool dockerfile_check_expand(const struct dockerfile_checker *check,
                             const struct dockerfile_scope *scope,
                             struct view word,
                             unsigned flags,
                             struct dockerfile_expansion *out)
{
    struct error ignored = ERROR_INIT; /* the build will say so */
    struct use use = {scope, out};
    const struct dockerfile_expand how = {
        .escape = flags & DOCKERFILE_EXPAND_CONTENT ? '\\' : check->file->escape,
        .flags = flags,
        .lookup = look_up,
        .on_variable = note_use,
        .context = &use};

    *out = (struct dockerfile_expansion){.text = BUF_INIT(LIMIT_TEXT_SIZE)};
    const bool good = dockerfile_expand(word, &how, &out->text, &ignored) == 0;
    error_clear(&ignored);
    return good;
}
