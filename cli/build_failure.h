/*
 * When a step of a build fails: --on-failure, and what to type next.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/session.h"

/* "image=NAME": *image borrows NAME from `text`; NULL text gives NULL. ERROR_USAGE. */
MUST_CHECK int cli_build_on_failure(const char *text,
                                    const char **image,
                                    struct error *err);

/* Appends the commands that show more of a failed step, ready to be pasted. Nothing if no
 * step failed. */
void cli_build_failure_hints(const struct cli_session *session,
                             const struct build_request *request,
                             const struct build_result *result,
                             const struct error *err,
                             struct buf *out);
