#include "cas/arena.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 64 << 10 };

struct cas_arena_chunk {
    struct cas_arena_chunk *next;
    size_t used;
    size_t size;
    alignas(max_align_t) char data[];
};

static struct cas_arena_chunk *new_chunk(size_t size)
{
    struct cas_arena_chunk *chunk = base_alloc(sizeof *chunk + size);

    chunk->size = size;
    return chunk;
}

void *cas_arena_alloc(struct cas_arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    const size_t rounded = (size + align - 1) & ~(align - 1);
    struct cas_arena_chunk *chunk = a->chunks;

    if (rounded > CHUNK_SIZE / 4) {
        /* Large things stand alone, behind the chunk in use. */
        chunk = new_chunk(rounded);
        chunk->used = rounded;
        if (a->chunks) {
            chunk->next = a->chunks->next;
            a->chunks->next = chunk;
        } else {
            a->chunks = chunk;
        }
        return chunk->data;
    }
    if (!chunk || chunk->size - chunk->used < rounded) {
        chunk = new_chunk(CHUNK_SIZE);
        chunk->next = a->chunks;
        a->chunks = chunk;
    }

    void *data = chunk->data + chunk->used;

    chunk->used += rounded;
    return data;
}

struct view cas_arena_view(struct cas_arena *a, struct view text)
{
    char *copy = cas_arena_alloc(a, text.size + 1);

    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return (struct view){copy, text.size};
}

struct view cas_arena_join(struct cas_arena *a, struct view dir, struct view name)
{
    if (dir.size == 0)
        return cas_arena_view(a, name);

    char *copy = cas_arena_alloc(a, dir.size + 1 + name.size + 1);

    memcpy(copy, dir.data, dir.size);
    copy[dir.size] = '/';
    memcpy(copy + dir.size + 1, name.data, name.size);
    return (struct view){copy, dir.size + 1 + name.size};
}

struct cas_entry cas_arena_entry(struct cas_arena *a, const struct cas_entry *e)
{
    struct cas_entry copy = *e;
    struct cas_xattr *xattrs = NULL;

    copy.path = cas_arena_view(a, e->path);
    copy.target = cas_arena_view(a, e->target);
    if (e->xattr_count > 0)
        xattrs = cas_arena_alloc(a, e->xattr_count * sizeof *xattrs);
    for (size_t i = 0; i < e->xattr_count; i++) {
        xattrs[i].name = cas_arena_view(a, e->xattrs[i].name);
        xattrs[i].value = cas_arena_view(a, e->xattrs[i].value);
    }
    copy.xattrs = xattrs;
    return copy;
}

void cas_arena_release(struct cas_arena *a)
{
    while (a->chunks) {
        struct cas_arena_chunk *next = a->chunks->next;

        free(a->chunks);
        a->chunks = next;
    }
}

/* --- Lists --- */

struct cas_entry *cas_entry_list_add(struct cas_entry_list *l, const struct cas_entry *e)
{
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count] = *e;
    return &l->items[l->count++];
}

static int compare_entries(const void *a, const void *b)
{
    return cas_entry_path_compare(((const struct cas_entry *)a)->path,
                                  ((const struct cas_entry *)b)->path);
}

void cas_entry_list_sort(struct cas_entry_list *l)
{
    if (l->count > 1)
        qsort(l->items, l->count, sizeof *l->items, compare_entries);
}

void cas_entry_list_release(struct cas_entry_list *l)
{
    free(l->items);
    cas_arena_release(&l->arena);
    *l = (struct cas_entry_list){0};
}
