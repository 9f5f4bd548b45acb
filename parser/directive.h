/*
 * Parser directives: `# NAME=VALUE` on the first lines. Private to parser/.
 * Spec: BuildKit parser/directives.go.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "parser/arena.h"
#include "parser/dockerfile.h"

#include <stdbool.h>

struct dockerfile_directives {
    struct dockerfile_directive items[3]; /* each kind once */
    size_t count;
    bool done; /* a line was seen that is none: later ones are comments */
};

/*
 * Looks at a line, of which `pos` is the first byte that is no white space. Returns 1 if it
 * is a directive, which is added; 0 if not; -1 with ERROR_INVALID for one that is repeated
 * or an `escape` that is neither backslash nor backtick.
 */
MUST_CHECK int dockerfile_directive_read(struct dockerfile_directives *directives,
                                         struct view line,
                                         struct source_pos pos,
                                         struct error *err);

/* The front end that the text asks for: `# syntax=`, also past a first line `#!...`,
 * `// syntax=`, or {"syntax": "..."}; not given if there is none. Only the reference,
 * without the arguments that may follow it; in `text` or in the arena. */
struct dockerfile_word dockerfile_syntax_find(struct dockerfile_arena *arena,
                                              struct view text,
                                              const char *source_name);
