/*
 * The ways into a user namespace (userns_map.c), between which userns.c chooses. Private to
 * those.
 */
#pragma once

#include "builder/sandbox/userns.h"

#include <sys/types.h>

enum userns_entered {
    ENTER_FAILED = -1, /* err says why */
    ENTER_ALONE,       /* one id is mapped; *why says what would map more */
    ENTER_MAPPED,      /* a range of ids is */
    ENTER_REFUSED,     /* no user namespace can be had; *why says why */
};

/* Maps this user to root, and the ranges of subordinate ids unless it shall be alone. */
MUST_CHECK enum userns_entered userns_enter_user(
    bool alone, uid_t uid, gid_t gid, const char **why, struct error *err);
/* For a container's root: maps each of its ids to itself. */
MUST_CHECK enum userns_entered userns_enter_nested(const char **why, struct error *err);

/* What gives a user subordinate ids. */
extern const char userns_no_ranges[];
