#include "cas/meta.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA_VERSION 4
#define BUSY_MS        30000
/* Of 4 KiB: less is not worth writing the whole database anew. */
#define SHRINK_PAGES 1024
/* A few more than there are statements in cas/. */
#define STATEMENTS_MAX 64

/* Digests are blobs: the algorithm's number, then its bytes. Times are seconds, and
 * nanoseconds in the cache, where gc compares them with those of leases. */
static const char schema[] =
    "CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counter VALUES('generation', 1);"
    "CREATE TABLE ref(name TEXT PRIMARY KEY, digest BLOB NOT NULL, target TEXT NOT NULL,"
    " time INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE ref_event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, time INTEGER NOT "
    "NULL,"
    " old BLOB, new BLOB, why TEXT NOT NULL);"
    "CREATE INDEX ref_event_name ON ref_event(name, id);"
    "CREATE TABLE layer(diff_id BLOB NOT NULL, blob BLOB NOT NULL, media_type TEXT NOT "
    "NULL,"
    " size INTEGER NOT NULL, annotations TEXT, PRIMARY KEY(diff_id, blob)) WITHOUT ROWID;"
    "CREATE INDEX layer_blob ON layer(blob);"
    "CREATE TABLE cache(key BLOB PRIMARY KEY, op BLOB NOT NULL, value TEXT NOT NULL,"
    " time INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX cache_op ON cache(op);"
    "PRAGMA user_version = 1;";

/* What leads from each version to the next; a new store takes all these steps. */
static const char *const upgrades[SCHEMA_VERSION] = {
    [1] = "ALTER TABLE layer ADD COLUMN maker TEXT;"
          "PRAGMA user_version = 2;",
    /* cas/repository.h */
    [2] = "CREATE TABLE repository(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
          "CREATE TABLE repository_blob(repository INTEGER NOT NULL, digest BLOB NOT NULL,"
          " state INTEGER NOT NULL, private INTEGER NOT NULL, time INTEGER NOT NULL,"
          " PRIMARY KEY(repository, digest)) WITHOUT ROWID;"
          "CREATE INDEX repository_blob_digest ON repository_blob(digest);"
          "CREATE TABLE repository_manifest(repository INTEGER NOT NULL, digest BLOB NOT "
          "NULL,"
          " target TEXT NOT NULL, subject BLOB, artifact_type TEXT, time INTEGER NOT NULL,"
          " PRIMARY KEY(repository, digest)) WITHOUT ROWID;"
          "CREATE INDEX repository_manifest_subject"
          " ON repository_manifest(subject, repository, digest) WHERE subject IS NOT NULL;"
          "PRAGMA user_version = 3;",
    /* cas/sparse.h */
    [3] = "CREATE TABLE repository_sparse(repository INTEGER NOT NULL, manifest BLOB NOT "
          "NULL,"
          " digest BLOB NOT NULL, PRIMARY KEY(repository, manifest, digest)) WITHOUT "
          "ROWID;"
          "CREATE INDEX repository_sparse_manifest ON repository_sparse(manifest);"
          "PRAGMA user_version = 4;",
};

struct cas_stmt {
    const char *sql;
    sqlite3_stmt *handle;
    int failed; /* the first failure to bind a parameter */
    struct cas_meta *meta;
};

struct cas_meta {
    pthread_mutex_t lock; /* guards everything below */
    sqlite3 *db;
    struct cas_stmt statements[STATEMENTS_MAX];
    size_t statement_count;
    bool durable; /* synchronous is FULL now */
};

/* --- Errors --- */

/* Refs come back from index.json; the history and the build cache do not. */
static const char advice[] =
    "the store's metadata (meta.db) is damaged; move meta.db* out of "
    "the store to go on with the images that index.json lists";

static int report(struct cas_meta *m, int code, const char *what, struct error *err)
{
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, ERROR_CORRUPT, "%s: %s: %s", what, advice,
                         sqlite3_errmsg(m->db));
    case SQLITE_FULL:
        errno = ENOSPC;
        return error_sys(err, "%s", what);
    case SQLITE_BUSY:
        errno = EBUSY;
        return error_sys(err, "%s: other processes kept meta.db locked for %d s", what,
                         BUSY_MS / 1000);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return error_set(err, ERROR_DENIED, "%s: meta.db cannot be written: %s", what,
                         sqlite3_errmsg(m->db));
    default:
        break;
    }
    const int sys = sqlite3_system_errno(m->db);
    if (((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) && sys != 0) {
        errno = sys;
        return error_sys(err, "%s: meta.db", what);
    }
    return error_set(err, ERROR_SYSTEM, "%s: meta.db: %s", what, sqlite3_errmsg(m->db));
}

