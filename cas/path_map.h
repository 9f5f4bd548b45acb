/*
 * A hash map from paths to things. Neither is owned.
 */
#pragma once

#include "base/view.h"

#include <stddef.h>

struct cas_path_map {
    struct cas_path_slot *slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
};

/* NULL: not there. */
void *cas_path_map_find(const struct cas_path_map *m, struct view path);
/* Adds or replaces; `path` is borrowed, `value` not NULL. */
void cas_path_map_put(struct cas_path_map *m, struct view path, void *value);
void cas_path_map_release(struct cas_path_map *m); /* idempotent */
