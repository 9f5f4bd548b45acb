/*
 * Memory of one syntax tree: grows in chunks, is never given back in parts, and goes with
 * the tree. Private to parser/.
 */
#pragma once

#include "base/view.h"

#include <stddef.h>

struct dockerfile_arena;

struct dockerfile_arena *dockerfile_arena_new(void);
void dockerfile_arena_free(struct dockerfile_arena *arena); /* NULL is fine */

/* Zeroed, aligned for any type; never NULL. */
void *dockerfile_arena_alloc(struct dockerfile_arena *arena, size_t size);
/* `count` elements; overflow aborts. Zero elements give a valid pointer to nothing. */
void *dockerfile_arena_array(struct dockerfile_arena *arena, size_t count, size_t size);
/* A copy of `count` elements. */
void *dockerfile_arena_copy(struct dockerfile_arena *arena,
                            const void *items,
                            size_t count,
                            size_t size);
/* Bytes without alignment, with a NUL after them that the view does not count. */
struct view dockerfile_arena_text(struct dockerfile_arena *arena, struct view text);
