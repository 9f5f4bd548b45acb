/*
 * Sets of patterns that leave files out: .dockerignore, COPY --exclude.
 *
 *     *  any characters but '/'      ?  one character but '/'     [a-z] [^a-z]  a class
 *     ** any number of directories   \c the character c           !p    takes back what
 *                                                                       earlier patterns
 * left out
 *
 * A pattern that matches a directory leaves out all beneath it. The last pattern that
 * matches wins. Paths are relative to the context, clean, with '/' and without a leading
 * one.
 *
 * A set is compiled once and then read-only: it may be shared between threads. Matching a
 * path is linear in the number of patterns and, for each, in the path.
 * Spec: moby/patternmatcher (and its ignorefile), which BuildKit uses.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dockerfile_ignore;

/*
 * Read a .dockerignore: one pattern a line, `#` in the first column starts a comment, white
 * space around patterns is dropped, a byte order mark too. `source_name` stands in the
 * position of an error, borrowed.
 *
 * Ownership: dockerfile_ignore_free.
 * Errors:    ERROR_INVALID at the pattern's line; ERROR_LIMIT past LIMIT_DOCKERIGNORE_SIZE.
 */
MUST_CHECK struct dockerfile_ignore *dockerfile_ignore_parse(struct view text,
                                                             const char *source_name,
                                                             struct error *err);

/* A set from single patterns, as --exclude gives them. ERROR_INVALID names the pattern. */
MUST_CHECK struct dockerfile_ignore *dockerfile_ignore_new(const struct view *patterns,
                                                           size_t count,
                                                           struct error *err);

void dockerfile_ignore_free(struct dockerfile_ignore *set);   /* NULL is fine */
void dockerfile_ignore_freep(struct dockerfile_ignore **set); /* for CLEANUP */

/* Patterns in the set; with 0 nothing is ever left out. */
size_t dockerfile_ignore_count(const struct dockerfile_ignore *set);

/* Is there a pattern with '!'? */
bool dockerfile_ignore_has_exceptions(const struct dockerfile_ignore *set);

/* Does a pattern that is only stars (and a slash) leave out everything at the top? */
bool dockerfile_ignore_covers_top(const struct dockerfile_ignore *set);

/* Is `path` left out, by a pattern that matches it or one of its parents? (patternmatcher
 * MatchesOrParentMatches.) "." never is. */
bool dockerfile_ignore_match(const struct dockerfile_ignore *set, struct view path);

/*
 * The same for a walk, without looking at the parents again: the caller carries for every
 * open directory a state of dockerfile_ignore_state_size() bytes. `parent` is that of the
 * directory which `path` is in, NULL at the top; `state` gets that of `path`, and may be
 * NULL if it is no directory. Returns whether `path` is left out.
 * (MatchesUsingParentResults, which BuildKit uses for contexts and copies: it differs from
 * dockerfile_ignore_match where a pattern is repeated after an exception.)
 */
bool dockerfile_ignore_step(const struct dockerfile_ignore *set,
                            struct view path,
                            const uint8_t *parent,
                            uint8_t *state);
size_t dockerfile_ignore_state_size(const struct dockerfile_ignore *set);

/* The pattern that decided. */
struct dockerfile_ignore_rule {
    const char *source; /* the file's name as given to dockerfile_ignore_parse; else NULL */
    unsigned line;      /* in it, from 1 */
    struct view pattern; /* cleaned, without '!'; borrowed from the set */
    bool exception;      /* began with '!': takes back */
};

/* dockerfile_ignore_step that also tells the index of the pattern that decided: *rule is
 * dockerfile_ignore_count() where none matched. */
bool dockerfile_ignore_step_rule(const struct dockerfile_ignore *set,
                                 struct view path,
                                 const uint8_t *parent,
                                 uint8_t *state,
                                 size_t *rule);
struct dockerfile_ignore_rule dockerfile_ignore_rule_at(const struct dockerfile_ignore *set,
                                                        size_t index);
/* Is the path left out, walking to it from the top, and by which pattern? */
bool dockerfile_ignore_find_rule(const struct dockerfile_ignore *set,
                                 struct view path,
                                 struct dockerfile_ignore_rule *rule);

/* The directory `path` is left out: can an exception still bring back something beneath it?
 * If not, a walk need not enter. Never false wrongly. */
bool dockerfile_ignore_may_reinclude(const struct dockerfile_ignore *set, struct view path);
