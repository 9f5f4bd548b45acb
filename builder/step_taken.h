/*
 * What a COPY takes, as entries at the paths that they will have in the image, as if there
 * were nothing below; every file's digest is known. For builder/solve*.c and step_copy.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/delta.h"
#include "cas/entry.h"

#include <stddef.h>

struct step_trees;

struct step_taken {
    struct step_trees *trees; /* the sources, opened */
    struct build_delta *delta;
    struct cas_entry *entries; /* borrowed from the delta */
    size_t count;
};

struct solve_node;

/* Looks at everything that the COPY takes; the inputs that it takes from are done. */
MUST_CHECK int step_copy_take(struct solve_node *n,
                              struct step_taken *out,
                              struct error *err);
/* Where entries[i] is copied from, in its context or stage; empty if it has no bytes. */
struct view step_taken_source(const struct step_taken *t, size_t i);
void step_taken_release(struct step_taken *t); /* idempotent */
