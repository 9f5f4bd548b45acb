#include "registry/push.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/pull.h"
#include "registry/store_blob.h"

#include <stdlib.h>
#include <string.h>

/* Up to this size a blob that was just made is sent without asking whether it is there: a
 * question is a round trip, and this much goes along with the next one. A larger one may
 * still be an old one made again (--no-cache), and is worth the question. */
#define UNASKED_SIZE (UINT64_C(64) << 10)

struct push {
    struct registry_client *client;
    struct cas_store *store;
    const struct registry_reference *reference;
    const struct registry_push_options *options;
    size_t visits; /* manifests seen so far */
};

/* ---- Blobs ---- */

/* Layers that may not be passed on stay where their URLs say. Spec: layer.md
 * "Non-Distributable Layers". */
static bool is_distributable(const struct descriptor *d)
{
    return !strstr(d->media_type, ".nondistributable.") &&
           !strstr(d->media_type, ".foreign.");
}

static const struct registry_reference *origin_of(const struct push *p,
                                                  const struct digest *digest)
{
    for (size_t i = 0; i < p->options->origin_count; i++) {
        if (digest_eq(&p->options->origins[i].digest, digest))
            return p->options->origins[i].repository;
    }
    return NULL;
}

/* The path to mount from, if the origin is another repository of the same registry. */
static const char *mount_path(const struct push *p, const struct registry_reference *origin)
{
    if (!origin || strcmp(origin->host, p->reference->host) != 0 ||
        strcmp(origin->path, p->reference->path) == 0)
        return NULL;
    return origin->path;
}

static bool is_known_absent(const struct push *p, const struct descriptor *blob)
{
    for (size_t i = 0; i < p->options->made_count && blob->size <= UNASKED_SIZE; i++) {
        if (digest_eq(&p->options->made[i], &blob->digest))
            return true;
    }
    return false;
}

static int send(const struct push *p,
                const struct descriptor *blob,
                const char *mount_from,
                bool has_bytes,
                struct error *err)
{
    CLEANUP(fd_closep) int fd = -1;
    const struct registry_upload_options options = {
        .mount_from = mount_from,
        .chunk_size = p->options->chunk_size,
        .is_known_absent = is_known_absent(p, blob),
    };
    enum registry_upload_result result;

    if (has_bytes && (fd = cas_blob_open(p->store, &blob->digest, err)) < 0)
        return -1;
    const struct registry_http_body body = {.has_fd = true, .fd = fd, .size = blob->size};
    return registry_blob_upload(p->client, p->reference, blob, has_bytes ? &body : NULL,
                                &options, &p->options->progress, &result, err);
}

/* A blob that the store never fetched: perhaps the registry can take it over by itself; if
 * not it has to come from its origin first. */
static int send_absent(const struct push *p,
                       const struct descriptor *blob,
                       const struct registry_reference *origin,
                       struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    if (send(p, blob, mount_path(p, origin), false, &failure) == 0)
        return 0;
    if (!error_is(&failure, ERROR_NOT_FOUND) || !origin)
        return error_move(err, &failure);
    if (registry_fetch_blob(p->client, p->store, origin, blob, &p->options->progress, err) <
        0)
        return -1;
    return send(p, blob, NULL, true, err);
}

/* One job of the batch: the same shape as fetching, in the other direction. */
static int push_blob(void *context,
                     struct cas_store *store,
                     const struct descriptor *blob,
                     struct error *err)
{
    const struct push *p = context;
    const struct registry_reference *origin = origin_of(p, &blob->digest);
    bool found;

    if (!is_distributable(blob))
        return 0;
    if (registry_store_has(store, blob, &found, err) < 0)
        return -1;
    if (!found)
        return send_absent(p, blob, origin, err);
    return send(p, blob, mount_path(p, origin), true, err);
}

static int push_blobs(struct push *p, const struct doc *manifest, struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};
    const struct registry_source jobs = {
        .fetch = push_blob,
        .context = p,
        .parallel = registry_client_parallel(p->client),
    };

    if (registry_image_parse(manifest, &image, err) < 0)
        return -1;
    CLEANUP(base_freep)
    const struct descriptor **blobs =
        base_alloc_array(image.layer_count + 1, sizeof *blobs);
    for (size_t i = 0; i < image.layer_count; i++)
        blobs[i] = &image.layers[i];
    blobs[image.layer_count] = &image.config;
    return registry_source_fetch_all(&jobs, p->store, blobs, image.layer_count + 1, err);
}

/* ---- Manifests ---- */

static int push_tree(struct push *p,
                     const struct descriptor *root,
                     const struct registry_reference *as,
                     int depth,
                     struct digest *out,
                     struct error *err);

