#include "cas/reach.h"

#include "base/limits.h"
#include "cas/blob.h"
#include "cas/layer_dir.h"
#include "cas/sparse.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 8u

struct reach {
    struct cas_store *store;
    enum cas_reach_flags flags;
    cas_reach_fn *visit;
    void *context;
    const struct digest_set *absent; /* of what the target names; NULL: nothing */
};

/* A manifest whose entries are visited. */
struct place {
    unsigned depth;
    struct digest_set sparse; /* that it was pushed without */
};

static int walk(const struct reach *r,
                const struct descriptor *d,
                unsigned depth,
                struct error *err);

static bool is_index(const char *type)
{
    return strcmp(type, MEDIA_OCI_INDEX) == 0 || strcmp(type, MEDIA_DOCKER_INDEX) == 0;
}

static bool is_manifest(const char *type)
{
    return strcmp(type, MEDIA_OCI_MANIFEST) == 0 ||
           strcmp(type, MEDIA_DOCKER_MANIFEST) == 0;
}

static bool fits(const struct cas_store *s, const struct descriptor *d)
{
    struct stat st;

    return fstatat(s->fd, cas_blob_path(&d->digest).text, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (uint64_t)st.st_size == d->size;
}

/* A stranger named it and nobody has checked that it is what it was said to be: if it is
 * not, nothing is lost. */
static int walk_sparse(const struct reach *r,
                       const struct descriptor *d,
                       unsigned depth,
                       struct error *err)
{
    if (!fits(r->store, d) || walk(r, d, depth, err) == 0)
        return 0;
    if (!error_is(err, ERROR_INVALID) && !error_is(err, ERROR_CORRUPT) &&
        !error_is(err, ERROR_LIMIT) && !error_is(err, ERROR_NOT_FOUND))
        return -1;
    error_clear(err);
    return 0;
}

static int walk_entry(const struct reach *r,
                      const struct doc *entry,
                      const struct place *at,
                      struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};

    if (descriptor_parse(entry, &d, err) < 0)
        return -1;
    if (at->depth == 0 && r->absent && digest_set_has(r->absent, &d.digest))
        return 0;
    if (digest_set_has(&at->sparse, &d.digest))
        return walk_sparse(r, &d, at->depth + 1, err);
    return walk(r, &d, at->depth + 1, err);
}

static int walk_array(const struct reach *r,
                      const struct doc *array,
                      const struct place *at,
                      struct error *err)
{
    for (size_t i = 0; i < doc_count(array); i++) {
        if (walk_entry(r, doc_at(array, i), at, err) < 0)
            return -1;
    }
    return 0;
}

static void place_release(struct place *at)
{
    digest_set_release(&at->sparse);
}

static int walk_document(const struct reach *r,
                         const struct descriptor *d,
                         unsigned depth,
                         struct error *err)
{
    CLEANUP(place_release) struct place at = {.depth = depth};
    CLEANUP(doc_unrefp)
    struct doc *doc = (r->flags & CAS_REACH_PEEK ? cas_blob_peek_doc : cas_blob_read_doc)(
        r->store, d, LIMIT_MANIFEST_SIZE, err);

    if (!doc || cas_sparse_find(r->store, NULL, &d->digest, &at.sparse, err) < 0)
        return -1;
    if (is_index(d->media_type))
        return walk_array(r, doc_get(doc, "manifests"), &at, err);
    if (walk_entry(r, doc_get(doc, "config"), &at, err) < 0)
        return -1;
    return walk_array(r, doc_get(doc, "layers"), &at, err);
}

static int walk(const struct reach *r,
                const struct descriptor *d,
                unsigned depth,
                struct error *err)
{
    bool descend = is_index(d->media_type) || is_manifest(d->media_type);

    if (depth > DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "indexes nested deeper than %u", DEPTH_MAX);
    if (r->visit(r->context, d, &descend, err) < 0)
        return -1;
    if (descend && walk_document(r, d, depth, err) < 0)
        return error_wrap(err, "%s", digest_format(&d->digest).text);
    return 0;
}

int cas_reach_walk(struct cas_store *s,
                   const struct descriptor *target,
                   enum cas_reach_flags flags,
                   cas_reach_fn *visit,
                   void *context,
                   struct error *err)
{
    const struct reach r = {s, flags, visit, context, NULL};

    return walk(&r, target, 0, err);
}

static bool is_config(const char *type)
{
    return strcmp(type, MEDIA_OCI_CONFIG) == 0 || strcmp(type, MEDIA_DOCKER_CONFIG) == 0;
}

/* Configs of other artifacts than images have no layers. */
void cas_reach_layers(struct cas_store *s,
                      const struct descriptor *d,
                      cas_reach_layer_fn *visit,
                      void *context)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *config = is_config(d->media_type)
                             ? cas_blob_peek_doc(s, d, LIMIT_CONFIG_SIZE, &ignored)
                             : NULL;
    const struct doc *ids = doc_get(doc_get(config, "rootfs"), "diff_ids");
    struct digest chain;

    for (size_t i = 0; i < doc_count(ids); i++) {
        struct digest diff;
        if (digest_parse(doc_view(doc_at(ids, i)), &diff, &ignored) < 0)
            return;
        chain = cas_layer_chain_id(i == 0 ? NULL : &chain, &diff);
        visit(context, &diff, &chain);
    }
}

/* layer.md "Non-Distributable Layers", and Docker's "foreign" ones. */
bool cas_reach_may_be_absent(const char *type)
{
    return strstr(type, ".nondistributable.") || strstr(type, ".foreign.");
}

static int check(void *context,
                 const struct descriptor *d,
                 bool *descend,
                 struct error *err)
{
    struct cas_store *s = context;
    bool found;
    uint64_t size;

    (void)descend;
    if (cas_blob_find(s, &d->digest, &found, &size, err) < 0)
        return -1;
    if (!found) {
        return cas_reach_may_be_absent(d->media_type)
                   ? 0
                   : error_set(err, ERROR_NOT_FOUND, "blob %s is not in the store",
                               digest_format(&d->digest).text);
    }
    if (size != d->size)
        return error_set(
            err, ERROR_CORRUPT, "blob %s has %ju bytes, its descriptor says %ju",
            digest_format(&d->digest).text, (uintmax_t)size, (uintmax_t)d->size);
    return 0;
}

int cas_reach_check(struct cas_store *s, const struct descriptor *target, struct error *err)
{
    return cas_reach_walk(s, target, CAS_REACH_HOLD, check, s, err);
}

int cas_reach_check_but(struct cas_store *s,
                        const struct descriptor *target,
                        const struct digest_set *absent,
                        struct error *err)
{
    const struct reach r = {s, CAS_REACH_HOLD, check, s, absent};

    return walk(&r, target, 0, err);
}
