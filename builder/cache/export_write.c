/*
 * The caches themselves: which layers go along, the documents, and where they are put.
 */
#include "builder/cache/export_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/pool.h"
#include "cas/blob.h"
#include "cas/layer_recompress.h"
#include "registry/pull.h"
#include "registry/push.h"

#include <stdlib.h>
#include <string.h>

enum { NS = 1000000000 };

/* --- Which layers go along --- */

static bool is_here(struct cas_store *store, const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    uint64_t size = 0;
    bool found = false;

    return cas_blob_find(store, &blob->digest, &found, &size, &ignored) == 0 && found &&
           size == blob->size;
}

/* Base images' layers are a service to those who cannot reach their registry: nothing is
 * fetched for that. A layer of a directory that was only read is left where it is. */
static bool goes_along(const struct build_environment *env,
                       const struct build_cache_to *to,
                       const struct kept_layer *l)
{
    if (!to->is_max && !l->is_in_result)
        return false;
    return (!l->is_base && l->origin.host) || is_here(env->store, &l->blob);
}

static int bring(const struct build_environment *env,
                 const struct kept_layer *l,
                 struct error *err)
{
    return registry_fetch_blob(env->registry, env->store, &l->origin, &l->blob, NULL, err);
}

/* The layer's blob as this cache wants it. */
static int make_blob(const struct build_environment *env,
                     const struct build_cache_to *to,
                     const struct kept_layer *l,
                     struct pool *pool,
                     struct descriptor *out,
                     struct error *err)
{
    const struct cas_layer_options options = {.compression = to->compression.type,
                                              .level = to->compression.level,
                                              .epoch = -1,
                                              .pool = pool};
    CLEANUP(cas_layer_unrefp) struct cas_layer *made = NULL;

    if (!to->has_compression || (l->is_base && !to->compression.force)) {
        descriptor_copy(out, &l->blob);
        return 0;
    }
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *layer = cas_layer_new(env->store, &l->diff_id, &l->blob, NULL, NULL);

    if (bring(env, l, err) < 0 || !(made = cas_layer_recompress(layer, &options, err)))
        return -1;
    descriptor_copy(out, cas_layer_blob(made));
    return 0;
}

/* --- The documents --- */

static void add_records(const struct build_cache_export *x,
                        const struct build_cache_to *to,
                        struct build_bundle *b)
{
    for (size_t i = 0; i < x->record_count; i++) {
        struct build_record r = x->records[i].record;

        if (!to->is_max && !x->records[i].is_in_result)
            r.count = 0;
        build_bundle_add_record(b, &x->records[i].operation, &r);
    }
}

static int add_layers(const struct build_environment *env,
                      const struct build_cache_to *to,
                      const struct build_cache_export *x,
                      struct build_bundle *b,
                      struct build_cache_files *files,
                      struct error *err)
{
    CLEANUP(pool_freep) struct pool *pool = to->has_compression ? pool_new(0) : NULL;

    files->layers = base_alloc_array(x->layer_count + 1, sizeof *files->layers);
    /* The result's come first, and those in the order of the graph. */
    for (size_t i = 0; i < x->layer_count; i++) {
        struct descriptor *d = &files->layers[files->layer_count];

        if (!goes_along(env, to, &x->layers[i]))
            continue;
        if (files->layer_count == LIMIT_CACHE_LAYERS) {
            files->left_out++;
            continue;
        }
        if (make_blob(env, to, &x->layers[i], pool, d, err) < 0)
            return -1;
        files->layer_count++;
        CLEANUP(base_freep)
        char *maker = digest_eq(&d->digest, &x->layers[i].blob.digest)
                          ? base_strdup(x->layers[i].maker)
                          : build_cache_maker_of(env, d);
        build_bundle_add_layer(b, &x->layers[i].diff_id, &d->digest, maker);
    }
    return 0;
}

static void add_images(const struct build_cache_export *x, struct build_bundle *b)
{
    for (size_t i = 0; i < x->images->image_count; i++) {
        const struct build_bundle_image *from = &x->images->images[i];
        struct build_bundle_image *to =
            build_bundle_add_image(b, from->name, from->platform, &from->root);

        for (size_t k = 0; k < from->document_count; k++)
            build_bundle_add_document(to, view_of(from->documents[k]));
    }
}

