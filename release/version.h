/*
 * Versions as releases are named by them: parsed, ordered, turned into tags.
 *
 *     semver  1.4.2, 1.4.2-rc.1, 1.4.2+build5     Semantic Versioning 2.0.0, whole
 *     calver  2026.11, 2026.11.2, 26.4.0-rc1      two to four numbers, calver.org
 *     any     whatever is a tag                   no order
 *
 * Numbers may have any length: they are compared as digits. In semver and calver a "v" may
 * stand before the first number; it belongs to the tag and not to the order. A tag cannot
 * hold "+": build metadata follow "_" there, as Helm writes them.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum release_scheme { RELEASE_SEMVER = 0, RELEASE_CALVER, RELEASE_ANY };

/* A tag may have 128 characters; names of claims hold a version and 44 more. */
#define RELEASE_VERSION_MAX 80

#define RELEASE_PARTS_MAX 4

/* A value that owns `tag`; the views point into it. */
struct release_version {
    enum release_scheme scheme;
    char *tag; /* as a registry has it */
    bool has_v;
    struct view parts[RELEASE_PARTS_MAX]; /* digits; none for RELEASE_ANY */
    size_t part_count;
    struct view pre;   /* what follows "-"; empty: not a pre-release */
    struct view build; /* what follows "+" (in the tag: "_") */
};

/* "semver", "calver", "any"; NULL is semver. ERROR_USAGE. */
MUST_CHECK int release_scheme_parse(const char *text,
                                    enum release_scheme *out,
                                    struct error *err);
const char *release_scheme_name(enum release_scheme scheme);

/* What a user typed. ERROR_INVALID says what is wrong with it. */
MUST_CHECK int release_version_parse(enum release_scheme scheme,
                                     struct view text,
                                     struct release_version *out,
                                     struct error *err);
/* What a registry has: false if the tag is no version of that scheme. For RELEASE_ANY every
 * tag is one. */
bool release_version_from_tag(enum release_scheme scheme,
                              const char *tag,
                              struct release_version *out);
void release_version_release(struct release_version *v); /* idempotent; for CLEANUP */

/* The version as people write it, with "+"; malloc'ed. */
char *release_version_text(const struct release_version *v);

/* Is it one of those that no moving tag follows? */
bool release_version_is_pre(const struct release_version *v);
/* Is there an order between the two? Calendar versions of other shapes (2026.11 beside
 * 2026.11.2) have none: one may be the moving tag of the other. */
bool release_version_is_comparable(const struct release_version *a,
                                   const struct release_version *b);
/* Precedence (semver.org section 11): < 0, 0, > 0. Build metadata do not count. 0 where
 * there is no order. */
int release_version_compare(const struct release_version *a,
                            const struct release_version *b);
/* Are the two on the same line, that is, have they the same first number? */
bool release_version_same_line(const struct release_version *a,
                               const struct release_version *b);
