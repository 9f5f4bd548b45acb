/*
 * Shell patterns within ${NAME#pattern}, ## % %% / //: `*` any characters, `?` one, neither
 * a newline; backslash escapes * ? \ } and /. Private to parser/expand.c. Spec: BuildKit
 * shell/lex.go convertShellPatternToRegex, trimPrefix, trimSuffix; Go's
 * regexp.ReplaceAllString.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>

struct buf;

/* `value` without the shortest (greedy: longest) part at its start (suffix: end) that the
 * pattern matches; *rest lies within `value`. ERROR_INVALID: a wrong escape in the pattern.
 */
MUST_CHECK int dockerfile_expand_trim(struct view pattern,
                                      struct view value,
                                      bool suffix,
                                      bool greedy,
                                      struct view *rest,
                                      struct error *err);

/* `value` with the first (all: every) leftmost-longest match replaced, appended to `out`.
 * With `all`, $0 in the replacement is the match and other $NAME are nothing, as in Go. */
MUST_CHECK int dockerfile_expand_replace(struct view pattern,
                                         struct view value,
                                         struct view replacement,
                                         bool all,
                                         struct buf *out,
                                         struct error *err);
