#include "registry/push_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/referrers.h"

#include <stdlib.h>

static int push_blobs(struct registry_pusher *p,
                      const struct doc *manifest,
                      struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};

    if (registry_image_parse(manifest, &image, err) < 0)
        return -1;
    /* No layer is the config, so it need not wait for those that are under way. */
    push_add_blob(p, &image.config, p->has_new);
    if (push_settle(p, err) < 0)
        return -1;
    for (size_t i = 0; i < image.layer_count; i++)
        push_add_blob(p, &image.layers[i], false);
    return push_settle(p, err);
}

/* ---- Manifests ---- */

static int push_tree(struct registry_pusher *p,
                     const struct descriptor *root,
                     const struct registry_reference *as,
                     int depth,
                     struct digest *out,
                     struct error *err);

static int push_children(struct registry_pusher *p,
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
        registry_reference_copy(&as, &p->repository);
        free(as.tag);
        as.tag = NULL;
        as.digest = entry.digest;
        if (push_tree(p, &entry, &as, depth + 1, &ignored, err) < 0)
            return -1;
    }
    return 0;
}

static int read_root(const struct registry_pusher *p,
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
static int is_there(const struct registry_pusher *p,
                    const struct registry_reference *as,
                    const struct digest *digest,
                    bool *found,
                    struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference pinned = {0};
    CLEANUP(descriptor_release) struct descriptor there = {0};

    *found = false;
    if (p->has_new)
        return 0;
    registry_reference_copy(&pinned, as);
    pinned.digest = *digest;
    return registry_manifest_head(p->client, &pinned, found, &there, err);
}

/* What refers to another manifest is listed there, also where the registry does not do it.
 */
static int put_manifest(const struct registry_pusher *p,
                        const struct registry_reference *as,
                        const char *type,
                        const struct doc *doc,
                        struct view bytes,
                        struct digest *out,
                        struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    CLEANUP(descriptor_release) struct descriptor put = {0};
    bool refers;

    if (registry_manifest_subject(doc, &refers, &subject, err) < 0)
        return -1;
    if (!refers)
        return registry_manifest_put(p->client, as, type, bytes, out, err);
    if (registry_referrer_put(p->client, as, bytes, &put, err) < 0)
        return -1;
    *out = put.digest;
    return 0;
}

static int push_tree(struct registry_pusher *p,
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
    if (put_manifest(p, as, type, d, buf_view(&bytes), out, err) < 0)
        return -1;
    if (out->alg == root->digest.alg && !digest_eq(out, &root->digest))
        return error_set(err, ERROR_CORRUPT, "the registry stored another manifest");
    return 0;
}

/* The tag points there already: nothing to do. */
static int is_done(struct registry_pusher *p,
                   const struct registry_reference *as,
                   const struct descriptor *root,
                   bool *done,
                   struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor there = {0};
    bool found;

    *done = false;
    if (!as->tag || p->has_new)
        return 0;
    if (registry_manifest_head(p->client, as, &found, &there, err) < 0)
        return -1;
    *done = found && digest_eq(&there.digest, &root->digest);
    return 0;
}

static int push(struct registry_pusher *p,
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

int registry_pusher_finish(struct registry_pusher *p,
                           const struct descriptor *root,
                           const struct registry_reference *reference,
                           struct digest *out,
                           struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference as = {0};

    registry_reference_copy(&as, reference);
    registry_reference_add_default_tag(&as);
    if (push(p, root, &as, out, err) < 0) {
        CLEANUP(base_freep) char *name = registry_reference_familiar(&as);

        return error_wrap(err, "push %s", name);
    }
    return 0;
}

int registry_push(struct registry_client *client,
                  struct cas_store *store,
                  const struct descriptor *root,
                  const struct registry_reference *reference,
                  const struct registry_push_options *options,
                  struct digest *out,
                  struct error *err)
{
    struct registry_pusher *p = registry_pusher_new(client, store, reference, options);
    const int rc = registry_pusher_finish(p, root, reference, out, err);

    registry_pusher_free(p);
    return rc;
}
