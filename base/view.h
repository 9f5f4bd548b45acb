/*
 * A view borrows bytes: it need not end in NUL and never owns. Copied freely.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct view {
    const char *data;
    size_t size;
};

#define VIEW_LIT(text) ((struct view){(text), sizeof(text) - 1})
/* For "%.*s". */
#define VIEW_ARG(v) (int)(v).size, (v).data

static inline struct view view_of(const char *text)
{
    return (struct view){text, text ? strlen(text) : 0};
}

bool view_eq(struct view a, struct view b);
bool view_eq_text(struct view a, const char *text);
bool view_eq_nocase(struct view a, const char *text); /* ASCII */
bool view_starts(struct view a, const char *prefix);
bool view_ends(struct view a, const char *suffix);
int view_compare(struct view a, struct view b); /* bytewise, as memcmp */
struct view view_trim(struct view a);           /* ASCII white space on both sides */
struct view view_sub(struct view a, size_t offset, size_t size); /* clamped */
/* Splits at the first `separator`: *head gets what is before it, *rest what follows.
 * False if there is none (head is everything, rest empty). */
bool view_cut(struct view a, char separator, struct view *head, struct view *rest);
bool view_find(struct view a, char c, size_t *offset);
/* Decimal digits only, whole view, no sign; false on overflow or anything else. */
bool view_to_u64(struct view a, uint64_t *out);
/* malloc'ed NUL-terminated copy. */
char *view_dup(struct view a);
