/* link: -lz -lzstd */
#include "cas/codec.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "cas/codec_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#define ROOM ((size_t)16 << 20)

/* Gives `data` in pieces of at most `piece` bytes; fails where `fail_at` is reached. */
struct feed {
    struct view data;
    size_t piece;
    size_t given;
    size_t fail_at;
};

static int feed_read(void *context, void *data, size_t size, size_t *got, struct error *err)
{
    struct feed *f = context;
    const struct view v = view_sub(f->data, f->given, f->piece < size ? f->piece : size);

    if (f->fail_at && f->given >= f->fail_at)
        return error_set(err, ERROR_NETWORK, "the line was cut");
    if (v.size)
        memcpy(data, v.data, v.size);
    f->given += v.size;
    *got = v.size;
    return 0;
}

/* Reads everything, `step` bytes at a time. */
static int drain_feed(struct feed *f, size_t step, struct buf *out, struct error *err)
{
    CLEANUP(codec_reader_freep) struct codec_reader *r = codec_reader_new(feed_read, f);
    CLEANUP(base_freep) char *data = base_alloc(step);
    size_t got;

    do {
        if (codec_reader_read(r, data, step, &got, err) < 0)
            return -1;
        buf_append(out, data, got);
    } while (got > 0);
    assert_int_equal(codec_reader_consumed(r), f->given);
    return buf_ok(out, "content", err);
}

static int drain(
    struct view in, size_t piece, size_t step, struct buf *out, struct error *err)
{
    struct feed f = {.data = in, .piece = piece};

    return drain_feed(&f, step, out, err);
}

static void assert_gives(struct view in, struct view want)
{
    static const size_t sizes[][2] = {
        {SIZE_MAX, 1 << 20}, {1, 64}, {100, 7}, {4096, 100000}};
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        CLEANUP(buf_release) struct buf out = BUF_INIT(ROOM);
        /* Large ones bytewise take ISA-L minutes under AddressSanitizer. */
        if (want.size > 100000 && sizes[i][1] < 100)
            continue;
        if (drain(in, sizes[i][0], sizes[i][1], &out, &err) < 0)
            fail_msg("%s", error_text(&err));
        assert_int_equal(out.size, want.size);
        if (want.size)
            assert_memory_equal(out.data, want.data, want.size);
    }
}

static void assert_fails(struct view in, enum error_code code)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(ROOM);

    assert_int_equal(drain(in, SIZE_MAX, 4096, &out, &err), -1);
    assert_int_equal(err.code, code);
}

/* --- Samples --- */

/* Text that compresses somewhat. */
static void sample(struct buf *out, size_t size)
{
    uint32_t state = 12345;

    buf_init(out, ROOM);
    while (out->size < size) {
        state = state * 1664525u + 1013904223u;
        buf_printf(out, "%u %s\n", state >> 20, state & 4096 ? "barrel" : "stave");
    }
    out->size = size;
}

