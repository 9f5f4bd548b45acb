/*
 * meta.db: the store's metadata in SQLite (what others wrote is read by foreign_db.c). For
 * cas/ alone: ref.c and record.c keep their statements, this file keeps connection, schema
 * and errors.
 *
 * WAL, synchronous NORMAL: a commit survives a crash of the process; after a power failure
 * the newest commits may be missing, never half there. What must survive that too is
 * committed with CAS_META_DURABLE, which also makes everything committed before it durable.
 *
 *     CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(store_meta);
 *     struct cas_stmt *q = cas_meta_stmt(m, "SELECT ...", err);
 *     cas_stmt_bind_text(q, 1, name);
 *     cas_stmt_step(q, &row, err);
 *
 * A handle may be shared between threads; statements are used by the one that holds the
 * lock.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <stdint.h>

struct cas_meta;
struct cas_stmt;

/* Opens or creates (with the schema) the database at an absolute path. ERROR_UNSUPPORTED if
 * a newer version of cooper made it, ERROR_CORRUPT if it is none. */
MUST_CHECK struct cas_meta *cas_meta_open(const char *path, struct error *err);
/* Opens what is there for reading only, on a file system where nothing can be written.
 * ERROR_NOT_FOUND; ERROR_UNSUPPORTED if a newer or an older version made it. */
MUST_CHECK struct cas_meta *cas_meta_open_read_only(const char *path, struct error *err);
void cas_meta_close(struct cas_meta *m); /* NULL is fine */

/* Returns `m`. Unlocking resets all statements and rolls back what was not committed. */
struct cas_meta *cas_meta_lock(struct cas_meta *m);
void cas_meta_unlockp(struct cas_meta **m);

enum cas_meta_durability { CAS_META_NORMAL = 0, CAS_META_DURABLE };

/* --- The caller holds the lock --- */

/* Takes the database's write lock, waiting for other processes up to 30 s. */
MUST_CHECK int cas_meta_begin(struct cas_meta *m,
                              enum cas_meta_durability d,
                              struct error *err);
MUST_CHECK int cas_meta_commit(struct cas_meta *m, struct error *err);
/* Brings what was committed to disk. */
MUST_CHECK int cas_meta_sync(struct cas_meta *m, struct error *err);

/* Gives back to the file system what many deleted rows left, if it is worth it and nobody
 * is in the way. Takes the lock. */
void cas_meta_shrink(struct cas_meta *m);

/* The prepared statement of `sql`, a string literal: prepared once, later given out reset
 * and without parameters. Valid until the lock is given back. */
MUST_CHECK struct cas_stmt *cas_meta_stmt(struct cas_meta *m,
                                          const char *sql,
                                          struct error *err);

/* Parameters count from one. Text and bytes are copied. A digest is its algorithm's number
 * and bytes; one that is not set is NULL. Failures are reported by the next step. */
void cas_stmt_bind_text(struct cas_stmt *q, int i, const char *text); /* NULL: SQL's NULL */
void cas_stmt_bind_view(struct cas_stmt *q, int i, struct view text);
void cas_stmt_bind_int(struct cas_stmt *q, int i, int64_t value);
void cas_stmt_bind_digest(struct cas_stmt *q, int i, const struct digest *d);

/* *row: there is a row to read; false at the end. */
MUST_CHECK int cas_stmt_step(struct cas_stmt *q, bool *row, struct error *err);
/* For statements that give no rows. */
MUST_CHECK int cas_stmt_run(struct cas_stmt *q, struct error *err);
/* Rows that the last statement changed. */
int64_t cas_meta_changes(struct cas_meta *m);

/* Columns count from zero. Borrowed text lives until the next step. */
int64_t cas_stmt_int(struct cas_stmt *q, int column);
const char *cas_stmt_text(struct cas_stmt *q, int column); /* NULL for SQL's NULL */
struct view cas_stmt_view(struct cas_stmt *q, int column);
/* ERROR_CORRUPT if the column is no digest; SQL's NULL is a digest that is not set. */
MUST_CHECK int cas_stmt_digest(struct cas_stmt *q,
                               int column,
                               struct digest *out,
                               struct error *err);
