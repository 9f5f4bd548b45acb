#include "parser/arena.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Most Dockerfiles fit into the first chunk; the largest chunk bounds what is wasted. */
#define CHUNK_SIZE_FIRST ((size_t)8 << 10)
#define CHUNK_SIZE_MAX   ((size_t)1 << 20)

struct chunk {
    struct chunk *older;
    alignas(max_align_t) char bytes[];
};

struct dockerfile_arena {
    struct chunk *newest;
    char *next; /* free bytes of the newest chunk: [next, end) */
    char *end;
    size_t chunk_size;
};

struct dockerfile_arena *dockerfile_arena_new(void)
{
    struct dockerfile_arena *arena = base_alloc(sizeof *arena);

    arena->chunk_size = CHUNK_SIZE_FIRST;
    return arena;
}

void dockerfile_arena_free(struct dockerfile_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *chunk = arena->newest, *older; chunk; chunk = older) {
        older = chunk->older;
        free(chunk);
    }
    free(arena);
}

static struct chunk *chunk_new(struct dockerfile_arena *arena, size_t size)
{
    size_t total;
    const bool fits = size_add(sizeof(struct chunk), size, &total);

    assert(fits);
    struct chunk *chunk = base_alloc(total);
    chunk->older = arena->newest;
    arena->newest = chunk;
    return chunk;
}

static char *take(struct dockerfile_arena *arena, size_t size)
{
    if (size > (size_t)(arena->end - arena->next)) {
        const size_t room = size > arena->chunk_size / 2 ? size : arena->chunk_size;
        struct chunk *chunk = chunk_new(arena, room);

        /* A large piece gets a chunk of its own; the rest of the last one stays in use if
         * it is larger than what this one would leave. */
        if (room - size < (size_t)(arena->end - arena->next))
            return chunk->bytes;
        arena->next = chunk->bytes;
        arena->end = chunk->bytes + room;
        if (arena->chunk_size < CHUNK_SIZE_MAX)
            arena->chunk_size *= 2;
    }
    char *start = arena->next;
    arena->next += size;
    return start;
}

void *dockerfile_arena_alloc(struct dockerfile_arena *arena, size_t size)
{
    if (arena->next) {
        const size_t step = alignof(max_align_t);
        const size_t pad = (step - (uintptr_t)arena->next % step) % step;

        arena->next += pad <= (size_t)(arena->end - arena->next)
                           ? pad
                           : (size_t)(arena->end - arena->next);
    }
    return take(arena, size);
}

void *dockerfile_arena_array(struct dockerfile_arena *arena, size_t count, size_t size)
{
    size_t total;
    const bool fits = size_mul(count, size, &total);

    assert(fits);
    return dockerfile_arena_alloc(arena, total);
}

void *dockerfile_arena_copy(struct dockerfile_arena *arena,
                            const void *items,
                            size_t count,
                            size_t size)
{
    void *copy = dockerfile_arena_array(arena, count, size);

    if (count > 0)
        memcpy(copy, items, count * size);
    return copy;
}

struct view dockerfile_arena_text(struct dockerfile_arena *arena, struct view text)
{
    size_t total;
    const bool fits = size_add(text.size, 1, &total);

    assert(fits);
    char *copy = take(arena, total);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return (struct view){copy, text.size};
}
