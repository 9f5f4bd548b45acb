#include "cas/zstd.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

struct zstd_frames {
    ZSTD_CCtx *context;
};

struct zstd_frames *zstd_frames_new(int level)
{
    struct zstd_frames *z = base_alloc(sizeof *z);

    z->context = ZSTD_createCCtx();
    assert(z->context);
    /* These fail for values out of range only. */
    const size_t a = ZSTD_CCtx_setParameter(z->context, ZSTD_c_compressionLevel, level);
    const size_t b = ZSTD_CCtx_setParameter(z->context, ZSTD_c_checksumFlag, 1);
    assert(!ZSTD_isError(a) && !ZSTD_isError(b));
    (void)a;
    (void)b;
    return z;
}

void zstd_frames_free(struct zstd_frames *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->context);
    free(z);
}

size_t zstd_frames_block(struct zstd_frames *z, struct view in, void *out, size_t room)
{
    const size_t size = ZSTD_compress2(z->context, out, room, in.data, in.size);

    return ZSTD_isError(size) ? 0 : size;
}

struct zstd_inflate {
    ZSTD_DCtx *context;
};

/* RFC 8878 recommends decoders to support 8 MiB and allows more; libzstd's own limit. */
#define WINDOW_LOG_MAX 27

struct zstd_inflate *zstd_inflate_new(void)
{
    struct zstd_inflate *z = base_alloc(sizeof *z);

    z->context = ZSTD_createDCtx();
    assert(z->context);
    const size_t set =
        ZSTD_DCtx_setParameter(z->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    assert(!ZSTD_isError(set));
    (void)set;
    return z;
}

void zstd_inflate_free(struct zstd_inflate *z)
{
    if (!z)
        return;
    ZSTD_freeDCtx(z->context);
    free(z);
}

int zstd_inflate_step(struct zstd_inflate *z,
                      struct view *in,
                      void *out,
                      size_t size,
                      size_t *got,
                      bool *end,
                      struct error *err)
{
    ZSTD_inBuffer input = {in->data, in->size, 0};
    ZSTD_outBuffer output = {out, size, 0};
    const size_t left = ZSTD_decompressStream(z->context, &output, &input);

    if (ZSTD_isError(left))
        return error_set(err, ERROR_CORRUPT, "zstd data: %s", ZSTD_getErrorName(left));
    *in = view_sub(*in, input.pos, in->size);
    *got = output.pos;
    *end = left == 0;
    return 0;
}

const char *zstd_version(void)
{
    return ZSTD_versionString();
}
