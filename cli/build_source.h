/*
 * Where a build comes from: the context and the Dockerfile as the command line names them.
 *
 * A Dockerfile on standard input is copied into memory first, and standard input becomes
 * that copy: it is read once by the builder and once more if a failure is to show its
 * lines.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

struct cli_build_source {
    const char *context; /* borrowed; NULL: empty */
    char *dockerfile;    /* for struct build_request: NULL, a path, or "-" */
    char *path;          /* where its text is; NULL: standard input */
    char *name;          /* as it is shown: "Dockerfile" */
};

/*
 * `context` is the positional argument, `file` the value of -f or NULL.
 * Errors: ERROR_NOT_FOUND, ERROR_INVALID if the context is no directory; ERROR_UNSUPPORTED
 * for contexts that are a URL or a tar.
 */
MUST_CHECK int cli_build_source_resolve(const char *context,
                                        const char *file,
                                        struct cli_build_source *out,
                                        struct error *err);
void cli_build_source_release(struct cli_build_source *s); /* idempotent */
/* Appends the lines around the error's position; nothing if it has none. */
void cli_build_source_excerpt(const struct cli_build_source *s,
                              const struct error *failure,
                              struct buf *out);
