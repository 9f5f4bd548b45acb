#include "cas/digest_set.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void digest_set_release(struct digest_set *set)
{
    free(set->slots);
    *set = (struct digest_set){0};
}

/* The slot where `d` is or would stand; some slot is empty. Digests are evenly spread, so
 * their first bytes serve as the hash. */
static size_t find_slot(const struct digest_set *set, const struct digest *d)
{
    uint64_t hash;

    memcpy(&hash, d->bytes, sizeof hash);
    size_t i = (size_t)hash & (set->capacity - 1);
    while (digest_is_set(&set->slots[i]) && !digest_eq(&set->slots[i], d))
        i = (i + 1) & (set->capacity - 1);
    return i;
}

/* At most half full. */
static void grow(struct digest_set *set)
{
    const size_t capacity = set->capacity ? 2 * set->capacity : 64;
    struct digest_set larger = {
        .slots = base_alloc_array(capacity, sizeof *larger.slots),
        .capacity = capacity,
        .count = set->count,
    };

    for (size_t i = 0; i < set->capacity; i++) {
        if (digest_is_set(&set->slots[i]))
            larger.slots[find_slot(&larger, &set->slots[i])] = set->slots[i];
    }
    free(set->slots);
    *set = larger;
}

bool digest_set_add(struct digest_set *set, const struct digest *d)
{
    if (2 * (set->count + 1) > set->capacity)
        grow(set);
    const size_t i = find_slot(set, d);
    if (digest_is_set(&set->slots[i]))
        return false;
    set->slots[i] = *d;
    set->count++;
    return true;
}

bool digest_set_has(const struct digest_set *set, const struct digest *d)
{
    return set->capacity > 0 && digest_is_set(&set->slots[find_slot(set, d)]);
}

void digest_set_add_all(struct digest_set *set, const struct digest_set *from)
{
    for (size_t i = 0; i < from->capacity; i++) {
        if (digest_is_set(&from->slots[i]))
            digest_set_add(set, &from->slots[i]);
    }
}
