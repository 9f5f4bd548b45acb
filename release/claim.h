/*
 * Claims: who may make a version's tag, at registries without conditional requests.
 *
 * Each run that wants to make the tag 1.4.2 writes tags of a claim of its own:
 *
 *     cooper-claim-1.4.2.DDDDDDDDDDDDDDDD.NNNNNNNN.L
 *                        |                |        0: withdrawn, 1: raised, 2: upheld
 *                        |                chance, 8 hex digits: of the run
 *                        the first 16 hex digits of the image's digest
 *
 * It raises the claim, looks at all, and upholds it unless another has been upheld, else
 * withdraws it. Then it waits until no raised claim is undecided that could still win. Of
 * the upheld ones the lowest digest wins; whoever looks sees the same one win, also a run
 * that comes later, or that is begun again after it was killed. The winner looks whether
 * the version has appeared meanwhile and makes it; whoever finds it there removes the
 * claims. (This is "safe agreement", Borowsky and Gafni 1993: among readers and writers
 * nothing stronger can be had that never waits.)
 *
 * What it relies on: all who release use it; a tag that was written is in the lists that
 * begin afterwards; between looking and upholding passes less than the time that others
 * wait for it (RELEASE_CLAIM_PATIENCE_MS): who is slower withdraws.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "release/place.h"
#include "release/tags.h"
#include "release/version.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How long a claim may stay undecided before others pass over it: its run was killed. */
#define RELEASE_CLAIM_PATIENCE_MS 180000
/* Who took longer than that from raising a claim to upholding it withdraws. */
#define RELEASE_CLAIM_HASTE_MS 60000

enum release_claim_level {
    RELEASE_CLAIM_WITHDRAWN = 0,
    RELEASE_CLAIM_RAISED = 1,
    RELEASE_CLAIM_UPHELD = 2
};

struct release_claim {
    char digest[16 + 1]; /* the first digits of what is to be released */
    char run[8 + 1];
    enum release_claim_level level; /* the highest, but that withdrawn counts more than
                                       raised */
};

struct release_claims {
    struct release_claim *items; /* by digest, then by run */
    size_t count;
    size_t capacity;
};
void release_claims_release(struct release_claims *c); /* idempotent; for CLEANUP */

/* The tag of a claim at a level; malloc'ed. */
char *release_claim_tag(const struct release_version *version,
                        const struct release_claim *claim,
                        enum release_claim_level level);
/* The claims to a version among a repository's tags. */
void release_claims_read(const struct release_version *version,
                         const struct release_names *tags,
                         struct release_claims *out);

/* The upheld claim with the lowest digest; NULL if none is upheld. */
const struct release_claim *release_claims_winner(const struct release_claims *c);
/* A raised one, neither upheld nor withdrawn, that could still win; NULL: it is decided. */
const struct release_claim *release_claims_undecided(const struct release_claims *c);

/* A claim that is being made. */
struct release_claiming {
    struct release_place *place;
    const struct release_version *version;
    const struct digest *digest;  /* what is to be released */
    const atomic_bool *cancelled; /* or NULL */
    const char *who;
};

/*
 * Claims the version. *won: it may be made, for what the winner wants is this digest; else
 * *winner is what the winner releases, not set if all claims are gone, the version having
 * been made meanwhile. ERROR_NETWORK if this run was too slow; ERROR_CANCELLED.
 */
MUST_CHECK int release_claim(const struct release_claiming *c,
                             bool *won,
                             struct digest *winner,
                             struct error *err);
/* Removes all claims to a version that exists, as far as the registry removes anything. */
void release_claims_clear(struct release_place *p, const struct release_version *version);
