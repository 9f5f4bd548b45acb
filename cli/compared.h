/*
 * One side of `cooper diff`: an image of the store, or one that a registry has, whose parts
 * are brought into the store as far as they are looked at. No ref is set: what was fetched
 * for a look is garbage collection's when it likes.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/compare/compare.h"
#include "cas/layer.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "registry/image.h"
#include "registry/platform.h"
#include "registry/reference.h"

#include <stdbool.h>

/* Shows transfers, from the first one on: most comparisons have none. */
struct cli_transfers {
    enum cli_progress_mode mode;
    struct cli_progress *progress; /* NULL: nothing was transferred yet */
};
void cli_transfers_release(struct cli_transfers *t); /* idempotent; for CLEANUP */

struct cli_compared {
    struct cli_session *session;
    struct cli_transfers *transfers;
    const char *typed;                   /* as the user named it; borrowed */
    struct registry_reference reference; /* host NULL: known by ID alone */
    struct registry_image image;
    struct doc *config;
    struct doc *manifest;
    struct cas_layer **layers;
    size_t layer_count;
};

/* "docker://" in front of a name: the registry's, whatever the store has. */
#define CLI_COMPARED_REGISTRY "docker://"

/*
 * `typed` is what cli_image_resolve takes, or with CLI_COMPARED_REGISTRY a reference. What
 * the store lacks is looked for in its registry. `platform` NULL: this machine's, or
 * whatever an image without index has. The struct must stay where it is.
 */
MUST_CHECK int cli_compared_open(struct cli_compared *c,
                                 struct cli_session *session,
                                 struct cli_transfers *transfers,
                                 const char *typed,
                                 const struct registry_platform *platform,
                                 struct error *err);
void cli_compared_release(struct cli_compared *c); /* idempotent; for CLEANUP */
/* Fetches what layers the store lacks, several at once. */
MUST_CHECK int cli_compared_bring(struct cli_compared *c, struct error *err);
/* Borrows. */
struct build_compare_image cli_compared_image(const struct cli_compared *c);
