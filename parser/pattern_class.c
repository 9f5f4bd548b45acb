#include "parser/pattern_class.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "parser/arena.h"

#include <ctype.h>
#include <stdlib.h>

static const struct dockerfile_rune_range digits[] = {{'0', '9'}};
static const struct dockerfile_rune_range spaces[] = {
    {'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};
static const struct dockerfile_rune_range words[] = {
    {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};

#define RUNE_MAX ((uint32_t)0x10ffff)

bool dockerfile_class_holds(const struct dockerfile_class *class, uint32_t rune)
{
    for (size_t i = 0; i < class->range_count; i++)
        if (class->ranges[i].first <= rune && rune <= class->ranges[i].last)
            return !class->negated;
    return class->negated;
}

/* \d \s \w, and in upper case what they are not. */
static bool perl_class(char letter, struct dockerfile_class *class)
{
    *class = (struct dockerfile_class){.negated = isupper((unsigned char)letter) != 0};
    switch (letter | 0x20) {
    case 'd':
        class->ranges = digits;
        class->range_count = ARRAY_COUNT(digits);
        return true;
    case 's':
        class->ranges = spaces;
        class->range_count = ARRAY_COUNT(spaces);
        return true;
    case 'w':
        class->ranges = words;
        class->range_count = ARRAY_COUNT(words);
        return true;
    default:
        return false;
    }
}

static bool control_escape(char letter, uint32_t *rune)
{
    switch (letter) {
    case 'a':
        *rune = '\a';
        return true;
    case 'f':
        *rune = '\f';
        return true;
    case 'n':
        *rune = '\n';
        return true;
    case 'r':
        *rune = '\r';
        return true;
    case 't':
        *rune = '\t';
        return true;
    case 'v':
        *rune = '\v';
        return true;
    default:
        return false;
    }
}

bool dockerfile_class_escape(struct view expression,
                             size_t *at,
                             uint32_t *rune,
                             struct dockerfile_class *class)
{
    *class = (struct dockerfile_class){NULL, 0, false};
    ++*at;
    if (*at >= expression.size)
        return false;
    const unsigned char c = (unsigned char)expression.data[(*at)++];
    if (c < 0x80 && !isalnum(c)) {
        *rune = c;
        return true;
    }
    return c < 0x80 && (perl_class((char)c, class) || control_escape((char)c, rune));
}

/* Ranges of one class while it is read. */
struct ranges {
    struct dockerfile_rune_range *items;
    size_t count;
    size_t capacity;
};

static void ranges_release(struct ranges *ranges)
{
    free(ranges->items);
    ranges->items = NULL;
}

static void add_range(struct ranges *ranges, uint32_t first, uint32_t last)
{
    ranges->items =
        base_grow(ranges->items, ranges->count, &ranges->capacity, sizeof *ranges->items);
    ranges->items[ranges->count++] = (struct dockerfile_rune_range){first, last};
}

static void add_class(struct ranges *ranges, const struct dockerfile_class *class)
{
    uint32_t next = 0;

    for (size_t i = 0; i < class->range_count; i++) {
        if (!class->negated) {
            add_range(ranges, class->ranges[i].first, class->ranges[i].last);
            continue;
        }
        if (class->ranges[i].first > next)
            add_range(ranges, next, class->ranges[i].first - 1);
        next = class->ranges[i].last + 1;
    }
    if (class->negated)
        add_range(ranges, next, RUNE_MAX);
}

/* One rune of a class, which an escape may stand for; or a whole class, such as \d. */
static bool class_rune(struct view expression,
                       size_t *at,
                       uint32_t *rune,
                       struct dockerfile_class *inner)
{
    size_t length;

    *inner = (struct dockerfile_class){NULL, 0, false};
    if (*at >= expression.size)
        return false;
    if (expression.data[*at] == '\\')
        return dockerfile_class_escape(expression, at, rune, inner);
    *rune = dockerfile_rune_decode(expression.data + *at, expression.size - *at, &length);
    *at += length;
    return true;
}

/* RUNE or RUNE-RUNE, or \d. */
static bool class_range(struct view expression, size_t *at, struct ranges *ranges)
{
    struct dockerfile_class inner;
    uint32_t low, high;

    if (!class_rune(expression, at, &low, &inner))
        return false;
    if (inner.range_count > 0) {
        add_class(ranges, &inner);
        return true;
    }
    high = low;
    if (*at + 1 < expression.size && expression.data[*at] == '-' &&
        expression.data[*at + 1] != ']') {
        ++*at;
        if (!class_rune(expression, at, &high, &inner) || inner.range_count > 0 ||
            high < low)
            return false;
    }
    add_range(ranges, low, high);
    return true;
}

bool dockerfile_class_read(struct dockerfile_arena *arena,
                           struct view expression,
                           size_t *at,
                           struct dockerfile_class *class)
{
    CLEANUP(ranges_release) struct ranges ranges = {NULL, 0, 0};

    ++*at;
    class->negated = *at < expression.size && expression.data[*at] == '^';
    if (class->negated)
        ++*at;
    for (bool first = true;; first = false) {
        if (*at >= expression.size)
            return false;
        if (!first && expression.data[*at] == ']')
            break;
        if (!class_range(expression, at, &ranges))
            return false;
    }
    ++*at;
    class->ranges =
        dockerfile_arena_copy(arena, ranges.items, ranges.count, sizeof *ranges.items);
    class->range_count = ranges.count;
    return true;
}
