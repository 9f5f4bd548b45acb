#include "cas/repository.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/reach.h"
#include "cas/ref_priv.h"
#include "cas/sparse.h"
#include "cas/store_priv.h"

#include <stdlib.h>
#include <time.h>

/* A subquery that finds nothing gives NULL, which equals no id. */
#define REPOSITORY_ID "(SELECT id FROM repository WHERE name = ?1)"

static const char sql_add[] = "INSERT OR IGNORE INTO repository(name) VALUES(?1)";
static const char sql_find[] = "SELECT 1 FROM repository WHERE name = ?1";
static const char sql_list[] =
    "SELECT name FROM repository AS r WHERE name > ?1 AND EXISTS(SELECT 1 FROM "
    "repository_manifest WHERE repository = r.id) ORDER BY name LIMIT ?2";
/* What is private stays so; a member stays a member unless it is removed on purpose. */
static const char sql_add_blob[] =
    "INSERT INTO repository_blob(repository, digest, state, private, time) "
    "VALUES(" REPOSITORY_ID
    ", ?2, ?3, ?4, ?5) ON CONFLICT(repository, digest) DO UPDATE SET "
    "state = max(state, excluded.state), private = max(private, excluded.private), "
    "time = excluded.time";
static const char sql_remove_blob[] =
    "INSERT INTO repository_blob(repository, digest, state, private, time) "
    "VALUES(" REPOSITORY_ID
    ", ?2, ?3, 0, ?4) ON CONFLICT(repository, digest) DO UPDATE SET "
    "state = excluded.state";
static const char sql_find_blob[] =
    "SELECT (SELECT state FROM repository_blob WHERE repository = " REPOSITORY_ID
    " AND digest = ?2), EXISTS(SELECT 1 FROM repository_blob WHERE digest = ?2 AND "
    "private)";
static const char sql_find_anywhere[] =
    "SELECT 1 FROM repository_blob WHERE digest = ?1 AND state = ?2 LIMIT 1";
static const char sql_add_manifest[] =
    "INSERT OR REPLACE INTO repository_manifest(repository, digest, target, subject, "
    "artifact_type, time) VALUES(" REPOSITORY_ID ", ?2, ?3, ?4, ?5, ?6)";
static const char sql_find_manifest[] =
    "SELECT target FROM repository_manifest WHERE repository = " REPOSITORY_ID
    " AND digest = ?2";
static const char sql_remove_manifest[] =
    "DELETE FROM repository_manifest WHERE repository = " REPOSITORY_ID " AND digest = ?2";
static const char sql_referrers[] =
    "SELECT target FROM repository_manifest WHERE subject = ?2 AND repository "
    "= " REPOSITORY_ID
    " AND (?3 IS NULL OR artifact_type = ?3) AND (?4 IS NULL OR digest > ?4) "
    "ORDER BY digest LIMIT ?5";

void cas_repository_manifest_release(struct cas_repository_manifest *m)
{
    descriptor_release(&m->target);
    *m = (struct cas_repository_manifest){0};
}

void cas_repository_manifests_release(struct cas_repository_manifests *list)
{
    for (size_t i = 0; i < list->count; i++)
        cas_repository_manifest_release(&list->items[i]);
    free(list->items);
    *list = (struct cas_repository_manifests){0};
}

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

/* The statement with the repository's name as its first parameter. */
static struct cas_stmt *prepare(struct cas_meta *m,
                                const char *sql,
                                const char *repository,
                                struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql, err);

    if (q)
        cas_stmt_bind_text(q, 1, repository);
    return q;
}

static int parse_target(struct view text, struct descriptor *out, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(text, err);

    if (!doc || descriptor_parse(doc, out, err) < 0)
        return error_set(err, ERROR_CORRUPT, "meta.db: a manifest's record is damaged");
    return 0;
}

/* --- Repositories --- */

int cas_repository_find(struct cas_store *s,
                        const char *repository,
                        bool *found,
                        struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = prepare(m, sql_find, repository, err);

    return q ? cas_stmt_step(q, found, err) : -1;
}

