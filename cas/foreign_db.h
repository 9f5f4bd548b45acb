/*
 * SQLite databases that somebody else made, out of an image: nothing in them is believed.
 * Views, triggers and functions of the schema do not run, and a query that does not end is
 * ended.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

typedef int cas_foreign_db_fn(void *context, struct view value, struct error *err);

enum cas_foreign_db_flags {
    CAS_FOREIGN_DB_WHOLE = 0, /* the file is all there is, and it does not change */
    CAS_FOREIGN_DB_LOG = 1,   /* FILE-wal lies beside it: it is taken in, so both may
                                 change */
};

/*
 * Gives the first column of each row of `sql` as bytes, borrowed for the call. `path` is a
 * file of ours.
 * Errors: ERROR_CORRUPT if it is no database, is damaged or lacks what is asked for;
 *         ERROR_LIMIT; those of `row`.
 */
MUST_CHECK int cas_foreign_db_each(const char *path,
                                   enum cas_foreign_db_flags flags,
                                   const char *sql,
                                   cas_foreign_db_fn *row,
                                   void *context,
                                   struct error *err);
