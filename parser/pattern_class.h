/*
 * Character classes and escapes of the expressions that patterns become: the part of Go's
 * regexp syntax that a path pattern can reach. Private to parser/pattern.c.
 */
#pragma once

#include "base/view.h"
#include "parser/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dockerfile_arena;

struct dockerfile_class {
    const struct dockerfile_rune_range *ranges;
    size_t range_count;
    bool negated;
};

bool dockerfile_class_holds(const struct dockerfile_class *class, uint32_t rune);

/* Reads the class whose '[' stands at *at. False if it is malformed. */
bool dockerfile_class_read(struct dockerfile_arena *arena,
                           struct view expression,
                           size_t *at,
                           struct dockerfile_class *class);

/* Reads the escape whose backslash stands at *at: one rune, or a class such as \d (then
 * class->range_count > 0). False for an escape that Go's regexp does not know, or that
 * stands for a position rather than a character. */
bool dockerfile_class_escape(struct view expression,
                             size_t *at,
                             uint32_t *rune,
                             struct dockerfile_class *class);
