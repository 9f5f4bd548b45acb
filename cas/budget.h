/*
 * How large the store may become: a budget, to which it is brought back when a command that
 * wrote to it has ended, and a limit, which it does not pass while one runs.
 *
 * Nobody counts the whole store after each build. What one process wrote is known without
 * asking anybody; a process that wrote next to nothing (a cached build) has nothing to do.
 * Others reckon: what was last measured (kept in meta.db), and what came since then, as
 * processes told or as the file system lost free space, whichever is more. Only what may be
 * past the budget is measured again (cas/usage.h). After that there is room for a while: a
 * tenth of the budget is cleared, or, where that cannot be, the next measuring waits until
 * the store has grown by a twentieth of it.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct cas_budget_result {
    bool measured;  /* it was not enough to reckon */
    uint64_t size;  /* of the store, if it was measured: after what was freed */
    uint64_t freed; /* by removing what was used least recently */
};

/*
 * Brings the store back to at most `budget` bytes (0: any size is fine), as far as that is
 * possible without what refs need and what processes, this one too, hold. Takes no longer
 * than some ten seconds: the next one goes on. Does nothing if another process is at it.
 */
MUST_CHECK int cas_budget_keep(struct cas_store *s,
                               uint64_t budget,
                               struct cas_budget_result *out,
                               struct error *err);

/* A limit that is held while this process works. Thread-safe, but for begin and end: then
 * nobody writes to the store. */
struct cas_limit {
    struct cas_store *store;
    uint64_t limit;
    pthread_mutex_t lock; /* guards what follows */
    uint64_t size;        /* when it was last measured */
    uint64_t free;        /* of the file system, then */
    uint64_t written;     /* by this process, until then */
    uint64_t next;        /* it is measured again when it seems larger than this */
};

/* Measures, and makes room if there is little. ERROR_LIMIT if there is none. From now on
 * what would write blobs past the limit fails (ERROR_LIMIT). */
MUST_CHECK int cas_limit_begin(struct cas_limit *l,
                               struct cas_store *s,
                               uint64_t limit,
                               struct error *err);
/* The same for those who may not write at all: measures when the first blob is written. Has
 * no need of cas_limit_check. */
void cas_limit_arm(struct cas_limit *l, struct cas_store *s, uint64_t limit);
/* To be asked often, as steps write beside the store's own functions: *over if the store
 * has reached the limit and no room can be made. Costs one system call while it is far. */
MUST_CHECK int cas_limit_check(struct cas_limit *l, bool *over, struct error *err);
void cas_limit_end(struct cas_limit *l); /* idempotent */
/* For cas/ingest.c: may so many bytes be written that do not fit what is allowed? Makes
 * room if it can. ERROR_LIMIT. */
MUST_CHECK int cas_limit_admit(struct cas_store *s, uint64_t size, struct error *err);

/* The size of the file system that the store is on, for budgets in percent. */
MUST_CHECK int cas_budget_disk(struct cas_store *s,
                               uint64_t *size,
                               uint64_t *free,
                               struct error *err);
