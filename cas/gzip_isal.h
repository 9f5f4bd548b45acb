/*
 * The fast path of the gzip format: ISA-L's deflate at its level 1, its inflate and its
 * CRC-32. For cas/; ISA-L itself is behind gzip_isal.c.
 *
 * Compressing is a function of the input alone, whatever thread, process or address space
 * it runs in; see gzip_isal.c for what that takes.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CRC-32 as gzip has it; `crc` is that of what came before, 0 at the start. */
uint32_t gzip_crc32(uint32_t crc, const void *data, size_t size);

/* --- Compressing --- */

/* One thread at a time. Level 1: higher ones of ISA-L do not always give equal bytes. */
struct gzip_isal;
MUST_CHECK struct gzip_isal *gzip_isal_new(struct error *err);
void gzip_isal_free(struct gzip_isal *z); /* NULL is fine */
/* Compresses `in` (at most 1 GiB) by itself into raw deflate blocks that end on a byte
 * boundary and of which none is the last, so that such pieces can be joined. Returns the
 * size, or 0 if `room` bytes are not enough; in.size + in.size / 1024 + 1024 always are. */
size_t gzip_isal_block(struct gzip_isal *z, struct view in, void *out, size_t room);

/* --- Decompressing one gzip member --- */

struct gzip_inflate;
struct gzip_inflate *gzip_inflate_new(void);
void gzip_inflate_free(struct gzip_inflate *z); /* NULL is fine */
/* Makes ready for the next member. */
void gzip_inflate_reset(struct gzip_inflate *z);
/*
 * Takes what it can from the front of *in and gives up to `size` bytes. *end: the member is
 * over, its CRC-32 and size were right, and *in is what follows it. No bytes given, no end
 * and an empty *in: more input is needed.
 * Errors: ERROR_CORRUPT.
 */
MUST_CHECK int gzip_inflate_step(struct gzip_inflate *z,
                                 struct view *in,
                                 void *out,
                                 size_t size,
                                 size_t *got,
                                 bool *end,
                                 struct error *err);

/* Of the library that we were compiled with: it tells none at run time. */
const char *gzip_isal_version(void);
