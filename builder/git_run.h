/*
 * The program git as a child: with an environment of its own, so that neither the user's
 * configuration nor hooks play a part, and with nobody to ask for a password.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

struct build_ssh;

/* What all calls about one repository have in common; borrowed. */
struct build_git_env {
    const char *shown;       /* the repository, for messages */
    const char *scope;       /* of the credentials: a URL; or NULL */
    const char *credentials; /* value of an Authorization header, or NULL */
    const char *known_hosts; /* file where ssh keeps keys that it saw first, or NULL */
    const char *ca_file;     /* certificates to check servers with; NULL: the usual ones */
    const struct build_ssh *ssh; /* its agent or keys; NULL: the agent of the environment */
    bool local;                  /* repositories on this machine may be read */
    const bool *cancel;          /* ends the program; or NULL */
};

/*
 * Runs "git ARGS..."; `args` ends with NULL. What it prints goes to `out` (may be NULL).
 * Errors: ERROR_FAILED with what git said; ERROR_UNSUPPORTED: there is no git;
 *         ERROR_CANCELLED.
 */
MUST_CHECK int build_git_run(const struct build_git_env *env,
                             const char *const *args,
                             struct buf *out,
                             struct error *err);

bool build_git_is_cancelled(const struct build_git_env *env);
