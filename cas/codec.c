#include "cas/codec.h"

#include "base/alloc.h"
#include "cas/gzip_isal.h"
#include "cas/zstd.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_SIZE ((size_t)256 << 10)
#define MAGIC_SIZE ((size_t)4)
/* What is gathered, if there is as much, before a member begins: ISA-L (2.30) gets the
 * check sum of a gzip header wrong that reaches it in pieces. */
#define HEADER_SIZE ((size_t)64 << 10)

/*
 * What the next step is waiting for.
 *
 *     START --first bytes--> PLAIN            -> END
 *                        \-> MEMBER <-> BETWEEN -> END
 *
 * START:   the first bytes, to recognise the format
 * PLAIN:   any byte; the end of the source is the end
 * MEMBER:  inside a gzip member or zstd frame: the source must not end here
 * BETWEEN: behind one: another one, or the end of the source
 */
enum codec_state { CODEC_START, CODEC_PLAIN, CODEC_MEMBER, CODEC_BETWEEN, CODEC_END };

struct codec_reader {
    codec_source_fn *source;
    void *context;
    int fd; /* of codec_reader_new_fd */
    enum codec_state state;
    enum cas_compression compression;
    struct gzip_inflate *gzip;
    struct zstd_inflate *zstd;
    bool source_ended;
    bool allows_rest;
    bool output_pending; /* the decompressor filled what it was given and may hold more */
    uint64_t consumed;
    struct view input; /* within buffer, not yet taken */
    char buffer[INPUT_SIZE];
};

struct codec_reader *codec_reader_new(codec_source_fn *source, void *context)
{
    struct codec_reader *r = base_alloc(sizeof *r);

    r->source = source;
    r->context = context;
    r->fd = -1;
    return r;
}

