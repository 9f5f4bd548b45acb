#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "cas/sparse.h"
#include "registry/image.h"

/* What refs of a repository reach: a walk that ends when the digest is found. */
struct search {
    struct cas_store *store;
    const char *repository;
    const struct digest *wanted;
    bool manifests_only;
    bool found;
    struct descriptor *out; /* or NULL */
};

static void meet(struct search *q, const struct descriptor *d)
{
    if (q->found || !digest_eq(&d->digest, q->wanted))
        return;
    q->found = true;
    if (q->out)
        descriptor_init(q->out, d->media_type, &d->digest, d->size);
}

static void search_document(struct search *q, const struct descriptor *d, unsigned depth);

/* Nothing is seen for having been named by somebody who did not have it. */
static void search_entry(struct search *q,
                         const struct doc *entry,
                         const struct digest_set *sparse,
                         unsigned depth)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* odd entries show nothing */

    if (descriptor_parse(entry, &d, &ignored) == 0 && !digest_set_has(sparse, &d.digest))
        search_document(q, &d, depth);
}

static void search_document(struct search *q, const struct descriptor *d, unsigned depth)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* what is gone shows nothing */
    CLEANUP(digest_set_release) struct digest_set sparse = {0};
    const bool is_index = registry_media_is_index(d->media_type);
    const bool is_manifest = registry_media_is_manifest(d->media_type);

    if (is_index || is_manifest || !q->manifests_only)
        meet(q, d);
    if (q->found || depth > LIMIT_INDEX_DEPTH || (!is_index && !is_manifest) ||
        (is_manifest && q->manifests_only))
        return;
    CLEANUP(doc_unrefp)
    struct doc *doc = cas_blob_read_doc(q->store, d, LIMIT_MANIFEST_SIZE, &ignored);
    const struct doc *entries = doc_get(doc, is_index ? "manifests" : "layers");
    if (!doc || cas_sparse_find(q->store, q->repository, &d->digest, &sparse, &ignored) < 0)
        return;
    if (is_manifest)
        search_entry(q, doc_get(doc, "config"), &sparse, depth + 1);
    for (size_t i = 0; i < doc_count(entries) && !q->found; i++)
        search_entry(q, doc_at(entries, i), &sparse, depth + 1);
}

static int search_refs(struct search *q, const char *prefix, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (!prefix || q->found)
        return 0;
    if (cas_ref_page(q->store, prefix, "", SIZE_MAX, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count && !q->found; i++)
        search_document(q, &refs.items[i].target, 0);
    return 0;
}

/* *own: only refs that do not belong to the registry lead there. */
static int search_repository(
    struct serve *s, const char *repository, struct search *q, bool *own, struct error *err)
{
    CLEANUP(base_freep) char *prefix = serve_names_prefix(s, repository);
    CLEANUP(base_freep) char *own_prefix = serve_names_own_prefix(s, repository);

    if (search_refs(q, prefix, err) < 0)
        return -1;
    *own = !q->found;
    return search_refs(q, own_prefix, err);
}

int serve_blob_find(struct serve *s,
                    const char *repository,
                    const struct digest *d,
                    bool *found,
                    uint64_t *size,
                    struct error *err)
{
    struct search q = {.store = s->store, .repository = repository, .wanted = d};
    enum cas_repository_state state;
    bool is_private;
    bool own;

    if (cas_blob_find(s->store, d, found, size, err) < 0)
        return -1;
    if (!*found)
        return 0;
    if (cas_repository_find_blob(s->store, repository, d, &state, &is_private, err) < 0)
        return -1;
    *found = state == CAS_REPOSITORY_MEMBER;
    if (state != CAS_REPOSITORY_UNKNOWN)
        return 0;
    *found = !s->options.is_pushed_only && !is_private;
    if (*found || search_repository(s, repository, &q, &own, err) < 0)
        return *found ? 0 : -1;
    *found = q.found;
    return 0;
}

int serve_blob_find_anywhere(struct serve *s,
                             const struct digest *d,
                             bool *found,
                             struct error *err)
{
    enum cas_repository_state state;
    bool is_private;

    if (cas_blob_find(s->store, d, found, NULL, err) < 0)
        return -1;
    if (!*found)
        return 0;
    if (cas_repository_find_blob_anywhere(s->store, d, found, err) < 0)
        return -1;
    if (*found || s->options.is_pushed_only)
        return 0;
    if (cas_repository_find_blob(s->store, "", d, &state, &is_private, err) < 0)
        return -1;
    *found = !is_private;
    return 0;
}

int serve_manifest_find(struct serve *s,
                        const char *repository,
                        const struct digest *d,
                        bool *found,
                        bool *own,
                        struct descriptor *out,
                        struct error *err)
{
    struct search q = {.store = s->store,
                       .repository = repository,
                       .wanted = d,
                       .manifests_only = true,
                       .out = out};
    bool is_own = false;

    if (cas_repository_find_manifest(s->store, repository, d, found, out, err) < 0)
        return -1;
    if (own)
        *own = false;
    if (*found)
        return 0;
    if (search_repository(s, repository, &q, &is_own, err) < 0)
        return -1;
    *found = q.found;
    if (own)
        *own = q.found && is_own;
    return 0;
}

/* --- What needs it --- */

bool serve_target_needs(struct serve *s,
                        const char *repository,
                        const struct descriptor *target,
                        const struct digest *d)
{
    struct search q = {.store = s->store, .repository = repository, .wanted = d};

    search_document(&q, target, 0);
    return q.found;
}

static void collect_parents(struct serve *s,
                            const struct descriptor *d,
                            const struct digest *wanted,
                            unsigned depth,
                            struct digest_set *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* as in a search */

    if (!registry_media_is_index(d->media_type) || depth > LIMIT_INDEX_DEPTH)
        return;
    CLEANUP(doc_unrefp)
    struct doc *doc = cas_blob_read_doc(s->store, d, LIMIT_MANIFEST_SIZE, &ignored);
    const struct doc *entries = doc_get(doc, "manifests");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};
        CLEANUP(error_clear) struct error odd = ERROR_INIT;
        if (descriptor_parse(doc_at(entries, i), &entry, &odd) < 0)
            continue;
        if (digest_eq(&entry.digest, wanted))
            digest_set_add(out, &d->digest);
        else
            collect_parents(s, &entry, wanted, depth + 1, out);
    }
}

void serve_manifest_parents(struct serve *s,
                            const struct descriptor *target,
                            const struct digest *d,
                            struct digest_set *out)
{
    collect_parents(s, target, d, 0, out);
}
