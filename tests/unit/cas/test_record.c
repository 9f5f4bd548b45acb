#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/record.h"
#include "cas/store_priv.h"

#include <unistd.h>

static struct digest key(const char *text)
{
    return digest_of(DIGEST_SHA256, view_of(text));
}

static struct descriptor put_layer(struct fixture *f,
                                   const struct digest *diff,
                                   const char *type,
                                   const char *text)
{
    struct descriptor d = fixture_blob(f, type, text);

    assert_ok(f, cas_layer_record_put(f->store, diff, &d, NULL, &f->err));
    return d;
}

static bool find_layer(struct fixture *f,
                       const struct digest *diff,
                       const char *type,
                       struct descriptor *d)
{
    bool found;

    assert_ok(f, cas_layer_record_find(f->store, diff, type, &found, d, &f->err));
    return found;
}

static void test_a_layers_blob_is_found_by_diff_id_and_back(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = key("tar");
    CLEANUP(descriptor_release)
    struct descriptor d = put_layer(f, &diff, MEDIA_OCI_LAYER_GZIP, "gz");
    CLEANUP(descriptor_release) struct descriptor got = {0};
    struct digest back;
    bool found;

    assert_true(find_layer(f, &diff, NULL, &got));
    assert_true(digest_eq(&got.digest, &d.digest));
    assert_int_equal(got.size, 2);
    assert_string_equal(got.media_type, MEDIA_OCI_LAYER_GZIP);
    assert_ok(f, cas_layer_record_find_blob(f->store, &d.digest, &found, &back, &f->err));
    assert_true(found);
    assert_true(digest_eq(&back, &diff));
}

static void test_an_unknown_layer_is_not_found(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = key("tar");
    struct descriptor d;
    struct digest back;
    bool found;

    assert_false(find_layer(f, &diff, NULL, &d));
    assert_ok(f, cas_layer_record_find_blob(f->store, &diff, &found, &back, &f->err));
    assert_false(found);
}

static void test_the_preferred_media_type_comes_first_and_others_serve(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {MEDIA_OCI_LAYER_GZIP, MEDIA_OCI_LAYER_ZSTD};
    const struct digest diff = key("tar");

    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct descriptor d = put_layer(f, &diff, types[i], types[i]);
        descriptor_release(&d);
    }
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        CLEANUP(descriptor_release) struct descriptor got = {0};
        assert_true(find_layer(f, &diff, types[i], &got));
        assert_string_equal(got.media_type, types[i]);
    }
    CLEANUP(descriptor_release) struct descriptor any = {0};
    assert_true(find_layer(f, &diff, MEDIA_OCI_LAYER, &any));
}

static void test_a_record_without_its_blob_counts_as_absent(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = key("tar");
    CLEANUP(descriptor_release)
    struct descriptor gz = put_layer(f, &diff, MEDIA_OCI_LAYER_GZIP, "gz");
    CLEANUP(descriptor_release)
    struct descriptor zst = put_layer(f, &diff, MEDIA_OCI_LAYER_ZSTD, "zst");
    CLEANUP(descriptor_release) struct descriptor got = {0};
    struct descriptor none;

    assert_int_equal(unlinkat(f->store->fd, cas_blob_path(&gz.digest).text, 0), 0);
    assert_true(find_layer(f, &diff, MEDIA_OCI_LAYER_GZIP, &got));
    assert_true(digest_eq(&got.digest, &zst.digest));
    fixture_write(f, cas_blob_path(&zst.digest).text, "z");
    assert_false(find_layer(f, &diff, NULL, &none));
}

static void test_a_layers_annotations_come_back(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = key("tar");
    CLEANUP(descriptor_release) struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER, "x");
    CLEANUP(descriptor_release) struct descriptor got = {0};

    d.annotations = doc_new_object();
    doc_set_text(d.annotations, "k", "v");
    assert_ok(f, cas_layer_record_put(f->store, &diff, &d, NULL, &f->err));
    assert_true(find_layer(f, &diff, NULL, &got));
    assert_string_equal(doc_text(doc_get(got.annotations, "k")), "v");
}

static void put_cache(struct fixture *f, const char *k, const char *op, const char *text)
{
    CLEANUP(doc_unrefp) struct doc *value = doc_new_object();
    const struct digest key_digest = key(k);
    const struct digest op_digest = key(op);

    doc_set_text(value, "v", text);
    assert_ok(f, cas_cache_put(f->store, &key_digest, &op_digest, value, &f->err));
}

static bool cache_has(struct fixture *f, const char *k, const char *text)
{
    const struct digest d = key(k);
    struct doc *value = NULL;
    bool found;

    assert_ok(f, cas_cache_find(f->store, &d, &found, &value, &f->err));
    CLEANUP(doc_unrefp) struct doc *owned = found ? value : NULL;
    if (found)
        assert_string_equal(doc_text(doc_get(owned, "v")), text);
    return found;
}

static bool has_op(struct fixture *f, const char *op)
{
    const struct digest d = key(op);
    bool found;

    assert_ok(f, cas_cache_has_op(f->store, &d, &found, &f->err));
    return found;
}

static void test_a_cache_record_is_found_until_deleted(void **state)
{
    struct fixture *f = *state;
    const struct digest k = key("k");

    assert_false(cache_has(f, "k", NULL));
    put_cache(f, "k", "op", "first");
    assert_true(cache_has(f, "k", "first"));
    put_cache(f, "k", "op", "second");
    assert_true(cache_has(f, "k", "second"));
    assert_ok(f, cas_cache_delete(f->store, &k, &f->err));
    assert_false(cache_has(f, "k", NULL));
    assert_ok(f, cas_cache_delete(f->store, &k, &f->err));
}

static void test_records_are_grouped_by_operation(void **state)
{
    struct fixture *f = *state;
    const struct digest k = key("k1");

    assert_false(has_op(f, "op"));
    put_cache(f, "k1", "op", "a");
    put_cache(f, "k2", "op", "b");
    assert_ok(f, cas_cache_delete(f->store, &k, &f->err));
    assert_true(has_op(f, "op"));
    assert_false(has_op(f, "other"));
}

static void test_records_are_seen_by_other_handles_and_later(void **state)
{
    struct fixture *f = *state;
    struct cas_store *mine = f->store;

    f->store = NULL;
    fixture_open(f);
    put_cache(f, "k", "op", "a");
    fixture_close(f);
    f->store = mine;
    assert_true(cache_has(f, "k", "a"));
    fixture_close(f);
    fixture_open(f);
    assert_true(cache_has(f, "k", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_layers_blob_is_found_by_diff_id_and_back),
        fixture_test(test_an_unknown_layer_is_not_found),
        fixture_test(test_the_preferred_media_type_comes_first_and_others_serve),
        fixture_test(test_a_record_without_its_blob_counts_as_absent),
        fixture_test(test_a_layers_annotations_come_back),
        fixture_test(test_a_cache_record_is_found_until_deleted),
        fixture_test(test_records_are_grouped_by_operation),
        fixture_test(test_records_are_seen_by_other_handles_and_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
