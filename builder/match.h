/*
 * Which step of the last build is which of this one, when steps were inserted, removed or
 * edited meanwhile: the alignment of the two lists of descriptions (builder/describe.h)
 * under which most is alike, as diff(1) aligns lines.
 */
#pragma once

#include "base/doc.h"

#include <stddef.h>

/* out[i] becomes the old description that is new `is[i]`, or NULL where there is none. It
 * borrows from `was`, an array. */
void build_match(const struct doc *was,
                 struct doc *const *is,
                 size_t count,
                 const struct doc **out);
