/* Answers that come from the registry behind this one (registry/serve/upstream.h). */
#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"

#include <stdlib.h>

bool serve_behind_is_asked(const struct serve_exchange *x)
{
    return x->serve->upstream &&
           (x->method == SERVE_METHOD_GET || x->method == SERVE_METHOD_HEAD);
}

/* What the upstream's failure means to a client. */
static void fail(struct serve_exchange *x, struct error *err)
{
    switch (err->code) {
    case ERROR_DENIED:
        serve_refuse(x, 403, "DENIED", "the upstream registry: %s", error_text(err));
        return;
    case ERROR_INVALID:
    case ERROR_CORRUPT:
    case ERROR_LIMIT:
    case ERROR_UNSUPPORTED:
    case ERROR_NETWORK:
    case ERROR_CANCELLED:
        serve_refuse(x, 502, "UNKNOWN", "the upstream registry: %s", error_text(err));
        return;
    case ERROR_NONE:
    case ERROR_NOT_FOUND:
    case ERROR_EXISTS:
    case ERROR_SYSTEM:
    case ERROR_FAILED:
    case ERROR_USAGE:
        serve_fail(x, err);
        return;
    }
}

void serve_behind_manifest(struct serve_exchange *x,
                           const struct digest *d,
                           bool *found,
                           bool *own,
                           struct descriptor *out)
{
    CLEANUP(descriptor_release) struct descriptor there = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct serve_target *t = &x->target;
    struct serve *const s = x->serve;
    bool is_there = false;
    int result = 0;

    if (d)
        result = serve_upstream_manifest(s->upstream, s->store, t->repository, d, &is_there,
                                         &there, &err);
    else if (serve_is_tag(view_of(t->reference)))
        result = serve_upstream_tag(s->upstream, s->store, t->repository, t->reference,
                                    &is_there, &there, &err);
    if (result < 0 && !*found)
        fail(x, &err);
    if (result < 0 || !is_there)
        return;
    descriptor_release(out);
    descriptor_copy(out, &there);
    *found = true;
    *own = false;
}

/* The store has it by now, or it is on its way. */
static void answer(struct serve_exchange *x, const struct digest *d, uint64_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct serve *const s = x->serve;
    struct serve_stream stream = {.read = serve_download_read,
                                  .close = serve_download_close};
    struct serve_download *download;
    uint64_t offset;
    uint64_t length;

    if (serve_upstream_fetch(s->upstream, s->store, x->target.repository, d, size,
                             &download, &err) < 0) {
        serve_fail(x, &err);
        return;
    }
    if (!download) {
        serve_blob_answer(x, d, size);
        return;
    }
    stream.source = download;
    if (serve_blob_head(x, d, size, &offset, &length))
        serve_reply_stream(x, &stream, offset, length);
    else
        serve_download_close(download);
}

/* Only that it is there. */
static void answer_head(struct serve_exchange *x, const struct digest *d, uint64_t size)
{
    uint64_t offset;
    uint64_t length;

    if (serve_blob_head(x, d, size, &offset, &length))
        serve_reply_size(x, length);
}

void serve_behind_blob(struct serve_exchange *x, const struct digest *d)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const char *const repository = x->target.repository;
    bool found;
    uint64_t size;

    if (serve_upstream_find_blob(x->serve->upstream, repository, d, &found, &size, &err) <
        0)
        fail(x, &err);
    else if (!found)
        serve_refuse(x, 404, "BLOB_UNKNOWN", "neither %s nor the upstream has blob %s",
                     repository, x->target.reference);
    else if (x->method == SERVE_METHOD_HEAD)
        answer_head(x, d, size);
    else
        answer(x, d, size);
}

/* --- Tags --- */

static void add_tag(void *context, const char *tag)
{
    serve_list_add(context, base_strdup(tag));
}

bool serve_behind_tags(struct serve_exchange *x,
                       const char *last,
                       bool *known,
                       struct serve_list *list)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    bool there = false;

    if (serve_upstream_tags(x->serve->upstream, x->target.repository, add_tag, list, &there,
                            &err) < 0 &&
        !*known) {
        fail(x, &err);
        return false;
    }
    *known = *known || there;
    serve_list_settle(list, last);
    return true;
}

