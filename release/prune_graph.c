#include "release/prune_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/image.h"
#include "registry/referrers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Referrers may have referrers, and indexes indexes; more are not followed but refused. */
#define DEPTH_MAX 8

void prune_graph_release(struct prune_graph *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->nodes[i].children);
        free(g->nodes[i].referrers);
        free(g->nodes[i].blobs);
    }
    free(g->nodes);
    free(g->roots);
    g->nodes = NULL;
    g->roots = NULL;
    g->count = g->capacity = 0;
}

const struct prune_node *prune_graph_find(const struct prune_graph *g,
                                          const struct digest *digest)
{
    for (size_t i = 0; i < g->count; i++) {
        if (digest_eq(&g->nodes[i].digest, digest))
            return &g->nodes[i];
    }
    return NULL;
}

void prune_graph_reach(const struct prune_graph *g,
                       const struct digest *from,
                       struct digest_set *out)
{
    const struct prune_node *const node = prune_graph_find(g, from);

    if (!digest_set_add(out, from) || node == NULL)
        return;
    for (size_t i = 0; i < node->child_count; i++)
        prune_graph_reach(g, &node->children[i], out);
    for (size_t i = 0; i < node->referrer_count; i++)
        prune_graph_reach(g, &node->referrers[i], out);
}

/* --- One manifest -------------------------------------------------------------------- */

static void blob_add(struct prune_node *n, const struct descriptor *d)
{
    n->blobs = base_realloc_array(n->blobs, n->blob_count + 1, sizeof *n->blobs);
    n->blobs[n->blob_count++] = (struct prune_blob){d->digest, d->size};
}

/* "2026-11-23T05:47:00Z"; fractions and offsets by their whole. */
static bool read_time(const char *text, int64_t *out)
{
    struct tm tm = {0};
    const char *const rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    if (rest == NULL)
        return false;
    *out = (int64_t)timegm(&tm);
    return true;
}

/* An annotation, or the config of an image: Go's zero time is none. */
static int read_age(struct prune_graph *g,
                    struct prune_node *n,
                    const struct doc *manifest,
                    const struct descriptor *config,
                    struct error *err);

static int read_index(struct prune_node *n, const struct doc *index, struct error *err)
{
    const struct doc *const list = doc_get(index, "manifests");

    if (doc_count(list) > LIMIT_INDEX_ENTRIES)
        return error_set(err, ERROR_LIMIT, "an index of %zu entries", doc_count(list));
    n->children = base_alloc_array(doc_count(list) + 1, sizeof *n->children);
    for (size_t i = 0; i < doc_count(list); i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};

        if (descriptor_parse(doc_at(list, i), &d, err) < 0)
            return -1;
        n->children[n->child_count++] = d.digest;
    }
    return 0;
}

static int read_image(struct prune_graph *g,
                      struct prune_node *n,
                      const struct doc *manifest,
                      struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};

    if (registry_image_parse(manifest, &image, err) < 0)
        return -1;
    blob_add(n, &image.config);
    for (size_t i = 0; i < image.layer_count; i++)
        blob_add(n, &image.layers[i]);
    return g->needs_age ? read_age(g, n, manifest, &image.config, err) : 0;
}

static int read_subject(struct prune_node *n, const struct doc *manifest, struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor subject = {0};

    if (registry_manifest_subject(manifest, &n->has_subject, &subject, err) < 0)
        return -1;
    if (n->has_subject)
        n->subject = subject.digest;
    return 0;
}

static int collect(void *context, const void *data, size_t size, struct error *err)
{
    struct buf *const out = context;

    buf_append(out, data, size);
    return buf_ok(out, "a config", err);
}

static int collect_anew(void *context, struct error *err)
{
    (void)err;
    buf_clear(context);
    return 0;
}

static int read_config(struct prune_graph *g,
                       const struct descriptor *config,
                       struct doc **out,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);
    const struct registry_blob_sink sink = {
        .restart = collect_anew, .write = collect, .context = &text};

    if (config->size > LIMIT_CONFIG_SIZE)
        return error_set(err, ERROR_LIMIT, "a config of %ju bytes",
                         (uintmax_t)config->size);
    if (registry_blob_get(g->client, g->repository, config, &sink, NULL, err) < 0)
        return -1;
    *out = doc_parse(buf_view(&text), err);
    return *out != NULL ? 0 : -1;
}

