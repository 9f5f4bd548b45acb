/*
 * The walk: first every document is read (of the image, then of what refers to it), then
 * the blobs are moved, several at once, then the documents are stored, the image's own
 * last.
 */
#include "registry/copy_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "base/pool.h"
#include "registry/image.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* All documents of one copy are in memory at once: an index of two hundred platforms has
 * less than two megabytes. */
#define DOCUMENTS_SIZE_MAX ((size_t)64 << 20)

struct document {
    struct descriptor desc;
    struct buf bytes;
    struct doc *doc;
    bool is_index;
    bool is_present; /* with everything below it */
};

struct copy {
    const struct registry_copy_options *options;
    const struct copy_source *from;
    const struct copy_target *to;
    unsigned parallel;
    struct document *documents; /* what is named comes before what names it */
    size_t count;
    size_t capacity;
    size_t size;
    atomic_bool failed;   /* what has not begun is left alone */
    pthread_mutex_t lock; /* guards the two below while blobs are moved */
    struct registry_copy_result result;
    struct error error; /* the first failure */
};

void registry_copy_result_release(struct registry_copy_result *r)
{
    descriptor_release(&r->root);
}

static void document_release(struct document *d)
{
    descriptor_release(&d->desc);
    buf_release(&d->bytes);
    doc_unref(d->doc);
    d->doc = NULL;
}

static void copy_release(struct copy *c)
{
    for (size_t i = 0; i < c->count; i++)
        document_release(&c->documents[i]);
    free(c->documents);
    registry_copy_result_release(&c->result);
    error_clear(&c->error);
    pthread_mutex_destroy(&c->lock);
}

/* ---- Documents ---- */

static bool is_listed(const struct copy *c, const struct digest *digest)
{
    for (size_t i = 0; i < c->count; i++) {
        if (digest_eq(&c->documents[i].desc.digest, digest))
            return true;
    }
    return false;
}

/* Reads a manifest or index. After a failure *out still is to be released. */
static int read_document(struct copy *c,
                         const struct descriptor *desc,
                         struct document *out,
                         struct error *err)
{
    const char *type;

    *out = (struct document){.bytes = BUF_INIT(LIMIT_MANIFEST_SIZE)};
    if (desc->size > LIMIT_MANIFEST_SIZE)
        return error_set(err, ERROR_LIMIT,
                         "manifest %s is said to have %" PRIu64 " bytes, more than %zu",
                         digest_format(&desc->digest).text, desc->size,
                         LIMIT_MANIFEST_SIZE);
    if (c->from->manifest(c->from->self, desc, &out->bytes, err) < 0)
        return -1;
    c->size += out->bytes.size;
    if (c->size > DOCUMENTS_SIZE_MAX || c->count >= LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "the image has more manifests than can be true");
    out->doc = doc_parse(buf_view(&out->bytes), err);
    type = out->doc ? registry_manifest_media_type(out->doc, desc->media_type, err) : NULL;
    if (!type)
        return error_wrap(err, "manifest %s", digest_format(&desc->digest).text);
    out->is_index = registry_media_is_index(type);
    descriptor_init(&out->desc, type, &desc->digest, out->bytes.size);
    return 0;
}

/* Consumes the document. */
static void list_document(struct copy *c, struct document *d)
{
    c->documents = base_grow(c->documents, c->count, &c->capacity, sizeof *c->documents);
    c->documents[c->count++] = *d;
    *d = (struct document){0};
}

static int read_tree(struct copy *c,
                     const struct descriptor *root,
                     int depth,
                     struct error *err);

