#include "cas/ref.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "cas/layout.h"
#include "cas/reach.h"
#include "cas/ref_priv.h"
#include "cas/store_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

/* Changes of refs that index.json may fail to show while more of them wait. */
#define INDEX_BEHIND_MAX 32u

static const char sql_generation[] = "SELECT value FROM counter WHERE name = 'generation'";
static const char sql_set_generation[] =
    "UPDATE counter SET value = ? WHERE name = 'generation'";
static const char sql_find[] = "SELECT name, digest, target, time FROM ref WHERE name = ?";
static const char sql_list[] = "SELECT name, digest, target, time FROM ref ORDER BY name";
static const char sql_set[] =
    "INSERT OR REPLACE INTO ref(name, digest, target, time) VALUES(?, ?, ?, ?)";
static const char sql_delete[] = "DELETE FROM ref WHERE name = ?";
static const char sql_add_event[] =
    "INSERT INTO ref_event(name, time, old, new, why) VALUES(?, ?, ?, ?, ?)";

void cas_ref_release(struct cas_ref *r)
{
    free(r->name);
    descriptor_release(&r->target);
    *r = (struct cas_ref){0};
}

void cas_ref_list_release(struct cas_ref_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        cas_ref_release(&l->items[i]);
    free(l->items);
    *l = (struct cas_ref_list){0};
}

/* --- Reading; the caller holds the lock of meta.db --- */

static int parse_target(struct view text, struct descriptor *out, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(text, err);

    if (!doc || descriptor_parse(doc, out, err) < 0)
        return error_set(err, ERROR_CORRUPT, "meta.db: a ref's target is damaged");
    return 0;
}

int cas_ref_read_row(struct cas_stmt *q, struct cas_ref *out, struct error *err)
{
    struct cas_ref r = {.time = cas_stmt_int(q, 3)};

    if (parse_target(cas_stmt_view(q, 2), &r.target, err) < 0)
        return -1;
    r.name = view_dup(cas_stmt_view(q, 0));
    *out = r;
    return 0;
}

static int find_locked(struct cas_meta *m,
                       const char *name,
                       bool *found,
                       struct cas_ref *out,
                       struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_find, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, name);
    if (cas_stmt_step(q, found, err) < 0)
        return -1;
    return *found ? cas_ref_read_row(q, out, err) : 0;
}

static int list_locked(struct cas_meta *m, struct cas_ref_list *out, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};
    struct cas_stmt *q = cas_meta_stmt(m, sql_list, err);
    size_t capacity = 0;
    bool row;

    if (!q)
        return -1;
    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            break;
        list.items = base_grow(list.items, list.count, &capacity, sizeof *list.items);
        if (cas_ref_read_row(q, &list.items[list.count], err) < 0)
            return -1;
        list.count++;
    }
    *out = list;
    list = (struct cas_ref_list){0};
    return 0;
}

int cas_ref_generation_locked(struct cas_meta *m, int64_t *out, struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_generation, err);
    bool row;

    if (!q || cas_stmt_step(q, &row, err) < 0)
        return -1;
    if (!row)
        return error_set(err, ERROR_CORRUPT, "meta.db: the generation of refs is missing");
    *out = cas_stmt_int(q, 0);
    return 0;
}

int cas_ref_find(struct cas_store *s,
                 const char *name,
                 bool *found,
                 struct cas_ref *out,
                 struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    return find_locked(m, name, found, out, err);
}

int cas_ref_list(struct cas_store *s, struct cas_ref_list *out, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    return list_locked(m, out, err);
}

/* --- Writing; within a transaction --- */

static int set_generation(struct cas_meta *m, int64_t generation, struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_set_generation, err);

    if (!q)
        return -1;
    cas_stmt_bind_int(q, 1, generation);
    return cas_stmt_run(q, err);
}

static int add_event(struct cas_meta *m,
                     const char *name,
                     const struct digest *old,
                     const struct digest *new,
                     const char *why,
                     struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql_add_event, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, name);
    cas_stmt_bind_int(q, 2, (int64_t)time(NULL));
    cas_stmt_bind_digest(q, 3, old);
    cas_stmt_bind_digest(q, 4, new);
    cas_stmt_bind_text(q, 5, why);
    return cas_stmt_run(q, err);
}

static int put_ref(struct cas_meta *m,
                   const char *name,
                   const struct descriptor *target,
                   struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = descriptor_doc(target);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct cas_stmt *q = cas_meta_stmt(m, sql_set, err);

    doc_write(doc, DOC_WRITE_COMPACT, &text);
    if (!q || buf_ok(&text, "a ref's target", err) < 0)
        return -1;
    cas_stmt_bind_text(q, 1, name);
    cas_stmt_bind_digest(q, 2, &target->digest);
    cas_stmt_bind_view(q, 3, buf_view(&text));
    cas_stmt_bind_int(q, 4, (int64_t)time(NULL));
    return cas_stmt_run(q, err);
}

