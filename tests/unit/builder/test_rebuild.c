/* Records of builds: read back as requests; what is no record is refused. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "builder/provenance.h"
#include "builder/rebuild.h"

#include <string.h>

#define RECORD(parameters, dependencies)                                                   \
    "{\"predicate\":{\"buildDefinition\":{\"buildType\":\"" BUILD_PROVENANCE_TYPE          \
    "\",\"externalParameters\":" parameters ",\"resolvedDependencies\":" dependencies      \
    "}}}"

static void test_what_is_no_record_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum error_code code;
    } wrong[] = {
        {"{}", ERROR_CORRUPT},
        {"[]", ERROR_CORRUPT},
        {"{\"predicate\":{\"buildDefinition\":{\"buildType\":\"https://mobyproject.org\","
         "\"externalParameters\":{}}}}",
         ERROR_UNSUPPORTED},
        {RECORD("{}", "[]"), ERROR_CORRUPT},
        {RECORD("{\"dockerfileText\":1}", "[]"), ERROR_CORRUPT},
        {RECORD("{\"dockerfileText\":\"FROM scratch\",\"compression\":77}", "[]"),
         ERROR_CORRUPT},
        {RECORD("{\"dockerfileText\":\"\",\"split\":-1}", "[]"), ERROR_CORRUPT},
        {RECORD("{\"dockerfileText\":\"\"}", "[{\"uri\":\"docker-image://x\"}]"),
         ERROR_CORRUPT},
        {RECORD("{\"dockerfileText\":\"\"}",
                "[{\"uri\":\"docker-image://x\",\"digest\":{\"sha256\":\"abc\"}}]"),
         ERROR_INVALID},
        {RECORD("{\"dockerfileText\":\"\",\"context\":\"-\"}", "[]"), ERROR_NOT_FOUND},
        {RECORD("{\"dockerfileText\":\"\",\"context\":\"/not/there\"}", "[]"),
         ERROR_NOT_FOUND},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(doc_unrefp) struct doc *record = doc_parse(view_of(wrong[i].text), &err);
        struct build_rebuild r;

        assert_non_null(record);
        if (build_rebuild_open(record, NULL, &r, &err) == 0)
            fail_msg("%s is taken", wrong[i].text);
        if (err.code != wrong[i].code)
            fail_msg("%s: %s", wrong[i].text, error_text(&err));
    }
}

static const struct build_pair args[] = {{"WHAT", "this"}, {"https_proxy", "secret"}};
static const struct build_pair labels[] = {{"l", "1"}, {"m", "2"}};
static const struct build_annotation annotations[] = {
    {.name = "a", .value = "b", .on = BUILD_ANNOTATED_MANIFEST_DESCRIPTOR}};
static const char *const platforms[] = {"linux/arm64"};

static void fill(struct rig *r)
{
    rig_write(r, "a", "a");
    rig_dockerfile(r, "FROM scratch\nARG WHAT\nLABEL what=$WHAT\nCOPY a /\n");
    r->request.epoch = 1700000000;
    r->request.args = args;
    r->request.arg_count = 2;
    r->request.labels = labels;
    r->request.label_count = 2;
    r->request.annotations = annotations;
    r->request.annotation_count = 1;
    r->request.platforms = platforms;
    r->request.platform_count = 1;
    r->request.compression = CAS_COMPRESSION_ZSTD;
    r->request.compression_level = 5;
}

static void test_a_record_gives_the_request_back(void **state)
{
    struct rig *r = *state;
    CLEANUP(build_rebuild_release) struct build_rebuild again = {0};
    CLEANUP(doc_unrefp) struct doc *record = NULL;
    struct digest first;

    fill(r);
    rig_must_build(r);
    first = r->result.manifest.digest;
    record = build_provenance_find(r->store, &first, &r->err);
    assert_non_null(record);
    assert_int_equal(build_rebuild_open(record, NULL, &again, &r->err), 0);
    assert_string_equal(again.request.context, r->context);
    assert_int_equal(again.request.arg_count, 1); /* no proxy */
    assert_string_equal(again.request.args[0].value, "this");
    assert_int_equal(again.request.label_count, 2);
    assert_string_equal(again.request.labels[1].name, "m");
    assert_int_equal(again.request.annotations[0].on, BUILD_ANNOTATED_MANIFEST_DESCRIPTOR);
    assert_string_equal(again.request.platforms[0], "linux/arm64");
    assert_int_equal(again.request.epoch, 1700000000);
    assert_int_equal(again.request.compression, CAS_COMPRESSION_ZSTD);
    assert_int_equal(again.request.compression_level, 5);
    assert_true(again.request.no_cache);
    /* And that request gives the image. */
    r->request = again.request;
    rig_must_build(r);
    assert_true(digest_eq(&r->result.manifest.digest, &first));
}

static void test_the_first_step_that_differs_is_known(void **state)
{
    struct rig *r = *state;
    CLEANUP(doc_unrefp) struct doc *before = NULL;
    CLEANUP(doc_unrefp) struct doc *after = NULL;

    rig_write(r, "a", "a");
    rig_write(r, "b", "b");
    rig_dockerfile(r, "FROM scratch\nCOPY a /\nCOPY b /\n");
    rig_must_build(r);
    before = build_provenance_find(r->store, &r->result.manifest.digest, &r->err);
    rig_write(r, "b", "other");
    rig_must_build(r);
    after = build_provenance_find(r->store, &r->result.manifest.digest, &r->err);
    assert_non_null(before);
    assert_non_null(after);
    assert_string_equal(build_provenance_first_change(before, after), "[2/2] COPY b /");
    assert_null(build_provenance_first_change(before, before));
}

static void test_an_image_from_elsewhere_has_no_record(void **state)
{
    struct rig *r = *state;
    struct digest other;

    other = digest_of(DIGEST_SHA256, VIEW_LIT("x"));
    assert_null(build_provenance_find(r->store, &other, &r->err));
    assert_int_equal(r->err.code, ERROR_NOT_FOUND);
    error_clear(&r->err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_record_is_refused),
        rig_test(test_a_record_gives_the_request_back),
        rig_test(test_the_first_step_that_differs_is_known),
        rig_test(test_an_image_from_elsewhere_has_no_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
