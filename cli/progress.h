/*
 * Progress: events of a build or a transfer, shown on standard error in one of four ways.
 *
 *     tty      a picture that is redrawn: what runs, for how long, its last lines of output
 *     plain    one line after the other, each with the number of its step, as buildx
 *     rawjson  one JSON document a line, in the form of buildx's --progress=rawjson
 *     quiet    nothing
 *
 * Whatever is shown, the last lines of each step's output and all warnings are kept for the
 * end. The sink may be called from any thread.
 *
 *     new -> sink given to the builder -> finish -> failures, free
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/event.h"
#include "base/macros.h"

#include <stdbool.h>

enum cli_progress_mode {
    CLI_PROGRESS_AUTO, /* tty if standard error is a terminal, else plain */
    CLI_PROGRESS_PLAIN,
    CLI_PROGRESS_TTY,
    CLI_PROGRESS_QUIET,
    CLI_PROGRESS_RAWJSON,
};

/* "auto", "plain", "tty", "quiet", "rawjson"; NULL: $BUILDKIT_PROGRESS, else auto.
 * ERROR_USAGE. */
MUST_CHECK int cli_progress_mode_parse(const char *text,
                                       enum cli_progress_mode *out,
                                       struct error *err);

struct cli_progress;

/* `title` ("Building") heads the picture; borrowed. Starts a thread only for a terminal, so
 * it comes after whatever has to be forked before threads. */
struct cli_progress *cli_progress_new(enum cli_progress_mode mode, const char *title);
void cli_progress_free(struct cli_progress *p); /* NULL is fine */
void cli_progress_freep(struct cli_progress **p);
struct event_sink cli_progress_sink(struct cli_progress *p);

/* Ends the display: draws the last picture and tells the warnings. Idempotent. */
void cli_progress_finish(struct cli_progress *p);

/* Appends for each failed step what its command printed last. After cli_progress_finish. */
void cli_progress_failures(struct cli_progress *p, struct buf *out);