static int execute(struct cas_meta *m, const char *sql, const char *what, struct error *err)
{
    const int code = sqlite3_exec(m->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : report(m, code, what, err);
}

/* --- Opening --- */

static int read_version_locked(struct cas_meta *m, int64_t *version, struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, "PRAGMA user_version", err);
    bool row = false;

    if (!q || cas_stmt_step(q, &row, err) < 0)
        return -1;
    *version = row ? cas_stmt_int(q, 0) : 0;
    return 0;
}

static int read_version(struct cas_meta *m, int64_t *version, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *locked = cas_meta_lock(m);

    return read_version_locked(locked, version, err);
}

/* The caller of cas_meta_open keeps other creators out, so only the switch to WAL may meet
 * nobody; the transaction makes the schema appear whole or not at all. */
static int create_schema(struct cas_meta *m, struct error *err)
{
    if (execute(m, "PRAGMA journal_mode = WAL", "create meta.db", err) < 0)
        return -1;
    CLEANUP(cas_meta_unlockp) struct cas_meta *locked = cas_meta_lock(m);
    if (cas_meta_begin(locked, CAS_META_DURABLE, err) < 0 ||
        execute(locked, schema, "create meta.db", err) < 0)
        return -1;
    return cas_meta_commit(locked, err);
}

/* Another process may have come first: the version is read again under the write lock. */
static int upgrade_schema(struct cas_meta *m, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *locked = cas_meta_lock(m);
    int64_t version = 0;

    if (cas_meta_begin(locked, CAS_META_DURABLE, err) < 0 ||
        read_version_locked(locked, &version, err) < 0)
        return -1;
    for (; version < SCHEMA_VERSION; version++) {
        if (execute(locked, upgrades[version], "upgrade meta.db", err) < 0)
            return -1;
    }
    return cas_meta_commit(locked, err);
}

static int prepare_database(struct cas_meta *m, struct error *err)
{
    int64_t version = 0;

    sqlite3_extended_result_codes(m->db, 1);
    sqlite3_busy_timeout(m->db, BUSY_MS);
    if (execute(m, "PRAGMA synchronous = NORMAL", "open meta.db", err) < 0 ||
        read_version(m, &version, err) < 0)
        return -1;
    if (version == 0) {
        if (create_schema(m, err) < 0)
            return -1;
        version = 1;
    }
    if (version < SCHEMA_VERSION)
        return upgrade_schema(m, err);
    if (version > SCHEMA_VERSION)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "the store was made by a newer cooper (meta.db version %jd, not %d)",
            (intmax_t)version, SCHEMA_VERSION);
    return 0;
}

struct cas_meta *cas_meta_open(const char *path, struct error *err)
{
    struct cas_meta *m = base_alloc(sizeof *m);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    pthread_mutex_init(&m->lock, NULL);
    const int code = sqlite3_open_v2(path, &m->db, flags, NULL);
    if (code != SQLITE_OK)
        report(m, code, "open", err);
    else if (prepare_database(m, err) == 0)
        return m;
    cas_meta_close(m);
    return NULL;
}

static int check_version(struct cas_meta *m, struct error *err)
{
    int64_t version = 0;

    sqlite3_extended_result_codes(m->db, 1);
    sqlite3_busy_timeout(m->db, BUSY_MS);
    if (read_version(m, &version, err) < 0)
        return -1;
    if (version == SCHEMA_VERSION)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED,
                     "meta.db has version %jd, not %d, and cannot be changed where it is",
                     (intmax_t)version, SCHEMA_VERSION);
}

static struct cas_meta *open_uri(const char *uri, struct error *err)
{
    struct cas_meta *m = base_alloc(sizeof *m);
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;

    pthread_mutex_init(&m->lock, NULL);
    const int code = sqlite3_open_v2(uri, &m->db, flags, NULL);
    if (code != SQLITE_OK)
        report(m, code, "open", err);
    else if (check_version(m, err) == 0)
        return m;
    cas_meta_close(m);
    return NULL;
}

