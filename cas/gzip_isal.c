#include "cas/gzip_isal.h"

#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <isa-l.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

uint32_t gzip_crc32(uint32_t crc, const void *data, size_t size)
{
    return crc32_gzip_refl(crc, data, size);
}

/*
 * Where the stream lies.
 *
 * At levels 1 and 2 isal_deflate_stateless puts the third byte of its input into the hash
 * table not under the hash of that byte and the next ones, but under the hash of a register
 * that still holds the address of the stream (igzip_icf_body_h1_gr_bt.asm,
 * .write_first_byte; 2.30 and newer). The hash is the crc32 instruction over bits 16 to 47
 * of the address, cut to 13 bits. So an input compresses differently at some addresses: one
 * block of 1 MiB in some thousands, which is one large layer in three.
 *
 * We therefore only use addresses whose hash is 0. The crc32 instruction, started with 0,
 * is linear over GF(2): if the hashes of two numbers are 0, so is that of their exclusive
 * or. The seven numbers below have hash 0 and are independent, which gives 128 places of 64
 * KiB granularity above each region's base:
 *
 *     address = (base ^ any combination of the seven) << 16
 *
 * The first region begins at 64 GiB and is free in ordinary programs and under
 * ThreadSanitizer; the second, at 32 TiB, in ordinary ones and under AddressSanitizer.
 */
#define HASH_BITS 13
static const uint32_t place_basis[] = {0x01816, 0x0283a, 0x0cedd, 0x10313,
                                       0x20626, 0x4442e, 0x80ee3};
#define PLACES_PER_REGION (1u << ARRAY_COUNT(place_basis))
/* Both have bits above those of the basis, so that no combination leaves the region. */
static const uint32_t place_regions[] = {0x001005d0u, 0x20004519u};

/* The crc32 instruction on 32 bits, started with 0. */
static uint32_t crc32c_word(uint32_t word)
{
    for (unsigned bit = 0; bit < 32; bit++)
        word = (word >> 1) ^ (word & 1 ? 0x82f63b78u : 0u);
    return word;
}

static uint32_t place_window(uint32_t base, unsigned combination)
{
    for (unsigned i = 0; i < ARRAY_COUNT(place_basis); i++) {
        if (combination >> i & 1)
            base ^= place_basis[i];
    }
    return base;
}

static void *map_at(uintptr_t address, size_t size)
{
    /* The kernel, not a pointer of ours, decides what is at this address. */
    void *want = (void *)address;
    void *got = mmap(want, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED)
        return NULL;
    if (got == want)
        return got;
    /* A sanitizer's mmap takes the address for a hint. */
    munmap(got, size);
    return NULL;
}

static void *map_stream(size_t size, struct error *err)
{
    for (size_t region = 0; region < ARRAY_COUNT(place_regions); region++) {
        for (unsigned i = 0; i < PLACES_PER_REGION; i++) {
            const uint32_t window = place_window(place_regions[region], i);
            assert((crc32c_word(window) & ((1u << HASH_BITS) - 1)) == 0);
            void *stream = map_at((uintptr_t)window << 16, size);
            if (stream)
                return stream;
        }
    }
    error_sys(err, "reserve memory for compressing");
    return NULL;
}

struct gzip_isal {
    struct isal_zstream *stream; /* at a chosen address */
    bool used;
    alignas(max_align_t) uint8_t buffer[ISAL_DEF_LVL1_DEFAULT];
};

struct gzip_isal *gzip_isal_new(struct error *err)
{
    struct isal_zstream *stream = map_stream(sizeof *stream, err);
    if (!stream)
        return NULL;

    struct gzip_isal *z = base_alloc(sizeof *z);
    z->stream = stream;
    return z;
}

void gzip_isal_free(struct gzip_isal *z)
{
    if (!z)
        return;
    munmap(z->stream, sizeof *z->stream);
    free(z);
}

size_t gzip_isal_block(struct gzip_isal *z, struct view in, void *out, size_t room)
{
    struct isal_zstream *s = z->stream;

    assert(in.size <= (size_t)1 << 30 && room <= UINT32_MAX);
    /* isal_deflate_stateless_init leaves some members as they are. */
    if (z->used)
        memset(s, 0, sizeof *s);
    z->used = true;
    isal_deflate_stateless_init(s);
    s->level = 1;
    s->level_buf = z->buffer;
    s->level_buf_size = sizeof z->buffer;
    s->flush = FULL_FLUSH;
    s->end_of_stream = 0;
    s->gzip_flag = IGZIP_DEFLATE;
    /* Read only; the member is just not declared so. */
    s->next_in = (uint8_t *)(uintptr_t)in.data;
    s->avail_in = (uint32_t)in.size;
    s->next_out = out;
    s->avail_out = (uint32_t)room;
    if (isal_deflate_stateless(s) != COMP_OK || s->avail_in != 0)
        return 0;
    return s->total_out;
}

/* --- Decompressing --- */

struct gzip_inflate {
    struct inflate_state state;
};

struct gzip_inflate *gzip_inflate_new(void)
{
    struct gzip_inflate *z = base_alloc(sizeof *z);

    gzip_inflate_reset(z);
    return z;
}

void gzip_inflate_free(struct gzip_inflate *z)
{
    free(z);
}

void gzip_inflate_reset(struct gzip_inflate *z)
{
    isal_inflate_init(&z->state);
    z->state.crc_flag = ISAL_GZIP;
}

static int inflate_error(int result, struct error *err)
{
    switch (result) {
    case ISAL_INVALID_WRAPPER:
    case ISAL_UNSUPPORTED_METHOD:
        return error_set(err, ERROR_CORRUPT, "gzip header is malformed");
    case ISAL_INCORRECT_CHECKSUM:
        return error_set(err, ERROR_CORRUPT, "gzip check sum or size is wrong");
    default:
        return error_set(err, ERROR_CORRUPT, "deflate data is malformed");
    }
}

int gzip_inflate_step(struct gzip_inflate *z,
                      struct view *in,
                      void *out,
                      size_t size,
                      size_t *got,
                      bool *end,
                      struct error *err)
{
    struct inflate_state *s = &z->state;
    const uint32_t take = in->size < (1u << 30) ? (uint32_t)in->size : 1u << 30;
    const uint32_t room = size < (1u << 30) ? (uint32_t)size : 1u << 30;

    s->next_in = (uint8_t *)(uintptr_t)in->data;
    s->avail_in = take;
    s->next_out = out;
    s->avail_out = room;
    const int result = isal_inflate(s);
    if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT && result != ISAL_OUT_OVERFLOW)
        return inflate_error(result, err);
    *in = view_sub(*in, take - s->avail_in, in->size);
    *got = room - s->avail_out;
    *end = s->block_state == ISAL_BLOCK_FINISH;
    return 0;
}

#define TEXT_OF(x)  #x
#define TEXT_FOR(x) TEXT_OF(x)
#define ISAL_VERSIONS                                                                      \
    TEXT_FOR(ISAL_MAJOR_VERSION)                                                           \
    "." TEXT_FOR(ISAL_MINOR_VERSION) "." TEXT_FOR(ISAL_PATCH_VERSION)

const char *gzip_isal_version(void)
{
    return ISAL_VERSIONS;
}
