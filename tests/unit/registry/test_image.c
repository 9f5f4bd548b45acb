#include "fixture.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "registry/image.h"

#include <stdlib.h>
#include <string.h>

#define HEX "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f788"
/* Entries are told apart by their digests' last digit. */
#define ENTRY(n, more)                                                                     \
    "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"sha256:" HEX n                 \
    "\",\"size\":10" more "}"
#define PLATFORM(os, architecture, variant)                                                \
    ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" architecture                    \
    "\",\"variant\":\"" variant "\"}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static struct doc *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct doc *d = doc_parse(view_of(text), &err);

    OK(d ? 0 : -1, &err);
    return d;
}

/* The last digit of the chosen entry's digest, or the error's code. */
static char choose(const char *text, const char *platform, enum error_code *code)
{
    CLEANUP(doc_unrefp) struct doc *d = parse(text);
    CLEANUP(descriptor_release) struct descriptor out = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct registry_platform want;

    OK(registry_platform_parse(view_of(platform), &want, &err), &err);
    *code = ERROR_NONE;
    if (registry_index_choose(d, &want, &out, &err) < 0) {
        *code = err.code;
        return 0;
    }
    return digest_hex(&out.digest).text[63];
}

static void test_best_entry_is_chosen_wherever_it_stands(void **state)
{
    static const char index[] = INDEX(ENTRY("1", PLATFORM("linux", "386", "")) "," ENTRY(
        "2", PLATFORM("linux", "arm",
                      "v6")) "," ENTRY("3", PLATFORM("linux", "arm",
                                                     "v7")) "," ENTRY("4", PLATFORM("linux",
                                                                                    "amd64",
                                                                                    "")));
    enum error_code code;

    (void)state;
    assert_int_equal(choose(index, "linux/amd64", &code), '4');
    assert_int_equal(choose(index, "linux/386", &code), '1');
    assert_int_equal(choose(index, "linux/arm/v7", &code), '3');
    assert_int_equal(choose(index, "linux/arm/v6", &code), '2');
    assert_int_equal(choose(index, "linux/arm64", &code), '3');
    assert_int_equal(choose(index, "linux/arm/v5", &code), 0);
    assert_int_equal(code, ERROR_NOT_FOUND);
}

static void test_attestations_are_never_chosen(void **state)
{
    static const char index[] = INDEX(ENTRY(
        "1", ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-"
             "manifest\"}" PLATFORM(
                 "linux", "amd64", "")) "," ENTRY("2", PLATFORM("unknown", "unknown", "")));
    enum error_code code;

    (void)state;
    assert_int_equal(choose(index, "linux/amd64", &code), 0);
    assert_int_equal(code, ERROR_NOT_FOUND);
}

static void test_entry_without_platform_is_the_last_resort(void **state)
{
    enum error_code code;

    (void)state;
    assert_int_equal(
        choose(INDEX(ENTRY("1", "") "," ENTRY("2", PLATFORM("linux", "amd64", ""))),
               "linux/amd64", &code),
        '2');
    assert_int_equal(
        choose(INDEX(ENTRY("1", "") "," ENTRY("2", PLATFORM("linux", "arm", ""))),
               "linux/amd64", &code),
        '1');
}

static void test_documents_say_what_they_are(void **state)
{
    static const struct {
        const char *text, *hint, *want;
        enum error_code code;
    } cases[] = {
        {"{\"schemaVersion\":2,\"manifests\":[]}", NULL, MEDIA_OCI_INDEX, ERROR_NONE},
        {"{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_DOCKER_INDEX, MEDIA_DOCKER_INDEX,
         ERROR_NONE},
        {"{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", "text/plain",
         MEDIA_OCI_MANIFEST, ERROR_NONE},
        {"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_DOCKER_MANIFEST
         "\",\"config\":{},\"layers\":[]}",
         MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST, ERROR_NONE},
        {"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX
         "\",\"config\":{},\"layers\":[]}",
         NULL, NULL, ERROR_INVALID},
        {"{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_OCI_MANIFEST, NULL, ERROR_INVALID},
        {"{\"schemaVersion\":3,\"manifests\":[]}", NULL, NULL, ERROR_INVALID},
        {"{\"manifests\":[]}", NULL, NULL, ERROR_INVALID},
        {"{\"schemaVersion\":1}", NULL, NULL, ERROR_UNSUPPORTED},
        {"\"text\"", NULL, NULL, ERROR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(doc_unrefp) struct doc *d = parse(cases[i].text);
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        const char *got = registry_manifest_media_type(d, cases[i].hint, &err);

        assert_int_equal(err.code, cases[i].code);
        if (cases[i].want)
            assert_string_equal(got, cases[i].want);
        else
            assert_null(got);
    }
}

static void test_images_load_from_the_store_through_nested_indexes(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor inner = {0};
    CLEANUP(descriptor_release) struct descriptor outer = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};

    make_index(f->store, 1, &inner);
    CLEANUP(base_freep)
    char *text =
        base_format("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\","
                    "\"digest\":\"%s\",\"size\":%zu}]}",
                    MEDIA_OCI_INDEX, digest_format(&inner.digest).text, (size_t)inner.size);
    put_blob(f->store, MEDIA_OCI_INDEX, view_of(text), &outer);
    OK(registry_image_load(f->store, &outer, NULL, &image, &f->err), &f->err);
    assert_true(digest_eq(&image.root.digest, &outer.digest));
    assert_int_equal(image.layer_count, 2);
    assert_string_equal(image.config.media_type, MEDIA_OCI_CONFIG);
}

static void test_artifacts_and_too_many_layers_are_no_images(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(buf_release) struct buf many = BUF_INIT(1 << 20);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    struct registry_image image = {0};
    static const char artifact[] =
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
        "vnd.oci.empty.v1+json\","
        "\"digest\":\"sha256:" HEX "2\",\"size\":2},\"layers\":[]}";

    put_blob(f->store, MEDIA_OCI_MANIFEST, VIEW_LIT(artifact), &root);
    assert_int_equal(registry_image_load(f->store, &root, NULL, &image, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_UNSUPPORTED);
    buf_append_text(&many, "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
                           "vnd.oci.image.config.v1+json\",\"digest\":\"sha256:" HEX
                           "1\",\"size\":2},\"layers\":[");
    for (int i = 0; i < 501; i++)
        buf_printf(&many, "%s%s", i ? "," : "", ENTRY("2", ""));
    buf_append_text(&many, "]}");
    d = parse(buf_text(&many));
    assert_int_equal(registry_image_parse(d, &image, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_LIMIT);
    registry_image_release(&image);
}

#define WITH_STORE(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_entry_is_chosen_wherever_it_stands),
        cmocka_unit_test(test_attestations_are_never_chosen),
        cmocka_unit_test(test_entry_without_platform_is_the_last_resort),
        cmocka_unit_test(test_documents_say_what_they_are),
        WITH_STORE(test_images_load_from_the_store_through_nested_indexes),
        WITH_STORE(test_artifacts_and_too_many_layers_are_no_images),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