static bool same_doc(const struct doc *a, const struct doc *b)
{
    return (!a && !b) || (a && b && doc_equal(a, b));
}

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool same_target(const struct descriptor *a, const struct descriptor *b)
{
    return digest_eq(&a->digest, &b->digest) && a->size == b->size &&
           same_text(a->media_type, b->media_type) &&
           same_text(a->artifact_type, b->artifact_type) &&
           same_doc(a->annotations, b->annotations) && same_doc(a->platform, b->platform);
}

/* *same: the name points there already. */
static int compare_locked(struct cas_meta *m,
                          const char *name,
                          const struct descriptor *target,
                          bool *same,
                          struct digest *old,
                          struct error *err)
{
    CLEANUP(cas_ref_release) struct cas_ref r = {0};
    bool found;

    if (find_locked(m, name, &found, &r, err) < 0)
        return -1;
    *same = found && same_target(&r.target, target);
    *old = found ? r.target.digest : (struct digest){.alg = DIGEST_NONE};
    return 0;
}

static int all_same(struct cas_store *s,
                    const char *const *names,
                    size_t count,
                    const struct descriptor *target,
                    bool *same,
                    struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct digest old;

    *same = true;
    for (size_t i = 0; i < count && *same; i++) {
        if (compare_locked(m, names[i], target, same, &old, err) < 0)
            return -1;
    }
    return 0;
}

int cas_ref_set_locked(struct cas_meta *m,
                       const char *name,
                       const struct descriptor *target,
                       const char *why,
                       struct error *err)
{
    struct digest old;
    bool same;

    if (compare_locked(m, name, target, &same, &old, err) < 0)
        return -1;
    if (same)
        return 0;
    if (put_ref(m, name, target, err) < 0)
        return -1;
    return add_event(m, name, &old, &target->digest, why, err);
}

/* The caller holds the index lock, so that generations reach index.json in their order.
 * `refs` (NULL: not asked for) gets all of them. */
static int commit_change(struct cas_store *s,
                         cas_ref_change_fn *change,
                         const void *context,
                         int64_t at_least,
                         int64_t *generation,
                         struct cas_ref_list *refs,
                         struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    int64_t old;

    if (cas_meta_begin(m, CAS_META_DURABLE, err) < 0 ||
        cas_ref_generation_locked(m, &old, err) < 0)
        return -1;
    *generation = (old > at_least ? old : at_least) + 1;
    if (change(m, context, err) < 0 || set_generation(m, *generation, err) < 0 ||
        (refs && list_locked(m, refs, err) < 0))
        return -1;
    if (cas_meta_commit(m, err) == 0)
        return 0;
    if (refs)
        cas_ref_list_release(refs);
    return -1;
}

/* Once the database has it, the change is made: should index.json not follow now (a full
 * disk), it is mended when the store is opened next. */
int cas_ref_change_locked(struct cas_store *s,
                          cas_ref_change_fn *change,
                          const void *context,
                          int64_t at_least,
                          struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    int64_t generation;

    if (commit_change(s, change, context, at_least, &generation, &refs, err) < 0)
        return -1;
    return cas_layout_write_index(s->fd, generation, &refs, err);
}

/* Another thread waits for the lock: it leaves an index.json that shows this change, too. A
 * registry that takes many tags at once would write every ref of the store for each. */
static int change_and_leave(struct cas_store *s,
                            cas_ref_change_fn *change,
                            const void *context,
                            struct error *err)
{
    int64_t generation;

    if (commit_change(s, change, context, 0, &generation, NULL, err) < 0)
        return -1;
    atomic_fetch_add(&s->index_behind, 1);
    return 0;
}

/* What others left. Whether it succeeds or not, their changes are made. */
static void catch_up(struct cas_store *s)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    if (atomic_exchange(&s->index_behind, 0) > 0 && cas_ref_renew_index(s, &ignored) < 0)
        log_debug("index.json: %s", error_text(&ignored));
}

static int change_refs(struct cas_store *s,
                       cas_ref_change_fn *change,
                       const void *context,
                       struct error *err)
{
    atomic_fetch_add(&s->index_waiters, 1);
    CLEANUP(fd_closep) int lock = cas_lease_lock(s->fd, CAS_REF_INDEX_LOCK, LOCK_EX, err);
    const bool is_last = atomic_fetch_sub(&s->index_waiters, 1) == 1;

    if (lock < 0)
        return -1;
    if (!is_last && atomic_load(&s->index_behind) < INDEX_BEHIND_MAX)
        return change_and_leave(s, change, context, err);
    const int result = cas_ref_change_locked(s, change, context, 0, err);
    if (result == 0)
        atomic_store(&s->index_behind, 0);
    else
        catch_up(s);
    return result;
}

/* --- Set and delete --- */

/* Where a name points within the transaction, its stand-in's target taken for its own. */
static int current_locked(struct cas_meta *m,
                          const char *name,
                          const char *stand_in,
                          struct digest *out,
                          struct error *err)
{
    CLEANUP(cas_ref_release) struct cas_ref r = {0};
    bool found;

