/*
 * The user's terminal and a command's terminal tied together while the command runs: bytes
 * both ways, raw mode, the size of the window. For builder/run.c and builder/debug.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/sandbox/sandbox.h"

#include <stdbool.h>

/* The step gets a terminal of the size that the user's has. */
void run_terminal(struct sandbox_spec *spec);

/*
 * Returns when the command closed its terminal (it has ended, or is about to) or *cancel is
 * set. `interactive`: standard input is passed on. The user's terminal is as before
 * afterwards.
 */
MUST_CHECK int run_attach(struct sandbox_process *process,
                          bool interactive,
                          const bool *cancel,
                          struct error *err);

/* Waits for the command's end; once *cancel is set, asks it to end, and kills it after a
 * while. Errors: as sandbox_wait. */
MUST_CHECK int run_wait(struct sandbox_process *process,
                        const bool *cancel,
                        struct sandbox_status *status,
                        struct error *err);
