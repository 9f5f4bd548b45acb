#include "builder/cache/bundle.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/key.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1
/* Index, manifest, config. */
#define DOCUMENTS_MAX 3
/* Compressor, its version, level. */
#define MAKER_MAX 64

/* A key and the record that it finds; of an operation, any record. */
struct build_bundle_key {
    struct digest key;
    size_t record;
    bool is_operation;
};

struct build_bundle *build_bundle_new(void)
{
    return base_alloc(sizeof(struct build_bundle));
}

static void image_release(struct build_bundle_image *image)
{
    free(image->name);
    free(image->platform);
    descriptor_release(&image->root);
    for (size_t i = 0; i < image->document_count; i++)
        free(image->documents[i]);
    free(image->documents);
}

void build_bundle_free(struct build_bundle *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->layer_count; i++)
        free(b->layers[i].maker);
    for (size_t i = 0; i < b->image_count; i++)
        image_release(&b->images[i]);
    free(b->records);
    free(b->layers);
    free(b->images);
    free(b->keys);
    free(b);
}

void build_bundle_freep(struct build_bundle **b)
{
    build_bundle_free(*b);
    *b = NULL;
}

/* --- Filling --- */

void build_bundle_add_record(struct build_bundle *b,
                             const struct digest *operation,
                             const struct build_record *r)
{
    b->records =
        base_grow(b->records, b->record_count, &b->record_capacity, sizeof *b->records);
    b->records[b->record_count++] =
        (struct build_bundle_record){.operation = *operation, .record = *r};
}

static void add_layer(struct build_bundle *b, const struct build_bundle_layer *layer)
{
    b->layers = base_grow(b->layers, b->layer_count, &b->layer_capacity, sizeof *b->layers);
    b->layers[b->layer_count++] = *layer;
}

void build_bundle_add_layer(struct build_bundle *b,
                            const struct digest *diff_id,
                            const struct digest *blob,
                            const char *maker)
{
    for (size_t i = 0; i < b->layer_count; i++)
        if (digest_eq(&b->layers[i].blob, blob))
            return;
    add_layer(b, &(struct build_bundle_layer){
                     .diff_id = *diff_id, .blob = *blob, .maker = base_strdup(maker)});
}

struct build_bundle_image *build_bundle_add_image(struct build_bundle *b,
                                                  const char *name,
                                                  const char *platform,
                                                  const struct descriptor *root)
{
    struct build_bundle_image *image;

    b->images = base_grow(b->images, b->image_count, &b->image_capacity, sizeof *b->images);
    image = &b->images[b->image_count++];
    *image = (struct build_bundle_image){.name = base_strdup(name),
                                         .platform = base_strdup(platform)};
    descriptor_copy(&image->root, root);
    return image;
}

void build_bundle_add_document(struct build_bundle_image *image, struct view text)
{
    image->documents = base_realloc_array(image->documents, image->document_count + 1,
                                          sizeof *image->documents);
    image->documents[image->document_count++] = view_dup(text);
}

/* --- Writing --- */

static struct doc *layer_doc(const struct build_bundle_layer *layer)
{
    struct doc *d = doc_new_object();

    doc_set_text(d, "diff_id", digest_format(&layer->diff_id).text);
    doc_set_text(d, "blob", digest_format(&layer->blob).text);
    if (layer->maker)
        doc_set_text(d, "maker", layer->maker);
    return d;
}

static struct doc *image_doc(const struct build_bundle_image *image)
{
    struct doc *d = doc_new_object();
    struct doc *documents = doc_new_array();

    doc_set_text(d, "name", image->name);
    doc_set_text(d, "platform", image->platform);
    doc_set(d, "root", descriptor_doc(&image->root));
    for (size_t i = 0; i < image->document_count; i++)
        doc_append_text(documents, image->documents[i]);
    doc_set(d, "documents", documents);
    return d;
}

struct doc *build_bundle_doc(const struct build_bundle *b)
{
    struct doc *d = doc_new_object();
    struct doc *records = doc_new_array();
    struct doc *layers = doc_new_array();
    struct doc *images = doc_new_array();