static int read_children(struct copy *c,
                         const struct document *index,
                         int depth,
                         struct error *err)
{
    const struct doc *entries = doc_get(index->doc, "manifests");

    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};

        if (descriptor_parse(doc_at(entries, i), &entry, err) < 0)
            return error_wrap(err, "index %s", digest_format(&index->desc.digest).text);
        if (read_tree(c, &entry, depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

/* What the target has whole is listed only to ask who refers to it. */
static int read_tree(struct copy *c,
                     const struct descriptor *root,
                     int depth,
                     struct error *err)
{
    CLEANUP(document_release) struct document d = {0};

    if (is_listed(c, &root->digest))
        return 0;
    if (depth > LIMIT_INDEX_DEPTH)
        return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                         LIMIT_INDEX_DEPTH);
    if (read_document(c, root, &d, err) < 0 ||
        (c->to->has_tree && c->to->has_tree(c->to->self, &d.desc, &d.is_present, err) < 0))
        return -1;
    if (d.is_index && (!d.is_present || c->options->referrers) &&
        read_children(c, &d, depth, err) < 0)
        return -1;
    list_document(c, &d);
    return 0;
}

/* What refers to the documents listed so far, and to that in turn: the list grows while we
 * go through it, until nothing new refers to anything. */
static int read_referrers(struct copy *c, struct error *err)
{
    for (size_t i = 0; i < c->count; i++) {
        CLEANUP(registry_referrers_release) struct registry_referrers list = {0};
        const struct digest subject = c->documents[i].desc.digest;

        if (c->from->referrers(c->from->self, &subject, &list, err) < 0)
            return -1;
        for (size_t n = 0; n < list.count; n++) {
            if (is_listed(c, &list.items[n].digest))
                continue;
            if (read_tree(c, &list.items[n], 0, err) < 0)
                return error_wrap(err, "what refers to %s", digest_format(&subject).text);
            c->result.referrers++;
        }
    }
    return 0;
}

/* From an index down to the manifest for the platform. */
static int choose(struct copy *c, struct descriptor *root, struct error *err)
{
    for (int depth = 0; depth <= LIMIT_INDEX_DEPTH; depth++) {
        CLEANUP(document_release) struct document d = {0};
        struct descriptor next = {0};

        if (read_document(c, root, &d, err) < 0)
            return -1;
        if (!d.is_index)
            return 0;
        if (registry_index_choose(d.doc, c->options->platform, &next, err) < 0)
            return -1;
        descriptor_release(root);
        *root = next;
    }
    return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                     LIMIT_INDEX_DEPTH);
}

/* ---- Blobs ---- */

struct move {
    struct copy *copy;
    struct descriptor blob;
};

static void count_outcome(struct registry_copy_result *r,
                          const struct descriptor *blob,
                          enum copy_outcome outcome)
{
    switch (outcome) {
    case COPY_PRESENT:
        r->present++;
        break;
    case COPY_MOUNTED:
        r->mounted++;
        break;
    case COPY_MOVED:
        r->moved++;
        r->moved_size += blob->size;
        break;
    }
}

static void run_move(void *arg)
{
    const struct move *m = arg;
    struct copy *c = m->copy;
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    enum copy_outcome outcome = COPY_PRESENT;

    if (atomic_load(&c->failed))
        return;
    const int rc = c->to->blob(c->to->self, c->from, &m->blob, &c->options->progress,
                               &outcome, &failure);
    pthread_mutex_lock(&c->lock);
    if (rc == 0)
        count_outcome(&c->result, &m->blob, outcome);
    else if (!atomic_exchange(&c->failed, true))
        (void)error_move(&c->error, &failure);
    pthread_mutex_unlock(&c->lock);
}

struct moves {
    struct move *items;
    size_t count;
    size_t capacity;
};

static void moves_release(struct moves *m)
{
    for (size_t i = 0; i < m->count; i++)
        descriptor_release(&m->items[i].blob);
    free(m->items);
}

/* Layers that may not be passed on stay where their URLs say. Spec: layer.md
 * "Non-Distributable Layers". */
static bool is_distributable(const struct descriptor *d)
{
    return !strstr(d->media_type, ".nondistributable.") &&
           !strstr(d->media_type, ".foreign.");
}

static void add_move(struct copy *c, struct moves *m, const struct descriptor *blob)
{
    if (!is_distributable(blob))
        return;
    for (size_t i = 0; i < m->count; i++) {
        if (digest_eq(&m->items[i].blob.digest, &blob->digest))
            return;
    }
    m->items = base_grow(m->items, m->count, &m->capacity, sizeof *m->items);
    m->items[m->count].copy = c;
    descriptor_copy(&m->items[m->count++].blob, blob);
}

static int list_moves(struct copy *c, struct moves *out, struct error *err)
{
    for (size_t i = 0; i < c->count; i++) {
        CLEANUP(registry_image_release) struct registry_image image = {0};
        const struct document *d = &c->documents[i];

        if (d->is_index || d->is_present)
            continue;
        if (registry_image_parse(d->doc, &image, err) < 0)
            return error_wrap(err, "%s", digest_format(&d->desc.digest).text);
        add_move(c, out, &image.config);
        for (size_t n = 0; n < image.layer_count; n++)
            add_move(c, out, &image.layers[n]);
    }
    return 0;
}

static int move_blobs(struct copy *c, struct error *err)
{
    CLEANUP(moves_release) struct moves moves = {0};

    if (list_moves(c, &moves, err) < 0)
        return -1;
    if (moves.count == 0)
        return 0;
    struct pool *pool =
        pool_new(c->parallel < moves.count ? c->parallel : (unsigned)moves.count);
    for (size_t i = 0; i < moves.count; i++)
        pool_submit(pool, run_move, &moves.items[i]);
    pool_free(pool);
    return atomic_load(&c->failed) ? error_move(err, &c->error) : 0;
}

