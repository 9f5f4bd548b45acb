#include "cas/sparse.h"

#include "cas/store_priv.h"

#define REPOSITORY_ID "(SELECT id FROM repository WHERE name = ?1)"

static const char sql_find[] =
    "SELECT digest FROM repository_sparse WHERE manifest = ?2 AND (?1 IS NULL OR "
    "repository = " REPOSITORY_ID ")";
static const char sql_end[] =
    "DELETE FROM repository_sparse WHERE manifest = ?2 AND repository = " REPOSITORY_ID;
static const char sql_add[] =
    "INSERT OR IGNORE INTO repository_sparse(repository, manifest, digest) "
    "VALUES(" REPOSITORY_ID ", ?2, ?3)";
static const char sql_forget[] = "DELETE FROM repository_sparse WHERE manifest = ?";

int cas_sparse_find(struct cas_store *s,
                    const char *repository,
                    const struct digest *manifest,
                    struct digest_set *out,
                    struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_find, err);
    struct digest d;
    bool row;

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, repository);
    cas_stmt_bind_digest(q, 2, manifest);
    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        if (cas_stmt_digest(q, 0, &d, err) < 0)
            return -1;
        digest_set_add(out, &d);
    }
}

int cas_sparse_add_locked(struct cas_meta *m,
                          const char *repository,
                          const struct digest *manifest,
                          const struct digest *absent,
                          struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_add, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, repository);
    cas_stmt_bind_digest(q, 2, manifest);
    cas_stmt_bind_digest(q, 3, absent);
    return cas_stmt_run(q, err);
}

int cas_sparse_set_locked(struct cas_meta *m,
                          const char *repository,
                          const struct digest *manifest,
                          const struct digest *absent,
                          size_t count,
                          struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_end, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, repository);
    cas_stmt_bind_digest(q, 2, manifest);
    if (cas_stmt_run(q, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (cas_sparse_add_locked(m, repository, manifest, &absent[i], err) < 0)
            return -1;
    }
    return 0;
}

int cas_sparse_forget_locked(struct cas_meta *m,
                             const struct digest *manifest,
                             struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_forget, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, manifest);
    return cas_stmt_run(q, err);
}
