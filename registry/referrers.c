#include "registry/referrers.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/client_priv.h"
#include "registry/image.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>

/* A tag that others move at the same time: each round one of those who try succeeds. */
#define ROUNDS_MAX 20
/* Characters of the encoded digest in a fallback tag: the specification's. */
#define TAG_ALGORITHM_MAX 32
#define TAG_ENCODED_MAX   64
/* Of one subject: each costs memory. Signatures and SBOMs are tens. */
#define REFERRERS_MAX 100000

void registry_referrers_release(struct registry_referrers *r)
{
    for (size_t i = 0; i < r->count; i++)
        descriptor_release(&r->items[i]);
    free(r->items);
    *r = (struct registry_referrers){0};
}

static struct descriptor *find(const struct registry_referrers *r, const struct digest *d)
{
    for (size_t i = 0; i < r->count; i++) {
        if (digest_eq(&r->items[i].digest, d))
            return &r->items[i];
    }
    return NULL;
}

void registry_referrers_add(struct registry_referrers *r, const struct descriptor *one)
{
    if (find(r, &one->digest))
        return;
    r->items = base_grow(r->items, r->count, &r->capacity, sizeof *r->items);
    descriptor_copy(&r->items[r->count++], one);
}

char *registry_referrers_tag(const struct digest *subject)
{
    return base_format("%.*s-%.*s", TAG_ALGORITHM_MAX, digest_alg_name(subject->alg),
                       TAG_ENCODED_MAX, digest_hex(subject).text);
}

static struct registry_reference tag_reference(const struct registry_reference *repository,
                                               const struct digest *subject)
{
    return (struct registry_reference){
        .host = base_strdup(repository->host),
        .path = base_strdup(repository->path),
        .tag = registry_referrers_tag(subject),
    };
}

/* ---- Lists ---- */

/* Entries of an index; those of other types than `type` (or NULL) are left out. */
static int read_index(const struct doc *index,
                      const char *type,
                      struct registry_referrers *out,
                      struct error *err)
{
    const struct doc *entries = doc_get(index, "manifests");

    if (doc_type(entries) != DOC_ARRAY && doc_type(entries) != DOC_NULL)
        return error_set(err, ERROR_INVALID, "the list of referrers is no index");
    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor one = {0};

        if (out->count == REFERRERS_MAX)
            return error_set(err, ERROR_LIMIT, "there are more than %d referrers",
                             REFERRERS_MAX);
        if (descriptor_parse(doc_at(entries, i), &one, err) < 0)
            return -1;
        if (!type || (one.artifact_type && strcmp(one.artifact_type, type) == 0))
            registry_referrers_add(out, &one);
    }
    return 0;
}

struct listing {
    const char *type;
    struct registry_referrers *out;
};

/* A filter that the registry says nothing of was not applied. */
static int on_page(void *context,
                   const struct registry_http_response *response,
                   const struct doc *page,
                   struct error *err)
{
    const struct listing *l = context;

    (void)response;
    return read_index(page, l->type, l->out, err);
}

/* The index under the fallback tag; *found false if there is none. `doc` is the caller's.
 */
static int get_tagged(struct registry_client *c,
                      const struct registry_reference *tagged,
                      bool *found,
                      struct doc **doc,
                      struct digest *digest,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(descriptor_release) struct descriptor desc = {0};
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    *found = registry_manifest_get(c, tagged, &bytes, &desc, &failure) == 0;
    if (!*found)
        return error_is(&failure, ERROR_NOT_FOUND) ? 0 : error_move(err, &failure);
    if (!registry_media_is_index(desc.media_type))
        return error_set(err, ERROR_INVALID,
                         "the tag %s, where referrers are listed, is %s", tagged->tag,
                         desc.media_type);
    *digest = desc.digest;
    *doc = doc_parse(buf_view(&bytes), err);
    return *doc ? 0 : -1;
}

static int list_tagged(struct registry_client *c,
                       const struct registry_reference *repository,
                       const struct digest *subject,
                       const char *type,
                       struct registry_referrers *out,
                       struct error *err)
{
    CLEANUP(registry_reference_release)
    struct registry_reference tagged = tag_reference(repository, subject);
    CLEANUP(doc_unrefp) struct doc *index = NULL;
    struct digest ignored;
    bool found;

