#include "parser/glob.h"

#include "parser/unicode.h"

#include <stdint.h>

enum class_result {
    CLASS_NO,
    CLASS_YES,
    CLASS_BAD,
};

/* One character of a class, unescaped. False where the class is malformed. */
static bool class_char(struct view pattern, size_t *at, uint32_t *rune)
{
    size_t length;

    if (*at >= pattern.size || pattern.data[*at] == '-' || pattern.data[*at] == ']')
        return false;
    if (pattern.data[*at] == '\\' && ++*at >= pattern.size)
        return false;
    *rune = dockerfile_rune_decode(pattern.data + *at, pattern.size - *at, &length);
    if (*rune == DOCKERFILE_RUNE_BAD && length == 1)
        return false;
    *at += length;
    /* The class must still be closed by something. */
    return *at < pattern.size;
}

/* Reads the class whose '[' is just before *at, up to and with its ']'. */
static enum class_result class_match(struct view pattern, size_t *at, uint32_t rune)
{
    bool found = false, negated = false;

    if (*at < pattern.size && pattern.data[*at] == '^') {
        negated = true;
        ++*at;
    }
    for (bool first = true;; first = false) {
        uint32_t low, high;
        if (!first && *at < pattern.size && pattern.data[*at] == ']') {
            ++*at;
            return found != negated ? CLASS_YES : CLASS_NO;
        }
        if (!class_char(pattern, at, &low))
            return CLASS_BAD;
        high = low;
        if (pattern.data[*at] == '-') {
            ++*at;
            if (!class_char(pattern, at, &high))
                return CLASS_BAD;
        }
        found = found || (low <= rune && rune <= high);
    }
}

/* Matches one element of the pattern against one character of the name, moving both on. */
static bool step(struct view pattern, size_t *p, struct view name, size_t *n)
{
    size_t length;
    const uint32_t rune = dockerfile_rune_decode(name.data + *n, name.size - *n, &length);

    switch (pattern.data[*p]) {
    case '[':
        ++*p;
        if (class_match(pattern, p, rune) != CLASS_YES)
            return false;
        break;
    case '?':
        if (name.data[*n] == '/')
            return false;
        ++*p;
        break;
    default:
        if (pattern.data[*p] == '\\')
            ++*p;
        if (pattern.data[*p] != name.data[*n])
            return false;
        ++*p;
        length = 1;
    }
    *n += length;
    return true;
}

bool dockerfile_glob_match(struct view pattern, struct view name)
{
    /* After a star: where to take up again if what follows does not fit. A later star makes
     * earlier ones settled, so only the last one counts. */
    size_t star_pattern = SIZE_MAX, star_name = 0;
    size_t p = 0, n = 0;
    struct error ignored = ERROR_INIT; /* only whether it is malformed matters */

    if (dockerfile_glob_check(pattern, &ignored) < 0) {
        error_clear(&ignored);
        return false;
    }
    while (n < name.size || p < pattern.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star_pattern = ++p;
            star_name = n;
            continue;
        }
        if (p < pattern.size && n < name.size && step(pattern, &p, name, &n))
            continue;
        /* The star takes one more character, if it may. */
        if (star_pattern == SIZE_MAX || star_name >= name.size ||
            name.data[star_name] == '/')
            return false;
        p = star_pattern;
        n = ++star_name;
    }
    return true;
}

int dockerfile_glob_check(struct view pattern, struct error *err)
{
    for (size_t at = 0; at < pattern.size;) {
        const char c = pattern.data[at++];
        if (c == '\\' && at++ >= pattern.size)
            return error_set(err, ERROR_INVALID, "pattern '%.*s' ends in a backslash",
                             VIEW_ARG(pattern));
        if (c == '[' && class_match(pattern, &at, 0) == CLASS_BAD)
            return error_set(err, ERROR_INVALID,
                             "pattern '%.*s' has a malformed [character class]",
                             VIEW_ARG(pattern));
    }
    return 0;
}

bool dockerfile_glob_has_wildcards(struct view pattern)
{
    for (size_t at = 0; at < pattern.size; at++) {
        const char c = pattern.data[at];
        if (c == '*' || c == '?' || c == '[')
            return true;
        if (c == '\\')
            at++;
    }
    return false;
}