/* In URIs of SQLite "?", "#" and "%" are written as what they are. */
static char *uri_of(const char *path, const char *query)
{
    CLEANUP(buf_release) struct buf uri = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&uri, "file:");
    for (; *path; path++) {
        if (strchr("?#%", *path))
            buf_printf(&uri, "%%%02X", (unsigned char)*path);
        else
            buf_append_char(&uri, *path);
    }
    buf_append_text(&uri, query);
    return buf_take(&uri);
}

/* Where others have it open, or were killed, its log and index stand beside it and can be
 * used as they are. Else SQLite would have to make them: then nobody is there who might
 * change the database while it is read. */
struct cas_meta *cas_meta_open_read_only(const char *path, struct error *err)
{
    CLEANUP(base_freep) char *shared = uri_of(path, "");
    CLEANUP(base_freep) char *alone = uri_of(path, "?immutable=1");
    CLEANUP(base_freep) char *log = base_format("%s-wal", path);
    struct cas_meta *m = open_uri(shared, err);

    if (m || access(log, F_OK) == 0)
        return m;
    error_clear(err);
    return open_uri(alone, err);
}

void cas_meta_close(struct cas_meta *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->statement_count; i++)
        sqlite3_finalize(m->statements[i].handle);
    sqlite3_close(m->db);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* --- Lock and transactions --- */

struct cas_meta *cas_meta_lock(struct cas_meta *m)
{
    pthread_mutex_lock(&m->lock);
    return m;
}

void cas_meta_unlockp(struct cas_meta **locked)
{
    struct cas_meta *m = *locked;

    if (!m)
        return;
    *locked = NULL;
    const int saved = errno;
    for (size_t i = 0; i < m->statement_count; i++)
        sqlite3_reset(m->statements[i].handle);
    if (!sqlite3_get_autocommit(m->db))
        sqlite3_exec(m->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&m->lock);
    errno = saved;
}

/* The level can only be changed outside of a transaction. */
static int set_durable(struct cas_meta *m, bool durable, struct error *err)
{
    if (m->durable == durable)
        return 0;
    if (execute(m, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                "write meta.db", err) < 0)
        return -1;
    m->durable = durable;
    return 0;
}

int cas_meta_begin(struct cas_meta *m, enum cas_meta_durability d, struct error *err)
{
    if (set_durable(m, d == CAS_META_DURABLE, err) < 0)
        return -1;
    return execute(m, "BEGIN IMMEDIATE", "write meta.db", err);
}

int cas_meta_commit(struct cas_meta *m, struct error *err)
{
    for (size_t i = 0; i < m->statement_count; i++)
        sqlite3_reset(m->statements[i].handle);
    if (execute(m, "COMMIT", "write meta.db", err) < 0)
        return -1;
    /* It is committed. Should this fail, what follows is only slower. */
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    if (set_durable(m, false, &ignored) < 0)
        assert(m->durable);
    return 0;
}

/* A checkpoint syncs the log before it copies from it. */
int cas_meta_sync(struct cas_meta *m, struct error *err)
{
    const int code =
        sqlite3_wal_checkpoint_v2(m->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

    /* Another process is at it: it syncs what we committed. */
    if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY)
        return 0;
    return report(m, code, "sync meta.db", err);
}

/* A number that a pragma gives; 0 if it cannot be had. */
static int64_t pragma_number(struct cas_meta *m, const char *sql)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct cas_stmt *q = cas_meta_stmt(m, sql, &ignored);
    bool row = false;

    return q && cas_stmt_step(q, &row, &ignored) == 0 && row ? cas_stmt_int(q, 0) : 0;
}

