/*
 * Without root: the process becomes root of a user namespace of its own, so that everything
 * that touches files of subordinate ids, and every step, happens inside it.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

/* How much of a root's world this process has. */
enum sandbox_grade {
    SANDBOX_GRADE_ROOT = 0,  /* root, also of a namespace that somebody else made */
    SANDBOX_GRADE_SUBIDS,    /* 1: a range of subordinate ids is mapped */
    SANDBOX_GRADE_SINGLE_ID, /* 2: only the user's own id is mapped, as root */
};

/*
 * With euid 0: returns SANDBOX_GRADE_ROOT (or _SINGLE_ID, if the namespace that one is root
 * of maps one id only) and changes nothing. Else enters a user and a mount namespace,
 * mapping the user to root and the ranges of /etc/subuid and /etc/subgid to 1 and up,
 * through newuidmap and newgidmap; without ranges or those programs, the user alone. *why
 * then borrows a static text that says what would give the better grade, else it is NULL.
 *
 * Must be called before any thread is started, and before sandbox_helper_start.
 * Returns the grade, or -1. Errors: ERROR_UNSUPPORTED, naming the setting to change, if
 * this machine gives no user namespaces.
 */
MUST_CHECK int sandbox_userns_enter(const char **why, struct error *err);

/* "root", "subordinate ids", "single id". */
const char *sandbox_grade_name(enum sandbox_grade grade);
