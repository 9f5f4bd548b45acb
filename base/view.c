#include "base/view.h"

#include "base/alloc.h"

#include <stdlib.h>

/* memcmp and memcpy are undefined for NULL even with a size of zero; empty views may be
 * NULL, so every use below is behind a test of the size. */

static bool bytes_eq(const char *a, const char *b, size_t size)
{
    return size == 0 || memcmp(a, b, size) == 0;
}

bool view_eq(struct view a, struct view b)
{
    return a.size == b.size && bytes_eq(a.data, b.data, a.size);
}

bool view_eq_text(struct view a, const char *text)
{
    return view_eq(a, view_of(text));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool view_eq_nocase(struct view a, const char *text)
{
    if (a.size != strlen(text))
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(text[i]))
            return false;
    }
    return true;
}

bool view_starts(struct view a, const char *prefix)
{
    const size_t size = strlen(prefix);

    return a.size >= size && bytes_eq(a.data, prefix, size);
}

bool view_ends(struct view a, const char *suffix)
{
    const size_t size = strlen(suffix);

    return size == 0 ||
           (a.size >= size && bytes_eq(a.data + (a.size - size), suffix, size));
}

int view_compare(struct view a, struct view b)
{
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = common ? memcmp(a.data, b.data, common) : 0;

    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct view view_trim(struct view a)
{
    while (a.size && is_space(a.data[0])) {
        a.data++;
        a.size--;
    }
    while (a.size && is_space(a.data[a.size - 1]))
        a.size--;
    return a;
}

struct view view_sub(struct view a, size_t offset, size_t size)
{
    if (offset > a.size)
        offset = a.size;
    if (size > a.size - offset)
        size = a.size - offset;
    return (struct view){a.data ? a.data + offset : NULL, size};
}

bool view_cut(struct view a, char separator, struct view *head, struct view *rest)
{
    size_t at = a.size;
    const bool found = view_find(a, separator, &at);

    /* Both outputs are written last, as either may be the variable that `a` came from. */
    *head = view_sub(a, 0, at);
    *rest = view_sub(a, found ? at + 1 : a.size, a.size);
    return found;
}

bool view_find(struct view a, char c, size_t *offset)
{
    const char *at = a.size ? memchr(a.data, c, a.size) : NULL;

    if (!at)
        return false;
    *offset = (size_t)(at - a.data);
    return true;
}

bool view_to_u64(struct view a, uint64_t *out)
{
    uint64_t value = 0;

    if (a.size == 0)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        const char c = a.data[i];

        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

char *view_dup(struct view a)
{
    char *copy = base_alloc(a.size + 1);

    if (a.size)
        memcpy(copy, a.data, a.size);
    return copy;
}
