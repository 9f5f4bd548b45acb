/*
 * Where a build comes from: the context and the Dockerfile as the command line names them.
 *
 * A Dockerfile on standard input is copied into memory first, and standard input becomes
 * that copy. Of an archive there only the beginning is read, to see that it is one; the
 * builder reads the rest. The Dockerfile's text is kept, wherever it came from: a failure
 * shows its lines.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "builder/build.h"

/* An archive shows itself in so many bytes. */
#define CLI_BUILD_SOURCE_HEAD 512

struct cli_build_source {
    const char *context; /* borrowed; NULL: empty; "-": an archive on standard input */
    char *dockerfile;    /* for struct build_request: NULL, a path, or "-" */
    char *path;          /* of a file on this machine; NULL: elsewhere */
    char *name;          /* as it is shown: "Dockerfile" */
    char *text;          /* once the builder has read it; may hold NUL */
    size_t text_size;
    char head[CLI_BUILD_SOURCE_HEAD];
    size_t head_size;
};

/*
 * `context` is the positional argument, `file` the value of -f or NULL.
 * Errors: ERROR_NOT_FOUND, ERROR_INVALID if the context is nothing that can be one.
 */
MUST_CHECK int cli_build_source_resolve(const char *context,
                                        const char *file,
                                        struct cli_build_source *out,
                                        struct error *err);
void cli_build_source_release(struct cli_build_source *s); /* idempotent */
/* Puts it into the request, which borrows `s` from then on. */
void cli_build_source_attach(struct cli_build_source *s, struct build_request *request);
/* Appends the lines around the error's position; nothing if it has none. */
void cli_build_source_excerpt(const struct cli_build_source *s,
                              const struct error *failure,
                              struct buf *out);
