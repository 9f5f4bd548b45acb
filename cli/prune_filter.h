/*
 * The filters of 'cooper prune', in the words of docker and buildx:
 *
 *     until=24h, until=2026-11-01T00:00:00, until=UNIX   used last before
 *     id=PREFIX      of a record, a layer, a cache mount; several: any of them
 *     type=TYPE      image, regular, internal, exec.cachemount, source.local,
 *                    source.git.checkout, log, dangling; several: any of them
 *     label=KEY[=VALUE], label!=KEY[=VALUE]   of images
 *     shared=BOOL    records whose content images need, too; or not
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/prune.h"
#include "cas/store.h"
#include "cli/args.h"

#include <stdbool.h>
#include <stdint.h>

struct cli_prune_filter {
    struct cas_store *store; /* for the labels of images */
    int64_t before;          /* ns since 1970; 0: none */
    unsigned kinds;          /* bits of CAS_PRUNE_KIND; 0: none was named */
    struct cli_texts ids;
    struct cli_texts labels;     /* KEY[=VALUE]: must have all */
    struct cli_texts not_labels; /* must have none */
    bool has_shared;
    bool shared;
};

/* Adds one KEY=VALUE, borrowed. ERROR_USAGE. */
MUST_CHECK int cli_prune_filter_add(struct cli_prune_filter *f,
                                    const char *text,
                                    struct error *err);
void cli_prune_filter_release(struct cli_prune_filter *f); /* idempotent */
/* Does the item pass all but `before` and `kinds`? For cas_prune_options. */
bool cli_prune_filter_wants(void *filter, const struct cas_usage_item *item);

/* "24h", "1h30m", "90s" before now; "2026-11-01", "2026-11-01T12:00:00Z" or seconds since
 * 1970. ERROR_USAGE. */
MUST_CHECK int cli_until_parse(const char *text,
                               int64_t now_ns,
                               int64_t *out_ns,
                               struct error *err);
