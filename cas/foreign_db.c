#include "cas/foreign_db.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <sqlite3.h>

/* Instructions of SQLite's machine between two looks at the count, and looks until a query
 * is ended: some minutes of it, where reading 100,000 packages takes a second. */
enum { STEPS = 1000000, LOOKS_MAX = 10000 };
/* A value: the header of a package with 100,000 files has some 10 MB. */
enum { VALUE_SIZE_MAX = 64 << 20 };

struct query {
    sqlite3 *db;
    sqlite3_stmt *statement;
    unsigned looks;
};

static int is_too_long(void *context)
{
    struct query *const q = context;

    return ++q->looks > LOOKS_MAX;
}

static int fail(struct query *q, int code, struct error *err)
{
    if (code == SQLITE_INTERRUPT)
        return error_set(err, ERROR_LIMIT, "reading the database does not end");
    if (code == SQLITE_TOOBIG)
        return error_set(err, ERROR_LIMIT, "the database has a value of more than %d bytes",
                         VALUE_SIZE_MAX);
    return error_set(err, ERROR_CORRUPT, "the database cannot be read: %s",
                     q->db ? sqlite3_errmsg(q->db) : sqlite3_errstr(code));
}

/* A URI, as only that says that nobody else writes: then neither locks nor a log. */
static void append_uri(struct buf *out, const char *path, enum cas_foreign_db_flags flags)
{
    buf_append_text(out, "file:");
    for (const char *c = path; *c; c++) {
        if (strchr("%?#", *c))
            buf_printf(out, "%%%02x", (unsigned char)*c);
        else
            buf_append_char(out, *c);
    }
    if (flags == CAS_FOREIGN_DB_WHOLE)
        buf_append_text(out, "?immutable=1");
}

static int query_open(struct query *q,
                      const char *path,
                      enum cas_foreign_db_flags flags,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf uri = BUF_INIT(4 * LIMIT_PATH_SIZE);
    const int access =
        flags == CAS_FOREIGN_DB_WHOLE ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int code;

    append_uri(&uri, path, flags);
    if (buf_ok(&uri, "a path", err) < 0)
        return -1;
    code = sqlite3_open_v2(buf_text(&uri), &q->db,
                           access | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return fail(q, code, err);
    (void)sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(q->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    (void)sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_limit(q->db, SQLITE_LIMIT_LENGTH, VALUE_SIZE_MAX);
    (void)sqlite3_limit(q->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_progress_handler(q->db, STEPS, is_too_long, q);
    return 0;
}

static int query_rows(struct query *q,
                      const char *sql,
                      cas_foreign_db_fn *row,
                      void *context,
                      struct error *err)
{
    int code = sqlite3_prepare_v2(q->db, sql, -1, &q->statement, NULL);

    if (code != SQLITE_OK)
        return fail(q, code, err);
    while ((code = sqlite3_step(q->statement)) == SQLITE_ROW) {
        const void *const data = sqlite3_column_blob(q->statement, 0);
        const int size = sqlite3_column_bytes(q->statement, 0);

        if (row(context, (struct view){data, (size_t)size}, err) < 0)
            return -1;
    }
    return code == SQLITE_DONE ? 0 : fail(q, code, err);
}

int cas_foreign_db_each(const char *path,
                        enum cas_foreign_db_flags flags,
                        const char *sql,
                        cas_foreign_db_fn *row,
                        void *context,
                        struct error *err)
{
    struct query q = {0};
    const int result =
        query_open(&q, path, flags, err) < 0 ? -1 : query_rows(&q, sql, row, context, err);

    (void)sqlite3_finalize(q.statement);
    (void)sqlite3_close(q.db);
    return result;
}
