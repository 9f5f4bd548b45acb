#include "registry/base64.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *registry_base64_encode(struct view data)
{
    char *out = base_alloc((data.size / 3 + 1) * 4 + 1);
    size_t n = 0;

    for (size_t i = 0; i < data.size; i += 3) {
        const size_t left = data.size - i;
        const unsigned a = (unsigned char)data.data[i];
        const unsigned b = left > 1 ? (unsigned char)data.data[i + 1] : 0;
        const unsigned c = left > 2 ? (unsigned char)data.data[i + 2] : 0;
        const unsigned word = a << 16 | b << 8 | c;

        out[n++] = alphabet[word >> 18];
        out[n++] = alphabet[word >> 12 & 63];
        out[n++] = left > 1 ? alphabet[word >> 6 & 63] : '=';
        out[n++] = left > 2 ? alphabet[word & 63] : '=';
    }
    return out;
}

/* 0 to 63, or -1. */
static int digit(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

static struct view without_padding(struct view text)
{
    for (int i = 0; i < 2 && text.size > 0 && text.data[text.size - 1] == '='; i++)
        text.size--;
    return text;
}

char *registry_base64_decode(struct view padded, size_t *size)
{
    const struct view text = without_padding(padded);
    char *out = base_alloc(text.size / 4 * 3 + 4);
    unsigned word = 0, bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < text.size; i++) {
        const int value = digit(text.data[i]);

        if (value < 0) {
            explicit_bzero(out, n);
            free(out);
            return NULL;
        }
        word = (word << 6 | (unsigned)value) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (char)(word >> bits & 0xff);
        }
    }
    /* One left-over digit cannot stand for a byte. */
    if (bits == 6) {
        explicit_bzero(out, n);
        free(out);
        return NULL;
    }
    *size = n;
    return out;
}
