#include "cli/build_output.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cli_texts texts(const char *const *items)
{
    struct cli_texts list = {0};

    for (; *items != NULL; items++)
        cli_texts_add(&list, *items);
    return list;
}

#define TEXTS(name, ...)                                                                   \
    CLEANUP(cli_texts_release)                                                             \
    struct cli_texts name = texts((const char *const[]){__VA_ARGS__, NULL})

static void test_outputs_are_read_with_their_attributes(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
    TEXTS(list, "dir", "type=oci,dest=a.tar,compression=zstd,compression-level=7",
          "type=image,name=x,push=true,store=f",
          "type=docker,dest=d,tar=false,annotation.k=v,oci-mediatypes=0",
          "type=registry,name=r/x,push-by-digest=true,name-canonical=true",
          "type=docker,load=podman", "type=tar,dest=t,platform-split", "type=cacheonly");
    const struct cli_output_options from = {.outputs = list, .push = true};

    (void)state;
    assert_int_equal(cli_build_outputs(&from, &outputs, &err), 0);
    /* --push adds nothing where an output pushes already. */
    assert_int_equal(outputs.count, 8);
    assert_int_equal(outputs.items[0].type, BUILD_OUTPUT_LOCAL);
    assert_string_equal(outputs.items[0].dest, "dir");
    assert_int_equal(outputs.items[1].type, BUILD_OUTPUT_OCI);
    assert_int_equal(outputs.items[1].compression.type, CAS_COMPRESSION_ZSTD);
    assert_int_equal(outputs.items[1].compression.level, 7);
    assert_int_equal(outputs.items[2].type, BUILD_OUTPUT_REGISTRY);
    assert_string_equal(outputs.items[2].name, "x");
    assert_int_equal(outputs.items[2].compression.type, CAS_COMPRESSION_GZIP);
    assert_true(outputs.owned[2].keeps_refs);
    assert_true(outputs.items[3].directory);
    assert_true(outputs.items[3].docker_media_types);
    assert_int_equal(outputs.items[3].annotation_count, 1);
    assert_string_equal(outputs.items[3].annotations[0].name, "k");
    assert_true(outputs.items[4].by_digest);
    assert_int_equal(outputs.items[5].type, BUILD_OUTPUT_LOAD);
    assert_int_equal(outputs.items[5].into, BUILD_LOAD_PODMAN);
    assert_int_equal(outputs.items[6].splits_platforms, BUILD_YES);
    assert_int_equal(outputs.items[7].type, BUILD_OUTPUT_CACHE);
    assert_false(outputs.uses_stdout);
}

static void test_flags_hold_for_outputs_that_say_nothing(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
    TEXTS(list, "type=oci,dest=a", "type=oci,dest=b,compression=gzip",
          "type=oci,dest=c,compression-level=3");
    const struct cli_output_options from = {.outputs = list,
                                            .compression = "zstd",
                                            .compression_level = "12",
                                            .force_compression = true,
                                            .split = 5,
                                            .squash = true};
    struct build_request request = {0};

    (void)state;
    assert_int_equal(cli_build_outputs(&from, &outputs, &err), 0);
    assert_int_equal(outputs.items[0].compression.type, CAS_COMPRESSION_ZSTD);
    assert_int_equal(outputs.items[0].compression.level, 12);
    assert_true(outputs.items[0].compression.force);
    /* A level belongs to its type. */
    assert_int_equal(outputs.items[1].compression.type, CAS_COMPRESSION_GZIP);
    assert_int_equal(outputs.items[1].compression.level, 0);
    assert_int_equal(outputs.items[2].compression.type, CAS_COMPRESSION_ZSTD);
    assert_int_equal(outputs.items[2].compression.level, 3);
    cli_outputs_request(&outputs, &request);
    assert_int_equal(request.compression, CAS_COMPRESSION_ZSTD);
    assert_int_equal(request.compression_level, 12);
    assert_true(request.force_compression);
    assert_true(request.reshape.squash);
    assert_int_equal(request.reshape.split_size, 5);
}

static void test_the_store_gets_what_the_first_image_is(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
    TEXTS(list, "dir", "type=oci,dest=a,compression=uncompressed", "type=registry,name=x");
    const struct cli_output_options from = {.outputs = list};
    struct build_request request = {0};

    (void)state;
    assert_int_equal(cli_build_outputs(&from, &outputs, &err), 0);
    cli_outputs_request(&outputs, &request);
    assert_int_equal(request.compression, CAS_COMPRESSION_NONE);
    assert_false(request.keeps_refs);
}

static void test_push_and_load_are_outputs(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
    const struct cli_output_options from = {.push = true, .load = "containerd"};

    (void)state;
    assert_int_equal(cli_build_outputs(&from, &outputs, &err), 0);
    assert_int_equal(outputs.count, 2);
    assert_int_equal(outputs.items[0].type, BUILD_OUTPUT_REGISTRY);
    assert_int_equal(outputs.items[1].type, BUILD_OUTPUT_LOAD);
    assert_int_equal(outputs.items[1].into, BUILD_LOAD_CONTAINERD);
}

static void test_load_false_loads_nothing(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
    const struct cli_output_options from = {.load = "false"};

    (void)state;
    assert_int_equal(cli_build_outputs(&from, &outputs, &err), 0);
    assert_int_equal(outputs.count, 0);
}

