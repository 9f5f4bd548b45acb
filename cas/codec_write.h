/*
 * Compressing layers in blocks, each by itself and on any thread, into one stream:
 *
 *     head | block 0 | block 1 | ... | tail
 *
 * gzip: one member; every block a piece of raw deflate that ends on a byte boundary and
 * refers to nothing before it; the tail is an empty last block, the CRC-32 and the size.
 * zstd: every block a frame. So a reader can begin at any block, and the bytes depend on
 * the content, the size of the blocks, compression and level only.
 *
 * For cas/. Spec: RFC 1951, RFC 1952, RFC 8878.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/layer.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of content in a block; the last may be shorter. */
#define CODEC_BLOCK_SIZE ((size_t)1 << 20)
/* Room for any block compressed, whatever the compression, of `size` bytes before. */
#define CODEC_BLOCK_ROOM(size) ((size) + (size) / 128 + 1024)
/* Heads and tails are never longer. */
#define CODEC_EDGE_MAX 16

/* ERROR_INVALID unless the compression has this level; 0, the default, is always right. */
MUST_CHECK int codec_check_level(enum cas_compression compression,
                                 int level,
                                 struct error *err);

/* Names everything that the compressed bytes depend on besides the content: compressor, its
 * version, level, how we use it. Equal names: equal bytes. */
struct codec_maker {
    char text[48];
};
struct codec_maker codec_maker(enum cas_compression compression, int level);

/* One thread at a time. Not for CAS_COMPRESSION_NONE, whose blocks are the content. */
struct codec_encoder;
MUST_CHECK struct codec_encoder *codec_encoder_new(enum cas_compression compression,
                                                   int level,
                                                   struct error *err);
void codec_encoder_free(struct codec_encoder *e); /* NULL is fine */
void codec_encoder_freep(struct codec_encoder **e);
/* Compresses a block into CODEC_BLOCK_ROOM(in.size) bytes at `out`; returns its size. `crc`
 * gets the block's CRC-32 for gzip, else 0. */
size_t codec_encode(struct codec_encoder *e, struct view in, void *out, uint32_t *crc);

/* What has gone by, for the tail. */
struct codec_sum {
    uint32_t crc;
    uint64_t size;
};
/* Blocks are added in their order. */
void codec_sum_add(struct codec_sum *sum, uint32_t crc, size_t size);

/* Both return the size. */
size_t codec_head(enum cas_compression compression, char out[CODEC_EDGE_MAX]);
size_t codec_tail(enum cas_compression compression,
                  const struct codec_sum *sum,
                  char out[CODEC_EDGE_MAX]);
