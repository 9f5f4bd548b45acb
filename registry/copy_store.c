/* A store as an end of a copy. */
#include "registry/copy_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "registry/image.h"
#include "registry/meter.h"
#include "registry/store_blob.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)256 << 10)

struct end {
    struct cas_store *store;
    const struct registry_location *location;
};

static struct end *end_new(struct cas_store *store, const struct registry_location *l)
{
    struct end *e = base_alloc(sizeof *e);

    *e = (struct end){store, l};
    return e;
}

/* ---- Files ---- */

static int read_block(int fd, char *block, size_t *got, struct error *err)
{
    ssize_t n;

    do
        n = read(fd, block, BLOCK_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_sys(err, "read");
    *got = (size_t)n;
    return 0;
}

int copy_fd_to_sink(int fd,
                    const struct descriptor *d,
                    const struct registry_blob_sink *sink,
                    const struct registry_progress *progress,
                    struct error *err)
{
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(d->digest.alg);
    CLEANUP(base_freep) char *block = base_alloc(BLOCK_SIZE);
    struct registry_meter meter;
    struct digest digest;
    uint64_t total = 0;

    registry_meter_init(&meter, progress, "copy", d);
    if (sink->restart(sink->context, err) < 0)
        return -1;
    for (size_t got = 1; got > 0; total += got) {
        if (read_block(fd, block, &got, err) < 0)
            return -1;
        if (got > d->size - total)
            return error_set(err, ERROR_CORRUPT, "blob %s is longer than %" PRIu64 " bytes",
                             digest_format(&d->digest).text, d->size);
        if (got > 0 && sink->write(sink->context, block, got, err) < 0)
            return -1;
        if (!sink->is_verifying)
            hasher_update(hasher, block, got);
        registry_meter_set(&meter, total + got);
    }
    hasher_final(hasher, &digest);
    if (total != d->size || (!sink->is_verifying && !digest_eq(&digest, &d->digest)))
        return error_set(err, ERROR_CORRUPT, "blob %s is damaged",
                         digest_format(&d->digest).text);
    return 0;
}

int copy_store_blob_out(struct cas_store *store,
                        const struct descriptor *d,
                        const struct registry_blob_sink *sink,
                        const struct registry_progress *progress,
                        struct error *err)
{
    CLEANUP(fd_closep) int fd = cas_blob_open(store, &d->digest, err);

    return fd < 0 ? -1 : copy_fd_to_sink(fd, d, sink, progress, err);
}

struct ingest {
    struct cas_store *store;
    enum digest_alg alg;
    struct cas_blob_writer *writer;
};

static int ingest_restart(void *context, struct error *err)
{
    struct ingest *in = context;

    cas_blob_writer_abortp(&in->writer);
    in->writer = cas_blob_writer_new(in->store, in->alg, err);
    return in->writer ? 0 : -1;
}

static int ingest_write(void *context, const void *data, size_t size, struct error *err)
{
    const struct ingest *in = context;

    return cas_blob_writer_write(in->writer, data, size, err);
}

static int ingest_reserve(void *context, uint64_t size, struct error *err)
{
    const struct ingest *in = context;

    return cas_blob_writer_reserve(in->writer, size, err);
}

static int ingest_took(void *context, const void *data, size_t size, struct error *err)
{
    const struct ingest *in = context;

    (void)err;
    cas_blob_writer_took(in->writer, data, size);
    return 0;
}

int copy_store_blob_in(struct cas_store *store,
                       const struct copy_source *from,
                       const struct descriptor *d,
                       const struct registry_progress *progress,
                       enum copy_outcome *outcome,
                       struct error *err)
{
    struct ingest in = {.store = store, .alg = d->digest.alg};
    const struct registry_blob_sink sink = {
        .restart = ingest_restart,
        .write = ingest_write,
        .context = &in,
        .is_verifying = true,
        .reserve = ingest_reserve,
        .took = ingest_took,
    };
    bool found;

    *outcome = COPY_PRESENT;
    if (registry_store_has(store, d, &found, err) < 0)
        return -1;
    if (found)
        return 0;
    *outcome = COPY_MOVED;
    if (from->blob(from->self, d, &sink, progress, err) < 0 ||
        (!in.writer && ingest_restart(&in, err) < 0)) {
        cas_blob_writer_abort(in.writer);
        return -1;
    }
    return cas_blob_writer_commit(in.writer, &d->digest, d->size, NULL, NULL, err);
}

/* ---- Referrers ---- */

/* Does `root` have this subject? Then *out is how it is listed, and the caller's. */
static int refers_to(struct cas_store *store,
                     const struct descriptor *root,
                     const struct digest *subject,
                     bool *refers,
                     struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor named = {0};
    CLEANUP(doc_unrefp) struct doc *d = NULL;

    *refers = false;
    d = cas_blob_read_doc(store, root, LIMIT_MANIFEST_SIZE, err);
    if (!d || registry_manifest_subject(d, refers, &named, err) < 0)
        return -1;
    *refers = *refers && digest_eq(&named.digest, subject);
    return 0;
}

int copy_store_referrers(struct cas_store *store,
                         const struct descriptor *roots,
                         size_t count,
                         const struct digest *subject,
                         struct registry_referrers *out,
                         struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool refers;

        if (refers_to(store, &roots[i], subject, &refers, err) < 0)
            return -1;
        if (refers)
            registry_referrers_add(out, &roots[i]);
    }
    return 0;
}

