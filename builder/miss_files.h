/*
 * Which files make a COPY miss: what it would copy now, held against the layer that it made
 * the last time. Both are sorted, so this is one pass; nothing is read but the old layer's
 * index.
 *
 *     1 of 4,120 files differs: src/a.c (content)
 *     3 of 12 files differ: src/a.c (content), src/b.c (added), src/old.c (removed)
 */
#pragma once

#include "base/macros.h"
#include "base/view.h"
#include "cas/entry.h"
#include "cas/index.h"

#include <stdbool.h>
#include <stddef.h>

struct build_miss_files {
    const struct cas_entry *entries; /* what is copied, by its path in the image; sorted */
    size_t count;
    /* The path of entries[i] where it is copied from; empty where that is not known. */
    struct view (*source)(void *context, size_t i);
    void *context;
    const struct cas_index *was; /* of the old layer */
    const char *destination; /* as COPY has it: absolute, clean, perhaps ending in "/" */
    bool any_owner;          /* --chown was given: owners say nothing */
    bool any_mode;           /* --chmod was given */
};

/* malloc'ed; NULL if no difference can be seen. */
char *build_miss_files(const struct build_miss_files *q);
