/* The differences of two texts, line by line, in the unified form of diff -u. */
#pragma once

#include "base/buf.h"
#include "base/view.h"

/* Appends "--- NAME", "+++ NAME" and the hunks, with three lines of context; nothing for
 * equal texts. */
void cli_diff_print(struct view before,
                    struct view after,
                    const char *name,
                    struct buf *out);
