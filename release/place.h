/*
 * The repository of a registry that releases go to: its tags, read and set with care.
 *
 * A tag is set from a state that was seen to another, and read back. Where the registry has
 * conditional requests, the change happens only if the tag still is in that state: of
 * several who try at once one succeeds. Elsewhere it is looked at just before and just
 * after, which leaves a moment; what that means for whom is said where it matters
 * (release/claim.h, release/publish.h).
 *
 * One thread at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "registry/client.h"
#include "registry/reference.h"
#include "release/tags.h"

#include <stdbool.h>

enum release_conditions {
    RELEASE_CONDITIONS_UNKNOWN = 0,
    RELEASE_CONDITIONS_NONE,
    RELEASE_CONDITIONS_KEPT
};

struct release_place {
    struct registry_client *client;       /* borrowed */
    struct registry_reference repository; /* without tag and digest */
    struct descriptor anchor;             /* see release_place_prepare */
    enum release_conditions conditions;
};

/* Of the reference only the repository counts. Nothing is asked yet. */
void release_place_init(struct release_place *p,
                        struct registry_client *client,
                        const struct registry_reference *repository);
void release_place_release(struct release_place *p); /* idempotent; for CLEANUP */
/* "registry.example.org/app"; malloc'ed. */
char *release_place_name(const struct release_place *p);

/* All tags, cooper's own included; none of a repository that does not exist. */
MUST_CHECK int release_place_tags(struct release_place *p,
                                  struct release_names *out,
                                  struct error *err);
/* Where does the tag point? */
MUST_CHECK int release_place_find(struct release_place *p,
                                  const char *tag,
                                  bool *found,
                                  struct descriptor *out,
                                  struct error *err);
/* The same, the digest alone; not set: nowhere. */
MUST_CHECK int release_place_digest(struct release_place *p,
                                    const char *tag,
                                    struct digest *out,
                                    struct error *err);

/* A manifest of the repository, with its bytes. */
struct release_manifest {
    struct descriptor descriptor;
    struct buf bytes;
};
void release_manifest_release(struct release_manifest *m); /* idempotent; for CLEANUP */
/* ERROR_NOT_FOUND. */
MUST_CHECK int release_place_get(struct release_place *p,
                                 const struct digest *digest,
                                 struct release_manifest *out,
                                 struct error *err);
/* Is everything there that the manifest leads to: manifests of an index, configs, layers?
 * ERROR_NOT_FOUND names what is missing. */
MUST_CHECK int release_place_check(struct release_place *p,
                                   const struct release_manifest *m,
                                   struct error *err);

/*
 * Makes sure that the repository has its anchor, an empty artifact under the tag
 * cooper-releases that the entries of the history refer to, and learns whether the registry
 * keeps conditions: it is asked to make the anchor's tag though it exists, which one that
 * keeps them refuses, and which changes nothing elsewhere.
 */
MUST_CHECK int release_place_prepare(struct release_place *p, struct error *err);
/* What release_place_prepare makes sure of; borrowed. */
const struct descriptor *release_place_anchor(struct release_place *p);

/*
 * Points the tag to `m`, which the repository has, if it points to `from` (not set: if it
 * does not exist). *done: it does now; else somebody else was faster, and *now is where it
 * points. Pointing there already is done. After release_place_prepare.
 */
MUST_CHECK int release_place_set(struct release_place *p,
                                 const char *tag,
                                 const struct digest *from,
                                 const struct release_manifest *m,
                                 bool *done,
                                 struct digest *now,
                                 struct error *err);
