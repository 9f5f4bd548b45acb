#include "cas/tar_number.h"

#include <stddef.h>

enum { SUM_OFFSET = 148, SUM_SIZE = 8 };

/* Two's complement, big endian; the top bit only marks the form, the next one is the sign.
 */
static bool parse_base256(const uint8_t *field, size_t size, int64_t *out)
{
    const bool negative = (field[0] & 0x40) != 0;
    const uint8_t fill = negative ? 0xff : 0;
    uint64_t value = negative ? UINT64_MAX : 0;

    for (size_t i = 0; i < size; i++) {
        const uint8_t byte =
            i == 0 ? (uint8_t)(negative ? field[0] : field[0] & 0x7f) : field[i];

        if (size - i > 8 && byte != fill)
            return false;
        value = (value << 8) | byte;
    }
    if (negative != ((int64_t)value < 0))
        return false;
    *out = (int64_t)value;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\0';
}

bool tar_number_parse(const uint8_t *field, size_t size, int64_t *out)
{
    size_t at = 0;
    uint64_t value = 0;

    if (size > 0 && (field[0] & 0x80))
        return parse_base256(field, size, out);
    while (at < size && is_blank(field[at]))
        at++;
    for (; at < size && field[at] >= '0' && field[at] <= '7'; at++) {
        if (value > (uint64_t)INT64_MAX >> 3)
            return false;
        value = value << 3 | (uint64_t)(field[at] - '0');
    }
    /* Some writers leave other bytes behind the terminator: they do not count. */
    if (at < size && !is_blank(field[at]))
        return false;
    *out = (int64_t)value;
    return true;
}

static bool parse_fraction(struct view text, uint32_t *nanoseconds, bool *rest)
{
    uint32_t value = 0;

    *rest = false;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];

        if (c < '0' || c > '9')
            return false;
        if (i < 9)
            value = value * 10 + (uint32_t)(c - '0');
        else
            *rest |= c != '0';
    }
    for (size_t i = text.size; i < 9; i++)
        value *= 10;
    *nanoseconds = value;
    return true;
}

bool tar_number_time(struct view text, int64_t *seconds, uint32_t *nanoseconds)
{
    const bool negative = text.size > 0 && text.data[0] == '-';
    struct view whole;
    struct view fraction;
    uint64_t value = 0;
    bool rest = false;

    if (negative)
        text = view_sub(text, 1, text.size - 1);
    view_cut(text, '.', &whole, &fraction);
    if (!view_to_u64(whole, &value) || value >= INT64_MAX ||
        !parse_fraction(fraction, nanoseconds, &rest))
        return false;
    *seconds = (int64_t)value;
    if (!negative)
        return true;

    /* -1.25 is one and a quarter before the epoch: second -2, 0.75 into it. */
    *seconds = -*seconds;
    if (rest)
        *nanoseconds += 1;
    if (*nanoseconds > 0) {
        *nanoseconds = 1000000000u - *nanoseconds;
        *seconds -= 1;
    }
    return true;
}

bool tar_checksum_ok(const uint8_t block[TAR_BLOCK_SIZE])
{
    int64_t want = 0;
    int64_t as_unsigned = 0;
    int64_t as_signed = 0;

    if (!tar_number_parse(block + SUM_OFFSET, SUM_SIZE, &want))
        return false;
    for (size_t i = 0; i < TAR_BLOCK_SIZE; i++) {
        const bool blank = i >= SUM_OFFSET && i < SUM_OFFSET + SUM_SIZE;
        const uint8_t byte = blank ? ' ' : block[i];

        as_unsigned += byte;
        as_signed += (int8_t)byte;
    }
    return want == as_unsigned || want == as_signed;
}
