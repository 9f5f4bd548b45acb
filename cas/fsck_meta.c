/* meta.db, and index.json that mirrors it. */
#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"
#include "cas/codec.h"
#include "cas/layout.h"
#include "cas/reach.h"
#include "cas/ref_priv.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE ((size_t)256 << 10)

static const char sql_check[] = "PRAGMA integrity_check(1)";
static const char sql_layers[] = "SELECT diff_id, blob, size FROM layer";
static const char sql_forget_layer[] = "DELETE FROM layer WHERE diff_id = ? AND blob = ?";
static const char sql_cache[] = "SELECT key, value FROM cache";
static const char sql_forget_cache[] = "DELETE FROM cache WHERE key = ?";

int fsck_database(struct fsck *f, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_check, err);
    bool row = false;

    if (!q || cas_stmt_step(q, &row, err) < 0)
        return -1;
    const char *said = row ? cas_stmt_text(q, 0) : NULL;
    fsck_count(f, CAS_FSCK_DATABASE, 0);
    if (!said || strcmp(said, "ok") != 0)
        fsck_report(f, CAS_FSCK_DATABASE, "meta.db",
                    base_strdup(said ? said : "says nothing"),
                    "move meta.db* out of the store: images come back from index.json, the "
                    "build cache and the history of names do not",
                    false);
    return 0;
}

/* --- Layer records --- */

struct layer_row {
    struct digest diff_id;
    struct digest blob;
    int64_t size;
};

struct layer_rows {
    struct layer_row *items;
    size_t count;
    size_t capacity;
};

static void layer_rows_release(struct layer_rows *rows)
{
    free(rows->items);
    *rows = (struct layer_rows){0};
}

static int read_layers(struct fsck *f, struct layer_rows *out, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_layers, err);
    bool row = q != NULL;

    while (row) {
        struct layer_row r;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            break;
        if (cas_stmt_digest(q, 0, &r.diff_id, err) < 0 ||
            cas_stmt_digest(q, 1, &r.blob, err) < 0)
            return -1;
        r.size = cas_stmt_int(q, 2);
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof r);
        out->items[out->count++] = r;
    }
    return q ? 0 : -1;
}

static int forget_layer(struct fsck *f, const struct layer_row *r, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_forget_layer, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, &r->diff_id);
    cas_stmt_bind_digest(q, 2, &r->blob);
    return cas_stmt_run(q, err);
}

/* The digest of what decompressing the blob gives. */
static int find_diff_id(struct fsck *f,
                        const struct layer_row *r,
                        struct digest *out,
                        struct error *err)
{
    CLEANUP(fd_closep) int fd = cas_blob_peek(f->store, &r->blob, err);
    CLEANUP(hasher_freep) struct hasher *h = NULL;
    CLEANUP(base_freep) char *data = NULL;
    size_t got = 1;

    if (fd < 0)
        return -1;
    CLEANUP(codec_reader_freep) struct codec_reader *reader = codec_reader_new_fd(fd);
    h = hasher_new(r->diff_id.alg);
    data = base_alloc(READ_SIZE);
    while (got > 0 && !fsck_is_stopped(f)) {
        if (codec_reader_read(reader, data, READ_SIZE, &got, err) < 0)
            return -1;
        hasher_update(h, data, got);
    }
    hasher_final(h, out);
    return 0;
}

/* One line about what is wrong with the record, malloc'ed; NULL if nothing is. */
static char *judge_layer(struct fsck *f, const struct layer_row *r)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    struct digest got;
    struct stat st;

    if (fstatat(f->store->fd, cas_blob_path(&r->blob).text, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        digest_set_has(&f->bad, &r->blob))
        return NULL; /* a record may outlive its blob */
    if (st.st_size != (off_t)r->size)
        return base_format("says %jd bytes of blob %s, which has %jd", (intmax_t)r->size,
                           digest_format(&r->blob).text, (intmax_t)st.st_size);
    if (!f->options->full)
        return NULL;
    if (find_diff_id(f, r, &got, &damage) < 0)
        return base_format("blob %s: %s", digest_format(&r->blob).text,
                           error_text(&damage));
    if (fsck_is_stopped(f) || digest_eq(&got, &r->diff_id))
        return NULL;
    return base_format("blob %s unpacks to %s", digest_format(&r->blob).text,
                       digest_format(&got).text);
}

static int check_layer(struct fsck *f, const void *context, size_t i, struct error *err)
{
    const struct layer_rows *rows = context;
    const struct layer_row *r = &rows->items[i];
    char *why = judge_layer(f, r);

    fsck_count(f, CAS_FSCK_LAYER_RECORD, 0);
    if (!why)
        return 0;
    if (f->options->repair && forget_layer(f, r, err) < 0) {
        free(why);
        return -1;
    }
    fsck_report(f, CAS_FSCK_LAYER_RECORD, digest_format(&r->diff_id).text, why,
                f->options->repair ? "it was dropped" : "--repair drops it",
                f->options->repair);
    return 0;
}

/* --- Cache records --- */

