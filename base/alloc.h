/*
 * Memory whose size we chose: these abort on exhaustion and never return NULL.
 * A size that came from outside is checked against base/limits.h first; where it may be
 * large, base_alloc_try returns NULL instead of aborting.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *base_alloc(size_t size);                     /* zeroed; free() */
void *base_alloc_array(size_t count, size_t size); /* zeroed; overflow aborts */
void *base_realloc_array(void *p, size_t count, size_t size);
void *base_alloc_try(size_t size);   /* zeroed; NULL when exhausted */
char *base_strdup(const char *text); /* NULL stays NULL */
char *base_strndup(const char *text, size_t size);
char *base_format(const char *format, ...) PRINTF_LIKE(1, 2); /* malloc'ed text */
void base_freep(void *pointer_to_pointer); /* for CLEANUP: free and set NULL */
/* For texts that are const to those who read them, and were made by who frees them. */
void base_free_text(const char *text);

/* Overflow-checked sums and products: false on overflow, and *out is not to be read. */
static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Makes room for one more element of an array that doubles: *capacity is updated. */
void *base_grow(void *array, size_t count, size_t *capacity, size_t element_size);

/* Tells the C library how this program uses memory. Once, by a program, before it starts a
 * thread; never by a module. */
void base_alloc_tune(void);