    if (get_tagged(c, &tagged, &found, &index, &ignored, err) < 0)
        return -1;
    return found ? read_index(index, type, out, err) : 0;
}

static char *list_path(const struct digest *subject, const char *type)
{
    CLEANUP(base_freep)
    char *path = base_format("referrers/%s", digest_format(subject).text);

    return type ? registry_url_add_query(path, "artifactType", view_of(type))
                : base_strdup(path);
}

/* *knows: the registry has the API. What it does not know it answers in several ways. */
static int list_by_api(struct registry_client *c,
                       const struct registry_reference *repository,
                       const struct digest *subject,
                       const char *type,
                       struct registry_referrers *out,
                       bool *knows,
                       struct error *err)
{
    static const int unknown[] = {404, 400, 405, 406, 501, 0};
    CLEANUP(base_freep) char *path = list_path(subject, type);
    struct listing listing = {type, out};
    int status = 0;

    if (registry_pages_get(c, repository, path, unknown, on_page, &listing, &status, err) <
        0)
        return -1;
    *knows = status == 200;
    return 0;
}

int registry_referrers_list(struct registry_client *c,
                            const struct registry_reference *repository,
                            const struct digest *subject,
                            const char *artifact_type,
                            struct registry_referrers *out,
                            struct error *err)
{
    struct registry_referrers list = {0};
    bool knows = false;

    if (list_by_api(c, repository, subject, artifact_type, &list, &knows, err) < 0 ||
        (!knows && list_tagged(c, repository, subject, artifact_type, &list, err) < 0)) {
        registry_referrers_release(&list);
        return error_wrap(err, "referrers of %s", digest_format(subject).text);
    }
    *out = list;
    return 0;
}

/* ---- Keeping the fallback ---- */

static struct doc *index_with(const struct registry_referrers *list)
{
    struct doc *index = doc_new_object(), *entries = doc_new_array();

    for (size_t i = 0; i < list->count; i++)
        doc_append(entries, descriptor_doc(&list->items[i]));
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", entries);
    return index;
}

static int put_index(struct registry_client *c,
                     const struct registry_reference *tagged,
                     const struct registry_referrers *list,
                     struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *index = index_with(list);
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct digest ignored;

    doc_write(index, DOC_WRITE_COMPACT, &bytes);
    if (buf_ok(&bytes, "the list of referrers", err) < 0)
        return -1;
    return registry_manifest_put(c, tagged, MEDIA_OCI_INDEX, buf_view(&bytes), &ignored,
                                 err);
}

/* Keeps the order of the others. */
static void drop(struct registry_referrers *list, const struct digest *digest)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (digest_eq(&list->items[i].digest, digest))
            descriptor_release(&list->items[i]);
        else
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

/*
 * One round of changing the list: `wanted` is to be in it, or not. *done: it is so already.
 * A registry cannot compare and swap, so whoever wrote looks again, and does it anew if
 * another wrote at the same time.
 */
static int change_once(struct registry_client *c,
                       const struct registry_reference *tagged,
                       const struct descriptor *one,
                       bool wanted,
                       bool *done,
                       struct error *err)
{
    CLEANUP(registry_referrers_release) struct registry_referrers list = {0};
    CLEANUP(doc_unrefp) struct doc *index = NULL;
    struct digest old;
    bool found;

    if (get_tagged(c, tagged, &found, &index, &old, err) < 0 ||
        (found && read_index(index, NULL, &list, err) < 0))
        return -1;
    *done = (find(&list, &one->digest) != NULL) == wanted;
    if (*done)
        return 0;
    if (wanted)
        registry_referrers_add(&list, one);
    else
        drop(&list, &one->digest);
    return put_index(c, tagged, &list, err);
}

static int change_tagged(struct registry_client *c,
                         const struct registry_reference *repository,
                         const struct digest *subject,
                         const struct descriptor *one,
                         bool wanted,
                         struct error *err)
{
    CLEANUP(registry_reference_release)
    struct registry_reference tagged = tag_reference(repository, subject);
    bool done = false;

    for (int rounds = 0; rounds < ROUNDS_MAX && !done; rounds++) {
        if (change_once(c, &tagged, one, wanted, &done, err) < 0)
            return error_wrap(err, "list of referrers");
    }
    if (done)
        return 0;
    return error_set(err, ERROR_NETWORK,
                     "list of referrers: others change the tag %s all the time",
                     tagged.tag);
}