int cas_repository_list(struct cas_store *s,
                        const char *after,
                        size_t limit,
                        char ***names,
                        size_t *count,
                        struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = prepare(m, sql_list, after, err);
    char **list = NULL;
    size_t n = 0;
    size_t capacity = 0;
    bool row = false;

    if (!q)
        return -1;
    cas_stmt_bind_int(q, 2, limit < INT32_MAX ? (int64_t)limit : -1);
    while (cas_stmt_step(q, &row, err) == 0) {
        if (!row) {
            *names = list;
            *count = n;
            return 0;
        }
        list = base_grow(list, n, &capacity, sizeof *list);
        list[n++] = view_dup(cas_stmt_view(q, 0));
    }
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
    return -1;
}

static int add_repository(struct cas_meta *m, const char *repository, struct error *err)
{
    struct cas_stmt *q = prepare(m, sql_add, repository, err);

    return q ? cas_stmt_run(q, err) : -1;
}

/* --- Blobs --- */

static int put_blob(struct cas_meta *m,
                    const char *repository,
                    const struct digest *d,
                    enum cas_repository_state state,
                    bool is_private,
                    struct error *err)
{
    struct cas_stmt *q = prepare(m, sql_add_blob, repository, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 2, d);
    cas_stmt_bind_int(q, 3, state);
    cas_stmt_bind_int(q, 4, is_private);
    cas_stmt_bind_int(q, 5, now_s());
    return cas_stmt_run(q, err);
}

int cas_repository_add_blob(struct cas_store *s,
                            const char *repository,
                            const struct digest *d,
                            bool is_private,
                            struct error *err)
{
    /* The blob's name is durable before anybody is told that it is there. */
    if (cas_blob_sync_dirs(s, err) < 0)
        return -1;
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    if (cas_meta_begin(m, CAS_META_DURABLE, err) < 0 ||
        add_repository(m, repository, err) < 0 ||
        put_blob(m, repository, d, CAS_REPOSITORY_MEMBER, is_private, err) < 0)
        return -1;
    return cas_meta_commit(m, err);
}

int cas_repository_find_blob(struct cas_store *s,
                             const char *repository,
                             const struct digest *d,
                             enum cas_repository_state *state,
                             bool *is_private,
                             struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = prepare(m, sql_find_blob, repository, err);
    bool row;

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 2, d);
    if (cas_stmt_step(q, &row, err) < 0)
        return -1;
    *state = (enum cas_repository_state)(row ? cas_stmt_int(q, 0) : 0);
    *is_private = row && cas_stmt_int(q, 1) != 0;
    return 0;
}

int cas_repository_find_blob_anywhere(struct cas_store *s,
                                      const struct digest *d,
                                      bool *found,
                                      struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_find_anywhere, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, d);
    cas_stmt_bind_int(q, 2, CAS_REPOSITORY_MEMBER);
    return cas_stmt_step(q, found, err);
}

int cas_repository_remove_blob(struct cas_store *s,
                               const char *repository,
                               const struct digest *d,
                               struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    if (cas_meta_begin(m, CAS_META_DURABLE, err) < 0 ||
        add_repository(m, repository, err) < 0)
        return -1;
    struct cas_stmt *q = prepare(m, sql_remove_blob, repository, err);
    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 2, d);
    cas_stmt_bind_int(q, 3, CAS_REPOSITORY_REMOVED);
    cas_stmt_bind_int(q, 4, now_s());
    return cas_stmt_run(q, err) < 0 ? -1 : cas_meta_commit(m, err);
}

/* --- Manifests --- */

static int put_manifest(struct cas_meta *m,
                        const char *repository,
                        const struct cas_repository_manifest *manifest,
                        struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = descriptor_doc(&manifest->target);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct cas_stmt *q = prepare(m, sql_add_manifest, repository, err);

    doc_write(doc, DOC_WRITE_COMPACT, &text);
    if (!q || buf_ok(&text, "a manifest's annotations", err) < 0)
        return -1;
    cas_stmt_bind_digest(q, 2, &manifest->target.digest);
    cas_stmt_bind_view(q, 3, buf_view(&text));
    cas_stmt_bind_digest(q, 4, &manifest->subject);
    cas_stmt_bind_text(q, 5, manifest->target.artifact_type);
    cas_stmt_bind_int(q, 6, now_s());
    return cas_stmt_run(q, err);
}

/* Within the transaction that moves the names. The manifest's own file is no blob of the
 * repository, but is kept from being taken for one that everybody may see. */
