#include "builder/link_names.h"

#include "base/alloc.h"

#include <stdbool.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

static bool is_none(const uint64_t key[2])
{
    return key[0] == 0 && key[1] == 0;
}

static struct build_link_name *slot_of(const struct build_link_names *l,
                                       const uint64_t key[2])
{
    uint64_t hash =
        key[0] * UINT64_C(0x9e3779b97f4a7c15) ^ key[1] * UINT64_C(0xc2b2ae3d27d4eb4f);
    size_t i = (size_t)(hash ^ hash >> 32) & (l->capacity - 1);

    while (!is_none(l->slots[i].key) &&
           (l->slots[i].key[0] != key[0] || l->slots[i].key[1] != key[1]))
        i = (i + 1) & (l->capacity - 1);
    return &l->slots[i];
}

const char *build_link_names_find(const struct build_link_names *l, const uint64_t key[2])
{
    return l->capacity == 0 || is_none(key) ? NULL : slot_of(l, key)->path;
}

static void grow(struct build_link_names *l)
{
    struct build_link_names larger = {
        .count = l->count, .capacity = l->capacity ? l->capacity * 2 : CAPACITY_MIN};

    larger.slots = base_alloc_array(larger.capacity, sizeof *larger.slots);
    for (size_t i = 0; i < l->capacity; i++)
        if (!is_none(l->slots[i].key))
            *slot_of(&larger, l->slots[i].key) = l->slots[i];
    free(l->slots);
    *l = larger;
}

void build_link_names_add(struct build_link_names *l,
                          const uint64_t key[2],
                          struct view path)
{
    if (is_none(key))
        return;
    if ((l->count + 1) * 2 > l->capacity)
        grow(l);
    *slot_of(l, key) = (struct build_link_name){{key[0], key[1]}, view_dup(path)};
    l->count++;
}

void build_link_names_release(struct build_link_names *l)
{
    for (size_t i = 0; i < l->capacity; i++)
        free(l->slots[i].path);
    free(l->slots);
    *l = (struct build_link_names){0};
}
