/*
 * The history of a repository, kept in the repository: entries (release/record.h) that
 * refer to its anchor. Each is an artifact of its own, so two who write at once are in
 * nobody's way. Where the registry lists no referrers, and the list is an index that
 * everybody rewrites, each entry has a tag besides (cooper-log-...), so that none can get
 * lost.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "release/place.h"
#include "release/record.h"
#include "release/tags.h"

#include <stddef.h>

struct release_log {
    struct release_record *items; /* newest first */
    size_t count;
    size_t capacity;
};
void release_log_release(struct release_log *l); /* idempotent; for CLEANUP */

/* `tags` are those of the repository. Entries that cannot be read are an error: a history
 * with holes would lead a rollback astray. */
MUST_CHECK int release_log_read(struct release_place *p,
                                const struct release_names *tags,
                                struct release_log *out,
                                struct error *err);
/* After release_place_prepare. Fills in record->id. */
MUST_CHECK int release_log_write(struct release_place *p,
                                 struct release_record *record,
                                 struct error *err);
/* One more than the highest sequence number. */
int64_t release_log_next(const struct release_log *l);

/* The version's tag that this digest was released or promoted as; NULL if none was.
 * Borrowed. */
const char *release_log_version(const struct release_log *l, const struct digest *digest);
/* Was this tag ever made as a version? */
bool release_log_is_version(const struct release_log *l, const char *tag);

/* Where a tag pointed, newest first: what `git reflog` calls @{0}, @{1}, ... */
struct release_state {
    struct digest digest;
    const struct release_record
        *record; /* that moved it there; NULL: not known. Borrowed */
};
struct release_states {
    struct release_state *items;
    size_t count;
    size_t capacity;
};
void release_states_release(struct release_states *s); /* idempotent; for CLEANUP */
/* `now` is where the tag points, @{0}, if it is set. What others did to it between two
 * entries is told by where the later one found it. */
void release_log_states(const struct release_log *l,
                        const char *tag,
                        const struct digest *now,
                        struct release_states *out);
