/*
 * One pattern of a .dockerignore or --exclude, compiled. Private to parser/; sets of them
 * are parser/ignore.h.
 *
 * moby/patternmatcher turns each pattern into a regular expression by replacing characters
 * one by one, and patterns in the wild lean on what that happens to give (`[^a]` matches a
 * slash, `**x` begins a path component, `\d` is a digit). So we make the same expression
 * and run it, over path prefixes at once, as a nondeterministic automaton: no backtracking.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct dockerfile_arena;
struct dockerfile_pattern_item;

enum dockerfile_pattern_type {
    DOCKERFILE_PATTERN_EXACT,
    DOCKERFILE_PATTERN_PREFIX, /* literal, then ** */
    DOCKERFILE_PATTERN_SUFFIX, /* **, then literal */
    DOCKERFILE_PATTERN_ITEMS,  /* anything else */
};

struct dockerfile_pattern {
    enum dockerfile_pattern_type type;
    bool exception;      /* began with '!', which `text` is without */
    unsigned line;       /* in the file that it comes from, or 0 */
    struct view text;    /* cleaned */
    struct view literal; /* PREFIX, SUFFIX: what must begin or end a path */
    const struct dockerfile_pattern_item *items;
    size_t item_count;
    bool has_assertions;
    struct view head; /* ITEMS: every match begins and ends with these bytes */
    struct view tail;
};

/* Compiles `text`, which is clean and without '!'. What is allocated belongs to `arena`.
 * Errors: ERROR_INVALID without a position. */
MUST_CHECK int dockerfile_pattern_compile(struct dockerfile_arena *arena,
                                          struct view text,
                                          struct dockerfile_pattern *out,
                                          struct error *err);

/* Does the pattern match `path` as a whole? */
bool dockerfile_pattern_match(const struct dockerfile_pattern *pattern, struct view path);

/* Does it match `path` or a directory above it? */
bool dockerfile_pattern_match_any_parent(const struct dockerfile_pattern *pattern,
                                         struct view path);

/* Could it match something beneath the directory `path`? Never false wrongly. */
bool dockerfile_pattern_reaches_below(const struct dockerfile_pattern *pattern,
                                      struct view path);
