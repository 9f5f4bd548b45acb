/*
 * Which blobs and manifests belong to which repository of the embedded registry: a blob of
 * the store is seen through a repository only if it was pushed or mounted there. Tags are
 * refs (cas/ref.h).
 *
 * A blob is *private* if its bytes came to this store by a push: then nobody may see it but
 * through the repositories that have it. What the store had before (built, pulled or
 * imported by its owner) is not.
 *
 * Membership keeps nothing alive but for a day: after that, garbage collection takes what
 * no ref needs, and membership goes with it. What refers to something that is kept (a
 * signature to its image: "subject") is kept as well.
 *
 * Repositories are named as in URLs ("library/app"). Writing functions are durable when
 * they return. Thread-safe. Spec: OCI distribution-spec 1.1.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/digest_set.h"
#include "cas/ref.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long membership alone keeps content from garbage collection: a push that goes on, and
 * what is pushed by digest first and tagged later. */
#define CAS_REPOSITORY_GRACE_S 86400

/* Was anything ever pushed there? */
MUST_CHECK int cas_repository_find(struct cas_store *s,
                                   const char *repository,
                                   bool *found,
                                   struct error *err);
/* Up to `limit` names of repositories that have manifests, after `after`; *names and each
 * of them malloc'ed. */
MUST_CHECK int cas_repository_list(struct cas_store *s,
                                   const char *after,
                                   size_t limit,
                                   char ***names,
                                   size_t *count,
                                   struct error *err);

/* --- Blobs --- */

enum cas_repository_state {
    CAS_REPOSITORY_UNKNOWN = 0,
    CAS_REPOSITORY_REMOVED, /* was deleted there, or is only a manifest's content */
    CAS_REPOSITORY_MEMBER,
};

/* The blob's file is in the store. `is_private`: a push brought it. Removed blobs become
 * members again. */
MUST_CHECK int cas_repository_add_blob(struct cas_store *s,
                                       const char *repository,
                                       const struct digest *d,
                                       bool is_private,
                                       struct error *err);
/* *is_private: in whatever repository. */
MUST_CHECK int cas_repository_find_blob(struct cas_store *s,
                                        const char *repository,
                                        const struct digest *d,
                                        enum cas_repository_state *state,
                                        bool *is_private,
                                        struct error *err);
/* Is it a member of any repository? */
MUST_CHECK int cas_repository_find_blob_anywhere(struct cas_store *s,
                                                 const struct digest *d,
                                                 bool *found,
                                                 struct error *err);
/* Remembered as removed, so that it is not seen there for being in the store. */
MUST_CHECK int cas_repository_remove_blob(struct cas_store *s,
                                          const char *repository,
                                          const struct digest *d,
                                          struct error *err);

/* --- Manifests --- */

struct cas_repository_manifest {
    struct descriptor target; /* with artifact type and annotations, as referrers list it */
    struct digest subject;    /* alg DIGEST_NONE: none */
};
void cas_repository_manifest_release(struct cas_repository_manifest *m);

struct cas_repository_put {
    const char *repository;
    const struct cas_repository_manifest *manifest;
    bool is_private;            /* its file came with this push */
    const struct digest *blobs; /* that it names: they become members */
    size_t blob_count;
    const struct digest *absent; /* that it names, and the repository does not have */
    size_t absent_count;
    /* Refs that are to point to it, in the same transaction; see cas_ref_change. */
    const char *const *names;
    const struct cas_ref_guard *guards;
    size_t name_count;
    const char *why;
};

/* Checks that all the manifest needs but what is `absent` (cas/sparse.h) is in the store,
 * then adds it and moves the names: all or nothing. Errors: ERROR_EXISTS with *verdict if a
 * guard refused; ERROR_NOT_FOUND if something is missing. */
MUST_CHECK int cas_repository_put_manifest(struct cas_store *s,
                                           const struct cas_repository_put *put,
                                           struct cas_ref_verdict *verdict,
                                           struct error *err);
MUST_CHECK int cas_repository_find_manifest(struct cas_store *s,
                                            const char *repository,
                                            const struct digest *d,
                                            bool *found,
                                            struct descriptor *out,
                                            struct error *err);
/* `parents` (or NULL): indexes of the repository that name it, and do not show it any more.
 */
MUST_CHECK int cas_repository_remove_manifest(struct cas_store *s,
                                              const char *repository,
                                              const struct digest *d,
                                              const struct digest_set *parents,
                                              struct error *err);

struct cas_repository_manifests {
    struct cas_repository_manifest *items;
    size_t count;
};
void cas_repository_manifests_release(struct cas_repository_manifests *list);

/* Those whose subject is `subject`, by digest, after `after` (may not be set), only of
 * `artifact_type` unless NULL; at most `limit`. */
MUST_CHECK int cas_repository_referrers(struct cas_store *s,
                                        const char *repository,
                                        const struct digest *subject,
                                        const char *artifact_type,
                                        const struct digest *after,
                                        size_t limit,
                                        struct cas_repository_manifests *out,
                                        struct error *err);
