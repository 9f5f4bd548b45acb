/*
 * A step's output while it runs: read from its pipes, told to the sink, its end kept for
 * the error message.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/sandbox/sandbox.h"

#include <stdbool.h>

struct step_pipes {
    int ours[2];   /* reading ends: stdout, stderr */
    int theirs[3]; /* -1 (no input), writing ends */
};

MUST_CHECK int step_pipes_open(struct step_pipes *p, struct error *err);
void step_pipes_close(struct step_pipes *p); /* idempotent; for CLEANUP */

/* Reads until both pipes are closed by everybody; `output` gets the bytes as they come.
 * `is_cancelled` is asked at least ten times a second; when it says so the process is
 * killed. */
MUST_CHECK int step_pipes_pump(
    struct step_pipes *p,
    struct sandbox_process *process,
    void (*output)(void *context, int stream, const char *data, size_t size),
    bool (*is_cancelled)(void *context),
    void *context,
    struct error *err);
