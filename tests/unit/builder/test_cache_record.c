/* Records of the cache: which layers serve which builds, and what is kept beside what. */
#include "builder/cache/record.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "build_rig.h"

#include <string.h>

static struct digest d(const char *text)
{
    return digest_of(DIGEST_SHA256, view_of(text));
}

static struct build_record_layer layer(const char *name, int64_t epoch)
{
    return (struct build_record_layer){.diff_id = d(name), .created = 7, .epoch = epoch};
}

static void test_a_layer_serves_its_epoch_and_earlier_ones(void **state)
{
    const struct build_record_layer none = layer("a", -1);
    const struct build_record_layer dated = layer("a", 1000);

    (void)state;
    assert_true(build_record_layer_serves(&none, -1));
    assert_true(build_record_layer_serves(&none, 0));
    assert_true(build_record_layer_serves(&none, 5000));
    assert_true(build_record_layer_serves(&dated, 1000));
    assert_true(build_record_layer_serves(&dated, 0));
    /* What was later is lost. */
    assert_false(build_record_layer_serves(&dated, 1001));
    assert_false(build_record_layer_serves(&dated, -1));
}

static void test_one_layer_an_epoch_and_the_oldest_goes(void **state)
{
    struct build_record r = {0};
    struct build_record_layer l;

    (void)state;
    for (int64_t i = 0; i < BUILD_RECORD_LAYERS_MAX + 2; i++) {
        l = layer("a", i);
        build_record_add(&r, &l);
    }
    assert_int_equal(r.count, BUILD_RECORD_LAYERS_MAX);
    assert_int_equal(r.layers[0].epoch, 2);
    l = layer("b", 5);
    build_record_add(&r, &l);
    assert_int_equal(r.count, BUILD_RECORD_LAYERS_MAX);
    assert_true(digest_eq(&r.layers[3].diff_id, &l.diff_id));
}

static struct build_record sample(const char *outcome)
{
    struct build_record r = {.definition = d("definition"),
                             .content = d("content"),
                             .inputs = d("inputs"),
                             .outcome = d(outcome)};
    const struct build_record_layer l = layer("a", -1);

    build_record_add(&r, &l);
    return r;
}

static void test_a_document_gives_the_record_again(void **state)
{
    struct build_record r = sample("x");
    const struct build_record_layer l = layer("b", 12);
    CLEANUP(buf_release) struct buf before = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf after = BUF_INIT(LIMIT_TEXT_SIZE);
    struct build_record got;
    struct doc *doc, *written;

    (void)state;
    build_record_add(&r, &l);
    doc = build_record_doc(&r);
    assert_true(build_record_parse(doc, &got));
    written = build_record_doc(&got);
    doc_write(doc, 0, &before);
    doc_write(written, 0, &after);
    assert_string_equal(buf_text(&after), buf_text(&before));
    assert_int_equal(got.count, 2);
    assert_int_equal(got.layers[1].epoch, 12);
    doc_unref(written);
    doc_unref(doc);
}

static void test_what_is_no_record_is_refused(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"outcome\": 1}",
        "{\"outcome\": \"sha256:00\"}",
        "{\"outcome\": \"sha256:"
        "0000000000000000000000000000000000000000000000000000000000000000\","
        " \"layers\": {}}",
        "{\"outcome\": \"sha256:"
        "0000000000000000000000000000000000000000000000000000000000000000\","
        " \"layers\": [{\"created\": 1}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct error err = ERROR_INIT;
        struct doc *doc = doc_parse(view_of(texts[i]), &err);
        struct build_record r;

        assert_non_null(doc);
        assert_false(build_record_parse(doc, &r));
        doc_unref(doc);
    }
}

static void store(struct rig *r,
                  const struct build_record *record,
                  enum build_record_put how)
{
    const struct digest operation = d("operation");

    if (build_record_store(r->store, &operation, record, how, &r->err) < 0)
        fail_msg("%s", error_text(&r->err));
}

static bool find(struct rig *r, const char *key, struct build_record *out)
{
    const struct digest digest = d(key);
    bool found = false;

    if (build_record_find(r->store, &digest, &found, out, &r->err) < 0)
        fail_msg("%s", error_text(&r->err));
    return found;
}

static void test_layers_of_other_epochs_stay(void **state)
{
    struct rig *r = *state;
    struct build_record first = sample("x");
    struct build_record second = sample("x");
    struct build_record got;

    store(r, &first, BUILD_RECORD_REPLACE);
    second.layers[0] = layer("b", 99);
    store(r, &second, BUILD_RECORD_REPLACE);
    assert_true(find(r, "definition", &got));
    assert_int_equal(got.count, 2);
    assert_true(find(r, "content", &got));
    assert_int_equal(got.count, 2);
}

static void test_another_outcome_replaces(void **state)
{
    struct rig *r = *state;
    struct build_record first = sample("x");
    struct build_record second = sample("y");
    struct build_record got;

    store(r, &first, BUILD_RECORD_REPLACE);
    second.layers[0] = layer("b", 99);
    store(r, &second, BUILD_RECORD_EXTEND);
    assert_true(find(r, "definition", &got));
    assert_int_equal(got.count, 1);
    assert_true(digest_eq(&got.outcome, &first.outcome));
    store(r, &second, BUILD_RECORD_REPLACE);
    assert_true(find(r, "definition", &got));
    assert_int_equal(got.count, 1);
    assert_true(digest_eq(&got.outcome, &second.outcome));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_layer_serves_its_epoch_and_earlier_ones),
        cmocka_unit_test(test_one_layer_an_epoch_and_the_oldest_goes),
        cmocka_unit_test(test_a_document_gives_the_record_again),
        cmocka_unit_test(test_what_is_no_record_is_refused),
        rig_test(test_layers_of_other_epochs_stay),
        rig_test(test_another_outcome_replaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
