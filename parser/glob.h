/*
 * Wildcards of COPY and ADD sources: Go's path/filepath.Match (Unix).
 *
 *     *  any characters but '/'   ?  one character but '/'   [a-z] [^a-z]   \c  c itself
 *
 * A pattern must match the whole name. Characters are UTF-8 runes; a byte that is not UTF-8
 * is one character. Work is at most proportional to pattern times name.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>

/* Does `pattern` match all of `name`? A malformed pattern matches nothing. */
bool dockerfile_glob_match(struct view pattern, struct view name);

/* Is the pattern well formed? ERROR_INVALID: an open class, a trailing backslash. */
MUST_CHECK int dockerfile_glob_check(struct view pattern, struct error *err);

/* Does it hold one of * ? [ that no backslash escapes? */
bool dockerfile_glob_has_wildcards(struct view pattern);