/* ---- The whole ---- */

static int store_document(const struct copy *c,
                          const struct document *d,
                          bool is_root,
                          struct error *err)
{
    if (d->is_present && !is_root)
        return 0;
    return c->to->manifest(c->to->self, &d->desc, buf_view(&d->bytes), d->doc, is_root,
                           err);
}

static int store_documents(const struct copy *c,
                           const struct digest *root,
                           struct error *err)
{
    const struct document *last = NULL;

    for (size_t i = 0; i < c->count; i++) {
        const struct document *d = &c->documents[i];

        if (digest_eq(&d->desc.digest, root))
            last = d;
        else if (store_document(c, d, false, err) < 0)
            return -1;
    }
    return last ? store_document(c, last, true, err) : 0;
}

static int run(struct copy *c, struct error *err)
{
    struct descriptor *root = &c->result.root;
    bool done = false;

    if (c->from->resolve(c->from->self, root, err) < 0 ||
        (!c->options->all_platforms && choose(c, root, err) < 0))
        return -1;
    if (!c->options->referrers && c->to->is_done &&
        c->to->is_done(c->to->self, root, &done, err) < 0)
        return -1;
    if (done)
        return 0;
    if (read_tree(c, root, 0, err) < 0 ||
        (c->options->referrers && read_referrers(c, err) < 0) || move_blobs(c, err) < 0 ||
        store_documents(c, &root->digest, err) < 0)
        return -1;
    return c->to->finish ? c->to->finish(c->to->self, root, err) : 0;
}

int copy_source_open(struct registry_client *c,
                     struct cas_store *store,
                     const struct registry_location *l,
                     struct copy_source *out,
                     struct error *err)
{
    switch (l->kind) {
    case REGISTRY_LOCATION_REGISTRY:
        return copy_registry_source(c, l, out, err);
    case REGISTRY_LOCATION_LAYOUT:
        return copy_layout_source(l, out, err);
    case REGISTRY_LOCATION_OCI_ARCHIVE:
    case REGISTRY_LOCATION_DOCKER_ARCHIVE:
        return copy_archive_source(l, out, err);
    case REGISTRY_LOCATION_STORE:
        return copy_store_source(store, l, out, err);
    }
    abort();
}

static int open_target(struct registry_client *c,
                       struct cas_store *store,
                       const struct registry_location *l,
                       struct copy_target *out,
                       struct error *err)
{
    switch (l->kind) {
    case REGISTRY_LOCATION_REGISTRY:
        return copy_registry_target(c, l, out, err);
    case REGISTRY_LOCATION_LAYOUT:
        return copy_layout_target(l, out, err);
    case REGISTRY_LOCATION_OCI_ARCHIVE:
    case REGISTRY_LOCATION_DOCKER_ARCHIVE:
        return copy_archive_target(l, out, err);
    case REGISTRY_LOCATION_STORE:
        return copy_store_target(store, l, out, err);
    }
    abort();
}

static int copy(struct registry_client *client,
                const struct registry_location *from,
                const struct registry_location *to,
                const struct registry_copy_options *options,
                struct registry_copy_result *out,
                struct error *err)
{
    struct copy_source source;
    struct copy_target target;
    CLEANUP(copy_release)
    struct copy c = {.options = options,
                     .from = &source,
                     .to = &target,
                     .parallel = registry_client_parallel(client),
                     .lock = PTHREAD_MUTEX_INITIALIZER};

    if (copy_source_open(client, options->store, from, &source, err) < 0)
        return -1;
    if (open_target(client, options->store, to, &target, err) < 0) {
        source.close(source.self);
        return -1;
    }
    const int rc = run(&c, err);
    target.close(target.self);
    source.close(source.self);
    if (rc == 0) {
        *out = c.result;
        c.result.root = (struct descriptor){0};
    }
    return rc;
}

int registry_copy(struct registry_client *c,
                  const struct registry_location *from,
                  const struct registry_location *to,
                  const struct registry_copy_options *options,
                  struct registry_copy_result *out,
                  struct error *err)
{
    static const struct registry_copy_options defaults = {0};

    if (copy(c, from, to, options ? options : &defaults, out, err) == 0)
        return 0;
    CLEANUP(base_freep) char *source = registry_location_text(from);
    CLEANUP(base_freep) char *target = registry_location_text(to);
    return error_wrap(err, "copy %s to %s", source, target);
}
