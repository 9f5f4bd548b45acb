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

/* Held while index.json is written, and from before the refs change that it is to show. */
#define CAS_REF_INDEX_LOCK ".index"

/* What a change of refs does within its transaction. */
typedef int cas_ref_change_fn(struct cas_meta *m, const void *context, struct error *err);

/* Commits a change with the next generation, at least `at_least` + 1, and writes
 * index.json. The caller holds CAS_REF_INDEX_LOCK. */
MUST_CHECK int cas_ref_change_locked(struct cas_store *s,
                                     cas_ref_change_fn *change,
                                     const void *context,
                                     int64_t at_least,
                                     struct error *err);

/* The caller holds the lock of meta.db; setting is done within a transaction. */
MUST_CHECK int cas_ref_generation_locked(struct cas_meta *m,
                                         int64_t *out,
                                         struct error *err);
MUST_CHECK int cas_ref_set_locked(struct cas_meta *m,
                                  const char *name,
                                  const struct descriptor *target,
                                  const char *why,
                                  struct error *err);
