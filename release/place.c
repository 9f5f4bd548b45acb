#include "release/place.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/conditional.h"
#include "registry/image.h"
#include "registry/referrers.h"

#include <stdlib.h>
#include <string.h>

#define ANCHOR_TYPE "application/vnd.cooper.releases.v1+json"

void release_place_init(struct release_place *p,
                        struct registry_client *client,
                        const struct registry_reference *repository)
{
    *p = (struct release_place){.client = client};
    registry_reference_copy(&p->repository, repository);
    base_freep(&p->repository.tag);
    p->repository.digest = (struct digest){0};
}

void release_place_release(struct release_place *p)
{
    registry_reference_release(&p->repository);
    descriptor_release(&p->anchor);
    *p = (struct release_place){0};
}

char *release_place_name(const struct release_place *p)
{
    return registry_reference_familiar(&p->repository);
}

/* The repository's reference with a tag that is borrowed: not to be released. */
static struct registry_reference with_tag(const struct release_place *p, const char *tag)
{
    struct registry_reference r = p->repository;

    r.tag = (char *)(uintptr_t)tag; /* only read */
    return r;
}

static struct registry_reference with_digest(const struct release_place *p,
                                             const struct digest *d)
{
    struct registry_reference r = p->repository;

    r.digest = *d;
    return r;
}

/* --- Reading --- */

static int add_tag(void *context, const char *tag, struct error *err)
{
    (void)err;
    release_names_add(context, tag);
    return 0;
}

/* A registry that lists no referrers, so that the fallback's index was written, knows no
 * conditions either: it needs not be asked, which is a write, again and again. */
static void learn(struct release_place *p, const struct release_names *tags)
{
    CLEANUP(base_freep)
    char *fallback = registry_referrers_tag(&release_place_anchor(p)->digest);

    if (p->conditions == RELEASE_CONDITIONS_UNKNOWN &&
        release_names_has(tags, RELEASE_TAG_ANCHOR) && release_names_has(tags, fallback))
        p->conditions = RELEASE_CONDITIONS_NONE;
}

int release_place_tags(struct release_place *p,
                       struct release_names *out,
                       struct error *err)
{
    if (registry_tags_list(p->client, &p->repository, add_tag, out, err) == 0) {
        learn(p, out);
        return 0;
    }
    if (!error_is(err, ERROR_NOT_FOUND))
        return error_wrap(err, "tags of %s", p->repository.path);
    error_clear(err);
    return 0;
}

int release_place_find(struct release_place *p,
                       const char *tag,
                       bool *found,
                       struct descriptor *out,
                       struct error *err)
{
    const struct registry_reference ref = with_tag(p, tag);

    return registry_manifest_head(p->client, &ref, found, out, err);
}

int release_place_digest(struct release_place *p,
                         const char *tag,
                         struct digest *out,
                         struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    bool found;

    *out = (struct digest){0};
    if (release_place_find(p, tag, &found, &d, err) < 0)
        return -1;
    if (found)
        *out = d.digest;
    return 0;
}

void release_manifest_release(struct release_manifest *m)
{
    descriptor_release(&m->descriptor);
    buf_release(&m->bytes);
}

int release_place_get(struct release_place *p,
                      const struct digest *digest,
                      struct release_manifest *out,
                      struct error *err)
{
    const struct registry_reference ref = with_digest(p, digest);

    *out = (struct release_manifest){.bytes = BUF_INIT(LIMIT_MANIFEST_SIZE)};
    if (registry_manifest_get(p->client, &ref, &out->bytes, &out->descriptor, err) == 0)
        return 0;
    release_manifest_release(out);
    return -1;
}

/* --- Is it whole? --- */

static int check_blob(struct release_place *p, const struct doc *doc, struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    uint64_t size;
    bool found;

    if (descriptor_parse(doc, &d, err) < 0 ||
        registry_blob_head(p->client, &p->repository, &d.digest, &found, &size, err) < 0)
        return -1;
    if (found || strstr(d.media_type, "nondistributable") ||
        strstr(d.media_type, "foreign"))
        return 0;
    return error_set(err, ERROR_NOT_FOUND, "the registry has no blob %s",
                     digest_format(&d.digest).text);
}

static int check_manifest(struct release_place *p,
                          struct view bytes,
                          unsigned depth,
                          struct error *err);

static int check_child(struct release_place *p,
                       const struct doc *doc,
                       unsigned depth,
                       struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(release_manifest_release) struct release_manifest child = {0};

    if (descriptor_parse(doc, &d, err) < 0 ||
        release_place_get(p, &d.digest, &child, err) < 0)
        return -1;
    return check_manifest(p, buf_view(&child.bytes), depth + 1, err);
}

static int check_manifest(struct release_place *p,
                          struct view bytes,
                          unsigned depth,
                          struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(bytes, err);
    const struct doc *const children = doc_get(d, "manifests");
    const struct doc *const layers = doc_get(d, "layers");

    if (!d)
        return -1;
    if (depth > LIMIT_INDEX_DEPTH || doc_count(children) > LIMIT_INDEX_ENTRIES ||
        doc_count(layers) > LIMIT_LAYERS)
        return error_set(err, ERROR_LIMIT, "the image is too large to be checked");
    for (size_t i = 0; i < doc_count(children); i++) {
        if (check_child(p, doc_at(children, i), depth, err) < 0)
            return -1;
    }
    if (doc_get(d, "config") && check_blob(p, doc_get(d, "config"), err) < 0)
        return -1;
    for (size_t i = 0; i < doc_count(layers); i++) {
        if (check_blob(p, doc_at(layers, i), err) < 0)
            return -1;
    }
    return 0;
}

