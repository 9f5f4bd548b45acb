/*
 * The builds that the journal (builder/journal.h) keeps: listing, finding, reading and
 * removing them.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Eight digits of time and four of chance, of 32 letters and digits; sorts by time. */
#define BUILD_ID_SIZE 12

void build_id_make(int64_t time_ns, char out[BUILD_ID_SIZE + 1]);
/* When it was made; false if `id` is none. */
bool build_id_time(const char *id, int64_t *time_ns);

/* IDs, newest first; owned texts. */
struct build_ids {
    char **items;
    size_t count;
    size_t capacity;
};

MUST_CHECK int build_builds_list(struct cas_store *s,
                                 struct build_ids *out,
                                 struct error *err);
void build_ids_release(struct build_ids *ids); /* idempotent */

/* What a person typed: an ID or the beginning of one, "latest", "^N" (the N'th before the
 * latest); NULL is the latest. malloc'ed ID; NULL with ERROR_NOT_FOUND or ERROR_INVALID (it
 * fits several). */
MUST_CHECK char *build_builds_find(struct cas_store *s,
                                   const char *typed,
                                   struct error *err);

/* The entry of a build, the caller's. "status" is "running", "done", "failed", "cancelled",
 * or "killed" where the build ended without a word. NULL with ERROR_NOT_FOUND,
 * ERROR_CORRUPT. */
MUST_CHECK struct doc *build_builds_read(struct cas_store *s,
                                         const char *id,
                                         struct error *err);
/* What step `number` printed, opened for reading. *found false: it printed nothing. */
MUST_CHECK int build_builds_log(
    struct cas_store *s, const char *id, unsigned number, bool *found, struct error *err);

/* Locks a build's directory, shared: it is not removed before the descriptor is closed.
 * ERROR_NOT_FOUND. */
MUST_CHECK int build_builds_hold(struct cas_store *s, const char *id, struct error *err);
/* Removes a build with its logs and its kept state. *removed false: it still runs, or
 * somebody holds it. */
MUST_CHECK int build_builds_remove(struct cas_store *s,
                                   const char *id,
                                   bool *removed,
                                   struct error *err);
/* Removes all but the newest `count`, and those that are older. */
MUST_CHECK int build_builds_prune(struct cas_store *s,
                                  size_t count,
                                  int days,
                                  struct error *err);
