#include "builder/cache/record.h"

#include "cas/record.h"

#include <stddef.h>
#include <string.h>

/* --- Documents --- */

struct field {
    const char *name;
    size_t offset;
};

static const struct field fields[] = {
    {"definition", offsetof(struct build_record, definition)},
    {"content", offsetof(struct build_record, content)},
    {"result", offsetof(struct build_record, result)},
    {"inputs", offsetof(struct build_record, inputs)},
    {"outcome", offsetof(struct build_record, outcome)},
};

static const struct digest *field_of(const struct build_record *r, size_t i)
{
    return (const struct digest *)(const void *)((const char *)r + fields[i].offset);
}

/* Absent is fine: alg NONE. */
static bool read_digest(const struct doc *object, const char *name, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const struct doc *value = doc_get(object, name);

    *out = (struct digest){.alg = DIGEST_NONE};
    return !value ||
           (digest_parse(doc_view(value), out, &ignored) == 0 && out->alg == DIGEST_SHA256);
}

static bool read_layer(const struct doc *doc, struct build_record_layer *out)
{
    const struct doc *epoch = doc_get(doc, "epoch");

    *out = (struct build_record_layer){.epoch = -1};
    return read_digest(doc, "diff_id", &out->diff_id) && digest_is_set(&out->diff_id) &&
           doc_int(doc_get(doc, "created"), &out->created) && out->created >= 0 &&
           (!epoch || (doc_int(epoch, &out->epoch) && out->epoch >= 0));
}

bool build_record_parse(const struct doc *doc, struct build_record *out)
{
    const struct doc *layers = doc_get(doc, "layers");

    *out = (struct build_record){0};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        struct digest *to = (struct digest *)(void *)((char *)out + fields[i].offset);

        if (!read_digest(doc, fields[i].name, to))
            return false;
    }
    if (!digest_is_set(&out->outcome) || doc_count(layers) > BUILD_RECORD_LAYERS_MAX ||
        (layers && doc_type(layers) != DOC_ARRAY))
        return false;
    for (size_t i = 0; i < doc_count(layers); i++) {
        struct build_record_layer layer;

        if (!read_layer(doc_at(layers, i), &layer))
            return false;
        build_record_add(out, &layer);
    }
    return true;
}

static struct doc *layer_doc(const struct build_record_layer *layer)
{
    struct doc *d = doc_new_object();

    doc_set_text(d, "diff_id", digest_format(&layer->diff_id).text);
    doc_set_int(d, "created", layer->created);
    if (layer->epoch >= 0)
        doc_set_int(d, "epoch", layer->epoch);
    return d;
}

struct doc *build_record_doc(const struct build_record *r)
{
    struct doc *d = doc_new_object();
    struct doc *layers = doc_new_array();

    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        if (digest_is_set(field_of(r, i)))
            doc_set_text(d, fields[i].name, digest_format(field_of(r, i)).text);
    for (size_t i = 0; i < r->count; i++)
        doc_append(layers, layer_doc(&r->layers[i]));
    doc_set(d, "layers", layers);
    return d;
}

/* --- Layers --- */

static bool same_epoch(int64_t a, int64_t b)
{
    return a == b || (a < 0 && b < 0);
}

void build_record_add(struct build_record *r, const struct build_record_layer *layer)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!same_epoch(r->layers[i].epoch, layer->epoch))
            continue;
        r->layers[i] = *layer;
        return;
    }
    if (r->count == BUILD_RECORD_LAYERS_MAX)
        memmove(&r->layers[0], &r->layers[1], --r->count * sizeof *r->layers);
    r->layers[r->count++] = *layer;
}

bool build_record_layer_serves(const struct build_record_layer *layer, int64_t epoch)
{
    return layer->epoch < 0 || (epoch >= 0 && epoch <= layer->epoch);
}

/* --- The store --- */

int build_record_find(struct cas_store *store,
                      const struct digest *key,
                      bool *found,
                      struct build_record *out,
                      struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = NULL;

    if (cas_cache_find(store, key, found, &doc, err) < 0) {
        if (!error_is(err, ERROR_CORRUPT))
            return -1;
        error_clear(err); /* as good as none */
        *found = false;
        return 0;
    }
    *found = *found && build_record_parse(doc, out);
    return 0;
}

/* What there is of the same outcome. Under a definition it must be of the same inputs. */
static int merge(struct cas_store *store,
                 const struct digest *key,
                 struct build_record *r,
                 bool *same,
                 struct error *err)
{
    struct build_record there;
    struct build_record merged;
    bool found = false;

    *same = false;
    if (build_record_find(store, key, &found, &there, err) < 0)
        return -1;
    if (!found || !digest_eq(&there.outcome, &r->outcome) ||
        (key == &r->definition && !digest_eq(&there.inputs, &r->inputs)))
        return 0;
    *same = true;
    merged = there;
    for (size_t i = 0; i < r->count; i++)
        build_record_add(&merged, &r->layers[i]);
    memcpy(r->layers, merged.layers, sizeof r->layers);
    r->count = merged.count;
    return 0;
}

static int store_under(struct cas_store *store,
                       const struct digest *operation,
                       const struct digest *key,
                       struct build_record *r,
                       enum build_record_put how,
                       struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = NULL;
    bool same = false;

    if (!digest_is_set(key))
        return 0;
    if (merge(store, key, r, &same, err) < 0)
        return -1;
    if (!same && how == BUILD_RECORD_EXTEND)
        return 0;
    doc = build_record_doc(r);
    return cas_cache_put(store, key, operation, doc, err);
}

int build_record_store(struct cas_store *store,
                       const struct digest *operation,
                       const struct build_record *r,
                       enum build_record_put how,
                       struct error *err)
{
    struct build_record own = *r;

    if (store_under(store, operation, &own.content, &own, how, err) < 0 ||
        store_under(store, operation, &own.definition, &own, how, err) < 0)
        return -1;
    return store_under(store, operation, &own.result, &own, how, err);
}