/* ---- Source ---- */

static int find_by_digest(struct cas_store *store,
                          const struct digest *digest,
                          struct descriptor *out,
                          struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;

    if (cas_blob_read(store, digest, &bytes, err) < 0 ||
        !(d = doc_parse(buf_view(&bytes), err)) ||
        !(type = registry_manifest_media_type(d, NULL, err)))
        return -1;
    descriptor_init(out, type, digest, bytes.size);
    return 0;
}

static int source_resolve(void *self, struct descriptor *out, struct error *err)
{
    const struct end *e = self;
    struct cas_ref ref = {0};
    bool found = false;

    if (digest_is_set(&e->location->digest))
        return find_by_digest(e->store, &e->location->digest, out, err);
    CLEANUP(base_freep) char *name = registry_reference_text(&e->location->reference);
    if (cas_ref_find(e->store, name, &found, &ref, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_NOT_FOUND,
                         "no such image in the store ('cooper images' lists them)");
    descriptor_copy(out, &ref.target);
    cas_ref_release(&ref);
    return 0;
}

static int source_manifest(void *self,
                           const struct descriptor *d,
                           struct buf *out,
                           struct error *err)
{
    const struct end *e = self;

    return cas_blob_read(e->store, &d->digest, out, err);
}

static int source_blob(void *self,
                       const struct descriptor *d,
                       const struct registry_blob_sink *sink,
                       const struct registry_progress *progress,
                       struct error *err)
{
    const struct end *e = self;

    return copy_store_blob_out(e->store, d, sink, progress, err);
}

static int source_open(void *self, const struct descriptor *d, struct error *err)
{
    const struct end *e = self;
    bool found;

    if (registry_store_has(e->store, d, &found, err) < 0)
        return -1;
    return cas_blob_open(e->store, &d->digest, err);
}

static int source_referrers(void *self,
                            const struct digest *subject,
                            struct registry_referrers *out,
                            struct error *err)
{
    const struct end *e = self;
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    int rc = 0;

    if (cas_ref_list(e->store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count && rc == 0; i++)
        rc = copy_store_referrers(e->store, &refs.items[i].target, 1, subject, out, err);
    return rc;
}

int copy_store_source(struct cas_store *store,
                      const struct registry_location *l,
                      struct copy_source *out,
                      struct error *err)
{
    (void)err;
    *out = (struct copy_source){
        .self = end_new(store, l),
        .resolve = source_resolve,
        .manifest = source_manifest,
        .blob = source_blob,
        .open = source_open,
        .referrers = source_referrers,
        .close = free,
    };
    return 0;
}

/* ---- Target ---- */

static int target_blob(void *self,
                       const struct copy_source *from,
                       const struct descriptor *d,
                       const struct registry_progress *progress,
                       enum copy_outcome *outcome,
                       struct error *err)
{
    const struct end *e = self;

    return copy_store_blob_in(e->store, from, d, progress, outcome, err);
}

static int target_manifest(void *self,
                           const struct descriptor *d,
                           struct view bytes,
                           const struct doc *doc,
                           bool is_root,
                           struct error *err)
{
    const struct end *e = self;

    (void)doc;
    (void)is_root;
    return registry_store_bytes(e->store, d, bytes, err);
}

static int target_finish(void *self, const struct descriptor *root, struct error *err)
{
    const struct end *e = self;
    CLEANUP(base_freep) char *name = registry_reference_text(&e->location->reference);

    return cas_ref_set(e->store, name, root, "copy", err);
}

int copy_store_target(struct cas_store *store,
                      const struct registry_location *l,
                      struct copy_target *out,
                      struct error *err)
{
    if (digest_is_set(&l->digest))
        return error_set(err, ERROR_INVALID,
                         "an image gets a name in the store, not a digest: store:NAME:TAG");
    *out = (struct copy_target){
        .self = end_new(store, l),
        .blob = target_blob,
        .manifest = target_manifest,
        .finish = target_finish,
        .close = free,
    };
    return 0;
}
