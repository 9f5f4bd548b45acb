/*
 * Expansion of variables in words: BuildKit's shell lexer.
 *
 *     $NAME ${NAME}                     the value, or nothing
 *     ${NAME-w} ${NAME:-w}              w if unset (:- or empty)
 *     ${NAME+w} ${NAME:+w}              w if set (:+ and not empty)
 *     ${NAME?w} ${NAME:?w}              error w if unset (:? or empty)
 *     ${NAME#p} ## % %%                 without the shortest (longest) prefix or suffix p
 *     ${NAME/p/w} ${NAME//p/w}          the first (each) match of p replaced
 *     'literal'  "with $NAME"  \c       quotes and escapes are removed
 *
 * w and p are words themselves and may nest; p knows `*`, `?` and backslash. Nesting costs
 * no C stack. Work is linear in the input and the values it brings in, but for patterns and
 * replacements within each other: these are bounded by LIMIT_DOCKERFILE_EXPANSION.
 *
 * Bytes that are not UTF-8 come out as U+FFFD.
 * Spec: BuildKit frontend/dockerfile/shell (lex.go).
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum dockerfile_expand_flags {
    DOCKERFILE_EXPAND_RAW_QUOTES = 1,  /* quotes are obeyed, and kept */
    DOCKERFILE_EXPAND_RAW_ESCAPES = 2, /* escapes are obeyed, and kept */
    DOCKERFILE_EXPAND_NO_QUOTES = 4,   /* quotes are ordinary characters */
    DOCKERFILE_EXPAND_KEEP_UNSET = 8,  /* what names an unset variable stays as written */
    /* The content of a heredoc whose name is not quoted. Its escape is always '\\',
     * whatever the file's directive says: set `escape` so. */
    DOCKERFILE_EXPAND_CONTENT = DOCKERFILE_EXPAND_NO_QUOTES,
};

/* How to expand. Callbacks may be NULL: then nothing is set, nobody is told. */
struct dockerfile_expand {
    char escape;    /* of the file: '\\' or '`'; 0 means '\\' */
    unsigned flags; /* enum dockerfile_expand_flags */
    /* Looks `name` up: true and *value (borrowed until the expansion ends), or false. */
    bool (*lookup)(void *context, struct view name, struct view *value);
    /* Told of each variable that is looked up, in order, with repetitions. */
    void (*on_variable)(void *context, struct view name, bool found);
    void *context;
};

/*
 * Expand `word` to one text, appended to `out`.
 *
 * Errors: ERROR_INVALID without a position ("missing '}'", "bad substitution", an unclosed
 *         quote, ${X:?message}); ERROR_LIMIT if `out` would exceed its maximum or nesting
 *         exceeds LIMIT_DOCKERFILE_NESTING. `out` then holds no usable text.
 */
MUST_CHECK int dockerfile_expand(struct view word,
                                 const struct dockerfile_expand *expand,
                                 struct buf *out,
                                 struct error *err);

/* Owned texts, each ending in NUL. */
struct dockerfile_strings {
    char **items;
    size_t count;
    size_t capacity;
};

void dockerfile_strings_release(struct dockerfile_strings *strings); /* idempotent */

/*
 * Expand `word` and split the result at white space outside of quotes; words are appended
 * to `out`. White space in values splits too; empty words vanish.
 *
 * Errors: as dockerfile_expand; `out` then keeps what it had before.
 */
MUST_CHECK int dockerfile_expand_words(struct view word,
                                       const struct dockerfile_expand *expand,
                                       struct dockerfile_strings *out,
                                       struct error *err);