static int push_children(struct push *p,
                         const struct doc *index,
                         int depth,
                         struct error *err)
{
    const struct doc *entries = doc_get(index, "manifests");

    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};
        CLEANUP(registry_reference_release) struct registry_reference as = {0};
        struct digest ignored;

        if (descriptor_parse(doc_at(entries, i), &entry, err) < 0)
            return -1;
        registry_reference_copy(&as, p->reference);
        free(as.tag);
        as.tag = NULL;
        as.digest = entry.digest;
        if (push_tree(p, &entry, &as, depth + 1, &ignored, err) < 0)
            return -1;
    }
    return 0;
}

static int read_root(const struct push *p,
                     const struct descriptor *root,
                     struct buf *bytes,
                     struct doc **doc,
                     const char **type,
                     struct error *err)
{
    if (cas_blob_read(p->store, &root->digest, bytes, err) < 0)
        return -1;
    *doc = doc_parse(buf_view(bytes), err);
    if (!*doc)
        return -1;
    *type = registry_manifest_media_type(*doc, root->media_type, err);
    return *type ? 0 : -1;
}

/* A registry that has the manifest has what it names. It has none that names what was made
 * just now. */
static int is_there(const struct push *p,
                    const struct registry_reference *as,
                    const struct digest *digest,
                    bool *found,
                    struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference pinned = {0};
    CLEANUP(descriptor_release) struct descriptor there = {0};

    *found = false;
    if (p->options->made_count > 0)
        return 0;
    registry_reference_copy(&pinned, as);
    pinned.digest = *digest;
    return registry_manifest_head(p->client, &pinned, found, &there, err);
}

static int push_tree(struct push *p,
                     const struct descriptor *root,
                     const struct registry_reference *as,
                     int depth,
                     struct digest *out,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    const char *type;
    bool found;

    if (depth > LIMIT_INDEX_DEPTH)
        return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                         LIMIT_INDEX_DEPTH);
    if (++p->visits > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "the index names more than %zu manifests",
                         LIMIT_INDEX_ENTRIES);
    if (read_root(p, root, &bytes, &d, &type, err) < 0)
        return error_wrap(err, "manifest %s", digest_format(&root->digest).text);
    if (is_there(p, as, &root->digest, &found, err) < 0)
        return -1;
    if (found && !as->tag) {
        *out = root->digest;
        return 0;
    }
    if (!found && (registry_media_is_index(type) ? push_children(p, d, depth, err)
                                                 : push_blobs(p, d, err)) < 0)
        return -1;
    if (registry_manifest_put(p->client, as, type, buf_view(&bytes), out, err) < 0)
        return -1;
    if (out->alg == root->digest.alg && !digest_eq(out, &root->digest))
        return error_set(err, ERROR_CORRUPT, "the registry stored another manifest");
    return 0;
}

/* The tag points there already: nothing to do. */
static int is_done(struct push *p,
                   const struct registry_reference *as,
                   const struct descriptor *root,
                   bool *done,
                   struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor there = {0};
    bool found;

    *done = false;
    if (!as->tag)
        return 0;
    if (registry_manifest_head(p->client, as, &found, &there, err) < 0)
        return -1;
    *done = found && digest_eq(&there.digest, &root->digest);
    return 0;
}

static int push(struct push *p,
                const struct descriptor *root,
                const struct registry_reference *as,
                struct digest *out,
                struct error *err)
{
    bool done;

    if (digest_is_set(&as->digest) && !digest_eq(&as->digest, &root->digest))
        return error_set(err, ERROR_INVALID,
                         "the image is %s and cannot be pushed under another digest",
                         digest_format(&root->digest).text);
    if (is_done(p, as, root, &done, err) < 0)
        return -1;
    if (done) {
        *out = root->digest;
        return 0;
    }
    return push_tree(p, root, as, 0, out, err);
}

int registry_push(struct registry_client *client,
                  struct cas_store *store,
                  const struct descriptor *root,
                  const struct registry_reference *reference,
                  const struct registry_push_options *options,
                  struct digest *out,
                  struct error *err)
{
    static const struct registry_push_options defaults = {0};
    CLEANUP(registry_reference_release) struct registry_reference as = {0};
    struct push p = {client, store, &as, options ? options : &defaults, 0};

    registry_reference_copy(&as, reference);
    registry_reference_add_default_tag(&as);
    if (push(&p, root, &as, out, err) < 0) {
        CLEANUP(base_freep) char *name = registry_reference_familiar(&as);

        return error_wrap(err, "push %s", name);
    }
    return 0;
}
