#include "cas/codec_write.h"

#include "base/alloc.h"
#include "cas/gzip_isal.h"
#include "cas/gzip_zlib.h"
#include "cas/zstd.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Level 1 is ISA-L's. Its level 2 does not always give equal bytes for equal input, its
 * level 3 different ones on different processors: from 2 on it is zlib. */
#define GZIP_LEVEL_DEFAULT  1
#define GZIP_LEVEL_FAST_MAX 1
#define GZIP_LEVEL_MAX      9

static int level_max(enum cas_compression compression)
{
    switch (compression) {
    case CAS_COMPRESSION_GZIP:
        return GZIP_LEVEL_MAX;
    case CAS_COMPRESSION_ZSTD:
        return ZSTD_LEVEL_MAX;
    case CAS_COMPRESSION_NONE:
        return 0;
    }
    return 0;
}

int codec_check_level(enum cas_compression compression, int level, struct error *err)
{
    const int max = level_max(compression);

    if (level == 0 || (level > 0 && level <= max))
        return 0;
    if (max == 0)
        return error_set(err, ERROR_INVALID, "no compression has no level %d", level);
    return error_set(err, ERROR_INVALID, "compression level %d is not within 1 to %d",
                     level, max);
}

/* Raised when blocks, heads or tails of the same compressor become others. */
#define MAKER_VERSION 1

struct codec_maker codec_maker(enum cas_compression compression, int level)
{
    struct codec_maker m = {{0}};
    const char *name = "tar";
    const char *version = "";

    if (compression == CAS_COMPRESSION_ZSTD) {
        level = level ? level : ZSTD_LEVEL_DEFAULT;
        name = "zstd";
        version = zstd_version();
    } else if (compression == CAS_COMPRESSION_GZIP) {
        level = level ? level : GZIP_LEVEL_DEFAULT;
        name = level > GZIP_LEVEL_FAST_MAX ? "zlib" : "isal";
        version = level > GZIP_LEVEL_FAST_MAX ? gzip_zlib_version() : gzip_isal_version();
    }
    snprintf(m.text, sizeof m.text, "%d %s %.16s %d", MAKER_VERSION, name, version, level);
    return m;
}

struct codec_encoder {
    struct gzip_isal *isal; /* one of the three */
    struct gzip_zlib *zlib;
    struct zstd_frames *zstd;
};

struct codec_encoder *codec_encoder_new(enum cas_compression compression,
                                        int level,
                                        struct error *err)
{
    struct codec_encoder *e = base_alloc(sizeof *e);

    assert(compression != CAS_COMPRESSION_NONE);
    if (compression == CAS_COMPRESSION_ZSTD) {
        e->zstd = zstd_frames_new(level ? level : ZSTD_LEVEL_DEFAULT);
        return e;
    }
    if (level == 0)
        level = GZIP_LEVEL_DEFAULT;
    if (level > GZIP_LEVEL_FAST_MAX) {
        e->zlib = gzip_zlib_new(level);
        return e;
    }
    e->isal = gzip_isal_new(err);
    if (!e->isal)
        codec_encoder_freep(&e);
    return e;
}

void codec_encoder_free(struct codec_encoder *e)
{
    if (!e)
        return;
    gzip_isal_free(e->isal);
    gzip_zlib_free(e->zlib);
    zstd_frames_free(e->zstd);
    free(e);
}

void codec_encoder_freep(struct codec_encoder **e)
{
    codec_encoder_free(*e);
    *e = NULL;
}

size_t codec_encode(struct codec_encoder *e, struct view in, void *out, uint32_t *crc)
{
    const size_t room = CODEC_BLOCK_ROOM(in.size);
    size_t size;

    *crc = e->zstd ? 0 : gzip_crc32(0, in.data, in.size);
    if (e->isal)
        size = gzip_isal_block(e->isal, in, out, room);
    else if (e->zlib)
        size = gzip_zlib_block(e->zlib, in, out, room);
    else
        size = zstd_frames_block(e->zstd, in, out, room);
    /* The room is the formats' own bound and more. */
    assert(size > 0);
    return size;
}

void codec_sum_add(struct codec_sum *sum, uint32_t crc, size_t size)
{
    sum->crc = gzip_crc32_join(sum->crc, crc, size);
    sum->size += size;
}

/* RFC 1952 2.3: no name, no time, unknown system; XFL 4 would say "fastest", we say
 * nothing, so that all levels begin alike. */
static const char gzip_head[10] = "\x1f\x8b\x08\0\0\0\0\0\0\xff";

size_t codec_head(enum cas_compression compression, char out[CODEC_EDGE_MAX])
{
    if (compression != CAS_COMPRESSION_GZIP)
        return 0;
    memcpy(out, gzip_head, sizeof gzip_head);
    return sizeof gzip_head;
}

static void put_u32le(char *out, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (char)(v >> 8 * i & 0xff);
}

size_t codec_tail(enum cas_compression compression,
                  const struct codec_sum *sum,
                  char out[CODEC_EDGE_MAX])
{
    if (compression != CAS_COMPRESSION_GZIP)
        return 0;
    /* RFC 1951 3.2.6: BFINAL, fixed codes, and at once the end of the block. */
    memcpy(out, "\x03\0", 2);
    put_u32le(out + 2, sum->crc);
    put_u32le(out + 6, (uint32_t)(sum->size & UINT32_MAX));
    return 10;
}
