#include "cas/path_map.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>

enum { CAPACITY_FIRST = 64 };

struct cas_path_slot {
    struct view path;
    uint64_t hash;
    void *value; /* NULL: free */
};

/* FNV-1a, finished so that the low bits, which choose the slot, depend on all others. */
static uint64_t hash_of(struct view path)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < path.size; i++)
        hash = (hash ^ (uint8_t)path.data[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ hash >> 32;
}

static struct cas_path_slot *slot_of(const struct cas_path_map *m,
                                     struct view path,
                                     uint64_t hash)
{
    size_t at = (size_t)hash & (m->capacity - 1);

    while (m->slots[at].value &&
           (m->slots[at].hash != hash || !view_eq(m->slots[at].path, path)))
        at = (at + 1) & (m->capacity - 1);
    return &m->slots[at];
}

static void grow(struct cas_path_map *m)
{
    const struct cas_path_map old = *m;

    m->capacity = old.capacity ? old.capacity * 2 : CAPACITY_FIRST;
    m->slots = base_alloc_array(m->capacity, sizeof *m->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value)
            *slot_of(m, old.slots[i].path, old.slots[i].hash) = old.slots[i];
    }
    free(old.slots);
}

void *cas_path_map_find(const struct cas_path_map *m, struct view path)
{
    return m->count ? slot_of(m, path, hash_of(path))->value : NULL;
}

void cas_path_map_put(struct cas_path_map *m, struct view path, void *value)
{
    const uint64_t hash = hash_of(path);

    assert(value);
    if (m->count * 2 >= m->capacity)
        grow(m);

    struct cas_path_slot *slot = slot_of(m, path, hash);

    m->count += slot->value == NULL;
    *slot = (struct cas_path_slot){path, hash, value};
}

void cas_path_map_release(struct cas_path_map *m)
{
    free(m->slots);
    *m = (struct cas_path_map){0};
}
