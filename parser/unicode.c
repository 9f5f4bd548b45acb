#include "parser/unicode.h"

#include "base/buf.h"
#include "parser/unicode_tables.h"

/* The shortest code point of a sequence of this length: anything less is overlong. */
static const uint32_t rune_min[5] = {0, 0, 0x80, 0x800, 0x10000};

uint32_t dockerfile_rune_decode(const char *data, size_t size, size_t *length)
{
    const unsigned char first = (unsigned char)data[0];
    const size_t want = first < 0x80             ? 1
                        : (first & 0xe0) == 0xc0 ? 2
                        : (first & 0xf0) == 0xe0 ? 3
                        : (first & 0xf8) == 0xf0 ? 4
                                                 : 0;

    *length = 1;
    if (want == 1)
        return first;
    if (want == 0 || want > size)
        return DOCKERFILE_RUNE_BAD;
    uint32_t rune = first & (0xffu >> (want + 1));
    for (size_t i = 1; i < want; i++) {
        const unsigned char next = (unsigned char)data[i];
        if ((next & 0xc0) != 0x80)
            return DOCKERFILE_RUNE_BAD;
        rune = rune << 6 | (next & 0x3f);
    }
    if (rune < rune_min[want] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
        return DOCKERFILE_RUNE_BAD;
    *length = want;
    return rune;
}

uint32_t dockerfile_rune_decode_last(const char *data, size_t size, size_t *length)
{
    size_t start = size - 1;

    /* Back over at most three continuation bytes. */
    while (start > 0 && size - start < 4 && (data[start] & 0xc0) == 0x80)
        start--;
    const uint32_t rune = dockerfile_rune_decode(data + start, size - start, length);
    if (start + *length == size)
        return rune;
    *length = 1;
    return DOCKERFILE_RUNE_BAD;
}

void dockerfile_rune_append(struct buf *out, uint32_t rune)
{
    if (rune < 0x80) {
        buf_append_char(out, (char)rune);
        return;
    }
    const unsigned count = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    const unsigned lead = 0xf00u >> count & 0xf0u;
    char bytes[4];

    for (unsigned i = count; i-- > 1; rune >>= 6)
        bytes[i] = (char)(0x80 | (rune & 0x3f));
    bytes[0] = (char)(lead | rune);
    buf_append(out, bytes, count);
}

bool dockerfile_rune_is_space(uint32_t rune)
{
    if (rune < 0x80)
        return rune == ' ' || (rune >= '\t' && rune <= '\r');
    return rune == 0x85 || rune == 0xa0 || rune == 0x1680 ||
           (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 || rune == 0x2029 ||
           rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

static bool in_ranges(const struct dockerfile_rune_range *ranges,
                      size_t count,
                      uint32_t rune)
{
    size_t low = 0;

    for (size_t high = count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (rune > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && rune >= ranges[low].first;
}

bool dockerfile_rune_is_letter(uint32_t rune)
{
    if (rune < 0x80)
        return (rune | 0x20) >= 'a' && (rune | 0x20) <= 'z';
    return in_ranges(dockerfile_letters, dockerfile_letter_count, rune);
}

bool dockerfile_rune_is_digit(uint32_t rune)
{
    if (rune < 0x80)
        return rune >= '0' && rune <= '9';
    return in_ranges(dockerfile_digits, dockerfile_digit_count, rune);
}

size_t dockerfile_space_size(struct view text)
{
    size_t at = 0;

    while (at < text.size) {
        size_t length;
        if (!dockerfile_rune_is_space(
                dockerfile_rune_decode(text.data + at, text.size - at, &length)))
            break;
        at += length;
    }
    return at;
}

struct view dockerfile_trim_left(struct view text)
{
    const size_t skip = dockerfile_space_size(text);

    return (struct view){text.data + skip, text.size - skip};
}

struct view dockerfile_trim(struct view text)
{
    text = dockerfile_trim_left(text);
    while (text.size > 0) {
        size_t length;
        if (!dockerfile_rune_is_space(
                dockerfile_rune_decode_last(text.data, text.size, &length)))
            break;
        text.size -= length;
    }
    return text;
}
