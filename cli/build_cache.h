/*
 * The values of build's --cache-from and --cache-to, read as buildx reads them, and the
 * writing of the caches when the build is over.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/args.h"
#include "cli/progress.h"
#include "cli/session.h"

#include <stddef.h>

struct cli_caches {
    struct build_cache_from *from;
    size_t from_count;
    struct build_cache_to *to;
    size_t to_count;
    struct cli_csv *fields; /* what both borrow from */
    size_t field_count;
};
void cli_caches_release(struct cli_caches *c); /* idempotent; usable with CLEANUP */

/* ERROR_USAGE for a type or key that there is not. The arguments must outlive *out. */
MUST_CHECK int cli_caches_read(const struct cli_texts *from,
                               const struct cli_texts *to,
                               struct cli_caches *out,
                               struct error *err);

/* After all that the build gave is told: with a progress display of its own. */
MUST_CHECK int cli_caches_write(struct cli_session *session,
                                const struct build_request *request,
                                struct build_result *result,
                                enum cli_progress_mode mode,
                                struct error *err);
