/*
 * Reading and checking a Dockerfile without building it: what `cooper check` and
 * `cooper build --check` share.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/build_source.h"
#include "cli/diagnostics.h"
#include "cli/session.h"

#include <stdbool.h>

/* The Dockerfile of the request's context, which may have to be fetched; `text` gets it,
 * and the tree borrows from it. */
MUST_CHECK struct dockerfile *cli_dockerfile_of_context(struct cli_session *session,
                                                        const struct build_request *request,
                                                        struct buf *text,
                                                        struct error *err);

struct cli_dockerfile_check {
    struct cli_session *session;
    const struct build_request *request; /* context, dockerfile, target, platform, args */
    const struct cli_build_source *source;
    enum cli_diagnostics_format format;
    bool extra; /* the rules beyond BuildKit's too */
};

/*
 * Prints the report on standard output; *findings gets the number of warnings.
 * Errors: what kept the file from being read; after the report: the first syntax error, or
 *         ERROR_FAILED if there were findings and the file says `# check=error=true`.
 */
MUST_CHECK int cli_dockerfile_check(const struct cli_dockerfile_check *check,
                                    size_t *findings,
                                    struct error *err);
