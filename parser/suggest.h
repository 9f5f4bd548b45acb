/*
 * "Did you mean": the nearest of some known words.
 * Spec: BuildKit util/suggest: an edit distance of at most two, the first of equals.
 */
#pragma once

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* The option nearest to `typed`, or NULL: none is near, or one is equal to it (then the
 * word was not the problem). `ignore_case` compares ASCII letters without their case. */
const char *dockerfile_suggest(struct view typed,
                               const char *const *options,
                               size_t count,
                               bool ignore_case);

/* Single-character insertions, deletions and substitutions between two texts (bytes), or
 * `limit` if there are that many or more. */
size_t dockerfile_edit_distance(struct view a, struct view b, size_t limit);

/* Appends " (did you mean OPTION?)" to an error message, or nothing. */
void dockerfile_suggest_append(struct buf *message,
                               struct view typed,
                               const char *const *options,
                               size_t count,
                               bool ignore_case);
