/*
 * Retention in a registry: what a policy does not keep is deleted, and nothing else is lost
 * with it.
 *
 *     release_prune_plan   every tag and what it leads to is read; nothing changes
 *     release_prune_run    looks again at what is to stay, then deletes
 *
 * A registry that deletes a manifest by its digest takes every tag along that points to it,
 * and deleting part of an index breaks the index. So a digest goes only if nothing that
 * stays leads to it: no tag, no index, no artifact that refers to what stays. A tag that is
 * to go but whose image stays is removed alone, where the registry can do that; where it
 * cannot, it stays and the plan's run says so.
 *
 * What goes: the manifest of the tag, the manifests of an index, and what refers to them
 * (signatures, SBOMs), in this order, so that nothing ever names what is gone.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "registry/client.h"
#include "registry/reference.h"
#include "release/retention.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum release_prune_action {
    RELEASE_PRUNE_KEEP,   /* by the policy */
    RELEASE_PRUNE_DELETE, /* with its image */
    RELEASE_PRUNE_UNTAG,  /* the tag alone: its image is needed by what stays */
};
const char *release_prune_action_name(enum release_prune_action action);

struct release_prune_tag {
    char *tag;
    struct digest digest;
    enum release_tag_kind kind;
    enum release_prune_action action;
    char *why;
    bool has_created;
    int64_t created; /* seconds since the epoch */
    bool is_gone;    /* release_prune_run has deleted it */
    char *left; /* why release_prune_run could not, where the registry cannot; or NULL */
};

struct release_prune_plan {
    struct release_prune_tag *tags; /* as the registry orders them */
    size_t count;
    struct digest *digests; /* what goes, in the order of deletion */
    size_t digest_count;
    uint64_t size; /* bytes of blobs that nothing which stays needs */
};
void release_prune_plan_release(struct release_prune_plan *p); /* idempotent; CLEANUP */

/* `now`: seconds since the epoch. Of the reference only the repository counts.
 * Errors: ERROR_NOT_FOUND no such repository; those of reading: a repository that cannot be
 *         read whole is not pruned. */
MUST_CHECK int release_prune_plan(struct registry_client *client,
                                  const struct registry_reference *repository,
                                  const struct release_policy *policy,
                                  int64_t now,
                                  struct release_prune_plan *out,
                                  struct error *err);

/* Deletes what the plan says.
 * Errors: ERROR_EXISTS if a tag is new, or points elsewhere than the plan says: nothing was
 *         deleted; ERROR_UNSUPPORTED if the registry deletes nothing. The same plan made
 * and run again goes on where a failure ended it. */
MUST_CHECK int release_prune_run(struct registry_client *client,
                                 const struct registry_reference *repository,
                                 struct release_prune_plan *plan,
                                 struct error *err);