static int source_fd(void *context, void *data, size_t size, size_t *got, struct error *err)
{
    const struct codec_reader *r = context;
    ssize_t n;

    do
        n = read(r->fd, data, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_sys(err, "read compressed data");
    *got = (size_t)n;
    return 0;
}

struct codec_reader *codec_reader_new_fd(int fd)
{
    struct codec_reader *r = codec_reader_new(source_fd, NULL);

    r->context = r;
    r->fd = fd;
    return r;
}

void codec_reader_free(struct codec_reader *r)
{
    if (!r)
        return;
    gzip_inflate_free(r->gzip);
    zstd_inflate_free(r->zstd);
    free(r);
}

void codec_reader_freep(struct codec_reader **r)
{
    const int saved = errno;

    codec_reader_free(*r);
    *r = NULL;
    errno = saved;
}

void codec_reader_allow_rest(struct codec_reader *r)
{
    r->allows_rest = true;
}

uint64_t codec_reader_consumed(const struct codec_reader *r)
{
    return r->consumed;
}

/* Reads behind what is in the buffer until there are `want` bytes or the source ends. */
static int fill(struct codec_reader *r, size_t want, struct error *err)
{
    assert(want <= sizeof r->buffer);
    memmove(r->buffer, r->input.data ? r->input.data : r->buffer, r->input.size);
    r->input.data = r->buffer;
    while (r->input.size < want && !r->source_ended) {
        size_t got = 0;
        if (r->source(r->context, r->buffer + r->input.size,
                      sizeof r->buffer - r->input.size, &got, err) < 0)
            return -1;
        assert(got <= sizeof r->buffer - r->input.size);
        r->input.size += got;
        r->consumed += got;
        r->source_ended = got == 0;
    }
    return 0;
}

/* --- Recognising --- */

static bool is_gzip(struct view v)
{
    return v.size >= 2 && memcmp(v.data, "\x1f\x8b", 2) == 0;
}

/* RFC 8878 3.1.1 Zstandard frames, 3.1.2 skippable frames: 0x184D2A50 to 0x184D2A5F. */
static bool is_zstd(struct view v)
{
    if (v.size < MAGIC_SIZE)
        return false;
    return memcmp(v.data, "\x28\xb5\x2f\xfd", MAGIC_SIZE) == 0 ||
           (((unsigned char)v.data[0] & 0xf0) == 0x50 &&
            memcmp(v.data + 1, "\x2a\x4d\x18", MAGIC_SIZE - 1) == 0);
}

static int recognise(struct codec_reader *r, struct error *err)
{
    if (r->state != CODEC_START)
        return 0;
    if (fill(r, HEADER_SIZE, err) < 0)
        return -1;
    if (is_gzip(r->input)) {
        r->compression = CAS_COMPRESSION_GZIP;
        r->gzip = gzip_inflate_new();
        r->state = CODEC_MEMBER;
    } else if (is_zstd(r->input)) {
        r->compression = CAS_COMPRESSION_ZSTD;
        r->zstd = zstd_inflate_new();
        r->state = CODEC_MEMBER;
    } else {
        r->compression = CAS_COMPRESSION_NONE;
        r->state = CODEC_PLAIN;
    }
    return 0;
}

int codec_reader_compression(struct codec_reader *r,
                             enum cas_compression *out,
                             struct error *err)
{
    if (recognise(r, err) < 0)
        return -1;
    *out = r->compression;
    return 0;
}

/* --- Reading --- */

static int read_plain(
    struct codec_reader *r, void *data, size_t size, size_t *got, struct error *err)
{
    if (r->input.size == 0 && fill(r, 1, err) < 0)
        return -1;
    *got = r->input.size < size ? r->input.size : size;
    memcpy(data, r->input.data, *got);
    r->input = view_sub(r->input, *got, r->input.size);
    if (*got == 0)
        r->state = CODEC_END;
    return 0;
}

/* Behind a member or frame: the next one begins, or all is over. */
static int read_between(struct codec_reader *r, struct error *err)
{
    if (r->input.size < HEADER_SIZE && fill(r, HEADER_SIZE, err) < 0)
        return -1;
    if (r->input.size == 0) {
        r->state = CODEC_END;
        return 0;
    }
    if (r->gzip ? !is_gzip(r->input) : !is_zstd(r->input)) {
        if (r->allows_rest) {
            r->state = CODEC_END;
            return 0;
        }
        return error_set(err, ERROR_CORRUPT, "something else follows the compressed data");
    }
    if (r->gzip)
        gzip_inflate_reset(r->gzip);
    r->state = CODEC_MEMBER;
    return 0;
}

static int read_member(
    struct codec_reader *r, void *data, size_t size, size_t *got, struct error *err)
{
    bool end = false;

    if (r->input.size == 0 && !r->output_pending) {
        if (fill(r, 1, err) < 0)
            return -1;
        if (r->input.size == 0)
            return error_set(err, ERROR_CORRUPT, "compressed data ends early");
    }
    if (r->gzip ? gzip_inflate_step(r->gzip, &r->input, data, size, got, &end, err) < 0
                : zstd_inflate_step(r->zstd, &r->input, data, size, got, &end, err) < 0)
        return -1;
    r->output_pending = !end && *got == size;
    if (end)
        r->state = CODEC_BETWEEN;
    return 0;
}

int codec_reader_read(
    struct codec_reader *r, void *data, size_t size, size_t *got, struct error *err)
{
    assert(size > 0);
    *got = 0;
    if (recognise(r, err) < 0)
        return -1;
    while (*got == 0 && r->state != CODEC_END) {
        int result = 0;
        switch (r->state) {
        case CODEC_PLAIN:
            result = read_plain(r, data, size, got, err);
            break;
        case CODEC_MEMBER:
            result = read_member(r, data, size, got, err);
            break;
        case CODEC_BETWEEN:
            result = read_between(r, err);
            break;
        case CODEC_START:
        case CODEC_END:
            break;
        }
        if (result < 0)
            return -1;
    }
    return 0;
}