int release_place_check(struct release_place *p,
                        const struct release_manifest *m,
                        struct error *err)
{
    if (check_manifest(p, buf_view(&m->bytes), 0, err) == 0)
        return 0;
    return error_wrap(err, "%s is not whole", digest_format(&m->descriptor.digest).text);
}

/* --- The anchor, and what the registry can do --- */

static void anchor_write(struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *annotations = doc_new_object();
    const struct registry_artifact anchor = {.artifact_type = ANCHOR_TYPE,
                                             .annotations = annotations};

    doc_set_text(annotations, "org.opencontainers.image.title",
                 "what the history of releases refers to");
    registry_artifact_manifest(&anchor, out);
}

const struct descriptor *release_place_anchor(struct release_place *p)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);

    if (!digest_is_set(&p->anchor.digest)) {
        anchor_write(&bytes);
        const struct digest digest = digest_of(DIGEST_SHA256, buf_view(&bytes));
        descriptor_init(&p->anchor, MEDIA_OCI_MANIFEST, &digest, bytes.size);
    }
    return &p->anchor;
}

/* The empty blob that anchor and claims have for config and layer. */
static int put_empty(struct release_place *p, struct error *err)
{
    static const char empty[] = "{}";
    CLEANUP(descriptor_release) struct descriptor d = {0};
    const struct registry_http_body body = {.bytes = {empty, sizeof empty - 1}};
    const struct digest digest = digest_of(DIGEST_SHA256, body.bytes);
    enum registry_upload_result result;

    descriptor_init(&d, "application/vnd.oci.empty.v1+json", &digest, body.bytes.size);
    return registry_blob_upload(p->client, &p->repository, &d, &body, NULL, NULL, &result,
                                err);
}

static int put_anchor(struct release_place *p, bool *refused, struct error *err)
{
    static const struct digest absent = {0};
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    const struct registry_reference ref = with_tag(p, RELEASE_TAG_ANCHOR);

    anchor_write(&bytes);
    return registry_manifest_put_if(p->client, &ref, MEDIA_OCI_MANIFEST, buf_view(&bytes),
                                    &absent, refused, err);
}

/* The tag must be the anchor's own: it could have been anything before. */
static int find_anchor(struct release_place *p, bool *found, struct error *err)
{
    const struct descriptor *const anchor = release_place_anchor(p);
    struct digest now;

    if (release_place_digest(p, RELEASE_TAG_ANCHOR, &now, err) < 0)
        return -1;
    *found = digest_is_set(&now);
    if (!*found || digest_eq(&now, &anchor->digest))
        return 0;
    return error_set(err, ERROR_EXISTS,
                     "the tag " RELEASE_TAG_ANCHOR " is %s, which cooper did not make; it "
                     "keeps the history there: remove that tag",
                     digest_format(&now).text);
}

int release_place_prepare(struct release_place *p, struct error *err)
{
    bool found;
    bool refused = false;

    if (p->conditions != RELEASE_CONDITIONS_UNKNOWN)
        return 0;
    if (find_anchor(p, &found, err) < 0 || (!found && put_empty(p, err) < 0) ||
        (!found && put_anchor(p, &refused, err) < 0) ||
        (!refused && put_anchor(p, &refused, err) < 0))
        return error_wrap(err, "prepare %s", p->repository.path);
    p->conditions = refused ? RELEASE_CONDITIONS_KEPT : RELEASE_CONDITIONS_NONE;
    return 0;
}

/* --- Setting a tag --- */

static int put(struct release_place *p,
               const char *tag,
               const struct digest *from,
               const struct release_manifest *m,
               bool *refused,
               struct error *err)
{
    const struct registry_reference ref = with_tag(p, tag);
    struct digest confirmed;

    *refused = false;
    if (p->conditions == RELEASE_CONDITIONS_KEPT)
        return registry_manifest_put_if(p->client, &ref, m->descriptor.media_type,
                                        buf_view(&m->bytes), from, refused, err);
    return registry_manifest_put(p->client, &ref, m->descriptor.media_type,
                                 buf_view(&m->bytes), &confirmed, err);
}

int release_place_set(struct release_place *p,
                      const char *tag,
                      const struct digest *from,
                      const struct release_manifest *m,
                      bool *done,
                      struct digest *now,
                      struct error *err)
{
    const struct digest *const to = &m->descriptor.digest;
    bool refused;

    if (p->conditions != RELEASE_CONDITIONS_KEPT) {
        if (release_place_digest(p, tag, now, err) < 0)
            return -1;
        *done = digest_eq(now, to);
        if (*done || !digest_eq(now, from))
            return 0;
    }
    if (put(p, tag, from, m, &refused, err) < 0 ||
        release_place_digest(p, tag, now, err) < 0)
        return -1;
    *done = digest_eq(now, to);
    if (refused && !*done && digest_eq(now, from))
        return error_set(err, ERROR_DENIED,
                         "the registry does not let the tag '%s' be moved from %s", tag,
                         digest_is_set(from) ? digest_format(from).text : "nothing");
    return 0;
}