/* A gzip member by zlib, with every optional header field if `fields`. */
static void gzip_by_zlib(struct view in, bool fields, struct buf *out)
{
    z_stream s = {0};
    Bytef extra[] = "extra field";
    Bytef name[] = "name";
    Bytef comment[] = "comment";
    gz_header header = {.extra = extra,
                        .extra_len = sizeof extra,
                        .name = name,
                        .comment = comment,
                        .hcrc = 1,
                        .time = 1};

    assert_int_equal(deflateInit2(&s, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    if (fields)
        assert_int_equal(deflateSetHeader(&s, &header), Z_OK);
    const size_t room = in.size + 4096;
    s.next_in = (Bytef *)(uintptr_t)in.data;
    s.avail_in = (uInt)in.size;
    s.next_out = (Bytef *)buf_reserve(out, room);
    s.avail_out = (uInt)room;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    buf_commit(out, s.total_out);
    deflateEnd(&s);
}

/* As layers are written: head, blocks of `block` bytes, tail. */
static void encode(enum cas_compression compression,
                   int level,
                   struct view in,
                   size_t block,
                   struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(codec_encoder_freep)
    struct codec_encoder *e = codec_encoder_new(compression, level, &err);
    struct codec_sum sum = {0};
    char edge[CODEC_EDGE_MAX];
    uint32_t crc;

    assert_non_null(e);
    buf_append(out, edge, codec_head(compression, edge));
    for (size_t at = 0; at < in.size; at += block) {
        const struct view piece = view_sub(in, at, block);
        char *room = buf_reserve(out, CODEC_BLOCK_ROOM(piece.size));
        assert_non_null(room);
        buf_commit(out, codec_encode(e, piece, room, &crc));
        codec_sum_add(&sum, crc, piece.size);
    }
    buf_append(out, edge, codec_tail(compression, &sum, edge));
}

static void zstd_by_libzstd(struct view in, struct buf *out)
{
    char *room = buf_reserve(out, ZSTD_compressBound(in.size));
    const size_t size =
        ZSTD_compress(room, ZSTD_compressBound(in.size), in.data, in.size, 3);

    assert_false(ZSTD_isError(size));
    buf_commit(out, size);
}

/* --- Reading --- */

static void test_plain_bytes_are_given_as_they_are(void **state)
{
    (void)state;
    assert_gives(VIEW_LIT(""), VIEW_LIT(""));
    assert_gives(VIEW_LIT("x"), VIEW_LIT("x"));
    assert_gives(VIEW_LIT("\x1f"), VIEW_LIT("\x1f"));
    assert_gives(VIEW_LIT("\x28\xb5\x2f"), VIEW_LIT("\x28\xb5\x2f"));
    assert_gives(VIEW_LIT("some tar or other"), VIEW_LIT("some tar or other"));
}

static void test_gzip_of_zlib_is_read(void **state)
{
    static const size_t sizes[] = {0, 1, 511, 70000, 3000000};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        for (int fields = 0; fields <= 1; fields++) {
            CLEANUP(buf_release) struct buf text;
            CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
            sample(&text, sizes[i]);
            gzip_by_zlib(buf_view(&text), fields, &z);
            assert_gives(buf_view(&z), buf_view(&text));
        }
    }
}

static void test_members_follow_each_other(void **state)
{
    CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);

    (void)state;
    gzip_by_zlib(VIEW_LIT("one "), false, &z);
    gzip_by_zlib(VIEW_LIT(""), true, &z);
    gzip_by_zlib(VIEW_LIT("two"), true, &z);
    assert_gives(buf_view(&z), VIEW_LIT("one two"));
}

static void test_frames_follow_each_other(void **state)
{
    CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);

    (void)state;
    zstd_by_libzstd(VIEW_LIT("one "), &z);
    buf_append(&z, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
    zstd_by_libzstd(VIEW_LIT("two"), &z);
    assert_gives(buf_view(&z), VIEW_LIT("one two"));
}

static void test_what_we_compress_is_read_by_us(void **state)
{
    static const struct {
        enum cas_compression compression;
        int level;
    } ways[] = {{CAS_COMPRESSION_GZIP, 0}, {CAS_COMPRESSION_GZIP, 2},
                {CAS_COMPRESSION_GZIP, 3}, {CAS_COMPRESSION_GZIP, 9},
                {CAS_COMPRESSION_ZSTD, 0}, {CAS_COMPRESSION_ZSTD, 12}};
    CLEANUP(buf_release) struct buf text;

    (void)state;
    sample(&text, 1300000);
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
        encode(ways[i].compression, ways[i].level, buf_view(&text), 500000, &z);
        assert_true(z.size < text.size);
        assert_gives(buf_view(&z), buf_view(&text));
    }
}

static void test_what_we_compress_is_one_member_to_zlib(void **state)
{
    CLEANUP(buf_release) struct buf text;
    CLEANUP(base_freep) char *out = base_alloc(3000000);

    (void)state;
    sample(&text, 2500000);
    for (int level = 1; level <= 4; level++) {
        CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
        z_stream s = {.next_out = (Bytef *)out, .avail_out = 3000000};
        encode(CAS_COMPRESSION_GZIP, level, buf_view(&text), CODEC_BLOCK_SIZE, &z);
        assert_int_equal(inflateInit2(&s, 15 + 16), Z_OK);
        s.next_in = (Bytef *)z.data;
        s.avail_in = (uInt)z.size;
        assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
        assert_int_equal(s.avail_in, 0);
        assert_int_equal(s.total_out, text.size);
        assert_memory_equal(out, text.data, text.size);
        inflateEnd(&s);
    }
}

