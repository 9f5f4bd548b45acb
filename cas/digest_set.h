/*
 * A set of digests in memory. One thread at a time.
 */
#pragma once

#include "cas/digest.h"

#include <stdbool.h>
#include <stddef.h>

struct digest_set {
    struct digest *slots; /* open addressing; alg NONE: empty */
    size_t capacity;      /* a power of two, or 0 */
    size_t count;
};

void digest_set_release(struct digest_set *set); /* idempotent; usable with CLEANUP */
/* True if it was not there yet. */
bool digest_set_add(struct digest_set *set, const struct digest *d);
void digest_set_add_all(struct digest_set *set, const struct digest_set *from);
bool digest_set_has(const struct digest_set *set, const struct digest *d);
