/* A registry as an end of a copy. */
#include "registry/copy_priv.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

struct end {
    struct registry_client *client;
    const struct registry_location *location;
};

static struct end *end_new(struct registry_client *c, const struct registry_location *l)
{
    struct end *e = base_alloc(sizeof *e);

    *e = (struct end){c, l};
    return e;
}

/* ---- Source ---- */

static int source_resolve(void *self, struct descriptor *out, struct error *err)
{
    const struct end *e = self;
    bool found;

    if (registry_manifest_head(e->client, &e->location->reference, &found, out, err) < 0)
        return -1;
    return found ? 0 : error_set(err, ERROR_NOT_FOUND, "the registry has no such image");
}

static int source_manifest(void *self,
                           const struct descriptor *d,
                           struct buf *out,
                           struct error *err)
{
    const struct end *e = self;
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(descriptor_release) struct descriptor got = {0};

    registry_reference_copy(&ref, &e->location->reference);
    ref.digest = d->digest;
    return registry_manifest_get(e->client, &ref, out, &got, err);
}

static int source_blob(void *self,
                       const struct descriptor *d,
                       const struct registry_blob_sink *sink,
                       const struct registry_progress *progress,
                       struct error *err)
{
    const struct end *e = self;

    return registry_blob_get(e->client, &e->location->reference, d, sink, progress, err);
}

static int source_referrers(void *self,
                            const struct digest *subject,
                            struct registry_referrers *out,
                            struct error *err)
{
    const struct end *e = self;

    return registry_referrers_list(e->client, &e->location->reference, subject, NULL, out,
                                   err);
}

int copy_registry_source(struct registry_client *c,
                         const struct registry_location *l,
                         struct copy_source *out,
                         struct error *err)
{
    (void)err;
    *out = (struct copy_source){
        .self = end_new(c, l),
        .repository = &l->reference,
        .resolve = source_resolve,
        .manifest = source_manifest,
        .blob = source_blob,
        .referrers = source_referrers,
        .close = free,
    };
    return 0;
}

/* ---- Target ---- */

static int target_has_tree(void *self,
                           const struct descriptor *d,
                           bool *found,
                           struct error *err)
{
    const struct end *e = self;
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(descriptor_release) struct descriptor there = {0};

    registry_reference_copy(&ref, &e->location->reference);
    ref.digest = d->digest;
    return registry_manifest_head(e->client, &ref, found, &there, err);
}

static int target_is_done(void *self,
                          const struct descriptor *root,
                          bool *done,
                          struct error *err)
{
    const struct end *e = self;
    const struct registry_reference *ref = &e->location->reference;
    CLEANUP(registry_reference_release) struct registry_reference tagged = {0};
    CLEANUP(descriptor_release) struct descriptor there = {0};

    *done = false;
    if (digest_is_set(&ref->digest) && !digest_eq(&ref->digest, &root->digest))
        return error_set(err, ERROR_INVALID,
                         "the image is %s and cannot be stored under another digest",
                         digest_format(&root->digest).text);
    registry_reference_copy(&tagged, ref);
    if (ref->tag)
        tagged.digest = (struct digest){0};
    if (registry_manifest_head(e->client, &tagged, done, &there, err) < 0)
        return -1;
    *done = *done && digest_eq(&there.digest, &root->digest);
    return 0;
}

/* The path to mount from, if the blob comes from another repository of this registry. */
static const char *mount_path(const struct registry_reference *to,
                              const struct copy_source *from)
{
    if (!from->repository || strcmp(from->repository->host, to->host) != 0 ||
        strcmp(from->repository->path, to->path) == 0)
        return NULL;
    return from->repository->path;
}

static int upload(const struct end *e,
                  const struct copy_source *from,
                  const struct descriptor *d,
                  const struct registry_http_body *body,
                  const struct registry_progress *progress,
                  enum copy_outcome *outcome,
                  struct error *err)
{
    const struct registry_reference *to = &e->location->reference;
    const struct registry_upload_options options = {.mount_from = mount_path(to, from)};
    enum registry_upload_result result;

    if (registry_blob_upload(e->client, to, d, body, &options, progress, &result, err) < 0)
        return -1;
    *outcome = result == REGISTRY_UPLOAD_PRESENT   ? COPY_PRESENT
               : result == REGISTRY_UPLOAD_MOUNTED ? COPY_MOUNTED
                                                   : COPY_MOVED;
    return 0;
}

static int upload_file(const struct end *e,
                       const struct copy_source *from,
                       const struct descriptor *d,
                       const struct registry_progress *progress,
                       enum copy_outcome *outcome,
                       struct error *err)
{
    CLEANUP(fd_closep) int fd = from->open(from->self, d, err);
    const struct registry_http_body body = {.has_fd = true, .fd = fd, .size = d->size};

    return fd < 0 ? -1 : upload(e, from, d, &body, progress, outcome, err);
}

static int target_blob(void *self,
                       const struct copy_source *from,
                       const struct descriptor *d,
                       const struct registry_progress *progress,
                       enum copy_outcome *outcome,
                       struct error *err)
{
    const struct end *e = self;

    if (from->open)
        return upload_file(e, from, d, progress, outcome, err);
    struct copy_spool *spool = copy_spool_new(from, d, NULL);
    const struct registry_http_body body = {
        .read_at = copy_spool_read, .context = spool, .size = d->size};
    const int rc = upload(e, from, d, &body, progress, outcome, err);
    return copy_spool_free(spool, err) < 0 ? -1 : rc;
}

static int target_manifest(void *self,
                           const struct descriptor *d,
                           struct view bytes,
                           const struct doc *doc,
                           bool is_root,
                           struct error *err)
{
    const struct end *e = self;
    CLEANUP(registry_reference_release) struct registry_reference as = {0};
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    CLEANUP(descriptor_release) struct descriptor put = {0};
    struct digest confirmed;
    bool refers;

    registry_reference_copy(&as, &e->location->reference);
    if (!is_root)
        base_freep(&as.tag);
    as.digest = d->digest;
    if (registry_manifest_subject(doc, &refers, &subject, err) < 0)
        return -1;
    if (refers)
        return registry_referrer_put(e->client, &as, bytes, &put, err);
    return registry_manifest_put(e->client, &as, d->media_type, bytes, &confirmed, err);
}

int copy_registry_target(struct registry_client *c,
                         const struct registry_location *l,
                         struct copy_target *out,
                         struct error *err)
{
    (void)err;
    *out = (struct copy_target){
        .self = end_new(c, l),
        .has_tree = target_has_tree,
        .is_done = target_is_done,
        .blob = target_blob,
        .manifest = target_manifest,
        .close = free,
    };
    return 0;
}
