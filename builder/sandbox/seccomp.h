/*
 * The system call filter: equal in effect to Docker's default profile (moby/profiles,
 * seccomp/default.json of 2025). Private to builder/sandbox.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdint.h>

/*
 * Appends the filter for a step with these capabilities, as an array of struct sock_filter,
 * to `out`; *count gets its length. Compiled once for each set of capabilities that differs
 * in effect, then remembered. Any thread.
 * Errors: ERROR_UNSUPPORTED if libseccomp does not know this machine.
 */
MUST_CHECK int sandbox_seccomp_filter(uint64_t capabilities,
                                      struct buf *out,
                                      uint32_t *count,
                                      struct error *err);