    *out = (struct digest){.alg = DIGEST_NONE};
    if (find_locked(m, name, &found, &r, err) < 0 ||
        (!found && stand_in && find_locked(m, stand_in, &found, &r, err) < 0))
        return -1;
    if (found)
        *out = r.target.digest;
    return 0;
}

static enum cas_ref_refusal judge(const struct cas_ref_guard *g,
                                  const struct digest *now,
                                  const struct digest *next)
{
    const bool exists = digest_is_set(now);

    if ((g->is_absent && exists) || (g->is_present && !exists) ||
        (digest_is_set(&g->is) && !digest_eq(&g->is, now)) ||
        (digest_is_set(&g->is_not) && digest_eq(&g->is_not, now)))
        return CAS_REF_UNMET;
    return g->is_fixed && exists && !digest_eq(now, next) ? CAS_REF_FIXED : CAS_REF_GRANTED;
}

struct applying {
    const struct cas_ref_change *change;
    struct cas_ref_verdict *verdict;
};

static int check_guards(struct cas_meta *m, const struct applying *a, struct error *err)
{
    const struct cas_ref_change *c = a->change;

    for (size_t i = 0; c->guards && i < c->count; i++) {
        struct digest now;
        if (current_locked(m, c->names[i], c->guards[i].stand_in, &now, err) < 0)
            return -1;
        const enum cas_ref_refusal r = judge(&c->guards[i], &now, &c->target->digest);
        if (r == CAS_REF_GRANTED)
            continue;
        *a->verdict = (struct cas_ref_verdict){r, i, now};
        return error_set(err, ERROR_EXISTS, "%s points to %s", c->names[i],
                         digest_is_set(&now) ? digest_format(&now).text : "nothing");
    }
    return 0;
}

static int apply_set(struct cas_meta *m, const void *context, struct error *err)
{
    const struct applying *a = context;
    const struct cas_ref_change *c = a->change;

    if (check_guards(m, a, err) < 0 || (c->also && c->also(m, c->context, err) < 0))
        return -1;
    for (size_t i = 0; i < c->count; i++) {
        if (cas_ref_set_locked(m, c->names[i], c->target, c->why, err) < 0)
            return -1;
    }
    return 0;
}

/* No name moves: index.json stays as it is. */
static int apply_unmoved(struct cas_store *s, const struct applying *a, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    if (cas_meta_begin(m, CAS_META_DURABLE, err) < 0 || check_guards(m, a, err) < 0 ||
        a->change->also(m, a->change->context, err) < 0)
        return -1;
    return cas_meta_commit(m, err);
}

int cas_ref_apply(struct cas_store *s,
                  const struct cas_ref_change *change,
                  struct cas_ref_verdict *verdict,
                  struct error *err)
{
    struct cas_ref_verdict unread;
    const struct applying a = {change, verdict ? verdict : &unread};
    bool same = false;

    *a.verdict = (struct cas_ref_verdict){.refusal = CAS_REF_GRANTED};
    if (all_same(s, change->names, change->count, change->target, &same, err) < 0)
        return -1;
    if (same && !change->also && !change->guards)
        return 0;
    /* The files of all blobs were synced before they became visible, whoever wrote them;
     * their names become durable here, before the ref does. */
    if (cas_blob_sync_dirs(s, err) < 0)
        return -1;
    if (same && change->also)
        return apply_unmoved(s, &a, err);
    return change_refs(s, apply_set, &a, err);
}

int cas_ref_set_many(struct cas_store *s,
                     const char *const *names,
                     size_t count,
                     const struct descriptor *target,
                     const char *why,
                     struct error *err)
{
    const struct cas_ref_change change = {
        .names = names, .count = count, .target = target, .why = why};
    bool same;

    if (all_same(s, names, count, target, &same, err) < 0)
        return -1;
    if (same)
        return 0;
    if (cas_reach_check(s, target, err) < 0 || cas_ref_apply(s, &change, NULL, err) < 0)
        return error_wrap(err, "set %s", names[0]);
    return 0;
}

int cas_ref_set(struct cas_store *s,
                const char *name,
                const struct descriptor *target,
                const char *why,
                struct error *err)
{
    return cas_ref_set_many(s, &name, 1, target, why, err);
}

struct delete_request {
    const char *name;
    const char *why;
};

static int apply_delete(struct cas_meta *m, const void *context, struct error *err)
{
    const struct delete_request *r = context;
    CLEANUP(cas_ref_release) struct cas_ref old = {0};
    const struct digest none = {.alg = DIGEST_NONE};
    bool found;

    if (find_locked(m, r->name, &found, &old, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_NOT_FOUND, "no image is named %s", r->name);
    struct cas_stmt *q = cas_meta_stmt(m, sql_delete, err);
    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, r->name);
    if (cas_stmt_run(q, err) < 0)
        return -1;
    return add_event(m, r->name, &old.target.digest, &none, r->why, err);
}

int cas_ref_delete(struct cas_store *s,
                   const char *name,
                   const char *why,
                   struct error *err)
{
    const struct delete_request request = {name, why};

    return change_refs(s, apply_delete, &request, err);
}
