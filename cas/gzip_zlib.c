#include "cas/gzip_zlib.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

uint32_t gzip_crc32_join(uint32_t a, uint32_t b, uint64_t size)
{
    return (uint32_t)crc32_combine64(a, b, (z_off64_t)size);
}

struct gzip_zlib {
    z_stream stream;
};

#define RAW_DEFLATE_32K (-15)
#define MEMORY_LEVEL    8

struct gzip_zlib *gzip_zlib_new(int level)
{
    struct gzip_zlib *z = base_alloc(sizeof *z);
    const int done = deflateInit2(&z->stream, level, Z_DEFLATED, RAW_DEFLATE_32K,
                                  MEMORY_LEVEL, Z_DEFAULT_STRATEGY);

    /* It fails for wrong arguments and want of memory, and the latter aborts, as
     * base_alloc. */
    assert(done == Z_OK);
    (void)done;
    return z;
}

void gzip_zlib_free(struct gzip_zlib *z)
{
    if (!z)
        return;
    (void)deflateEnd(&z->stream); /* Z_DATA_ERROR: was not finished, which is our way */
    free(z);
}

size_t gzip_zlib_block(struct gzip_zlib *z, struct view in, void *out, size_t room)
{
    z_stream *s = &z->stream;

    assert(in.size <= UINT32_MAX && room <= UINT32_MAX);
    if (deflateReset(s) != Z_OK)
        return 0;
    s->next_in = (Bytef *)(uintptr_t)in.data;
    s->avail_in = (uInt)in.size;
    s->next_out = out;
    s->avail_out = (uInt)room;
    /* Not all room used: the flush is complete (zlib.h, deflate). */
    if (deflate(s, Z_FULL_FLUSH) != Z_OK || s->avail_in != 0 || s->avail_out == 0)
        return 0;
    return room - s->avail_out;
}

const char *gzip_zlib_version(void)
{
    return zlibVersion();
}
