#include "base/buf.h"

#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf)BUF_INIT(max);
}

void buf_release(struct buf *b)
{
    const int saved = errno;

    free(b->data);
    buf_init(b, b->max);
    errno = saved;
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

/* Doubling keeps appends cheap; the closing NUL is part of the capacity but not of the
 * maximum. */
static void grow(struct buf *b, size_t needed)
{
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;

    while (capacity < needed) {
        if (!size_mul(capacity, 2, &capacity))
            capacity = needed;
    }
    b->data = base_realloc_array(b->data, capacity, 1);
    b->capacity = capacity;
    b->data[b->size] = '\0';
}

char *buf_reserve(struct buf *b, size_t size)
{
    size_t total = 0;
    size_t needed = 0;

    if (b->failed || !size_add(b->size, size, &total) || total > b->max ||
        !size_add(total, 1, &needed)) {
        b->failed = true;
        return NULL;
    }
    if (needed > b->capacity)
        grow(b, needed);
    return b->data + b->size;
}

void buf_commit(struct buf *b, size_t size)
{
    assert(b->capacity > b->size && size <= b->capacity - b->size - 1);
    b->size += size;
    b->data[b->size] = '\0';
}

void buf_append(struct buf *b, const void *data, size_t size)
{
    char *room = buf_reserve(b, size);

    if (!room)
        return;
    if (size)
        memcpy(room, data, size);
    buf_commit(b, size);
}

void buf_append_view(struct buf *b, struct view v)
{
    buf_append(b, v.data, v.size);
}

void buf_append_text(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_append_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(size >= 0);

    char *room = buf_reserve(b, (size_t)size);

    if (!room)
        return;
    va_start(args, format);
    vsnprintf(room, (size_t)size + 1, format, args);
    va_end(args);
    buf_commit(b, (size_t)size);
}

void buf_append_u32le(struct buf *b, uint32_t v)
{
    unsigned char bytes[4];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(v >> (8 * i));
    buf_append(b, bytes, sizeof bytes);
}

void buf_append_u64le(struct buf *b, uint64_t v)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(v >> (8 * i));
    buf_append(b, bytes, sizeof bytes);
}

int buf_ok(const struct buf *b, const char *what, struct error *err)
{
    if (b->failed)
        return error_set(err, ERROR_LIMIT, "%s is larger than %zu bytes", what, b->max);
    return 0;
}

struct view buf_view(const struct buf *b)
{
    return (struct view){b->data, b->size};
}

const char *buf_text(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = b->data ? b->data : base_alloc(1);

    buf_init(b, b->max);
    return data;
}