static struct doc *layer_list(const struct build_cache_files *files)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < files->layer_count; i++)
        doc_append(list, descriptor_doc(&files->layers[i]));
    return list;
}

/* image-manifest=true, as an image that nobody runs; else an index of blobs. */
static int make_manifest(const struct build_environment *env,
                         const struct build_cache_to *to,
                         struct build_cache_files *files,
                         struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *m = doc_new_object();
    CLEANUP(doc_unrefp) struct doc *index = NULL;

    doc_set_int(m, "schemaVersion", 2);
    doc_set_text(m, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(m, "config", descriptor_doc(&files->config));
    doc_set(m, "layers", layer_list(files));
    if (cas_blob_put_doc(env->store, m, MEDIA_OCI_MANIFEST, LIMIT_MANIFEST_SIZE,
                         &files->manifest, err) < 0)
        return -1;
    if (!to->is_index)
        return 0;
    index = doc_new_object();
    struct doc *entries = layer_list(files);
    doc_append(entries, descriptor_doc(&files->config));
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", entries);
    return cas_blob_put_doc(env->store, index, MEDIA_OCI_INDEX, LIMIT_MANIFEST_SIZE,
                            &files->index, err);
}

static void files_release(struct build_cache_files *f)
{
    for (size_t i = 0; i < f->layer_count; i++)
        descriptor_release(&f->layers[i]);
    free(f->layers);
    descriptor_release(&f->config);
    descriptor_release(&f->manifest);
    descriptor_release(&f->index);
    *f = (struct build_cache_files){0};
}

static int make_files(const struct build_environment *env,
                      const struct build_cache_to *to,
                      const struct build_cache_export *x,
                      struct build_cache_files *files,
                      struct error *err)
{
    CLEANUP(build_bundle_freep) struct build_bundle *b = build_bundle_new();
    CLEANUP(doc_unrefp) struct doc *doc = NULL;

    if (add_layers(env, to, x, b, files, err) < 0)
        return -1;
    add_records(x, to, b);
    add_images(x, b);
    doc = build_bundle_doc(b);
    if (cas_blob_put_doc(env->store, doc, BUILD_BUNDLE_MEDIA_TYPE, LIMIT_CACHE_SIZE,
                         &files->config, err) < 0)
        return -1;
    return make_manifest(env, to, files, err);
}

/* --- Registries --- */

struct writing {
    const struct build_cache_export *export;
    const struct registry_reference *ref;
};

/* Where the registry itself may have the blob: the image that was pushed, or else where it
 * came from. (A blob that is not there is only not mounted.) */
static const struct registry_reference *origin_of(void *context, const struct digest *blob)
{
    const struct writing *w = context;
    const struct kept_layer *l = build_cache_kept(w->export, blob);

    if (l && l->origin.host && (!l->is_base || strcmp(l->origin.host, w->ref->host) == 0))
        return &l->origin;
    for (size_t i = 0; i < w->export->pushed_count; i++)
        if (strcmp(w->export->pushed[i].host, w->ref->host) == 0)
            return &w->export->pushed[i];
    return NULL;
}

static int put_index(const struct build_environment *env,
                     const struct registry_reference *ref,
                     const struct build_cache_files *files,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct digest confirmed;

    if (cas_blob_read(env->store, &files->index.digest, &text, err) < 0)
        return -1;
    return registry_manifest_put(env->registry, ref, MEDIA_OCI_INDEX, buf_view(&text),
                                 &confirmed, err);
}

/* The blobs are asked for, mounted or sent; then the manifest. An index follows it, whose
 * blobs the registry then has. */
static int write_registry(const struct build_environment *env,
                          const struct build_cache_to *to,
                          struct build_cache_export *x,
                          const struct build_cache_files *files,
                          struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    struct writing w = {.export = x, .ref = &ref};
    const struct registry_push_options options = {
        .find_origin = origin_of, .find_context = &w, .progress = {.sink = &env->sink}};
    CLEANUP(registry_reference_release) struct registry_reference pinned = {0};
    struct digest confirmed;

    if (registry_reference_parse(view_of(to->place), &ref, err) < 0)
        return -1;
    registry_reference_add_default_tag(&ref);
    registry_reference_copy(&pinned, &ref);
    if (to->is_index) {
        free(pinned.tag);
        pinned.tag = NULL;
        pinned.digest = files->manifest.digest;
    }
    if (registry_push(env->registry, env->store, &files->manifest, &pinned, &options,
                      &confirmed, err) < 0)
        return -1;
    return to->is_index ? put_index(env, &ref, files, err) : 0;
}

/* --- All of them --- */

/* Steps whose layers are not there will run again. */
static void warn_of_left_out(const struct build_environment *env,
                             const struct build_cache_to *to,
                             const struct build_cache_files *files)
{
    CLEANUP(base_freep) char *text = NULL;

    if (files->left_out == 0)
        return;
    text = base_format("cache %s: a manifest names at most %zu layers, %zu are left out: "
                       "their steps will run again (mode=min needs fewer)",
                       to->place, LIMIT_CACHE_LAYERS, files->left_out);
    event_send(&env->sink, (struct event){.type = EVENT_WARNING, .name = "", .text = text});
}

static int write_one(const struct build_environment *env,
                     const struct build_cache_to *to,
                     struct build_cache_export *x,
                     struct error *err)
{
    CLEANUP(files_release) struct build_cache_files files = {0};
    CLEANUP(base_freep) char *text = NULL;

    if (make_files(env, to, x, &files, err) < 0)
        return -1;
    if (to->type == BUILD_CACHE_LOCAL) {
        for (size_t i = 0; i < x->layer_count; i++)
            if (goes_along(env, to, &x->layers[i]) && bring(env, &x->layers[i], err) < 0)
                return -1;
        if (build_cache_write_local(env, to, &files, err) < 0)
            return -1;
    } else if (write_registry(env, to, x, &files, err) < 0) {
        return -1;
    }
    text = base_format("cache written to %s: %zu steps, %zu layers", to->place,
                       x->record_count, files.layer_count);
    event_send(&env->sink, (struct event){.type = EVENT_NOTE, .name = "", .text = text});
    warn_of_left_out(env, to, &files);
    return 0;
}

int build_cache_write(const struct build_environment *env,
                      const struct build_request *request,
                      struct build_result *result,
                      struct error *err)
{
    for (size_t i = 0; result->cache && i < request->cache_to_count; i++) {
        const struct build_cache_to *to = &request->cache_to[i];
        CLEANUP(error_clear) struct error failure = ERROR_INIT;

        if (to->type == BUILD_CACHE_INLINE ||
            write_one(env, to, result->cache, &failure) == 0)
            continue;
        error_wrap(&failure, "write the cache to %s", to->place);
        if (!to->ignores_errors || error_is(&failure, ERROR_CANCELLED))
            return error_move(err, &failure);
        event_send(&env->sink, (struct event){.type = EVENT_WARNING,
                                              .name = "",
                                              .text = error_text(&failure)});
    }
    return 0;
}

/* --- Within an image --- */

static bool wants_inline(const struct build_request *request)
{
    for (size_t i = 0; i < request->cache_to_count; i++)
        if (request->cache_to[i].type == BUILD_CACHE_INLINE)
            return true;
    return false;
}

struct doc *build_cache_inline(const struct build_environment *env,
                               const struct build_request *request,
                               const struct build_solution *solution,
                               const struct digest *diff_ids,
                               const struct digest *blobs,
                               size_t count,
                               int64_t epoch)
{
    CLEANUP(build_bundle_freep) struct build_bundle *b = NULL;

    if (!wants_inline(request))
        return NULL;
    b = build_bundle_new();
    for (size_t i = 0; i < solution->solved_count; i++) {
        struct build_record r = solution->solved[i].record;

        if (!solution->solved[i].is_in_result)
            r.count = 0;
        for (size_t k = 0; k < r.count; k++)
            if (epoch >= 0 && r.layers[k].created > epoch * NS)
                r.layers[k].created = epoch * NS;
        build_bundle_add_record(b, &solution->solved[i].operation, &r);
    }
    for (size_t i = 0; i < count; i++) {
        const struct descriptor blob = {.digest = blobs[i]};
        CLEANUP(base_freep) char *maker = build_cache_maker_of(env, &blob);

        build_bundle_add_layer(b, &diff_ids[i], &blobs[i], maker);
    }
    return build_bundle_doc(b);
}
