/*
 * Another program of this machine that takes an image: podman, ctr. What it prints is kept
 * for the message, should it fail.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

/*
 * Runs argv[0], found in $PATH, to its end; `input` (-1: none) becomes its standard input
 * and is borrowed. Its standard output goes to `output` (may be NULL). `cancel` ends it.
 * Errors: ERROR_UNSUPPORTED: there is no such program; ERROR_FAILED with the last line that
 *         it complained; ERROR_CANCELLED.
 */
MUST_CHECK int build_program_run(const char *const *argv,
                                 int input,
                                 const bool *cancel,
                                 struct buf *output,
                                 struct error *err);
