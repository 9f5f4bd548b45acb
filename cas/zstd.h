/*
 * The zstd format: blocks of a layer become frames of their own, with size and check sum.
 * For cas/; libzstd itself is behind zstd.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

#define ZSTD_LEVEL_DEFAULT 3
#define ZSTD_LEVEL_MAX     22

/* One thread at a time. */
struct zstd_frames;
struct zstd_frames *zstd_frames_new(int level);
void zstd_frames_free(struct zstd_frames *z); /* NULL is fine */
/* One whole frame; returns its size, or 0 if `room` is too small;
 * in.size + in.size / 128 + 1024 is enough. */
size_t zstd_frames_block(struct zstd_frames *z, struct view in, void *out, size_t room);

/* Any number of frames, also skippable ones. */
struct zstd_inflate;
struct zstd_inflate *zstd_inflate_new(void);
void zstd_inflate_free(struct zstd_inflate *z); /* NULL is fine */
/* As gzip_inflate_step; *end: between frames, where the stream may be over. Check sums and
 * sizes are verified where the frame has them. */
MUST_CHECK int zstd_inflate_step(struct zstd_inflate *z,
                                 struct view *in,
                                 void *out,
                                 size_t size,
                                 size_t *got,
                                 bool *end,
                                 struct error *err);

/* Of the library: its output may change with it. */
const char *zstd_version(void);
