/*
 * Image references by docker's grammar, with docker's defaults.
 *
 *     [HOST[:PORT]/]PATH[:TAG][@DIGEST]
 *
 * "debian" means docker.io/library/debian; the first component is a host only if it is
 * "localhost" or holds a dot, a colon or an upper-case letter. A reference that was parsed
 * is always in this full form; registry_reference_familiar gives the short form back, for
 * display. The store's refs are named by registry_reference_normalize.
 *
 * Spec: distribution/reference (ParseNormalizedNamed, TagNameOnly, FamiliarString);
 *       OCI distribution-spec "Pulling manifests" for names and tags.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"

#include <stdbool.h>

/* A value that owns its texts. */
struct registry_reference {
    char *host;           /* "docker.io", "localhost:5000", "[::1]:5000"; never NULL */
    char *path;           /* the repository on that host: "library/debian"; never NULL */
    char *tag;            /* NULL: none was given */
    struct digest digest; /* alg DIGEST_NONE: none was given */
};

/* ERROR_INVALID says which part is wrong and why; ERROR_UNSUPPORTED for a digest of an
 * unknown algorithm. On success the caller owns *out. */
MUST_CHECK int registry_reference_parse(struct view text,
                                        struct registry_reference *out,
                                        struct error *err);
void registry_reference_copy(struct registry_reference *to,
                             const struct registry_reference *from);
void registry_reference_release(struct registry_reference *r); /* idempotent; for CLEANUP */

/* Is this a tag by the grammar of the specification? */
bool registry_reference_is_tag(struct view tag);
/* Adds the tag "latest" where there is neither tag nor digest. */
void registry_reference_add_default_tag(struct registry_reference *r);
/* Same host and repository, whatever the tag and digest. */
bool registry_reference_same_repository(const struct registry_reference *a,
                                        const struct registry_reference *b);

/* All malloc'ed, never NULL. */
char *registry_reference_name(
    const struct registry_reference *r); /* docker.io/library/debian */
char *registry_reference_text(const struct registry_reference *r); /* ...:12@sha256:... */
char *registry_reference_familiar(const struct registry_reference *r); /* debian:12 */

/* What a user typed as the full text with the default tag: "debian" becomes
 * "docker.io/library/debian:latest". malloc'ed, NULL on error. */
MUST_CHECK char *registry_reference_normalize(struct view text, struct error *err);