static void test_bytes_that_do_not_compress_fit(void **state)
{
    static const size_t sizes[] = {1, 1024, 65536, 1 << 20};
    CLEANUP(base_freep) char *noise = base_alloc(1 << 20);
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < 1 << 20; i++) {
        random = random * 1664525u + 1013904223u;
        noise[i] = (char)(random >> 24);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        for (int level = 1; level <= 9; level++) {
            CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
            encode(CAS_COMPRESSION_GZIP, level, (struct view){noise, sizes[i]}, 1 << 20,
                   &z);
            assert_gives(buf_view(&z), (struct view){noise, sizes[i]});
        }
        CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
        encode(CAS_COMPRESSION_ZSTD, 3, (struct view){noise, sizes[i]}, 1 << 20, &z);
        assert_gives(buf_view(&z), (struct view){noise, sizes[i]});
    }
}

static void test_the_format_is_told(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf gzip = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf zstd = BUF_INIT(ROOM);
    enum cas_compression c;

    (void)state;
    gzip_by_zlib(VIEW_LIT("x"), false, &gzip);
    zstd_by_libzstd(VIEW_LIT("x"), &zstd);
    const struct view samples[] = {buf_view(&gzip), buf_view(&zstd), VIEW_LIT("x")};
    const enum cas_compression want[] = {CAS_COMPRESSION_GZIP, CAS_COMPRESSION_ZSTD,
                                         CAS_COMPRESSION_NONE};
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        struct feed f = {.data = samples[i], .piece = 1};
        CLEANUP(codec_reader_freep)
        struct codec_reader *r = codec_reader_new(feed_read, &f);
        assert_int_equal(codec_reader_compression(r, &c, &err), 0);
        assert_int_equal(c, want[i]);
    }
}

static void test_a_descriptor_is_read(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
    const int fd = memfd_create("sample", MFD_CLOEXEC);
    char data[100];
    size_t got;

    (void)state;
    gzip_by_zlib(VIEW_LIT("by descriptor"), false, &z);
    assert_int_equal(write(fd, z.data, z.size), z.size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    CLEANUP(codec_reader_freep) struct codec_reader *r = codec_reader_new_fd(fd);
    assert_int_equal(codec_reader_read(r, data, sizeof data, &got, &err), 0);
    assert_int_equal(got, strlen("by descriptor"));
    assert_memory_equal(data, "by descriptor", got);
    close(fd);
}

/* --- Damage --- */

static void test_a_truncated_stream_is_corrupt(void **state)
{
    CLEANUP(buf_release) struct buf text;
    CLEANUP(buf_release) struct buf gzip = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf zstd = BUF_INIT(ROOM);

    (void)state;
    sample(&text, 700);
    gzip_by_zlib(buf_view(&text), true, &gzip);
    for (size_t size = 2; size < gzip.size; size++)
        assert_fails((struct view){gzip.data, size}, ERROR_CORRUPT);
    encode(CAS_COMPRESSION_ZSTD, 3, buf_view(&text), 4000, &zstd);
    for (size_t size = 4; size < zstd.size; size++)
        assert_fails((struct view){zstd.data, size}, ERROR_CORRUPT);
}

/* A flipped bit in a field that says nothing (time, name) changes nothing; any other is
 * noticed: content is never wrong. */
static void test_a_flipped_bit_never_gives_other_content(void **state)
{
    CLEANUP(buf_release) struct buf text;
    CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
    unsigned noticed = 0;

    (void)state;
    sample(&text, 600);
    encode(CAS_COMPRESSION_GZIP, 1, buf_view(&text), 200, &z);
    /* The first two bytes make it gzip. */
    for (size_t bit = 16; bit < 8 * z.size; bit++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(buf_release) struct buf out = BUF_INIT(ROOM);
        z.data[bit / 8] = (char)(z.data[bit / 8] ^ 1 << bit % 8);
        if (drain(buf_view(&z), SIZE_MAX, 4096, &out, &err) < 0) {
            assert_int_equal(err.code, ERROR_CORRUPT);
            noticed++;
        } else {
            assert_int_equal(out.size, text.size);
            assert_memory_equal(out.data, text.data, text.size);
        }
        z.data[bit / 8] = (char)(z.data[bit / 8] ^ 1 << bit % 8);
    }
    assert_true(noticed > 8 * (z.size - 24));
}

static void test_a_wrong_size_or_check_sum_is_corrupt(void **state)
{
    CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);

    (void)state;
    encode(CAS_COMPRESSION_GZIP, 1, VIEW_LIT("checked"), 100, &z);
    for (size_t i = z.size - 8; i < z.size; i++) {
        z.data[i] = (char)(z.data[i] ^ 1);
        assert_fails(buf_view(&z), ERROR_CORRUPT);
        z.data[i] = (char)(z.data[i] ^ 1);
    }
    assert_gives(buf_view(&z), VIEW_LIT("checked"));
}

