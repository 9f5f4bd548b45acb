/*
 * The records of a stranger: a remote cache's bundle, and one record by itself. What is
 * taken says again what was read, every record is found under each of its keys, and every
 * layer by its diffID.
 */
#include "tests/fuzz/fuzz.h"

#include "builder/cache/bundle.h"

#include <assert.h>

static void check_layers(const struct build_record *r)
{
    assert(r->count <= BUILD_RECORD_LAYERS_MAX);
    assert(digest_is_set(&r->outcome));
    for (size_t i = 0; i < r->count; i++) {
        assert(digest_is_set(&r->layers[i].diff_id) && r->layers[i].created >= 0);
        for (size_t k = 0; k < i; k++)
            assert(r->layers[i].epoch != r->layers[k].epoch);
        assert(build_record_layer_serves(&r->layers[i], 0));
        assert(build_record_layer_serves(&r->layers[i], -1) == (r->layers[i].epoch < 0));
    }
}

static void check_record(const struct doc *d)
{
    struct build_record r;
    struct build_record again;
    struct doc *written;

    if (!build_record_parse(d, &r))
        return;
    check_layers(&r);
    written = build_record_doc(&r);
    assert(build_record_parse(written, &again));
    assert(again.count == r.count && digest_eq(&again.outcome, &r.outcome));
    doc_unref(written);
}

static void check_key(const struct build_bundle *b, const struct digest *key)
{
    const struct build_bundle_record *found =
        digest_is_set(key) ? build_bundle_find(b, key) : NULL;

    if (!digest_is_set(key))
        return;
    assert(found);
    assert(digest_eq(&found->record.definition, key) ||
           digest_eq(&found->record.content, key) || digest_eq(&found->record.result, key));
}

static void check_bundle(const struct build_bundle *b)
{
    for (size_t i = 0; i < b->record_count; i++) {
        check_layers(&b->records[i].record);
        assert(build_bundle_has_operation(b, &b->records[i].operation));
        check_key(b, &b->records[i].record.definition);
        check_key(b, &b->records[i].record.content);
        check_key(b, &b->records[i].record.result);
    }
    for (size_t i = 0; i < b->layer_count; i++) {
        const struct build_bundle_layer *l = NULL;
        bool found = false;

        while ((l = build_bundle_layer(b, &b->layers[i].diff_id, l)))
            found = found || l == &b->layers[i];
        assert(found);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(error_clear) struct error again = ERROR_INIT;
    CLEANUP(build_bundle_freep) struct build_bundle *b = NULL;
    CLEANUP(doc_unrefp)
    struct doc *d = doc_parse((struct view){(const char *)data, size}, &err);

    if (!d)
        return 0;
    check_record(d);
    b = build_bundle_parse(d, &err);
    if (!b) {
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_UNSUPPORTED));
        return 0;
    }
    check_bundle(b);
    CLEANUP(doc_unrefp) struct doc *written = build_bundle_doc(b);
    CLEANUP(build_bundle_freep)
    struct build_bundle *same = build_bundle_parse(written, &again);
    assert(same && same->record_count == b->record_count &&
           same->layer_count == b->layer_count && same->image_count == b->image_count);
    return 0;
}