    for (size_t i = 0; i < b->record_count; i++) {
        struct doc *r = build_record_doc(&b->records[i].record);

        doc_set_text(r, "operation", digest_format(&b->records[i].operation).text);
        doc_append(records, r);
    }
    for (size_t i = 0; i < b->layer_count; i++)
        doc_append(layers, layer_doc(&b->layers[i]));
    for (size_t i = 0; i < b->image_count; i++)
        doc_append(images, image_doc(&b->images[i]));
    doc_set_int(d, "version", VERSION);
    doc_set_text(d, "keys", BUILD_KEY_VERSION);
    doc_set(d, "records", records);
    doc_set(d, "layers", layers);
    if (b->image_count > 0)
        doc_set(d, "images", doc_ref(images));
    doc_unref(images);
    return d;
}

/* --- Reading --- */

static int invalid(const char *what, size_t i, struct error *err)
{
    return error_set(err, ERROR_INVALID, "%s %zu is malformed", what, i);
}

static bool read_digest(const struct doc *d, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return digest_parse(doc_view(d), out, &ignored) == 0;
}

static int read_records(const struct doc *list, struct build_bundle *b, struct error *err)
{
    for (size_t i = 0; i < doc_count(list); i++) {
        const struct doc *d = doc_at(list, i);
        struct build_bundle_record r;

        if (!build_record_parse(d, &r.record) ||
            !read_digest(doc_get(d, "operation"), &r.operation))
            return invalid("record", i, err);
        build_bundle_add_record(b, &r.operation, &r.record);
    }
    return 0;
}

static int read_layers(const struct doc *list, struct build_bundle *b, struct error *err)
{
    for (size_t i = 0; i < doc_count(list); i++) {
        const struct doc *d = doc_at(list, i);
        const char *maker = doc_text(doc_get(d, "maker"));
        struct build_bundle_layer layer = {0};

        if (!read_digest(doc_get(d, "diff_id"), &layer.diff_id) ||
            !read_digest(doc_get(d, "blob"), &layer.blob) ||
            (maker && strlen(maker) > MAKER_MAX))
            return invalid("layer", i, err);
        layer.maker = base_strdup(maker);
        add_layer(b, &layer);
    }
    return 0;
}

static int read_image(const struct doc *d,
                      size_t i,
                      struct build_bundle *b,
                      struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor root = {0};
    const char *name = doc_text(doc_get(d, "name"));
    const char *platform = doc_text(doc_get(d, "platform"));
    const struct doc *documents = doc_get(d, "documents");
    struct build_bundle_image *image;

    if (!name || !platform || doc_type(documents) != DOC_ARRAY ||
        doc_count(documents) > DOCUMENTS_MAX)
        return invalid("image", i, err);
    if (descriptor_parse(doc_get(d, "root"), &root, err) < 0)
        return error_wrap(err, "image %zu", i);
    image = build_bundle_add_image(b, name, platform, &root);
    for (size_t k = 0; k < doc_count(documents); k++) {
        if (doc_type(doc_at(documents, k)) != DOC_TEXT)
            return invalid("image", i, err);
        build_bundle_add_document(image, doc_view(doc_at(documents, k)));
    }
    return 0;
}

static int read_images(const struct doc *list, struct build_bundle *b, struct error *err)
{
    for (size_t i = 0; i < doc_count(list); i++)
        if (read_image(doc_at(list, i), i, b, err) < 0)
            return -1;
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    const struct build_bundle_key *x = a;
    const struct build_bundle_key *y = b;
    const int order = digest_compare(&x->key, &y->key);

    if (order != 0)
        return order;
    return (x->record > y->record) - (x->record < y->record);
}

static int compare_layers(const void *a, const void *b)
{
    const struct build_bundle_layer *x = a;
    const struct build_bundle_layer *y = b;
    const int order = digest_compare(&x->diff_id, &y->diff_id);

    return order != 0 ? order : digest_compare(&x->blob, &y->blob);
}