static int put_all(struct cas_meta *m, const void *context, struct error *err)
{
    const struct cas_repository_put *put = context;
    const struct digest *d = &put->manifest->target.digest;

    if (add_repository(m, put->repository, err) < 0 ||
        put_manifest(m, put->repository, put->manifest, err) < 0 ||
        put_blob(m, put->repository, d, CAS_REPOSITORY_REMOVED, put->is_private, err) < 0 ||
        cas_sparse_set_locked(m, put->repository, d, put->absent, put->absent_count, err) <
            0)
        return -1;
    for (size_t i = 0; i < put->blob_count; i++) {
        if (put_blob(m, put->repository, &put->blobs[i], CAS_REPOSITORY_MEMBER, false,
                     err) < 0)
            return -1;
    }
    return 0;
}

int cas_repository_put_manifest(struct cas_store *s,
                                const struct cas_repository_put *put,
                                struct cas_ref_verdict *verdict,
                                struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor target = {0};
    CLEANUP(digest_set_release) struct digest_set absent = {0};
    const struct cas_ref_change change = {
        .names = put->names,
        .count = put->name_count,
        .guards = put->guards,
        .target = &target,
        .why = put->why,
        .also = put_all,
        .context = put,
    };

    *verdict = (struct cas_ref_verdict){.refusal = CAS_REF_GRANTED};
    /* Refs carry no annotations of what they point to. */
    descriptor_init(&target, put->manifest->target.media_type,
                    &put->manifest->target.digest, put->manifest->target.size);
    for (size_t i = 0; i < put->absent_count; i++)
        digest_set_add(&absent, &put->absent[i]);
    if (cas_reach_check_but(s, &target, &absent, err) < 0)
        return -1;
    return cas_ref_apply(s, &change, verdict, err);
}

int cas_repository_find_manifest(struct cas_store *s,
                                 const char *repository,
                                 const struct digest *d,
                                 bool *found,
                                 struct descriptor *out,
                                 struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = prepare(m, sql_find_manifest, repository, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 2, d);
    if (cas_stmt_step(q, found, err) < 0)
        return -1;
    return *found ? parse_target(cas_stmt_view(q, 0), out, err) : 0;
}

int cas_repository_remove_manifest(struct cas_store *s,
                                   const char *repository,
                                   const struct digest *d,
                                   const struct digest_set *parents,
                                   struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    if (cas_meta_begin(m, CAS_META_DURABLE, err) < 0 ||
        add_repository(m, repository, err) < 0)
        return -1;
    struct cas_stmt *q = prepare(m, sql_remove_manifest, repository, err);
    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 2, d);
    if (cas_stmt_run(q, err) < 0)
        return -1;
    for (size_t i = 0; parents && i < parents->capacity; i++) {
        if (digest_is_set(&parents->slots[i]) &&
            cas_sparse_add_locked(m, repository, &parents->slots[i], d, err) < 0)
            return -1;
    }
    return cas_meta_commit(m, err);
}

static int read_referrers(struct cas_stmt *q,
                          const struct digest *subject,
                          struct cas_repository_manifests *list,
                          struct error *err)
{
    size_t capacity = 0;
    bool row;

    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        list->items = base_grow(list->items, list->count, &capacity, sizeof *list->items);
        struct cas_repository_manifest *m = &list->items[list->count];
        *m = (struct cas_repository_manifest){.subject = *subject};
        if (parse_target(cas_stmt_view(q, 0), &m->target, err) < 0)
            return -1;
        list->count++;
    }
}

int cas_repository_referrers(struct cas_store *s,
                             const char *repository,
                             const struct digest *subject,
                             const char *artifact_type,
                             const struct digest *after,
                             size_t limit,
                             struct cas_repository_manifests *out,
                             struct error *err)
{
    CLEANUP(cas_repository_manifests_release) struct cas_repository_manifests list = {0};
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = prepare(m, sql_referrers, repository, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 2, subject);
    cas_stmt_bind_text(q, 3, artifact_type);
    cas_stmt_bind_digest(q, 4, after);
    cas_stmt_bind_int(q, 5, (int64_t)limit);
    if (read_referrers(q, subject, &list, err) < 0)
        return -1;
    *out = list;
    list = (struct cas_repository_manifests){0};
    return 0;
}
