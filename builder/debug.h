/*
 * Looking at the state in which a step failed: its files, environment, directory, user,
 * mounts and network, with a shell or another command in place of its own. `cooper debug`.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"

#include <stdbool.h>
#include <stddef.h>

struct build_debug_options {
    const char *build; /* as typed: see build_builds_find; NULL: the newest kept state */
    const char *const *argv;
    size_t argc; /* 0: a shell */
    const struct build_secret *secrets;
    size_t secret_count;
    const struct build_ssh *ssh;
    size_t ssh_count;
    bool tty;
    const bool *cancel;
};

/*
 * Runs to the end; *exit_code as for build_run_image. A shell is one of the image's; where
 * it has none, a static busybox of this machine is mounted, for this command alone. What is
 * changed is thrown away (but for kept plain copies: cas_snapshot_reopen).
 * Errors: ERROR_NOT_FOUND if nothing is kept; ERROR_UNSUPPORTED if no shell can be had.
 */
MUST_CHECK int build_debug(const struct build_environment *env,
                           const struct build_debug_options *options,
                           int *exit_code,
                           struct error *err);