static void test_outputs_that_contradict_themselves_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "dest=x",
        "type=x,dest=y",
        "type=local",
        "type=docker,tar=false",
        "type=docker,load=docker,dest=x",
        "type=docker,load=k8s",
        "type=image,dest=x",
        "type=image,push-by-digest=true",
        "type=image,unpack=true",
        "type=image,name-canonical=false",
        "type=image,registry.insecure=true",
        "type=image,dangling-name-prefix=x",
        "type=image,platform-split=true",
        "type=local,dest=-",
        "type=local,dest=x,push=true",
        "type=local,dest=x,name=y",
        "type=local,dest=x,compression=gzip",
        "type=local,dest=x,annotation.a=b",
        "type=local,dest=x,mode=delete",
        "type=oci,dest=x,tar=perhaps",
        "type=oci,dest=x,compression=lz4",
        "type=oci,dest=x,compression-level=99",
        "type=oci,dest=x,compression-level=10",
        "type=oci,dest=x,compression=uncompressed,compression-level=1",
        "type=oci,dest=x,compression=zstd,oci-mediatypes=false",
        "type=oci,dest=x,source-date-epoch=1",
        "type=oci,dest=x,attestation-inline=true",
        "type=oci,dest=x,annotation-layer.a=b",
        "type=oci,dest=x,annotation-other.a=b",
        "type=oci,dest=x,annotationa.b=c",
        "type=oci,dest=",
        "type=oci,dest=x,unknown=y",
        "type=cacheonly,name=x",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
        TEXTS(list, wrong[i]);
        const struct cli_output_options from = {.outputs = list};

        if (cli_build_outputs(&from, &outputs, &err) == 0)
            fail_msg("'%s' is taken", wrong[i]);
        assert_int_equal(err.code, ERROR_USAGE);
    }
}

static void test_two_outputs_to_one_place_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"type=oci,dest=x", "type=tar,dest=x"},
        {"type=oci", "-"},
        {"type=registry,name=a", "type=image,name=a,push=true"},
        {"type=docker", "type=load"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};
        TEXTS(list, wrong[i][0], wrong[i][1]);
        const struct cli_output_options from = {.outputs = list};

        assert_int_equal(cli_build_outputs(&from, &outputs, &err), -1);
        assert_int_equal(err.code, ERROR_USAGE);
    }
}

static void test_flags_that_cannot_be_are_refused(void **state)
{
    static const struct cli_output_options wrong[] = {
        {.compression = "bzip2"},
        {.compression_level = "10"},
        {.compression_level = "-1"},
        {.compression = "uncompressed", .compression_level = "3"},
        {.load = "maybe"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(cli_outputs_release) struct cli_outputs outputs = {0};

        assert_int_equal(cli_build_outputs(&wrong[i], &outputs, &err), -1);
        assert_int_equal(err.code, ERROR_USAGE);
    }
}

static void test_annotations_have_types_and_platforms(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(cli_annotations_release) struct cli_annotations a = {0};

    (void)state;
    assert_int_equal(cli_annotation_read("a=1=2", &a, &err), 0);
    assert_int_equal(
        cli_annotation_read("manifest[linux/amd64],manifest-descriptor:b.c=3", &a, &err),
        0);
    assert_int_equal(a.count, 3);
    assert_string_equal(a.items[0].name, "a");
    assert_string_equal(a.items[0].value, "1=2");
    assert_null(a.items[0].platform);
    assert_int_equal(a.items[0].on, BUILD_ANNOTATED_MANIFEST);
    assert_string_equal(a.items[1].platform, "linux/amd64");
    assert_string_equal(a.items[1].name, "b.c");
    assert_int_equal(a.items[1].on, BUILD_ANNOTATED_MANIFEST);
    assert_int_equal(a.items[2].on, BUILD_ANNOTATED_MANIFEST_DESCRIPTOR);
    assert_null(a.items[2].platform);
}

static void test_annotations_that_would_be_lost_are_refused(void **state)
{
    static const char *const wrong[] = {
        "a",
        "=b",
        "manifest:=b",
        "layer:a=b",
        "manifest[linux/amd64:a=b",
        "manifest[a/b/c/d]:a=b",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(cli_annotations_release) struct cli_annotations a = {0};

        if (cli_annotation_read(wrong[i], &a, &err) == 0)
            fail_msg("'%s' is taken", wrong[i]);
        assert_int_equal(err.code, ERROR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_are_read_with_their_attributes),
        cmocka_unit_test(test_flags_hold_for_outputs_that_say_nothing),
        cmocka_unit_test(test_the_store_gets_what_the_first_image_is),
        cmocka_unit_test(test_push_and_load_are_outputs),
        cmocka_unit_test(test_load_false_loads_nothing),
        cmocka_unit_test(test_outputs_that_contradict_themselves_are_refused),
        cmocka_unit_test(test_two_outputs_to_one_place_are_refused),
        cmocka_unit_test(test_flags_that_cannot_be_are_refused),
        cmocka_unit_test(test_annotations_have_types_and_platforms),
        cmocka_unit_test(test_annotations_that_would_be_lost_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
