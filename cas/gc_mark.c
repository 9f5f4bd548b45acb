#include "cas/gc_mark.h"
#include "cas/gc_kept.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/reach.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <string.h>

static const char sql_cache[] = "SELECT value FROM cache";
static const char sql_layers[] = "SELECT diff_id, blob FROM layer";

void gc_marks_release(struct gc_marks *marks)
{
    digest_set_release(&marks->blobs);
    digest_set_release(&marks->layers);
}

struct marking {
    struct cas_store *store;
    struct gc_marks *marks;
    struct digest_set *named; /* by cache records: of blobs or of layers */
};

/* --- Refs --- */

/* config.md "Layer ChainID": of the first layer its diffID, then the digest of
 * "chainID diffID". */
static void mark_chain(struct gc_marks *marks,
                       struct digest *chain,
                       const struct digest *diff)
{
    if (digest_is_set(chain)) {
        CLEANUP(base_freep)
        char *pair =
            base_format("%s %s", digest_format(chain).text, digest_format(diff).text);
        *chain = digest_of(DIGEST_SHA256, view_of(pair));
    } else {
        *chain = *diff;
    }
    digest_set_add(&marks->layers, chain);
    digest_set_add(&marks->layers, diff);
}

/* Configs of other artifacts than images have no layers to keep. */
static void mark_config(struct marking *k, const struct descriptor *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *config = cas_blob_read_doc(k->store, d, LIMIT_CONFIG_SIZE, &ignored);
    const struct doc *ids = doc_get(doc_get(config, "rootfs"), "diff_ids");
    struct digest chain = {.alg = DIGEST_NONE};

    for (size_t i = 0; i < doc_count(ids); i++) {
        struct digest diff;
        if (digest_parse(doc_view(doc_at(ids, i)), &diff, &ignored) < 0)
            return;
        mark_chain(k->marks, &chain, &diff);
    }
}

static bool is_config(const char *type)
{
    return strcmp(type, MEDIA_OCI_CONFIG) == 0 || strcmp(type, MEDIA_DOCKER_CONFIG) == 0;
}

/* What was marked before needs no second visit; what is absent leads no further. */
static int mark_reached(void *context,
                        const struct descriptor *d,
                        bool *descend,
                        struct error *err)
{
    struct marking *k = context;
    bool found;

    if (!digest_set_add(&k->marks->blobs, &d->digest)) {
        *descend = false;
        return 0;
    }
    if (cas_blob_find(k->store, &d->digest, &found, NULL, err) < 0)
        return -1;
    *descend = *descend && found;
    if (found && is_config(d->media_type))
        mark_config(k, d);
    return 0;
}

static int mark_refs(struct marking *k, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_ref_list(k->store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        if (cas_reach_walk(k->store, &refs.items[i].target, mark_reached, k, err) < 0)
            return error_wrap(err, "image %s", refs.items[i].name);
    }
    return 0;
}

/* --- Records --- */

static void collect_names(struct marking *k, const struct doc *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct digest named;
    const char *key;

    switch (doc_type(d)) {
    case DOC_TEXT:
        if (digest_parse(doc_view(d), &named, &ignored) == 0)
            digest_set_add(k->named, &named);
        return;
    case DOC_ARRAY:
        for (size_t i = 0; i < doc_count(d); i++)
            collect_names(k, doc_at(d, i));
        return;
    case DOC_OBJECT:
        for (size_t i = 0; i < doc_count(d); i++)
            collect_names(k, doc_member_at(d, i, &key));
        return;
    case DOC_ABSENT:
    case DOC_NULL:
    case DOC_BOOL:
    case DOC_INT:
    case DOC_REAL:
        return;
    }
}

static int mark_cache(struct marking *k, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(k->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_cache, err);
    bool row = q != NULL;

    while (row) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        CLEANUP(doc_unrefp)
        struct doc *value = row ? doc_parse(cas_stmt_view(q, 0), &ignored) : NULL;
        collect_names(k, value);
    }
    return q ? 0 : -1;
}

/* Layer records tie both names of a layer together. */
static int mark_layers(struct marking *k, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(k->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_layers, err);
    bool row = q != NULL;

    while (row) {
        struct digest diff;
        struct digest blob;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            break;
        if (cas_stmt_digest(q, 0, &diff, err) < 0 || cas_stmt_digest(q, 1, &blob, err) < 0)
            return -1;
        if (digest_set_has(k->named, &diff) || digest_set_has(&k->marks->blobs, &blob)) {
            digest_set_add(&k->marks->blobs, &blob);
            digest_set_add(&k->marks->layers, &diff);
        }
    }
    return q ? 0 : -1;
}

static void add_all(struct digest_set *to, const struct digest_set *from)
{
    for (size_t i = 0; i < from->capacity; i++) {
        if (digest_is_set(&from->slots[i]))
            digest_set_add(to, &from->slots[i]);
    }
}

int gc_mark(struct cas_store *s, struct gc_marks *marks, struct error *err)
{
    CLEANUP(digest_set_release) struct digest_set named = {0};
    struct marking k = {s, marks, &named};

    if (mark_refs(&k, err) < 0 || mark_cache(&k, err) < 0 ||
        gc_kept_mark(s, marks, err) < 0)
        return -1;
    add_all(&marks->blobs, &named);
    add_all(&marks->layers, &named);
    return mark_layers(&k, err);
}
