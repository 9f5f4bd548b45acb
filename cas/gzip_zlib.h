/*
 * What zlib does for the gzip format: higher compression levels, and joining check sums.
 * For cas/; zlib itself is behind gzip_zlib.c.
 */
#pragma once

#include "base/macros.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

/* The CRC-32 of a and b joined, from those of each; `size` is that of b. */
uint32_t gzip_crc32_join(uint32_t a, uint32_t b, uint64_t size);

/* One thread at a time. Levels 1 to 9. */
struct gzip_zlib;
struct gzip_zlib *gzip_zlib_new(int level);
void gzip_zlib_free(struct gzip_zlib *z); /* NULL is fine */
/* As gzip_isal_block. */
size_t gzip_zlib_block(struct gzip_zlib *z, struct view in, void *out, size_t room);

/* Of the library: its output may change with it. */
const char *gzip_zlib_version(void);
