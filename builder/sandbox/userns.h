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
    SANDBOX_GRADE_SUBIDS,    /* 1: a range of ids is mapped: subordinate ones, or those of
                              * the container whose root this is */
    SANDBOX_GRADE_SINGLE_ID, /* 2: only the user's own id is mapped, as root */
    SANDBOX_GRADE_NONE,      /* 3: no namespaces: what is read and written is the user's */
};

/* What is asked for: --isolation. */
enum sandbox_isolation {
    SANDBOX_ISOLATION_AUTO = 0, /* the best there is; never NONE's way to run steps */
    SANDBOX_ISOLATION_ROOT,
    SANDBOX_ISOLATION_SUBIDS,
    SANDBOX_ISOLATION_SINGLE,
    SANDBOX_ISOLATION_NONE,
};

/*
 * Root that may make namespaces: returns SANDBOX_GRADE_ROOT (or _SINGLE_ID, if the
 * namespace that one is root of maps one id only) and changes nothing. Root that may not
 * (of a container without privilege) enters a user and a mount namespace in which all its
 * ids mean what they meant. Who is not root enters one too, mapping the user to root and
 * the ranges of /etc/subuid and /etc/subgid to 1 and up, through newuidmap and newgidmap;
 * without ranges or those programs, the user alone.
 *
 * Where no user namespace can be had, and with SANDBOX_ISOLATION_NONE, this returns
 * SANDBOX_GRADE_NONE: sandbox_helper_start then works only with _NONE, which also gives up
 * all capabilities.
 *
 * *why borrows a static text that says what would give a better grade; NULL if nothing.
 *
 * Must be called before any thread is started, and before sandbox_helper_start.
 * Returns the grade, or -1. Errors: ERROR_UNSUPPORTED, naming what is missing, if the grade
 * that was asked for by name cannot be had.
 */
MUST_CHECK int sandbox_userns_enter(enum sandbox_isolation isolation,
                                    const char **why,
                                    struct error *err);

/* "root", "subordinate ids", "single id", "none". */
const char *sandbox_grade_name(enum sandbox_grade grade);

/* "auto" (also "default" and ""), "root", "subids", "single", "none". ERROR_USAGE. */
MUST_CHECK int sandbox_isolation_parse(const char *text,
                                       enum sandbox_isolation *out,
                                       struct error *err);
