/*
 * The sizes that the store is held to: --storage-budget, to which it is brought back when a
 * command has ended, and --storage-limit, which it does not pass during one.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/budget.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stdint.h>

#define CLI_ENV_STORAGE_BUDGET "COOPER_STORAGE_BUDGET"
#define CLI_ENV_STORAGE_LIMIT  "COOPER_STORAGE_LIMIT"

/* A number of bytes, or so many hundredths of the disk. */
struct cli_storage_size {
    bool given;
    unsigned percent;
    uint64_t bytes; /* where percent is 0; 0: no bound */
};

/* "20g", "10%", "none". ERROR_USAGE. */
MUST_CHECK int cli_storage_size_parse(const char *text,
                                      struct cli_storage_size *out,
                                      struct error *err);
/* The option's text, else the environment's; not given if there is neither. `what` names it
 * in errors. */
MUST_CHECK int cli_storage_size_read(const char *option,
                                     const char *variable,
                                     const char *what,
                                     struct cli_storage_size *out,
                                     struct error *err);

/* Brings the store back to the budget (not given: a tenth of the disk) after a command.
 * What fails here is only logged: the command's own work is done. */
void cli_storage_tidy(struct cas_store *store, const struct cli_storage_size *budget);

/* Holds the limit, if one is given, against what is written to the store: downloads,
 * imports. `l` lives until cas_limit_end. */
MUST_CHECK int cli_storage_hold_limit(struct cas_store *store,
                                      const struct cli_storage_size *limit,
                                      struct cas_limit *l,
                                      struct error *err);

/*
 * Watches the limit on a thread of its own while a build runs. `cancel` of the guard is
 * what the build is to look at instead of `interrupt`, whose value it passes on.
 */
struct cli_storage_guard;

/* *out is NULL where no limit is given. ERROR_LIMIT if there is no room now. */
MUST_CHECK int cli_storage_guard_start(struct cas_store *store,
                                       const struct cli_storage_size *limit,
                                       const bool *interrupt,
                                       struct cli_storage_guard **out,
                                       struct error *err);
const bool *cli_storage_guard_cancel(const struct cli_storage_guard *g);
/* Ends the watching. If the limit ended the build, the error it failed with becomes that
 * reason. NULL is fine. */
void cli_storage_guard_stop(struct cli_storage_guard *g, struct error *failure);
