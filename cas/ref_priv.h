/*
 * How index.json is kept in step with the refs, for cas/ and its tests.
 */
#pragma once

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
