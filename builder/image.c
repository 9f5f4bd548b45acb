#include "builder/image.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/cache/bundle.h"
#include "builder/cache/export.h"
#include "builder/history.h"
#include "builder/layers.h"
#include "cas/blob.h"
#include "cas/layer_recompress.h"
#include "registry/index.h"

#include <stdlib.h>
#include <string.h>

#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"

/* --- Forms --- */

static bool same_annotations(const struct build_image_form *a,
                             const struct build_image_form *b)
{
    bool same = a->annotation_count == b->annotation_count;

    for (size_t i = 0; same && i < a->annotation_count; i++) {
        const struct build_annotation *x = &a->annotations[i];
        const struct build_annotation *y = &b->annotations[i];

        same = strcmp(x->name, y->name) == 0 && strcmp(x->value, y->value) == 0 &&
               x->on == y->on && !x->platform == !y->platform &&
               (!x->platform || strcmp(x->platform, y->platform) == 0);
    }
    return same;
}

bool build_image_form_eq(const struct build_image_form *a, const struct build_image_form *b)
{
    return a->compression.type == b->compression.type &&
           a->compression.level == b->compression.level &&
           a->compression.force == b->compression.force &&
           a->docker_media_types == b->docker_media_types &&
           a->keeps_nondistributable == b->keeps_nondistributable && same_annotations(a, b);
}

/* --- Config --- */

/* In the specification's order of members; what cooper does not know comes after. */
static struct doc *make_config(const struct build_image_source *from)
{
    const struct build_plan *plan = from->plan;
    const struct build_solution *s = &from->shape->solution;
    static const char *const own[] = {"created", "rootfs", "history"};
    struct doc *out = doc_new_object();
    struct doc *rootfs = doc_new_object();
    struct doc *diff_ids = doc_new_array();
    const char *last = NULL;
    struct doc *history = build_history_make(plan, from->solution, from->shape);
    const char *key;

    for (size_t i = 0; i < doc_count(history); i++)
        if (doc_text(doc_get(doc_at(history, i), "created")))
            last = doc_text(doc_get(doc_at(history, i), "created"));
    if (last)
        doc_set_text(out, "created", last);
    for (size_t i = 0; i < doc_count(plan->config.root); i++) {
        const struct doc *value = doc_member_at(plan->config.root, i, &key);
        bool is_own = false;

        for (size_t k = 0; k < ARRAY_COUNT(own); k++)
            is_own = is_own || strcmp(key, own[k]) == 0;
        if (!is_own)
            doc_set(out, key, doc_copy(value));
    }
    for (size_t i = 0; i < s->count; i++)
        doc_append_text(diff_ids, digest_format(cas_layer_diff_id(s->layers[i])).text);
    doc_set_text(rootfs, "type", "layers");
    doc_set(rootfs, "diff_ids", diff_ids);
    doc_set(out, "rootfs", rootfs);
    doc_set(out, "history", history);
    return out;
}

static int store_doc(struct cas_store *store,
                     struct doc *d,
                     size_t max,
                     const char *what,
                     struct digest *digest,
                     uint64_t *size,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(max);
    int status;

    doc_write(d, DOC_WRITE_COMPACT, &text);
    doc_unref(d);
    status = buf_ok(&text, what, err);
    if (status == 0)
        status = cas_blob_put(store, buf_view(&text), digest, err);
    *size = text.size;
    return status;
}

/* --- Manifest --- */

struct layer_type {
    const char *oci;
    const char *docker; /* NULL: docker has no name for it */
};

/* Docker's names of layer types and the specification's; the bytes are the same. */
static const struct layer_type layer_types[] = {
    {MEDIA_OCI_LAYER_GZIP, MEDIA_DOCKER_LAYER_GZIP},
    {MEDIA_OCI_LAYER, MEDIA_DOCKER_LAYER},
    {MEDIA_OCI_LAYER_ZSTD, NULL},
};
static const struct layer_type foreign_types[] = {
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
     "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar",
     "application/vnd.docker.image.rootfs.foreign.diff.tar"},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", NULL},
};

static bool is_type(const struct layer_type *t, const char *media_type)
{
    return strcmp(media_type, t->oci) == 0 ||
           (t->docker && strcmp(media_type, t->docker) == 0);
}

