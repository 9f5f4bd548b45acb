/*
 * What steps said, by the keys of their records in the build cache: for people who look at
 * what the cache holds. Only steps of Dockerfiles that are built again are known
 * (builder/slot.h).
 */
#pragma once

#include "base/macros.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stddef.h>

struct build_step_names {
    struct build_step_name *items; /* sorted by key */
    size_t count;
};

/* What cannot be read is not known. */
void build_step_names_read(struct cas_store *store, struct build_step_names *out);
void build_step_names_release(struct build_step_names *n); /* idempotent */
/* "RUN make" of any of these keys, or NULL. Borrowed. */
const char *build_step_names_find(const struct build_step_names *n,
                                  const struct digest *keys,
                                  size_t count);
