/* Whatever is compressed or claims to be: it ends, in content or in an error, and the same
 * however it is cut into pieces. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "cas/codec.h"

#include <assert.h>
#include <string.h>

#define CONTENT_MAX ((size_t)4 << 20)

struct feed {
    struct view rest;
    size_t piece;
};

static int feed_read(void *context, void *data, size_t size, size_t *got, struct error *err)
{
    struct feed *f = context;

    (void)err;
    if (size > f->piece)
        size = f->piece;
    *got = size < f->rest.size ? size : f->rest.size;
    if (*got)
        memcpy(data, f->rest.data, *got);
    f->rest = view_sub(f->rest, *got, f->rest.size);
    return 0;
}

/* 0: a right end; 1: too much; -1: an error. */
static int drain(
    struct view in, size_t piece, size_t step, struct buf *out, struct error *err)
{
    struct feed f = {in, piece};
    CLEANUP(codec_reader_freep) struct codec_reader *r = codec_reader_new(feed_read, &f);
    size_t got;

    do {
        char *room = buf_reserve(out, step);
        if (!room)
            return 1;
        if (codec_reader_read(r, room, step, &got, err) < 0)
            return -1;
        assert(got <= step);
        buf_commit(out, got);
    } while (got > 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view in = {(const char *)data, size};
    CLEANUP(error_clear) struct error err_a = ERROR_INIT;
    CLEANUP(error_clear) struct error err_b = ERROR_INIT;
    CLEANUP(buf_release) struct buf a = BUF_INIT(CONTENT_MAX);
    CLEANUP(buf_release) struct buf b = BUF_INIT(CONTENT_MAX);
    const int whole = drain(in, SIZE_MAX, 65536, &a, &err_a);
    const int pieces = drain(in, 977, 4096, &b, &err_b);

    if (whole < 0)
        assert(error_is(&err_a, ERROR_CORRUPT));
    if (whole == 0 && pieces == 0)
        assert(view_eq(buf_view(&a), buf_view(&b)));
    if (whole <= 0 && pieces <= 0)
        assert(whole == pieces);
    return 0;
}
