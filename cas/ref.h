/*
 * Refs: names for manifests or indexes ("docker.io/library/debian:12"), with the history of
 * where each pointed. The store treats names as opaque text; the registry room normalises
 * them.
 *
 * A ref is set only when everything it needs is in the store and synced. index.json is
 * regenerated from the refs under a lock, each ref as annotation
 * org.opencontainers.image.ref.name. Spec: OCI image-spec image-layout.md, annotations.md.
 */
#pragma once

#include "base/error.h"
#include "cas/descriptor.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cas_ref {
    char *name;
    struct descriptor target;
    int64_t time; /* seconds since the epoch when it was last set */
};

struct cas_ref_list {
    struct cas_ref *items;
    size_t count;
};

void cas_ref_release(struct cas_ref *r);
void cas_ref_list_release(struct cas_ref_list *l);

/* Syncs the store, then points `name` at `target` and records it in the history with `why`
 * ("build", "pull", "tag", "import", "load"). Pointing where it points already changes
 * nothing. */
MUST_CHECK int cas_ref_set(struct cas_store *s,
                           const char *name,
                           const struct descriptor *target,
                           const char *why,
                           struct error *err);
/* Several refs to one target in one transaction. */
MUST_CHECK int cas_ref_set_many(struct cas_store *s,
                                const char *const *names,
                                size_t count,
                                const struct descriptor *target,
                                const char *why,
                                struct error *err);
MUST_CHECK int cas_ref_find(struct cas_store *s,
                            const char *name,
                            bool *found,
                            struct cas_ref *out,
                            struct error *err);
/* By name. */
MUST_CHECK int cas_ref_list(struct cas_store *s,
                            struct cas_ref_list *out,
                            struct error *err);

/* What must hold of a name for it to be changed, decided within the change's transaction:
 * of several who try at once, one succeeds. */
struct cas_ref_guard {
    /* Where the name does not exist, this one's target counts as its own; or NULL. */
    const char *stand_in;
    bool is_absent;       /* it must not exist */
    bool is_present;      /* it must exist */
    bool is_fixed;        /* it may be made, but never be moved or removed */
    struct digest is;     /* set: it must point there */
    struct digest is_not; /* set: it must not point there */
};

enum cas_ref_refusal { CAS_REF_GRANTED = 0, CAS_REF_UNMET, CAS_REF_FIXED };

struct cas_ref_verdict {
    enum cas_ref_refusal refusal;
    size_t index;      /* of the name that a guard refused */
    struct digest now; /* where it points; not set: nowhere */
};

/* Up to `limit` refs whose names begin with `prefix`, by name (bytewise), beginning after
 * the name prefix + `after` ("": from the start). */
MUST_CHECK int cas_ref_page(struct cas_store *s,
                            const char *prefix,
                            const char *after,
                            size_t limit,
                            struct cas_ref_list *out,
                            struct error *err);

/* ERROR_NOT_FOUND if absent. The history stays, with an entry for the removal. */
MUST_CHECK int cas_ref_delete(struct cas_store *s,
                              const char *name,
                              const char *why,
                              struct error *err);

struct cas_ref_event {
    int64_t time;
    struct digest from; /* alg NONE: did not exist */
    struct digest to;   /* alg NONE: removed */
    char *why;
};
/* Newest first; *out malloc'ed array (each `why` owned). */
MUST_CHECK int cas_ref_history(struct cas_store *s,
                               const char *name,
                               struct cas_ref_event **out,
                               size_t *count,
                               struct error *err);
void cas_ref_history_free(struct cas_ref_event *events, size_t count);
