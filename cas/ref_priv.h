/*
 * How index.json is kept in step with the refs, and changes of refs that carry conditions
 * and further work in their transaction: for cas/ and its tests.
 */
#pragma once

#include "cas/meta.h"
#include "cas/ref.h"

/*
 * Brings index.json and the refs of meta.db together after a crash: an index of an older
 * generation is written anew; refs of a newer one (meta.db was lost, or restored from a
 * backup) are taken over if all they need is there.
 */
MUST_CHECK int cas_ref_mend(struct cas_store *s, struct error *err);

/* Keeps refs and index.json from changing until the descriptor is closed. */
MUST_CHECK int cas_ref_lock_index(struct cas_store *s, struct error *err);
/* Writes index.json anew. The caller holds that lock. */
MUST_CHECK int cas_ref_renew_index(struct cas_store *s, struct error *err);

/* One change of refs: all names point to `target` afterwards, or nothing has changed. */
struct cas_ref_change {
    const char *const *names;
    size_t count;                       /* 0: only `also` is done */
    const struct cas_ref_guard *guards; /* one a name, or NULL */
    const struct descriptor *target;
    const char *why;
    /* Done first in the same durable transaction; or NULL. */
    int (*also)(struct cas_meta *m, const void *context, struct error *err);
    const void *context;
};

/* *verdict (may be NULL) says whether and why a guard refused; that is ERROR_EXISTS. The
 * caller has checked that all that the target needs is there (cas_reach_check). */
MUST_CHECK int cas_ref_apply(struct cas_store *s,
                             const struct cas_ref_change *change,
                             struct cas_ref_verdict *verdict,
                             struct error *err);

/* The ref in a row of "name, digest, target, time". */
struct cas_stmt;
MUST_CHECK int cas_ref_read_row(struct cas_stmt *q, struct cas_ref *out, struct error *err);
