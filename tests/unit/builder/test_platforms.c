/* Several platforms in one build: what is common, what each has, how they are joined. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "builder/step_foreign.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/index.h"

#include <string.h>

static const char *const platforms[] = {"linux/amd64", "linux/arm64", "linux/s390x"};

static struct doc *read_doc(struct rig *r, const struct descriptor *d)
{
    struct doc *doc = cas_blob_read_doc(r->store, d, LIMIT_MANIFEST_SIZE, &r->err);

    assert_non_null(doc);
    return doc;
}

static void test_an_index_has_an_image_of_each_platform(void **state)
{
    struct rig *r = *state;

    r->request.platforms = platforms;
    r->request.platform_count = 3;
    rig_write(r, "a", "a");
    rig_dockerfile(r, "FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n");
    rig_must_build(r);
    assert_string_equal(r->result.manifest.media_type, MEDIA_OCI_INDEX);
    assert_false(digest_is_set(&r->result.config));
    CLEANUP(doc_unrefp) struct doc *index = read_doc(r, &r->result.manifest);
    const struct doc *entries = doc_get(index, "manifests");
    assert_int_equal(doc_count(entries), 3);
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        CLEANUP(registry_image_release) struct registry_image image = {0};
        struct registry_platform p;

        assert_int_equal(descriptor_parse(doc_at(entries, i), &d, &r->err), 0);
        assert_int_equal(registry_platform_from_doc(d.platform, &p, &r->err), 0);
        assert_string_equal(registry_platform_format(&p).text, platforms[i]);
        assert_int_equal(
            registry_image_load(r->store, &r->result.manifest, &p, &image, &r->err), 0);
        assert_true(digest_eq(&image.manifest.digest, &d.digest));
        CLEANUP(doc_unrefp) struct doc *config = read_doc(r, &image.config);
        assert_string_equal(doc_text(doc_get(config, "architecture")), platforms[i] + 6);
    }
}

static void test_one_platform_is_no_index(void **state)
{
    struct rig *r = *state;

    r->request.platforms = platforms + 1;
    r->request.platform_count = 1;
    rig_dockerfile(r, "FROM scratch\nLABEL a=b\n");
    rig_must_build(r);
    assert_string_equal(r->result.manifest.media_type, MEDIA_OCI_MANIFEST);
    assert_true(digest_is_set(&r->result.config));
}

static void test_what_is_the_same_for_all_is_done_once(void **state)
{
    struct rig *r = *state;

    r->request.platforms = platforms;
    r->request.platform_count = 3;
    r->request.no_cache = true;
    rig_write(r, "a", "a");
    rig_dockerfile(r, "FROM --platform=$BUILDPLATFORM scratch AS shared\nCOPY a /a\n"
                      "FROM shared\nARG TARGETARCH\nWORKDIR /$TARGETARCH\n");
    rig_must_build(r);
    assert_string_equal(r->events, "DDDD"); /* one COPY, three WORKDIRs */
    assert_int_equal(r->result.steps, 4);
}

static void test_images_are_the_same_built_alone_or_together(void **state)
{
    struct rig *r = *state;
    struct digest alone;

    r->request.epoch = 1700000000;
    r->request.platforms = platforms + 1;
    r->request.platform_count = 1;
    rig_write(r, "a", "a");
    rig_dockerfile(r, "FROM scratch\nCOPY a /\n");
    rig_must_build(r);
    alone = r->result.manifest.digest;
    r->request.platforms = platforms;
    r->request.platform_count = 3;
    rig_must_build(r);
    CLEANUP(doc_unrefp) struct doc *index = read_doc(r, &r->result.manifest);
    assert_string_equal(doc_text(doc_get(doc_at(doc_get(index, "manifests"), 1), "digest")),
                        digest_format(&alone).text);
}

static void test_annotations_go_where_they_are_meant(void **state)
{
    static const struct build_annotation annotations[] = {
        {.name = "all", .value = "1"},
        {.name = "arm", .value = "2", .platform = "linux/arm64"},
        {.name = "entry", .value = "3", .on = BUILD_ANNOTATED_MANIFEST_DESCRIPTOR},
        {.name = "index", .value = "4", .on = BUILD_ANNOTATED_INDEX},
        {.name = "named", .value = "5", .on = BUILD_ANNOTATED_INDEX_DESCRIPTOR},
    };
    static const char *const own[] = {"{\"all\":\"1\"}", "{\"all\":\"1\",\"arm\":\"2\"}"};
    struct rig *r = *state;

    r->request.platforms = platforms;
    r->request.platform_count = 2;
    r->request.annotations = annotations;
    r->request.annotation_count = ARRAY_COUNT(annotations);
    rig_dockerfile(r, "FROM scratch\nLABEL a=b\n");
    rig_must_build(r);
    assert_string_equal(doc_text(doc_get(r->result.manifest.annotations, "named")), "5");
    CLEANUP(doc_unrefp) struct doc *index = read_doc(r, &r->result.manifest);
    assert_string_equal(doc_text(doc_get(doc_get(index, "annotations"), "index")), "4");
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

        assert_int_equal(
            descriptor_parse(doc_at(doc_get(index, "manifests"), i), &d, &r->err), 0);
        assert_string_equal(doc_text(doc_get(d.annotations, "entry")), "3");
        CLEANUP(doc_unrefp) struct doc *manifest = read_doc(r, &d);
        doc_write(doc_get(manifest, "annotations"), DOC_WRITE_COMPACT, &text);
        assert_string_equal(buf_text(&text), own[i]);
    }
    r->request.platform_count = 1;
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, ERROR_INVALID, "not for the platform linux/arm64");
    r->request.annotations = annotations + 3;
    r->request.annotation_count = 1;
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, ERROR_USAGE, "has no index");
}

