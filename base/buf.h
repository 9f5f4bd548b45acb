/*
 * A growable byte buffer that always ends in NUL and is born with its maximum size.
 * Appending past the maximum sets `failed` and keeps what is there (sticky), so a chain of
 * appends is checked once, with buf_ok. Maxima stand in base/limits.h.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* never to be stored by others; NULL while empty */
    size_t size;
    size_t capacity;
    size_t max;
    bool failed;
};

#define BUF_INIT(max_size)                                                                 \
    {                                                                                      \
        NULL, 0, 0, (max_size), false                                                      \
    }

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b); /* idempotent; usable with CLEANUP */
void buf_clear(struct buf *b);   /* keeps the memory; resets failed */

void buf_append(struct buf *b, const void *data, size_t size);
void buf_append_view(struct buf *b, struct view v);
void buf_append_text(struct buf *b, const char *text);
void buf_append_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_append_u32le(struct buf *b, uint32_t v);
void buf_append_u64le(struct buf *b, uint64_t v);

/* Room for `size` more bytes at the end, not yet counted in; NULL (and failed) past the
 * maximum. buf_commit counts in what was written there. */
char *buf_reserve(struct buf *b, size_t size);
void buf_commit(struct buf *b, size_t size);

/* 0, or -1 with ERROR_LIMIT naming `what`. */
MUST_CHECK int buf_ok(const struct buf *b, const char *what, struct error *err);

struct view buf_view(const struct buf *b);
const char *buf_text(const struct buf *b); /* "" while empty */
/* The bytes, NUL-terminated, now the caller's to free(); the buffer becomes empty. */
char *buf_take(struct buf *b);
