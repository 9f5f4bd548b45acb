/*
 * A claim on a piece of work that several processes, or threads, might do at once: whoever
 * holds it does the work, the others wait and find it done.
 *
 * A claim is a file leases/claim-HEX, held by flock(2): the kernel gives it back when the
 * holder dies, and process ids, which mean nothing in another pid namespace, play no part.
 * Nobody waits in here: one tries, and tries again later; so one who wants to give up can.
 * Who holds a claim must not wait for another, lest two wait for each other.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/store.h"

struct cas_claim;

/* *out is NULL if somebody else holds the claim on `what`. The store must outlive it. */
MUST_CHECK int cas_claim_try(struct cas_store *s,
                             const struct digest *what,
                             struct cas_claim **out,
                             struct error *err);
void cas_claim_release(struct cas_claim *c); /* NULL is fine */