static int read_age(struct prune_graph *g,
                    struct prune_node *n,
                    const struct doc *manifest,
                    const struct descriptor *config,
                    struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = NULL;
    const struct doc *const annotations = doc_get(manifest, "annotations");

    n->has_created = read_time(
        doc_text(doc_get(annotations, "org.opencontainers.image.created")), &n->created);
    if (n->has_created || (strcmp(config->media_type, MEDIA_OCI_CONFIG) != 0 &&
                           strcmp(config->media_type, MEDIA_DOCKER_CONFIG) != 0))
        return 0;
    if (read_config(g, config, &doc, err) < 0)
        return error_wrap(err, "config %s", digest_format(&config->digest).text);
    n->has_created = read_time(doc_text(doc_get(doc, "created")), &n->created);
    return 0;
}

static int read_referrers(struct prune_graph *g, struct prune_node *n, struct error *err)
{
    CLEANUP(registry_referrers_release) struct registry_referrers list = {0};

    if (registry_referrers_list(g->client, g->repository, &n->digest, NULL, &list, err) < 0)
        return -1;
    n->referrers = base_alloc_array(list.count + 1, sizeof *n->referrers);
    for (size_t i = 0; i < list.count; i++)
        n->referrers[n->referrer_count++] = list.items[i].digest;
    return 0;
}

static int read_manifest(struct prune_graph *g,
                         const struct registry_reference *ref,
                         struct prune_node *n,
                         bool *found,
                         struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(doc_unrefp) struct doc *doc = NULL;

    *found = false;
    if (registry_manifest_get(g->client, ref, &text, &root, err) < 0)
        return -1;
    *found = true;
    n->digest = root.digest;
    if (prune_graph_find(g, &n->digest) != NULL)
        return 0;
    doc = doc_parse(buf_view(&text), err);
    if (doc == NULL || read_subject(n, doc, err) < 0 ||
        (registry_media_is_index(root.media_type) ? read_index(n, doc, err)
                                                  : read_image(g, n, doc, err)) < 0)
        return -1;
    return read_referrers(g, n, err);
}

/* --- All of them --------------------------------------------------------------------- */

static int read_node(struct prune_graph *g,
                     const struct registry_reference *ref,
                     unsigned depth,
                     bool may_lack,
                     struct digest *root,
                     struct error *err);

static int read_digest(struct prune_graph *g,
                       const struct digest *digest,
                       unsigned depth,
                       bool may_lack,
                       struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    struct digest ignored;

    if (prune_graph_find(g, digest) != NULL)
        return 0;
    registry_reference_copy(&ref, g->repository);
    base_freep(&ref.tag);
    ref.digest = *digest;
    return read_node(g, &ref, depth, may_lack, &ignored, err);
}

/* The age of an index is that of its first image: they are made together. */
static void index_age(struct prune_graph *g, size_t which)
{
    for (size_t i = 0; i < g->nodes[which].child_count && !g->nodes[which].has_created;
         i++) {
        const struct prune_node *const child =
            prune_graph_find(g, &g->nodes[which].children[i]);

        if (child != NULL && child->has_created) {
            g->nodes[which].has_created = true;
            g->nodes[which].created = child->created;
        }
    }
}

/* `may_lack`: images of an index for platforms that were not copied, and referrers that
 * were deleted without their list. */
static int read_node(struct prune_graph *g,
                     const struct registry_reference *ref,
                     unsigned depth,
                     bool may_lack,
                     struct digest *root,
                     struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    struct prune_node n = {0};
    bool found = false;

    if (depth > DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "manifests lead to each other %d levels deep",
                         DEPTH_MAX);
    if (read_manifest(g, ref, &n, &found, &why) < 0) {
        free(n.children);
        free(n.referrers);
        free(n.blobs);
        return may_lack && !found && why.code == ERROR_NOT_FOUND ? 0
                                                                 : error_move(err, &why);
    }
    *root = n.digest;
    if (prune_graph_find(g, &n.digest) != NULL)
        return 0;
    g->nodes = base_grow(g->nodes, g->count, &g->capacity, sizeof *g->nodes);

    const size_t which = g->count++;

    g->nodes[which] = n;
    for (size_t i = 0; i < n.child_count; i++) {
        if (read_digest(g, &n.children[i], depth + 1, true, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < n.referrer_count; i++) {
        if (read_digest(g, &n.referrers[i], depth + 1, true, err) < 0)
            return -1;
    }
    index_age(g, which);
    return 0;
}

int prune_graph_read(struct prune_graph *g,
                     const struct release_names *tags,
                     struct error *err)
{
    g->roots = base_alloc_array(tags->count + 1, sizeof *g->roots);
    for (size_t i = 0; i < tags->count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference ref = {0};

        registry_reference_copy(&ref, g->repository);
        base_freep(&ref.tag);
        ref.digest = (struct digest){0};
        ref.tag = base_strdup(tags->items[i]);
        if (read_node(g, &ref, 0, false, &g->roots[i], err) < 0)
            return error_wrap(err, "tag %s", tags->items[i]);
    }
    return 0;
}
