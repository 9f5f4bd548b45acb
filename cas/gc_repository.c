#include "cas/gc_repository.h"

#include "base/alloc.h"
#include "cas/repository.h"
#include "cas/sparse.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char sql_blobs[] =
    "SELECT digest FROM repository_blob WHERE time >= ? AND state = ?";
static const char sql_manifests[] =
    "SELECT target, subject, time >= ? FROM repository_manifest";
static const char sql_all[] =
    "SELECT digest FROM repository_blob UNION SELECT digest FROM repository_manifest";
static const char sql_forget_blob[] = "DELETE FROM repository_blob WHERE digest = ?";
static const char sql_forget_manifest[] =
    "DELETE FROM repository_manifest WHERE digest = ?";

/* A clock that was set back makes things younger, never older. */
static int64_t grace_begin(void)
{
    return (int64_t)time(NULL) - CAS_REPOSITORY_GRACE_S;
}

static int mark_blobs(struct cas_store *s, struct digest_set *reached, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_blobs, err);
    struct digest d;
    bool row;

    if (!q)
        return -1;
    cas_stmt_bind_int(q, 1, grace_begin());
    cas_stmt_bind_int(q, 2, CAS_REPOSITORY_MEMBER);
    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        if (cas_stmt_digest(q, 0, &d, err) < 0)
            return -1;
        digest_set_add(reached, &d);
    }
}

/* --- Manifests --- */

struct candidate {
    struct descriptor target;
    struct digest subject;
    bool is_kept; /* for its age */
};

struct candidates {
    struct candidate *items;
    size_t count;
};

static void candidates_release(struct candidates *c)
{
    for (size_t i = 0; i < c->count; i++)
        descriptor_release(&c->items[i].target);
    free(c->items);
    *c = (struct candidates){0};
}

static int read_candidate(struct cas_stmt *q, struct candidate *out, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(cas_stmt_view(q, 0), err);

    *out = (struct candidate){.is_kept = cas_stmt_int(q, 2) != 0};
    if (!doc || descriptor_parse(doc, &out->target, err) < 0)
        return error_set(err, ERROR_CORRUPT, "meta.db: a manifest's record is damaged");
    return cas_stmt_digest(q, 1, &out->subject, err);
}

static int list_candidates(struct cas_store *s, struct candidates *out, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_manifests, err);
    size_t capacity = 0;
    bool row;

    if (!q)
        return -1;
    cas_stmt_bind_int(q, 1, grace_begin());
    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        out->items = base_grow(out->items, out->count, &capacity, sizeof *out->items);
        const int result = read_candidate(q, &out->items[out->count++], err);
        if (result < 0)
            return -1;
    }
}

/* One round; *again: something was marked, so another may find more. */
static void mark_round(struct cas_store *s,
                       struct candidates *c,
                       struct digest_set *reached,
                       cas_reach_fn *visit,
                       void *context,
                       bool *again)
{
    *again = false;
    for (size_t i = 0; i < c->count; i++) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        const struct candidate *m = &c->items[i];
        if (digest_set_has(reached, &m->target.digest) ||
            (!m->is_kept &&
             !(digest_is_set(&m->subject) && digest_set_has(reached, &m->subject))))
            continue;
        *again = true;
        /* Whatever comes of it, the manifest itself is marked. */
        if (cas_reach_walk(s, &m->target, CAS_REACH_PEEK, visit, context, &ignored) < 0)
            digest_set_add(reached, &m->target.digest);
    }
}

int gc_repository_mark(struct cas_store *s,
                       struct digest_set *reached,
                       cas_reach_fn *visit,
                       void *context,
                       struct error *err)
{
    CLEANUP(candidates_release) struct candidates c = {0};
    bool again = true;

    if (list_candidates(s, &c, err) < 0)
        return -1;
    while (again)
        mark_round(s, &c, reached, visit, context, &again);
    /* Last: what is marked already is not walked. */
    return mark_blobs(s, reached, err);
}

/* --- Forgetting --- */

static bool is_gone(const struct cas_store *s, const struct digest *d)
{
    return faccessat(s->fd, cas_blob_path(d).text, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
           errno == ENOENT;
}

static int list_gone(struct cas_store *s,
                     struct cas_meta *m,
                     struct digest **out,
                     size_t *count,
                     struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_all, err);
    size_t capacity = 0;
    struct digest d;
    bool row;

    while (q) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        if (cas_stmt_digest(q, 0, &d, err) < 0)
            return -1;
        if (!is_gone(s, &d))
            continue;
        *out = base_grow(*out, *count, &capacity, sizeof **out);
        (*out)[(*count)++] = d;
    }
    return -1;
}

static int forget(struct cas_meta *m,
                  const char *sql,
                  const struct digest *d,
                  struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, d);
    return cas_stmt_run(q, err);
}

/* Within one transaction, so that what is pushed again meanwhile stays. */
int gc_repository_forget(struct cas_store *s, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    CLEANUP(base_freep) struct digest *gone = NULL;
    size_t count = 0;

    if (cas_meta_begin(m, CAS_META_NORMAL, err) < 0 ||
        list_gone(s, m, &gone, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (forget(m, sql_forget_blob, &gone[i], err) < 0 ||
            forget(m, sql_forget_manifest, &gone[i], err) < 0 ||
            cas_sparse_forget_locked(m, &gone[i], err) < 0)
            return -1;
    }
    return cas_meta_commit(m, err);
}