/* What the form calls a layer of this type; NULL if it has no name for it. */
static const char *form_type(const struct build_image_form *f, const char *media_type)
{
    for (size_t i = 0; i < ARRAY_COUNT(layer_types); i++) {
        const bool is_foreign = is_type(&foreign_types[i], media_type);
        const struct layer_type *as =
            is_foreign && f->keeps_nondistributable ? &foreign_types[i] : &layer_types[i];

        if (is_foreign || is_type(&layer_types[i], media_type))
            return f->docker_media_types ? as->docker : as->oci;
    }
    return media_type;
}

static bool is_compressed_as(const char *media_type, enum cas_compression type)
{
    for (size_t i = 0; i < ARRAY_COUNT(layer_types); i++)
        if (is_type(&layer_types[i], media_type) || is_type(&foreign_types[i], media_type))
            return strcmp(layer_types[i].oci, cas_layer_media_type(type)) == 0;
    return false;
}

/* The steps' layers are as the request has them; what came with the base is as it came. */
static bool needs_other_blob(const struct build_image_source *from,
                             const struct build_image_form *f,
                             size_t i)
{
    const struct build_solution *s = &from->shape->solution;

    if (s->created[i] < 0)
        return f->compression.force &&
               !is_compressed_as(cas_layer_blob(s->layers[i])->media_type,
                                 f->compression.type);
    return f->compression.type != from->request->compression ||
           f->compression.level != from->request->compression_level;
}

/* A handle of the layer with the blob that the form wants; the caller's. */
static struct cas_layer *form_layer(const struct build_image_source *from,
                                    const struct build_image_form *f,
                                    size_t i,
                                    struct error *err)
{
    struct cas_layer *layer = from->shape->solution.layers[i];
    const struct cas_layer_options options = {.compression = f->compression.type,
                                              .level = f->compression.level,
                                              .epoch = -1,
                                              .pool = from->pool,
                                              .cancel = from->request->cancel};

    if (needs_other_blob(from, f, i))
        return cas_layer_recompress(layer, &options, err);
    if (!from->may_lack_layers && cas_layer_require_blob(layer, err) < 0)
        return NULL;
    return cas_layer_ref(layer);
}

static int add_layers(const struct build_image_source *from,
                      const struct build_image_form *f,
                      struct doc *list,
                      struct error *err)
{
    for (size_t i = 0; i < from->shape->solution.count; i++) {
        CLEANUP(cas_layer_unrefp) struct cas_layer *layer = form_layer(from, f, i, err);
        CLEANUP(descriptor_release) struct descriptor d = {0};

        if (!layer)
            return -1;
        const struct descriptor *blob = cas_layer_blob(layer);
        const char *type = form_type(f, blob->media_type);
        if (!type)
            return error_set(err, ERROR_UNSUPPORTED,
                             "oci-mediatypes=false: docker's types have no name for the "
                             "layer %s (%s)",
                             digest_format(&blob->digest).text, blob->media_type);
        descriptor_init(&d, type, &blob->digest, blob->size);
        doc_append(list, descriptor_doc(&d));
    }
    return 0;
}

/* --- Annotations --- */

/* Those for other platforms than this image's are for its siblings. */
static int add_annotations(const struct build_annotation *list,
                           size_t count,
                           enum build_annotated on,
                           const struct registry_platform *platform,
                           struct doc **out,
                           struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct registry_platform wanted;

        if (list[i].on != on)
            continue;
        if (list[i].platform &&
            registry_platform_parse(view_of(list[i].platform), &wanted, err) < 0)
            return -1;
        if (list[i].platform && platform && registry_platform_rank(&wanted, platform) != 0)
            continue;
        if (!*out)
            *out = doc_new_object();
        doc_set_text(*out, list[i].name, list[i].value);
    }
    return 0;
}

/* Those of the request, then those of the output. *out: an object, or NULL for none. */
static int make_annotations(const struct build_request *r,
                            const struct build_image_form *f,
                            enum build_annotated on,
                            const struct registry_platform *platform,
                            struct doc **out,
                            struct error *err)
{
    return add_annotations(r->annotations, r->annotation_count, on, platform, out, err) <
                       0 ||
                   add_annotations(f->annotations, f->annotation_count, on, platform, out,
                                   err) < 0
               ? -1
               : 0;
}

/* --- The image --- */

/* For those who give the image to --cache-from. */
static void add_cache(const struct build_image_source *from,
                      const struct doc *layers,
                      struct doc *config)
{
    const struct build_solution *s = &from->shape->solution;
    CLEANUP(base_freep)
    struct digest *diff_ids = base_alloc_array(s->count + 1, sizeof *diff_ids);
    CLEANUP(base_freep)
    struct digest *blobs = base_alloc_array(s->count + 1, sizeof *blobs);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct doc *cache;

