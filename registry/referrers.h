/*
 * Referrers: manifests that name another one as their subject, as signatures, SBOMs and
 * provenance do.
 *
 * A registry lists them by its referrers API. One that does not know that API is served by
 * the fallback of the specification: an index under the tag "sha256-HEX" of the subject's
 * digest, which whoever pushes or removes a referrer keeps up to date. Callers need not
 * know which of the two it is. (A tag cannot be compared and swapped: of several processes
 * that change the same list at the very same moment one may undo the other's change.)
 *
 * Spec: OCI distribution-spec 1.1 "Listing Referrers", "Referrers Tag Schema", "Pushing
 * Manifests with Subject"; image-spec manifest.md "Guidelines for Artifact Usage".
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/descriptor.h"
#include "registry/client.h"
#include "registry/reference.h"

#include <stddef.h>

/* As the registry orders them; each digest once. */
struct registry_referrers {
    struct descriptor *items; /* with artifact_type and annotations, where they have them */
    size_t count;
    size_t capacity;
};

void registry_referrers_release(struct registry_referrers *r); /* idempotent; CLEANUP */
/* Adds a copy unless its digest is there. */
void registry_referrers_add(struct registry_referrers *r, const struct descriptor *one);

/*
 * What in the repository refers to `subject`; of that, with `artifact_type` (or NULL), what
 * is of that type. None is an answer. The subject need not be there.
 */
MUST_CHECK int registry_referrers_list(struct registry_client *c,
                                       const struct registry_reference *repository,
                                       const struct digest *subject,
                                       const char *artifact_type,
                                       struct registry_referrers *out,
                                       struct error *err);

/*
 * Stores a manifest (or index) that has a "subject" under its digest (the reference's, if
 * that has one), or under the reference's tag if it has one, and sees to it that it is
 * listed. Blobs and child manifests have to be there. `out` (the caller's) gets its
 * descriptor as lists show it. ERROR_INVALID: no manifest, or without a subject.
 */
MUST_CHECK int registry_referrer_put(struct registry_client *c,
                                     const struct registry_reference *ref,
                                     struct view manifest,
                                     struct descriptor *out,
                                     struct error *err);

/* Removes a referrer, by the reference's digest, and from the list of its subject. As
 * registry_manifest_delete for what has no subject. */
MUST_CHECK int registry_referrer_delete(struct registry_client *c,
                                        const struct registry_reference *ref,
                                        struct error *err);

/* The subject that a manifest names; *found false if it has none. ERROR_INVALID. */
MUST_CHECK int registry_manifest_subject(const struct doc *manifest,
                                         bool *found,
                                         struct descriptor *out,
                                         struct error *err);

/* "sha256-HEX", cut to the length that a tag may have; malloc'ed. */
char *registry_referrers_tag(const struct digest *subject);

/* One file of an artifact. */
struct registry_artifact_layer {
    const char *media_type;
    struct view bytes;
    const struct doc *annotations; /* object of texts, or NULL */
};

/* Something small that refers to an image; all borrowed. */
struct registry_artifact {
    const char *artifact_type;
    const struct descriptor *subject; /* or NULL: it stands alone */
    const struct registry_artifact_layer *layers;
    size_t layer_count;            /* 0: the empty descriptor of the specification */
    const struct doc *annotations; /* of the manifest, or NULL */
};

/* The manifest's bytes: the same artifact gives the same ones. */
void registry_artifact_manifest(const struct registry_artifact *a, struct buf *out);
/* Uploads config and layers and puts the manifest, as registry_referrer_put if it has a
 * subject. `out` as there. */
MUST_CHECK int registry_artifact_push(struct registry_client *c,
                                      const struct registry_reference *ref,
                                      const struct registry_artifact *a,
                                      struct descriptor *out,
                                      struct error *err);
