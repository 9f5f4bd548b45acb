/*
 * The journal of a build: what it did and everything that its steps printed, kept in the
 * store. It listens to the build's events on their way to the display.
 *
 *     builds/ID/build.json   the entry: when, of what, how it ended, each step
 *               N.log        all that step N printed, both streams as they came
 *               state.json   of a failed step that was kept: builder/kept.h
 *               fs/          the files as it left them
 *
 * IDs sort by time. While a build runs it holds a lock (flock) on its directory, so an
 * entry that says "running" and is not locked is of a build that was killed. Nothing is
 * synced. A build that ran no step costs one small file, written at its end. What fails
 * here is left out of the journal: no build fails because of it.
 *
 * Kept are the newest BUILD_JOURNAL_COUNT builds of the last BUILD_JOURNAL_DAYS days.
 */
#pragma once

#include "base/error.h"
#include "base/event.h"
#include "base/macros.h"
#include "builder/build.h"

#define BUILD_JOURNAL_COUNT   100u
#define BUILD_JOURNAL_DAYS    30
#define BUILD_JOURNAL_DIR     "builds"
#define BUILD_JOURNAL_ENTRY   "build.json"
#define BUILD_JOURNAL_VERSION 1

struct build_journal;

/* Events go on to `next`. Everything is borrowed. Makes nothing in the store yet. */
struct build_journal *build_journal_new(struct cas_store *store,
                                        const struct build_request *request,
                                        const struct event_sink *next);
void build_journal_free(struct build_journal *j); /* NULL is fine */

/* Thread-safe, as sinks are. */
struct event_sink build_journal_sink(struct build_journal *j);
const char *build_journal_id(const struct build_journal *j);

/* The directory of the entry, "builds/ID", made if need be. Borrowed. */
MUST_CHECK int build_journal_dir(struct build_journal *j,
                                 const char **path,
                                 struct error *err);
/* A state of this build is kept. */
void build_journal_keep(struct build_journal *j);
bool build_journal_has_state(const struct build_journal *j);

/* Writes the entry as it stays: `failure` is NULL after success. Removes old entries. */
void build_journal_finish(struct build_journal *j,
                          const struct build_result *result,
                          const struct error *failure);
