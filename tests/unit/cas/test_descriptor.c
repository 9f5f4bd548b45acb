#include "cas/descriptor.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static int parse(const char *text, struct descriptor *out, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(view_of(text), err);

    assert_non_null(doc);
    return descriptor_parse(doc, out, err);
}

static void test_members_survive_and_stand_in_the_specifications_order(void **state)
{
    static const char text[] =
        "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"sha256:" HEX
        "\",\"size\":9223372036854775807,\"annotations\":{\"z\":\"1\",\"a\":\"2\"},"
        "\"platform\":{\"architecture\":\"amd64\",\"os\":\"linux\"},"
        "\"artifactType\":\"application/x\"}";
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(descriptor_release) struct descriptor copy = {0};
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(parse(text, &d, &err), 0);
    assert_int_equal(d.size, INT64_MAX);
    descriptor_copy(&copy, &d);
    CLEANUP(doc_unrefp) struct doc *doc = descriptor_doc(&copy);
    doc_write(doc, DOC_WRITE_COMPACT, &out);
    assert_string_equal(buf_text(&out), text);
}

static void test_malformed_descriptors_are_invalid(void **state)
{
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"mediaType\":\"\",\"digest\":\"sha256:" HEX "\",\"size\":1}",
        "{\"mediaType\":1,\"digest\":\"sha256:" HEX "\",\"size\":1}",
        "{\"mediaType\":\"a/b\",\"size\":1}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:1\",\"size\":1}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX "\"}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX "\",\"size\":-1}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX "\",\"size\":1.5}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX "\",\"size\":\"1\"}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX
        "\",\"size\":1,\"annotations\":{\"a\":1}}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX
        "\",\"size\":1,\"annotations\":[]}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX
        "\",\"size\":1,\"platform\":\"x\"}",
        "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX
        "\",\"size\":1,\"artifactType\":1}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct descriptor d;
        if (parse(texts[i], &d, &err) == 0)
            fail_msg("accepted: %s", texts[i]);
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_release_can_be_repeated(void **state)
{
    const struct digest digest = digest_of(DIGEST_SHA256, VIEW_LIT("abc"));
    struct descriptor d;

    (void)state;
    descriptor_init(&d, "a/b", &digest, 3);
    descriptor_release(&d);
    descriptor_release(&d);
    assert_null(d.media_type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_survive_and_stand_in_the_specifications_order),
        cmocka_unit_test(test_malformed_descriptors_are_invalid),
        cmocka_unit_test(test_release_can_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
