/*
 * Which tags of a repository a policy keeps. A decision over tags that were read; nothing
 * is asked or deleted here.
 *
 *     scheme: semver                     # semver (default), calver or any
 *     line: minor                        # what a line of versions is: major (default),
 * minor moving: "{major}.{minor},latest"   # moving tags, as --moves of `cooper release`
 * has them keep: [stable, "*-lts"]            # tags that stay, whatever follows versions:
 * # released versions: what stays of them lines: 3                       #   of the 3
 * newest lines ... per-line: 5                    #   ... the 5 newest each newest: 10 #
 * the 10 newest of all younger: 90d                   #   what is younger prereleases:
 * {newest: 3}           # the same; a pre-release has lines as well others: {younger: 14d}
 * # tags that are neither: newest, younger
 *
 * What one of a section's rules keeps stays. Of a kind of tags whose section is missing all
 * stay. Moving tags stay, whatever is said.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "release/tags.h"
#include "release/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum release_tag_kind {
    RELEASE_TAG_VERSION,
    RELEASE_TAG_PRERELEASE,
    RELEASE_TAG_MOVING,   /* names what a template makes of one of the versions */
    RELEASE_TAG_INTERNAL, /* cooper's own, and "sha256-HEX..." of referrers */
    RELEASE_TAG_OTHER,
};
const char *release_tag_kind_name(enum release_tag_kind kind); /* "version", ... */

/* What stays of one kind of tags. */
struct release_rules {
    bool given; /* else all stays */
    bool has_per_line, has_lines, has_newest, has_younger;
    uint64_t per_line;
    uint64_t lines;
    uint64_t newest;
    int64_t younger; /* seconds */
};

struct release_policy {
    enum release_scheme scheme;
    size_t line_parts;           /* numbers that a line's versions share: 1 or 2 */
    struct release_names moving; /* templates */
    struct release_names keep;   /* patterns: "*", "?", "[...]" */
    struct release_rules versions;
    struct release_rules prereleases;
    struct release_rules others;
};

/* Errors: ERROR_INVALID names the member: unknown ones, values that make no sense, and a
 * section without a rule, which would keep nothing. */
MUST_CHECK int release_policy_read(const struct doc *doc,
                                   struct release_policy *out,
                                   struct error *err);
void release_policy_release(struct release_policy *p); /* idempotent; for CLEANUP */
/* Does a decision need to know how old images are? */
bool release_policy_needs_age(const struct release_policy *p);

struct release_retained {
    const char *tag; /* borrowed */
    bool has_created;
    int64_t created; /* seconds since the epoch */

    /* What release_policy_decide finds out: */
    enum release_tag_kind kind;
    bool is_kept;
    char *why; /* owned */
};
void release_retained_release(struct release_retained *tags, size_t count);

/* Decides each tag by itself: that several tags may be one image is the caller's matter. A
 * tag whose age is not known is not old. */
void release_policy_decide(const struct release_policy *p,
                           struct release_retained *tags,
                           size_t count,
                           int64_t now);