static int list_damaged(struct fsck *f, struct layer_rows *out, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_cache, err);
    bool row = q != NULL;

    while (row) {
        CLEANUP(error_clear) struct error damage = ERROR_INIT;
        struct layer_row r = {0};
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            break;
        CLEANUP(doc_unrefp) struct doc *value = doc_parse(cas_stmt_view(q, 1), &damage);
        fsck_count(f, CAS_FSCK_CACHE_RECORD, 0);
        if (doc_type(value) == DOC_OBJECT)
            continue;
        if (cas_stmt_digest(q, 0, &r.diff_id, err) < 0)
            return -1;
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof r);
        out->items[out->count++] = r;
    }
    return q ? 0 : -1;
}

static int forget_cache(struct fsck *f, const struct digest *key, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_forget_cache, err);

    if (!q)
        return -1;
    cas_stmt_bind_digest(q, 1, key);
    return cas_stmt_run(q, err);
}

static int check_cache(struct fsck *f, struct error *err)
{
    CLEANUP(layer_rows_release) struct layer_rows damaged = {0};

    if (list_damaged(f, &damaged, err) < 0)
        return -1;
    for (size_t i = 0; i < damaged.count; i++) {
        const struct digest *key = &damaged.items[i].diff_id;
        if (f->options->repair && forget_cache(f, key, err) < 0)
            return -1;
        fsck_report(f, CAS_FSCK_CACHE_RECORD, digest_hex(key).text,
                    base_strdup("is no JSON document"),
                    f->options->repair ? "it was dropped: the step runs again"
                                       : "--repair drops it: the step runs again",
                    f->options->repair);
    }
    return 0;
}

int fsck_records(struct fsck *f, struct error *err)
{
    CLEANUP(layer_rows_release) struct layer_rows layers = {0};

    if (read_layers(f, &layers, err) < 0 ||
        fsck_each(f, layers.count, check_layer, &layers, err) < 0)
        return -1;
    return check_cache(f, err);
}

/* --- Refs --- */

struct ref_check {
    struct fsck *fsck;
    char *why; /* of the first blob that is not as it should be */
    size_t count;
};

static void lost(struct ref_check *c, char *why)
{
    if (c->count++ == 0)
        c->why = why;
    else
        free(why);
}

static int check_reached(void *context,
                         const struct descriptor *d,
                         bool *descend,
                         struct error *err)
{
    struct ref_check *c = context;
    struct stat st;

    (void)err;
    if (fstatat(c->fsck->store->fd, cas_blob_path(&d->digest).text, &st,
                AT_SYMLINK_NOFOLLOW) < 0) {
        *descend = false;
        if (!cas_reach_may_be_absent(d->media_type))
            lost(c, base_format("%s %s", digest_format(&d->digest).text,
                                digest_set_has(&c->fsck->bad, &d->digest)
                                    ? "was damaged and has been removed"
                                    : "is missing"));
    } else if (digest_set_has(&c->fsck->bad, &d->digest)) {
        *descend = false;
        lost(c, base_format("%s is damaged", digest_format(&d->digest).text));
    } else if ((uint64_t)st.st_size != d->size) {
        *descend = false;
        lost(c, base_format("%s has %jd bytes, not %ju", digest_format(&d->digest).text,
                            (intmax_t)st.st_size, (uintmax_t)d->size));
    }
    return 0;
}

static void check_ref(struct fsck *f, const struct cas_ref *ref)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    struct ref_check c = {.fsck = f};

    fsck_count(f, CAS_FSCK_REF, 0);
    if (cas_reach_walk(f->store, &ref->target, CAS_REACH_PEEK, check_reached, &c, &damage) <
        0)
        lost(&c, base_strdup(error_text(&damage)));
    if (c.count == 0)
        return;
    fsck_report(f, CAS_FSCK_REF, ref->name,
                c.count == 1 ? base_strdup(c.why)
                             : base_format("%s, and %zu more", c.why, c.count - 1),
                "pull or build it again under this name, or give it up with 'cooper rmi'",
                false);
    free(c.why);
}

static bool same_refs(const struct cas_ref_list *a, const struct cas_ref_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
            !digest_eq(&a->items[i].target.digest, &b->items[i].target.digest) ||
            a->items[i].target.size != b->items[i].target.size)
            return false;
    }
    return true;
}

/* Somebody may be between meta.db and index.json just now: asked under their lock. */
static int check_index_json(struct fsck *f, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    CLEANUP(cas_ref_list_release) struct cas_ref_list listed = {0};
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    CLEANUP(fd_closep) int lock = -1;

    if (!f->store->read_only && (lock = cas_ref_lock_index(f->store, err)) < 0)
        return -1;
    fsck_count(f, CAS_FSCK_INDEX_JSON, 0);
    if (cas_ref_list(f->store, &refs, err) < 0)
        return -1;
    const bool readable = cas_layout_read_index(f->store->fd, &listed, &damage) == 0;
    if (readable && same_refs(&refs, &listed))
        return 0;
    if (f->options->repair && cas_ref_renew_index(f->store, err) < 0)
        return -1;
    fsck_report(
        f, CAS_FSCK_INDEX_JSON, "index.json",
        base_strdup(readable ? "lists other images than meta.db" : error_text(&damage)),
        f->options->repair ? "it was written anew" : "--repair writes it anew",
        f->options->repair);
    return 0;
}

int fsck_refs(struct fsck *f, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_ref_list(f->store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count && !fsck_is_stopped(f); i++)
        check_ref(f, &refs.items[i]);
    return check_index_json(f, err);
}
