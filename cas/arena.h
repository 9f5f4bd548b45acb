/*
 * An arena: many small things that are freed together. And a list of entries that lives in
 * one.
 */
#pragma once

#include "base/view.h"
#include "cas/entry.h"

#include <stddef.h>

struct cas_arena_chunk;

struct cas_arena {
    struct cas_arena_chunk *chunks;
};

/* Zeroed, aligned for anything, valid until the arena is released. */
void *cas_arena_alloc(struct cas_arena *a, size_t size);
struct view cas_arena_view(struct cas_arena *a, struct view text); /* NUL follows */
/* "dir/name", or "name" if dir is empty. */
struct view cas_arena_join(struct cas_arena *a, struct view dir, struct view name);
/* A copy with everything that it borrows. */
struct cas_entry cas_arena_entry(struct cas_arena *a, const struct cas_entry *e);
void cas_arena_release(struct cas_arena *a); /* idempotent */

struct cas_entry_list {
    struct cas_entry *items;
    size_t count;
    size_t capacity;
    struct cas_arena arena; /* may hold more than the entries' texts */
};

/* Appends as it is: what it borrows must live as long as the list. */
struct cas_entry *cas_entry_list_add(struct cas_entry_list *l, const struct cas_entry *e);
void cas_entry_list_sort(struct cas_entry_list *l);
void cas_entry_list_release(struct cas_entry_list *l); /* idempotent */
