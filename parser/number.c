#include "parser/number.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <string.h>

bool dockerfile_int_parse(struct view text, int64_t *value)
{
    const bool sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    const bool negative = sign && text.data[0] == '-';
    uint64_t magnitude;

    if (!view_to_u64(view_sub(text, sign, text.size - sign), &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX)
        return false;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

bool dockerfile_octal_parse(struct view text, uint32_t *value)
{
    uint64_t sum = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '7')
            return false;
        sum = sum << 3 | (uint64_t)(text.data[i] - '0');
        if (sum > UINT32_MAX)
            return false;
    }
    *value = (uint32_t)sum;
    return true;
}

bool dockerfile_bool_parse(struct view text, bool *value)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        *value = view_eq_text(text, yes[i]);
        if (*value || view_eq_text(text, no[i]))
            return true;
    }
    return false;
}

/* --- Durations --------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* micro sign */
    {"\xce\xbcs", 1000}, /* Greek mu */
    {"ms", 1000000},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
};

static bool is_digit(struct view text, size_t at)
{
    return at < text.size && text.data[at] >= '0' && text.data[at] <= '9';
}

/* 12.5 as 12 and 5/10. Digits past what 64 bits hold of the fraction are left out. */
static bool read_decimal(
    struct view text, size_t *at, uint64_t *whole, uint64_t *fraction, uint64_t *scale)
{
    const size_t start = *at;
    size_t points = 0;

    *whole = *fraction = 0;
    *scale = 1;
    for (; is_digit(text, *at); ++*at) {
        const uint64_t digit = (uint64_t)(text.data[*at] - '0');
        if (*whole > (uint64_t)INT64_MAX / 10)
            return false;
        *whole = *whole * 10 + digit;
    }
    if (*at < text.size && text.data[*at] == '.') {
        points = 1;
        for (++*at; is_digit(text, *at); ++*at) {
            if (*scale > (uint64_t)INT64_MAX / 100)
                continue;
            *fraction = *fraction * 10 + (uint64_t)(text.data[*at] - '0');
            *scale *= 10;
        }
    }
    return *at - start > points;
}

static bool read_unit(struct view text, size_t *at, uint64_t *ns)
{
    const size_t start = *at;

    while (*at < text.size && text.data[*at] != '.' && !is_digit(text, *at))
        ++*at;
    const struct view name = view_sub(text, start, *at - start);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (view_eq_text(name, units[i].name)) {
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

bool dockerfile_duration_parse(struct view text, int64_t *ns)
{
    const bool sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    const bool negative = sign && text.data[0] == '-';
    uint64_t sum = 0;

    text = view_sub(text, sign, text.size - sign);
    if (view_eq_text(text, "0")) {
        *ns = 0;
        return true;
    }
    if (text.size == 0)
        return false;
    for (size_t at = 0; at < text.size;) {
        uint64_t whole, fraction, scale, unit, part;
        if (!read_decimal(text, &at, &whole, &fraction, &scale) ||
            !read_unit(text, &at, &unit))
            return false;
        const uint64_t rest =
            (uint64_t)((long double)fraction / (long double)scale * (long double)unit);
        if (__builtin_mul_overflow(whole, unit, &part) ||
            __builtin_add_overflow(part, rest, &part) ||
            __builtin_add_overflow(sum, part, &sum) || sum > (uint64_t)INT64_MAX)
            return false;
    }
    *ns = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

/* --- Sizes ------------------------------------------------------------------------------
 */

/* "", "b", "k", "kb", "kib", ... in either case: as a power of 1024. */
static bool read_suffix(struct view text, unsigned *power)
{
    static const char letters[] = "kmgtp";
    char lower[4] = "";

    if (text.size > 3)
        return false;
    for (size_t i = 0; i < text.size; i++)
        lower[i] = (char)(text.data[i] | 0x20);
    *power = 0;
    if (text.size == 0)
        return true;
    if (lower[0] == 'b')
        return text.size == 1;
    const char *found = strchr(letters, lower[0]);
    if (!found)
        return false;
    *power = (unsigned)(found - letters) + 1;
    return text.size == 1 || strcmp(lower + 1, text.size == 2 ? "b" : "ib") == 0;
}

bool dockerfile_size_parse(struct view text, int64_t *size)
{
    uint64_t whole, fraction, scale;
    unsigned power;
    size_t at = 0;

    if (!read_decimal(text, &at, &whole, &fraction, &scale))
        return false;
    if (at < text.size && text.data[at] == ' ')
        at++;
    if (!read_suffix(view_sub(text, at, text.size - at), &power))
        return false;
    const long double factor = (long double)(UINT64_C(1) << 10 * power);
    const long double value =
        ((long double)whole + (long double)fraction / (long double)scale) * factor;
    if (value >= (long double)INT64_MAX)
        return false;
    *size = (int64_t)value;
    return true;
}