void cas_meta_shrink(struct cas_meta *meta)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(meta);
    const int64_t pages = pragma_number(m, "PRAGMA page_count");
    const int64_t unused = pragma_number(m, "PRAGMA freelist_count");

    if (unused < SHRINK_PAGES || unused < pages / 2)
        return;
    for (size_t i = 0; i < m->statement_count; i++)
        sqlite3_reset(m->statements[i].handle);
    /* Who reads or writes meanwhile makes this fail: the next one tries again. */
    if (sqlite3_exec(m->db, "VACUUM", NULL, NULL, NULL) == SQLITE_OK)
        sqlite3_wal_checkpoint_v2(m->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

/* --- Statements --- */

struct cas_stmt *cas_meta_stmt(struct cas_meta *m, const char *sql, struct error *err)
{
    for (size_t i = 0; i < m->statement_count; i++) {
        struct cas_stmt *q = &m->statements[i];
        if (q->sql != sql)
            continue;
        sqlite3_reset(q->handle);
        sqlite3_clear_bindings(q->handle);
        q->failed = SQLITE_OK;
        return q;
    }
    assert(m->statement_count < STATEMENTS_MAX);
    struct cas_stmt *q = &m->statements[m->statement_count];
    *q = (struct cas_stmt){.sql = sql, .meta = m};
    const int code =
        sqlite3_prepare_v3(m->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->handle, NULL);
    if (code != SQLITE_OK) {
        report(m, code, "read meta.db", err);
        return NULL;
    }
    m->statement_count++;
    return q;
}

static void note(struct cas_stmt *q, int code)
{
    if (code != SQLITE_OK && q->failed == SQLITE_OK)
        q->failed = code;
}

void cas_stmt_bind_text(struct cas_stmt *q, int i, const char *text)
{
    note(q, text ? sqlite3_bind_text(q->handle, i, text, -1, SQLITE_TRANSIENT)
                 : sqlite3_bind_null(q->handle, i));
}

void cas_stmt_bind_view(struct cas_stmt *q, int i, struct view text)
{
    note(q, sqlite3_bind_text64(q->handle, i, text.data ? text.data : "", text.size,
                                SQLITE_TRANSIENT, SQLITE_UTF8));
}

void cas_stmt_bind_int(struct cas_stmt *q, int i, int64_t value)
{
    note(q, sqlite3_bind_int64(q->handle, i, value));
}

void cas_stmt_bind_digest(struct cas_stmt *q, int i, const struct digest *d)
{
    uint8_t bytes[1 + DIGEST_BYTES_MAX] = {(uint8_t)d->alg};

    memcpy(bytes + 1, d->bytes, digest_size(d->alg));
    note(q, digest_is_set(d)
                ? sqlite3_bind_blob64(q->handle, i, bytes, 1 + digest_size(d->alg),
                                      SQLITE_TRANSIENT)
                : sqlite3_bind_null(q->handle, i));
}

int cas_stmt_step(struct cas_stmt *q, bool *row, struct error *err)
{
    const int code = q->failed == SQLITE_OK ? sqlite3_step(q->handle) : q->failed;

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return report(q->meta, code, "use meta.db", err);
    *row = code == SQLITE_ROW;
    return 0;
}

int cas_stmt_run(struct cas_stmt *q, struct error *err)
{
    bool row;

    if (cas_stmt_step(q, &row, err) < 0)
        return -1;
    assert(!row);
    sqlite3_reset(q->handle);
    return 0;
}

int64_t cas_meta_changes(struct cas_meta *m)
{
    return sqlite3_changes64(m->db);
}

int64_t cas_stmt_int(struct cas_stmt *q, int column)
{
    return sqlite3_column_int64(q->handle, column);
}

const char *cas_stmt_text(struct cas_stmt *q, int column)
{
    return (const char *)sqlite3_column_text(q->handle, column);
}

struct view cas_stmt_view(struct cas_stmt *q, int column)
{
    const char *text = cas_stmt_text(q, column);

    return (struct view){text, text ? (size_t)sqlite3_column_bytes(q->handle, column) : 0};
}

int cas_stmt_digest(struct cas_stmt *q, int column, struct digest *out, struct error *err)
{
    const uint8_t *bytes = sqlite3_column_blob(q->handle, column);
    const size_t size = (size_t)sqlite3_column_bytes(q->handle, column);

    *out = (struct digest){.alg = DIGEST_NONE};
    if (sqlite3_column_type(q->handle, column) == SQLITE_NULL)
        return 0;
    if (size == 0 || (bytes[0] != DIGEST_SHA256 && bytes[0] != DIGEST_SHA512) ||
        size != 1 + digest_size((enum digest_alg)bytes[0]))
        return error_set(err, ERROR_CORRUPT, "%s: no digest", advice);
    out->alg = (enum digest_alg)bytes[0];
    memcpy(out->bytes, bytes + 1, size - 1);
    return 0;
}