    for (size_t i = 0; i < s->count; i++) {
        diff_ids[i] = *cas_layer_diff_id(s->layers[i]);
        if (digest_parse(doc_view(doc_get(doc_at(layers, i), "digest")), &blobs[i],
                         &ignored) < 0)
            return;
    }
    cache = build_cache_inline(from->env, from->request, from->solution, diff_ids, blobs,
                               s->count, from->plan->epoch);
    if (cache)
        doc_set(config, BUILD_BUNDLE_MEMBER, cache);
}

static int make_manifest(const struct build_image_source *from,
                         const struct build_image_form *f,
                         struct build_image_made *out,
                         struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *layers = doc_new_array();
    CLEANUP(doc_unrefp) struct doc *annotations = NULL;
    CLEANUP(doc_unrefp) struct doc *on_descriptor = NULL;
    CLEANUP(descriptor_release) struct descriptor config = {0};
    const char *type = f->docker_media_types ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST;
    const struct registry_platform *platform = &from->plan->platform;
    struct cas_store *store = from->env->store;
    struct digest digest;
    uint64_t size;

    if ((!from->may_lack_layers &&
         build_layers_bring(from->shape->solution.layers, from->shape->solution.count,
                            err) < 0) ||
        add_layers(from, f, layers, err) < 0 ||
        make_annotations(from->request, f, BUILD_ANNOTATED_MANIFEST, platform, &annotations,
                         err) < 0 ||
        make_annotations(from->request, f, BUILD_ANNOTATED_MANIFEST_DESCRIPTOR, platform,
                         &on_descriptor, err) < 0)
        return -1;
    struct doc *described = make_config(from);
    add_cache(from, layers, described);
    if (store_doc(store, described, LIMIT_CONFIG_SIZE, "image config", &out->config, &size,
                  err) < 0)
        return -1;
    struct doc *m = doc_new_object();
    descriptor_init(&config, f->docker_media_types ? MEDIA_DOCKER_CONFIG : MEDIA_OCI_CONFIG,
                    &out->config, size);
    doc_set_int(m, "schemaVersion", 2);
    doc_set_text(m, "mediaType", type);
    doc_set(m, "config", descriptor_doc(&config));
    doc_set(m, "layers", doc_ref(layers));
    if (annotations)
        doc_set(m, "annotations", doc_ref(annotations));
    if (store_doc(store, m, LIMIT_MANIFEST_SIZE, "manifest", &digest, &size, err) < 0)
        return -1;
    descriptor_init(&out->manifest, type, &digest, size);
    out->manifest.platform = registry_platform_doc(platform);
    if (on_descriptor)
        out->manifest.annotations = doc_ref(on_descriptor);
    return 0;
}

int build_image_make(const struct build_image_source *from,
                     const struct build_image_form *form,
                     struct build_image_made *out,
                     struct error *err)
{
    *out = (struct build_image_made){.form = *form};
    if (make_manifest(from, form, out, err) == 0)
        return 0;
    build_image_made_release(out);
    return -1;
}

int build_image_index(struct cas_store *store,
                      const struct build_request *request,
                      const struct build_image_made *images,
                      size_t count,
                      struct descriptor *out,
                      struct error *err)
{
    const struct build_image_form *f = &images[0].form;
    CLEANUP(base_freep)
    struct descriptor *entries = base_alloc_array(count, sizeof *entries);
    CLEANUP(doc_unrefp) struct doc *annotations = NULL;
    CLEANUP(doc_unrefp) struct doc *on_descriptor = NULL;

    for (size_t i = 0; i < count; i++)
        entries[i] = images[i].manifest; /* borrowed */
    if (make_annotations(request, f, BUILD_ANNOTATED_INDEX, NULL, &annotations, err) < 0 ||
        make_annotations(request, f, BUILD_ANNOTATED_INDEX_DESCRIPTOR, NULL, &on_descriptor,
                         err) < 0 ||
        registry_index_put(store, entries, count, annotations, f->docker_media_types, out,
                           err) < 0)
        return -1;
    if (on_descriptor)
        out->annotations = doc_ref(on_descriptor);
    return 0;
}

void build_image_made_release(struct build_image_made *m)
{
    descriptor_release(&m->manifest);
    *m = (struct build_image_made){0};
}