static void test_what_holds_one_image_is_refused(void **state)
{
    static const struct {
        struct build_output output;
        const char *says;
    } wrong[] = {
        {{.type = BUILD_OUTPUT_DOCKER, .dest = "x"}, "type=docker"},
        {{.type = BUILD_OUTPUT_LOAD, .name = "x"}, "--load"},
        {{.type = BUILD_OUTPUT_LOCAL, .dest = "x", .splits_platforms = BUILD_NO},
         "platform-split=false"},
    };
    struct rig *r = *state;

    r->request.platforms = platforms;
    r->request.platform_count = 2;
    r->request.output_count = 1;
    rig_dockerfile(r, "FROM scratch\nLABEL a=b\n");
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        r->request.outputs = &wrong[i].output;
        assert_int_equal(rig_build(r), -1);
        rig_expect_failure(r, ERROR_USAGE, wrong[i].says);
    }
}

/* An image for one platform, built by itself. */
static void build_part(struct rig *r,
                       size_t platform,
                       const char *version,
                       struct descriptor *out)
{
    CLEANUP(base_freep)
    char *text =
        base_format("FROM scratch\nLABEL org.opencontainers.image.version=%s\n", version);

    r->request.platforms = platforms + platform;
    r->request.platform_count = 1;
    rig_dockerfile(r, text);
    rig_must_build(r);
    descriptor_copy(out, &r->result.manifest);
    /* As a registry's reference gives it: the platform is in the config alone. */
    doc_unref(out->platform);
    out->platform = NULL;
}

static void test_images_that_belong_together_are_joined(void **state)
{
    struct rig *r = *state;
    CLEANUP(registry_join_release) struct registry_join join = {0};
    CLEANUP(descriptor_release) struct descriptor first = {0};
    CLEANUP(descriptor_release) struct descriptor second = {0};
    CLEANUP(descriptor_release) struct descriptor index = {0};
    CLEANUP(registry_join_release) struct registry_join again = {0};

    build_part(r, 0, "1", &first);
    build_part(r, 1, "1", &second);
    assert_int_equal(registry_join_add(&join, r->store, "a", &first, &r->err), 0);
    assert_int_equal(registry_join_add(&join, r->store, "b", &second, &r->err), 0);
    assert_int_equal(registry_join_add(&join, r->store, "a", &first, &r->err), 0);
    assert_int_equal(join.count, 2);
    assert_string_equal(doc_text(doc_get(join.parts[1].entry.platform, "architecture")),
                        "arm64");
    assert_int_equal(registry_join_check(&join, &r->err), 0);
    const struct descriptor entries[] = {join.parts[0].entry, join.parts[1].entry};
    assert_int_equal(registry_index_put(r->store, entries, 2, NULL, false, &index, &r->err),
                     0);
    /* Of an index all its images are taken. */
    assert_int_equal(registry_join_add(&again, r->store, "i", &index, &r->err), 0);
    assert_int_equal(again.count, 2);
}

static void test_images_that_do_not_belong_together_are_refused(void **state)
{
    struct rig *r = *state;
    CLEANUP(registry_join_release) struct registry_join join = {0};
    CLEANUP(descriptor_release) struct descriptor first = {0};
    CLEANUP(descriptor_release) struct descriptor rival = {0};
    CLEANUP(descriptor_release) struct descriptor newer = {0};

    build_part(r, 0, "1", &first);
    build_part(r, 0, "2", &rival);
    build_part(r, 1, "2", &newer);
    assert_int_equal(registry_join_add(&join, r->store, "a", &first, &r->err), 0);
    assert_int_equal(registry_join_add(&join, r->store, "b", &rival, &r->err), -1);
    rig_expect_failure(r, ERROR_EXISTS, "a and b are both for linux/amd64");
    assert_int_equal(registry_join_add(&join, r->store, "c", &newer, &r->err), 0);
    assert_int_equal(registry_join_check(&join, &r->err), -1);
    rig_expect_failure(r, ERROR_INVALID, "version is 1 in a and 2 in c");
}

static void test_the_architecture_is_read_from_the_header(void **state)
{
    uint8_t head[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    const char *architecture, *qemu;

    (void)state;
    head[18] = 183;
    assert_true(step_foreign_read(head, sizeof head, &architecture, &qemu));
    assert_string_equal(architecture, "arm64");
    assert_string_equal(qemu, "aarch64");
    assert_false(step_foreign_read(head, 19, &architecture, &qemu));
    head[5] = 2; /* big-endian */
    head[18] = 0;
    head[19] = 21;
    assert_true(step_foreign_read(head, sizeof head, &architecture, &qemu));
    assert_string_equal(architecture, "ppc64");
    head[19] = 1;
    assert_false(step_foreign_read(head, sizeof head, &architecture, &qemu));
    head[0] = '#';
    assert_false(step_foreign_read(head, sizeof head, &architecture, &qemu));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_an_index_has_an_image_of_each_platform),
        rig_test(test_one_platform_is_no_index),
        rig_test(test_what_is_the_same_for_all_is_done_once),
        rig_test(test_images_are_the_same_built_alone_or_together),
        rig_test(test_annotations_go_where_they_are_meant),
        rig_test(test_what_holds_one_image_is_refused),
        rig_test(test_images_that_belong_together_are_joined),
        rig_test(test_images_that_do_not_belong_together_are_refused),
        cmocka_unit_test(test_the_architecture_is_read_from_the_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
