#include "parser/suggest.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/macros.h"

#include <ctype.h>
#include <stdlib.h>

/* A distance of this or more is no typing mistake (BuildKit's and HCL's threshold). */
#define DISTANCE_LIMIT 3
/* Longer words are names of other things, not misspelt ones of ours. */
#define WORD_SIZE_MAX 256

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t dockerfile_edit_distance(struct view a, struct view b, size_t limit)
{
    const size_t gap = a.size > b.size ? a.size - b.size : b.size - a.size;

    if (gap >= limit)
        return limit;
    /* row[j]: distance between the part of `a` seen so far and the first j bytes of `b` */
    CLEANUP(base_freep) size_t *row = base_alloc_array(b.size + 1, sizeof *row);
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0], smallest = ++row[0];
        for (size_t j = 0; j < b.size; j++) {
            const size_t replace = diagonal + (a.data[i] != b.data[j]);
            diagonal = row[j + 1];
            row[j + 1] = min_of(replace, min_of(row[j], row[j + 1]) + 1);
            smallest = min_of(smallest, row[j + 1]);
        }
        if (smallest >= limit)
            return limit;
    }
    return min_of(row[b.size], limit);
}

static struct view lower_into(char *space, struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        space[i] = (char)tolower((unsigned char)text.data[i]);
    return (struct view){space, text.size};
}

const char *dockerfile_suggest(struct view typed,
                               const char *const *options,
                               size_t count,
                               bool ignore_case)
{
    char typed_lower[WORD_SIZE_MAX], option_lower[WORD_SIZE_MAX];
    const char *best = NULL;
    size_t best_distance = DISTANCE_LIMIT;

    if (typed.size > WORD_SIZE_MAX)
        return NULL;
    if (ignore_case)
        typed = lower_into(typed_lower, typed);
    for (size_t i = 0; i < count; i++) {
        struct view option = view_of(options[i]);
        if (option.size > WORD_SIZE_MAX)
            continue;
        if (ignore_case)
            option = lower_into(option_lower, option);
        if (view_eq(typed, option))
            return NULL;
        const size_t distance = dockerfile_edit_distance(typed, option, best_distance);
        if (distance < best_distance) {
            best = options[i];
            best_distance = distance;
        }
    }
    return best;
}

static bool all_lower(struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        if (isupper((unsigned char)text.data[i]))
            return false;
    return true;
}

void dockerfile_suggest_append(struct buf *message,
                               struct view typed,
                               const char *const *options,
                               size_t count,
                               bool ignore_case)
{
    const char *best = dockerfile_suggest(typed, options, count, ignore_case);

    if (!best)
        return;
    buf_append_text(message, " (did you mean ");
    for (const char *c = best; *c; c++)
        buf_append_char(message, ignore_case && all_lower(typed)
                                     ? (char)tolower((unsigned char)*c)
                                     : *c);
    buf_append_text(message, "?)");
}