static void test_something_behind_the_end_is_corrupt(void **state)
{
    static const struct view tails[] = {VIEW_LIT("x"), VIEW_LIT("\0\0\0\0\0\0\0\0"),
                                        VIEW_LIT("\x1f\x8b"), VIEW_LIT("\x1f")};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tails); i++) {
        CLEANUP(buf_release) struct buf gzip = BUF_INIT(ROOM);
        CLEANUP(buf_release) struct buf zstd = BUF_INIT(ROOM);
        gzip_by_zlib(VIEW_LIT("content"), false, &gzip);
        buf_append_view(&gzip, tails[i]);
        assert_fails(buf_view(&gzip), ERROR_CORRUPT);
        zstd_by_libzstd(VIEW_LIT("content"), &zstd);
        buf_append_view(&zstd, tails[i]);
        assert_fails(buf_view(&zstd), ERROR_CORRUPT);
    }
}

static void test_something_behind_the_end_may_be_allowed(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = {0};
    CLEANUP(buf_release) struct buf in = BUF_INIT(ROOM);
    struct feed f = {.piece = SIZE_MAX};
    CLEANUP(codec_reader_freep)
    struct codec_reader *r = codec_reader_new(feed_read, &f);
    char data[8192];
    size_t got;

    (void)state;
    sample(&text, 5000);
    gzip_by_zlib(buf_view(&text), false, &in);
    buf_append(&in, "\0\0\0\0padding", 11);
    f.data = buf_view(&in);
    codec_reader_allow_rest(r);
    assert_int_equal(codec_reader_read(r, data, sizeof data, &got, &err), 0);
    assert_int_equal(got, text.size);
    assert_memory_equal(data, text.data, got);
    assert_int_equal(codec_reader_read(r, data, sizeof data, &got, &err), 0);
    assert_int_equal(got, 0);
}

static void test_the_error_of_the_source_is_given_on(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text;
    CLEANUP(buf_release) struct buf z = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf out = BUF_INIT(ROOM);

    (void)state;
    sample(&text, 50000);
    gzip_by_zlib(buf_view(&text), false, &z);
    struct feed f = {.data = buf_view(&z), .piece = 1000, .fail_at = 3000};
    assert_int_equal(drain_feed(&f, 100, &out, &err), -1);
    assert_int_equal(err.code, ERROR_NETWORK);
}

/* --- Levels --- */

static void test_levels_out_of_range_are_invalid(void **state)
{
    static const struct {
        enum cas_compression compression;
        int level;
        bool good;
    } cases[] = {{CAS_COMPRESSION_GZIP, 0, true},   {CAS_COMPRESSION_GZIP, 9, true},
                 {CAS_COMPRESSION_GZIP, 10, false}, {CAS_COMPRESSION_GZIP, -1, false},
                 {CAS_COMPRESSION_ZSTD, 22, true},  {CAS_COMPRESSION_ZSTD, 23, false},
                 {CAS_COMPRESSION_NONE, 0, true},   {CAS_COMPRESSION_NONE, 1, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        const int result = codec_check_level(cases[i].compression, cases[i].level, &err);
        assert_int_equal(result, cases[i].good ? 0 : -1);
        assert_int_equal(err.code, cases[i].good ? ERROR_NONE : ERROR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_bytes_are_given_as_they_are),
        cmocka_unit_test(test_gzip_of_zlib_is_read),
        cmocka_unit_test(test_members_follow_each_other),
        cmocka_unit_test(test_frames_follow_each_other),
        cmocka_unit_test(test_what_we_compress_is_read_by_us),
        cmocka_unit_test(test_what_we_compress_is_one_member_to_zlib),
        cmocka_unit_test(test_bytes_that_do_not_compress_fit),
        cmocka_unit_test(test_the_format_is_told),
        cmocka_unit_test(test_a_descriptor_is_read),
        cmocka_unit_test(test_a_truncated_stream_is_corrupt),
        cmocka_unit_test(test_a_flipped_bit_never_gives_other_content),
        cmocka_unit_test(test_a_wrong_size_or_check_sum_is_corrupt),
        cmocka_unit_test(test_something_behind_the_end_is_corrupt),
        cmocka_unit_test(test_something_behind_the_end_may_be_allowed),
        cmocka_unit_test(test_the_error_of_the_source_is_given_on),
        cmocka_unit_test(test_levels_out_of_range_are_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
