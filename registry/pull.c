#include "registry/pull.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/store_blob.h"
#include "registry/walk.h"

#include <stdlib.h>

/* ---- One blob ---- */

struct ingest {
    struct cas_store *store;
    enum digest_alg alg;
    struct cas_blob_writer *writer;
    struct cas_arrival *arrival; /* or NULL */
};

static int ingest_restart(void *context, struct error *err)
{
    struct ingest *in = context;

    cas_blob_writer_abortp(&in->writer);
    in->writer = cas_blob_writer_new(in->store, in->alg, err);
    return in->writer ? cas_arrival_begin(in->arrival, in->writer, err) : -1;
}

static int ingest_write(void *context, const void *data, size_t size, struct error *err)
{
    const struct ingest *in = context;

    if (cas_blob_writer_write(in->writer, data, size, err) < 0)
        return -1;
    return cas_arrival_grown(in->arrival, in->writer, err);
}

static int ingest_reserve(void *context, uint64_t size, struct error *err)
{
    const struct ingest *in = context;

    return cas_blob_writer_reserve(in->writer, size, err);
}

static int ingest_took(void *context, const void *data, size_t size, struct error *err)
{
    const struct ingest *in = context;

    cas_blob_writer_took(in->writer, data, size);
    return cas_arrival_grown(in->arrival, in->writer, err);
}

static int download(struct registry_client *client,
                    struct cas_store *store,
                    const struct registry_reference *repository,
                    const struct descriptor *blob,
                    struct cas_arrival *arrival,
                    const struct registry_progress *progress,
                    struct error *err)
{
    struct ingest in = {.store = store, .alg = blob->digest.alg, .arrival = arrival};
    const struct registry_blob_sink sink = {
        .restart = ingest_restart,
        .write = ingest_write,
        .context = &in,
        .is_verifying = true,
        .reserve = ingest_reserve,
        .took = ingest_took,
    };

    if (registry_blob_get(client, repository, blob, &sink, progress, err) < 0) {
        cas_blob_writer_abort(in.writer);
        return -1;
    }
    if (cas_blob_writer_commit(in.writer, &blob->digest, blob->size, NULL, NULL, err) < 0)
        return error_wrap(err, "blob %s", digest_format(&blob->digest).text);
    return 0;
}

static int fetch_blob(struct registry_client *client,
                      struct cas_store *store,
                      const struct registry_reference *repository,
                      const struct descriptor *blob,
                      struct cas_arrival *arrival,
                      const struct registry_progress *progress,
                      struct error *err)
{
    bool found;

    if (registry_store_has(store, blob, &found, err) < 0)
        return -1;
    return found ? 0 : download(client, store, repository, blob, arrival, progress, err);
}

int registry_fetch_followed(struct registry_client *client,
                            struct cas_store *store,
                            const struct registry_reference *repository,
                            const struct descriptor *blob,
                            struct cas_arrival *arrival,
                            const struct registry_progress *progress,
                            struct error *err)
{
    if (fetch_blob(client, store, repository, blob, arrival, progress, err) == 0)
        return 0;
    CLEANUP(base_freep) char *name = registry_reference_name(repository);
    return error_wrap(err, "%s", name);
}

int registry_fetch_blob(struct registry_client *client,
                        struct cas_store *store,
                        const struct registry_reference *repository,
                        const struct descriptor *blob,
                        const struct registry_progress *progress,
                        struct error *err)
{
    return registry_fetch_followed(client, store, repository, blob, NULL, progress, err);
}

/* ---- Manifests: another endpoint than blobs ---- */

static int fetch_manifest(struct registry_client *client,
                          struct cas_store *store,
                          const struct registry_reference *ref,
                          struct descriptor *out,
                          struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);

    if (registry_manifest_get(client, ref, &bytes, out, err) < 0)
        return -1;
    if (registry_store_bytes(store, out, buf_view(&bytes), err) < 0) {
        descriptor_release(out);
        return -1;
    }
    return 0;
}

struct remote {
    struct registry_client *client;
    const struct registry_reference *repository;
    const struct registry_progress *progress;
};

static int remote_fetch(void *context,
                        struct cas_store *store,
                        const struct descriptor *blob,
                        struct error *err)
{
    const struct remote *r = context;
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(descriptor_release) struct descriptor got = {0};
    bool found;

    if (!registry_media_is_index(blob->media_type) &&
        !registry_media_is_manifest(blob->media_type))
        return fetch_blob(r->client, store, r->repository, blob, NULL, r->progress, err);
    if (registry_store_has(store, blob, &found, err) < 0)
        return -1;
    if (found)
        return 0;
    registry_reference_copy(&ref, r->repository);
    ref.digest = blob->digest;
    return fetch_manifest(r->client, store, &ref, &got, err);
}

