/*
 * Pruning: choosing what goes, the least recently used first, and removing it. What a ref
 * needs stays unless images were asked for; what another process holds stays in any case.
 *
 * Choosing works on a stock (cas/usage.h). Removing asks again for each thing, under the
 * lock that decides (cas/lease.h), so what was found again meanwhile stays. Then garbage is
 * collected: blobs, indexes and unpacked layers that nothing names any more.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/usage.h"

#include <stdbool.h>
#include <stdint.h>

#define CAS_PRUNE_KIND(kind) (1u << (kind))
/* All but images: what can be made again, and what nothing names. */
#define CAS_PRUNE_CACHES                                                                   \
    (CAS_PRUNE_KIND(CAS_USAGE_CACHE) | CAS_PRUNE_KIND(CAS_USAGE_DANGLING) |                \
     CAS_PRUNE_KIND(CAS_USAGE_LAYER) | CAS_PRUNE_KIND(CAS_USAGE_MOUNT) |                   \
     CAS_PRUNE_KIND(CAS_USAGE_SOURCE) | CAS_PRUNE_KIND(CAS_USAGE_BUILD) |                  \
     CAS_PRUNE_KIND(CAS_USAGE_STAT))

/* Kinds that garbage goes with. */
#define CAS_PRUNE_WITH_GARBAGE                                                             \
    (CAS_PRUNE_KIND(CAS_USAGE_IMAGE) | CAS_PRUNE_KIND(CAS_USAGE_CACHE) |                   \
     CAS_PRUNE_KIND(CAS_USAGE_DANGLING))

struct cas_prune_options {
    unsigned kinds;   /* of items that may go: bits of CAS_PRUNE_KIND. Garbage goes with
                         records, images and CAS_USAGE_DANGLING */
    bool with_shared; /* also records whose content images need */
    int64_t before;   /* only what was last used before (ns since 1970); 0: whenever */
    /* Only what is wanted; NULL: everything. */
    bool (*wants)(void *context, const struct cas_usage_item *item);
    void *context;
    /* Stops as soon as `counted` kinds (bits; CAS_USAGE_DANGLING and the like count too)
     * take up at most `keep` bytes. UINT64_MAX: never, all that fits goes. */
    unsigned counted;
    uint64_t keep;
    bool spare_own; /* what this handle made or found stays as well */
    /* Asked between items whether to leave the rest; NULL: never. */
    bool (*stop)(void *context);
    void *stop_context;
};

/* What goes, by its place in usage->items, and what that frees. */
struct cas_prune_plan {
    size_t *items;
    size_t count;
    uint64_t size; /* with the garbage that goes along */
};

void cas_prune_choose(const struct cas_usage *usage,
                      const struct cas_prune_options *options,
                      struct cas_prune_plan *out);
void cas_prune_plan_release(struct cas_prune_plan *plan); /* idempotent */

struct cas_prune_result {
    uint64_t size;      /* freed, as the file system counts */
    size_t kept;        /* items that somebody uses by now */
    size_t blobs;       /* that were removed, chosen or garbage */
    uint64_t remaining; /* estimate of the store's size: what it was, less what was freed */
};

/* Told of each item that was removed. */
typedef void cas_prune_fn(void *context, const struct cas_usage_item *item);

/*
 * Removes what was chosen, then collects garbage (also with an empty plan), if it is of the
 * kinds that may go.
 */
MUST_CHECK int cas_prune_run(struct cas_store *s,
                             const struct cas_usage *usage,
                             const struct cas_prune_plan *plan,
                             const struct cas_prune_options *options,
                             cas_prune_fn *removed,
                             void *context,
                             struct cas_prune_result *out,
                             struct error *err);

/*
 * How much of a cache may stay, as BuildKit reckons: at most max_used (0: any) and no more
 * than leaves min_free bytes of the disk free, but never less than `reserved`. All zero:
 * nothing stays. `size` is what the cache has now, `free` what the disk has.
 */
uint64_t cas_prune_keep(
    uint64_t size, uint64_t free, uint64_t reserved, uint64_t max_used, uint64_t min_free);