/* ---- Manifests with a subject ---- */

int registry_manifest_subject(const struct doc *manifest,
                              bool *found,
                              struct descriptor *out,
                              struct error *err)
{
    const struct doc *subject = doc_get(manifest, "subject");

    *found = doc_type(subject) != DOC_ABSENT && doc_type(subject) != DOC_NULL;
    if (!*found)
        return 0;
    return descriptor_parse(subject, out, err) < 0 ? error_wrap(err, "subject") : 0;
}

/* How the specification wants it listed: the type of an image's config stands in for a type
 * that it does not give. */
static void describe(const struct doc *manifest,
                     const char *media_type,
                     const struct digest *digest,
                     size_t size,
                     struct descriptor *out)
{
    const struct doc *annotations = doc_get(manifest, "annotations");
    const char *type = doc_text(doc_get(manifest, "artifactType"));

    if (!type || !*type)
        type = doc_text(doc_get(doc_get(manifest, "config"), "mediaType"));
    descriptor_init(out, media_type, digest, size);
    out->artifact_type = base_strdup(type);
    if (doc_type(annotations) == DOC_OBJECT && doc_count(annotations) > 0)
        out->annotations = doc_copy(annotations);
}

static int put(struct registry_client *c,
               const struct registry_reference *ref,
               const struct descriptor *subject,
               const struct descriptor *one,
               struct view manifest,
               struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference as = {0};
    struct digest confirmed;
    bool knows;

    registry_reference_copy(&as, ref);
    as.digest = one->digest;
    if (registry_manifest_put_subject(c, &as, one->media_type, manifest, &confirmed, &knows,
                                      err) < 0)
        return -1;
    return knows ? 0 : change_tagged(c, ref, &subject->digest, one, true, err);
}

int registry_referrer_put(struct registry_client *c,
                          const struct registry_reference *ref,
                          struct view manifest,
                          struct descriptor *out,
                          struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    CLEANUP(descriptor_release) struct descriptor one = {0};
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(manifest, err);
    const char *type = d ? registry_manifest_media_type(d, NULL, err) : NULL;
    struct digest digest = ref->digest;
    bool found;

    if (!type || registry_manifest_subject(d, &found, &subject, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_INVALID, "the manifest has no subject");
    if (!digest_is_set(&digest))
        digest = digest_of(DIGEST_SHA256, manifest);
    else if (digest_check(&digest, manifest, err) < 0)
        return -1;
    describe(d, type, &digest, manifest.size, &one);
    if (put(c, ref, &subject, &one, manifest, err) < 0)
        return -1;
    *out = one;
    one = (struct descriptor){0};
    return 0;
}

/* The list under the fallback tag, if there is one, forgets it. */
static int forget(struct registry_client *c,
                  const struct registry_reference *repository,
                  const struct digest *subject,
                  const struct descriptor *one,
                  struct error *err)
{
    CLEANUP(registry_reference_release)
    struct registry_reference tagged = tag_reference(repository, subject);
    CLEANUP(descriptor_release) struct descriptor there = {0};
    bool found;

    if (registry_manifest_head(c, &tagged, &found, &there, err) < 0)
        return -1;
    return found ? change_tagged(c, repository, subject, one, false, err) : 0;
}

/* The manifest's subject, as far as we understand the manifest: others have none. */
static int subject_of(struct registry_client *c,
                      const struct registry_reference *ref,
                      bool *found,
                      struct descriptor *subject,
                      struct descriptor *one,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *d = NULL;

    *found = false;
    if (registry_manifest_get(c, ref, &bytes, one, &failure) == 0 &&
        (d = doc_parse(buf_view(&bytes), &failure)) &&
        registry_manifest_subject(d, found, subject, &failure) == 0)
        return 0;
    *found = false;
    return error_is(&failure, ERROR_INVALID) || error_is(&failure, ERROR_UNSUPPORTED)
               ? 0
               : error_move(err, &failure);
}

int registry_referrer_delete(struct registry_client *c,
                             const struct registry_reference *ref,
                             struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor one = {0};
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    bool found;

    if (subject_of(c, ref, &found, &subject, &one, err) < 0 ||
        registry_manifest_delete(c, ref, err) < 0)
        return -1;
    return found ? forget(c, ref, &subject.digest, &one, err) : 0;
}