static struct registry_source remote_source(struct remote *r)
{
    return (struct registry_source){
        .fetch = remote_fetch,
        .context = r,
        .parallel = registry_client_parallel(r->client),
    };
}

/* ---- What the reference names ---- */

/* A manifest that the store has under this digest, whatever it is. */
static int root_from_store(struct cas_store *store,
                           const struct digest *digest,
                           bool *found,
                           struct descriptor *out,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;

    if (cas_blob_find(store, digest, found, NULL, err) < 0)
        return -1;
    if (!*found)
        return 0;
    if (cas_blob_read(store, digest, &bytes, err) < 0)
        return -1;
    d = doc_parse(buf_view(&bytes), err);
    if (!d || !(type = registry_manifest_media_type(d, NULL, err)))
        return -1;
    descriptor_init(out, type, digest, bytes.size);
    return 0;
}

/* What the reference names now; its absence is an error here. */
static int resolve(struct registry_client *client,
                   const struct registry_reference *reference,
                   struct descriptor *out,
                   struct error *err)
{
    bool found;

    if (registry_manifest_head(client, reference, &found, out, err) < 0)
        return -1;
    return found ? 0 : error_set(err, ERROR_NOT_FOUND, "the registry has no such image");
}

int registry_resolve(struct registry_client *client,
                     const struct registry_reference *reference,
                     struct descriptor *out,
                     struct error *err)
{
    if (resolve(client, reference, out, err) == 0)
        return 0;
    CLEANUP(base_freep) char *name = registry_reference_familiar(reference);
    return error_wrap(err, "%s", name);
}

/* A tag is asked for with HEAD: what the store has is not sent again, and some registries
 * count every GET. */
static int resolve_root(struct registry_client *client,
                        struct cas_store *store,
                        const struct registry_reference *ref,
                        struct descriptor *out,
                        struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor remote = {0};
    bool found = false;

    if (digest_is_set(&ref->digest)) {
        if (root_from_store(store, &ref->digest, &found, out, err) < 0)
            return -1;
        return found ? 0 : fetch_manifest(client, store, ref, out, err);
    }
    if (resolve(client, ref, &remote, err) < 0 ||
        root_from_store(store, &remote.digest, &found, out, err) < 0)
        return -1;
    if (found)
        return 0;
    CLEANUP(registry_reference_release) struct registry_reference pinned = {0};
    registry_reference_copy(&pinned, ref);
    pinned.digest = remote.digest;
    return fetch_manifest(client, store, &pinned, out, err);
}

int registry_pull(struct registry_client *client,
                  struct cas_store *store,
                  const struct registry_reference *reference,
                  const struct registry_platform *platform,
                  const struct registry_pull_options *options,
                  struct registry_image *out,
                  struct error *err)
{
    static const struct registry_pull_options defaults = {0};
    const struct registry_pull_options *o = options ? options : &defaults;
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(descriptor_release) struct descriptor root = {0};
    struct remote remote = {client, &ref, &o->progress};
    const struct registry_source source = remote_source(&remote);
    const struct registry_walk walk = {
        .source = &source,
        .store = store,
        .platform = platform,
        .lazy = o->lazy,
        .all_platforms = o->all_platforms,
    };

    registry_reference_copy(&ref, reference);
    registry_reference_add_default_tag(&ref);
    if (resolve_root(client, store, &ref, &root, err) < 0 ||
        registry_walk_image(&walk, &root, out, err) < 0) {
        CLEANUP(base_freep) char *name = registry_reference_familiar(&ref);

        return error_wrap(err, "pull %s", name);
    }
    return 0;
}

int registry_fetch_layers(struct registry_client *client,
                          struct cas_store *store,
                          const struct registry_reference *repository,
                          const struct registry_image *image,
                          const struct registry_progress *progress,
                          struct error *err)
{
    CLEANUP(base_freep)
    const struct descriptor **blobs =
        base_alloc_array(image->layer_count + 1, sizeof *blobs);
    struct remote remote = {client, repository, progress};
    const struct registry_source source = remote_source(&remote);

    for (size_t i = 0; i < image->layer_count; i++)
        blobs[i] = &image->layers[i];
    if (registry_source_fetch_all(&source, store, blobs, image->layer_count, err) == 0)
        return 0;
    CLEANUP(base_freep) char *name = registry_reference_name(repository);
    return error_wrap(err, "%s", name);
}
