#include "cas/record.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/store_priv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char sql_put_layer[] =
    "INSERT INTO layer(diff_id, blob, media_type, size, annotations, maker)"
    " VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(diff_id, blob) DO UPDATE SET"
    " media_type = excluded.media_type, size = excluded.size,"
    " annotations = excluded.annotations, maker = coalesce(excluded.maker, maker)";
static const char sql_find_layer[] =
    "SELECT blob, media_type, size, annotations FROM layer WHERE diff_id = ?"
    " ORDER BY media_type <> ?, blob";
static const char sql_find_made[] =
    "SELECT blob, media_type, size, annotations FROM layer WHERE diff_id = ?"
    " AND maker = ? ORDER BY blob";
static const char sql_find_blob[] = "SELECT diff_id FROM layer WHERE blob = ?";
static const char sql_find_maker[] = "SELECT maker FROM layer WHERE blob = ?";
static const char sql_put_cache[] =
    "INSERT OR REPLACE INTO cache(key, op, value, time) VALUES(?, ?, ?, ?)";
static const char sql_find_cache[] = "SELECT value FROM cache WHERE key = ?";
static const char sql_has_op[] = "SELECT 1 FROM cache WHERE op = ? LIMIT 1";
static const char sql_delete_cache[] = "DELETE FROM cache WHERE key = ?";

/* --- Layers --- */

int cas_layer_record_put(struct cas_store *s,
                         const struct digest *diff_id,
                         const struct descriptor *blob,
                         const char *maker,
                         struct error *err)
{
    CLEANUP(buf_release) struct buf annotations = BUF_INIT(LIMIT_MANIFEST_SIZE);

    if (blob->annotations)
        doc_write(blob->annotations, DOC_WRITE_COMPACT, &annotations);
    if (buf_ok(&annotations, "a layer's annotations", err) < 0)
        return -1;
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_put_layer, err);
    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, diff_id);
    cas_stmt_bind_digest(q, 2, &blob->digest);
    cas_stmt_bind_text(q, 3, blob->media_type);
    cas_stmt_bind_int(q, 4, (int64_t)blob->size);
    cas_stmt_bind_text(q, 5, blob->annotations ? buf_text(&annotations) : NULL);
    cas_stmt_bind_text(q, 6, maker);
    return cas_stmt_run(q, err);
}

static int read_layer(struct cas_stmt *q, struct descriptor *out, struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    const char *type = cas_stmt_text(q, 1);
    const struct view annotations = cas_stmt_view(q, 3);

    if (cas_stmt_digest(q, 0, &d.digest, err) < 0)
        return -1;
    d.media_type = base_strdup(type ? type : "");
    d.size = (uint64_t)cas_stmt_int(q, 2);
    if (annotations.data && !(d.annotations = doc_parse(annotations, err)))
        return error_set(err, ERROR_CORRUPT, "meta.db: a layer's annotations are damaged");
    *out = d;
    d = (struct descriptor){0};
    return 0;
}

/* A record may outlive its blob: a crash may have thrown away a rename that was not synced,
 * a collection may be under way. Such records count as absent. */
static int is_present(struct cas_store *s,
                      const struct descriptor *d,
                      bool *present,
                      struct error *err)
{
    uint64_t size = 0;

    if (cas_blob_find(s, &d->digest, present, &size, err) < 0)
        return -1;
    *present = *present && size == d->size;
    return 0;
}

/* The first blob that is there, of the statement's whose second parameter is `which`. */
static int find_present(struct cas_store *s,
                        const char *sql,
                        const struct digest *diff_id,
                        const char *which,
                        bool *found,
                        struct descriptor *blob,
                        struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql, err);

    *found = false;
    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, diff_id);
    cas_stmt_bind_text(q, 2, which);
    for (;;) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        bool row;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        if (read_layer(q, &d, err) < 0 || is_present(s, &d, found, err) < 0)
            return -1;
        if (*found) {
            *blob = d;
            d = (struct descriptor){0};
            return 0;
        }
    }
}

int cas_layer_record_find(struct cas_store *s,
                          const struct digest *diff_id,
                          const char *media_type,
                          bool *found,
                          struct descriptor *blob,
                          struct error *err)
{
    return find_present(s, sql_find_layer, diff_id, media_type ? media_type : "", found,
                        blob, err);
}

int cas_layer_record_find_made(struct cas_store *s,
                               const struct digest *diff_id,
                               const char *maker,
                               bool *found,
                               struct descriptor *blob,
                               struct error *err)
{
    return find_present(s, sql_find_made, diff_id, maker, found, blob, err);
}

int cas_layer_record_find_blob(struct cas_store *s,
                               const struct digest *blob,
                               bool *found,
                               struct digest *diff_id,
                               struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_find_blob, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, blob);
    if (cas_stmt_step(q, found, err) < 0)
        return -1;
    return *found ? cas_stmt_digest(q, 0, diff_id, err) : 0;
}

int cas_layer_record_maker(struct cas_store *s,
                           const struct digest *blob,
                           char **maker,
                           struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_find_maker, err);
    bool found = false;

    *maker = NULL;
    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, blob);
    if (cas_stmt_step(q, &found, err) < 0)
        return -1;
    if (found)
        *maker = base_strdup(cas_stmt_text(q, 0));
    return 0;
}

/* --- Build cache --- */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int cas_cache_put(struct cas_store *s,
                  const struct digest *key,
                  const struct digest *op,
                  const struct doc *value,
                  struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);

    doc_write(value, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "a cache record", err) < 0)
        return -1;
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_put_cache, err);
    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, key);
    cas_stmt_bind_digest(q, 2, op);
    cas_stmt_bind_view(q, 3, buf_view(&text));
    cas_stmt_bind_int(q, 4, now_ns());
    return cas_stmt_run(q, err);
}

int cas_cache_find(struct cas_store *s,
                   const struct digest *key,
                   bool *found,
                   struct doc **value,
                   struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_find_cache, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, key);
    if (cas_stmt_step(q, found, err) < 0)
        return -1;
    if (!*found)
        return 0;
    *value = doc_parse(cas_stmt_view(q, 0), err);
    return *value ? 0 : error_set(err, ERROR_CORRUPT, "meta.db: a cache record is damaged");
}

int cas_cache_has_op(struct cas_store *s,
                     const struct digest *op,
                     bool *found,
                     struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_has_op, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, op);
    return cas_stmt_step(q, found, err);
}

int cas_cache_delete(struct cas_store *s, const struct digest *key, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_delete_cache, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, key);
    return cas_stmt_run(q, err);
}
