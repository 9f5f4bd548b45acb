#include "http.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The byte of a %XX at `text`, or -1. */
static int escaped(const char *text)
{
    char digits[3] = {text[1], text[1] ? text[2] : '\0', '\0'};

    if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
        return -1;
    return (int)strtol(digits, NULL, 16);
}

static const char *decode(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (; *text != '\0' && *text != '&' && used + 1 < size; text++) {
        int byte = *text == '+' ? ' ' : *text;
        if (byte == '%') {
            byte = escaped(text);
            if (byte <= 0)
                return NULL;
            text += 2;
        }
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return out;
}

const char *http_query(const char *target, const char *name, char *out, size_t size)
{
    const size_t length = strlen(name);
    const char *at = strchr(target, '?');

    while (at != NULL) {
        at++;
        if (strncmp(at, name, length) == 0 && at[length] == '=')
            return decode(at + length + 1, out, size);
        at = strchr(at, '&');
    }
    return NULL;
}
