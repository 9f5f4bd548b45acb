/*
 * Which tags a release moves, and which tags of a repository are what.
 *
 * Moving tags are given as templates: "{major}.{minor},{major},latest" is the default. A
 * release of 1.4.2 renders them to 1.4, 1 and latest; each then belongs to the newest
 * version that renders it so. Pre-releases move none. A template whose placeholder the
 * version lacks, or that renders to the version itself, names nothing.
 *
 * cooper keeps a few tags of its own in a repository:
 *
 *     cooper-releases     what the records of the history refer to
 *     cooper-log-...      a record, where the registry does not list referrers
 *     cooper-claim-...    a release under way, where it has no conditional requests
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "release/version.h"

#include <stdbool.h>
#include <stddef.h>

#define RELEASE_TAG_ANCHOR "cooper-releases"
#define RELEASE_TAG_LOG    "cooper-log-"
#define RELEASE_TAG_CLAIM  "cooper-claim-"

#define RELEASE_MOVES_DEFAULT "{major}.{minor},{major},latest"

/* Names, each owned. */
struct release_names {
    char **items;
    size_t count;
    size_t capacity;
};

void release_names_add(struct release_names *n, const char *name);
bool release_names_has(const struct release_names *n, const char *name);
void release_names_release(struct release_names *n); /* idempotent; for CLEANUP */

/* One of cooper's own tags, or one that the distribution specification keeps for referrers
 * ("sha256-HEX"): neither a version nor a moving tag. */
bool release_tag_is_internal(const char *tag);

/* "a,b,c", or "none"; NULL is the default. ERROR_USAGE for unknown placeholders and for
 * what cannot be a tag. */
MUST_CHECK int release_moves_parse(const char *text,
                                   struct release_names *templates,
                                   struct error *err);
/* The tag that a template names for a version; malloc'ed, NULL for none. */
char *release_move_render(const char *template, const struct release_version *version);

/* The newest version among `tags` that `template` renders to the same tag as it does
 * `version`, and that has a higher precedence than `version`: its tag, borrowed; NULL if
 * there is none. */
const char *release_move_owner(const char *template,
                               const struct release_version *version,
                               const struct release_names *tags);

/* The newest version of the same line that is newer than `version`: its tag, borrowed; NULL
 * if there is none. Pre-releases count only for pre-releases. */
const char *release_line_newest(const struct release_version *version,
                                const struct release_names *tags);