static void add_key(struct build_bundle *b,
                    const struct digest *key,
                    size_t record,
                    bool is_operation)
{
    if (digest_is_set(key))
        b->keys[b->key_count++] = (struct build_bundle_key){*key, record, is_operation};
}

/* Sorted, for an attacker may choose the keys: of a table he could make one long chain. */
static void sort(struct build_bundle *b)
{
    b->keys = base_alloc_array(4 * b->record_count + 1, sizeof *b->keys);
    for (size_t i = 0; i < b->record_count; i++) {
        const struct build_bundle_record *r = &b->records[i];

        add_key(b, &r->operation, i, true);
        add_key(b, &r->record.definition, i, false);
        add_key(b, &r->record.content, i, false);
        add_key(b, &r->record.result, i, false);
    }
    qsort(b->keys, b->key_count, sizeof *b->keys, compare_keys);
    if (b->layer_count > 0)
        qsort(b->layers, b->layer_count, sizeof *b->layers, compare_layers);
}

static int check_version(const struct doc *d, struct error *err)
{
    int64_t version = 0;

    if (!doc_int(doc_get(d, "version"), &version))
        return error_set(err, ERROR_INVALID, "it has no version");
    if (version != VERSION)
        return error_set(err, ERROR_UNSUPPORTED, "it has version %lld, not %d",
                         (long long)version, VERSION);
    if (!view_eq_text(doc_view(doc_get(d, "keys")), BUILD_KEY_VERSION))
        return error_set(err, ERROR_UNSUPPORTED,
                         "it was written by another version of cooper, whose keys differ");
    return 0;
}

struct build_bundle *build_bundle_parse(const struct doc *doc, struct error *err)
{
    struct build_bundle *b;

    if (check_version(doc, err) < 0)
        return NULL;
    b = build_bundle_new();
    if (read_records(doc_get(doc, "records"), b, err) < 0 ||
        read_layers(doc_get(doc, "layers"), b, err) < 0 ||
        read_images(doc_get(doc, "images"), b, err) < 0) {
        build_bundle_free(b);
        return NULL;
    }
    sort(b);
    return b;
}

/* --- Looking up --- */

/* The first entry that is not before `key`. */
static size_t lower(const struct build_bundle *b, const struct digest *key)
{
    size_t low = 0;
    size_t high = b->key_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (digest_compare(&b->keys[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether an operation or a key is asked for: both are digests of different things. */
static const struct build_bundle_key *find(const struct build_bundle *b,
                                           const struct digest *key,
                                           bool is_operation)
{
    size_t i = lower(b, key);

    while (i < b->key_count && digest_eq(&b->keys[i].key, key) &&
           b->keys[i].is_operation != is_operation)
        i++;
    return i < b->key_count && digest_eq(&b->keys[i].key, key) ? &b->keys[i] : NULL;
}

const struct build_bundle_record *build_bundle_find(const struct build_bundle *b,
                                                    const struct digest *key)
{
    const struct build_bundle_key *k = find(b, key, false);

    return k ? &b->records[k->record] : NULL;
}

bool build_bundle_has_operation(const struct build_bundle *b,
                                const struct digest *operation)
{
    return find(b, operation, true) != NULL;
}

const struct build_bundle_layer *build_bundle_layer(const struct build_bundle *b,
                                                    const struct digest *diff_id,
                                                    const struct build_bundle_layer *last)
{
    size_t low = 0;
    size_t high = b->layer_count;

    if (last) {
        low = (size_t)(last - b->layers) + 1;
    } else {
        while (low < high) {
            const size_t middle = low + (high - low) / 2;

            if (digest_compare(&b->layers[middle].diff_id, diff_id) < 0)
                low = middle + 1;
            else
                high = middle;
        }
    }
    return low < b->layer_count && digest_eq(&b->layers[low].diff_id, diff_id)
               ? &b->layers[low]
               : NULL;
}