/* --- Referrers --- */

static int compare_targets(const void *a, const void *b)
{
    const struct cas_repository_manifest *x = a;
    const struct cas_repository_manifest *y = b;

    return digest_compare(&x->target.digest, &y->target.digest);
}

void serve_behind_referrers(struct serve_exchange *x,
                            const struct digest *subject,
                            const char *artifact_type,
                            const struct digest *after,
                            struct cas_repository_manifests *list)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    size_t kept = 0;

    if (serve_upstream_referrers(x->serve->upstream, x->target.repository, subject,
                                 artifact_type, list, &ignored) < 0 ||
        list->count == 0)
        return;
    qsort(list->items, list->count, sizeof *list->items, compare_targets);
    for (size_t i = 0; i < list->count; i++) {
        if (digest_is_set(after) &&
            digest_compare(&list->items[i].target.digest, after) <= 0)
            cas_repository_manifest_release(&list->items[i]);
        else
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

/* --- Pushes that rely on the upstream --- */

static int bring(struct serve_exchange *x,
                 const struct descriptor *d,
                 unsigned depth,
                 bool *found,
                 struct error *err);

static int bring_blob(struct serve_exchange *x,
                      const struct descriptor *d,
                      bool *found,
                      struct error *err)
{
    struct serve *const s = x->serve;
    struct serve_download *download;
    uint64_t size;

    if (serve_upstream_find_blob(s->upstream, x->target.repository, &d->digest, found,
                                 &size, err) < 0)
        return -1;
    if (!*found)
        return 0;
    if (serve_upstream_fetch(s->upstream, s->store, x->target.repository, &d->digest, size,
                             &download, err) < 0)
        return -1;
    if (!download)
        return 0;
    *found = serve_download_wait(download);
    serve_download_close(download);
    return 0;
}

static int bring_entry(struct serve_exchange *x,
                       const struct doc *entry,
                       unsigned depth,
                       bool *found,
                       struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};

    return descriptor_parse(entry, &d, err) < 0 ? -1 : bring(x, &d, depth, found, err);
}

static int bring_entries(struct serve_exchange *x,
                         const struct descriptor *d,
                         unsigned depth,
                         bool *found,
                         struct error *err)
{
    CLEANUP(doc_unrefp)
    struct doc *doc = cas_blob_read_doc(x->serve->store, d, LIMIT_MANIFEST_SIZE, err);
    const bool is_index = registry_media_is_index(d->media_type);
    const struct doc *entries = doc_get(doc, is_index ? "manifests" : "layers");

    if (!doc ||
        (!is_index && bring_entry(x, doc_get(doc, "config"), depth + 1, found, err) < 0))
        return -1;
    for (size_t i = 0; i < doc_count(entries) && *found; i++) {
        if (bring_entry(x, doc_at(entries, i), depth + 1, found, err) < 0)
            return -1;
    }
    return 0;
}

static int bring(struct serve_exchange *x,
                 const struct descriptor *d,
                 unsigned depth,
                 bool *found,
                 struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor manifest = {0};
    struct serve *const s = x->serve;

    if (depth > LIMIT_INDEX_DEPTH)
        return error_set(err, ERROR_LIMIT, "indexes nested deeper than %d",
                         LIMIT_INDEX_DEPTH);
    if (!registry_media_is_index(d->media_type) &&
        !registry_media_is_manifest(d->media_type))
        return bring_blob(x, d, found, err);
    if (serve_upstream_manifest(s->upstream, s->store, x->target.repository, &d->digest,
                                found, &manifest, err) < 0)
        return -1;
    return *found ? bring_entries(x, &manifest, depth, found, err) : 0;
}

int serve_behind_bring(struct serve_exchange *x,
                       const struct descriptor *d,
                       bool *found,
                       bool *is_sure,
                       struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    *found = false;
    *is_sure = true;
    if (bring(x, d, 0, found, &failure) == 0)
        return 0;
    if (!error_is(&failure, ERROR_SYSTEM)) {
        *found = *is_sure = false;
        return 0;
    }
    return error_move(err, &failure);
}
