#include "cas/digest.h"

#include "base/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* FIPS 180-2, appendix B.1 and C.1. */
#define ABC256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC512                                                                             \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                     \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static struct digest parsed(const char *text)
{
    struct digest d = {.alg = DIGEST_NONE};
    struct error err = ERROR_INIT;

    if (digest_parse(view_of(text), &d, &err) < 0)
        fail_msg("%s", error_text(&err));
    return d;
}

static void test_known_answers(void **state)
{
    const struct digest d256 = digest_of(DIGEST_SHA256, VIEW_LIT("abc"));
    const struct digest d512 = digest_of(DIGEST_SHA512, VIEW_LIT("abc"));

    (void)state;
    assert_string_equal(digest_format(&d256).text, "sha256:" ABC256);
    assert_string_equal(digest_format(&d512).text, "sha512:" ABC512);
    assert_string_equal(digest_hex(&d256).text, ABC256);
}

static void test_text_round_trip(void **state)
{
    static const char *const texts[] = {"sha256:" ABC256, "sha512:" ABC512};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct digest d = parsed(texts[i]);
        assert_string_equal(digest_format(&d).text, texts[i]);
    }
}

static void expect_code(const char *text, enum error_code code)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest d;

    assert_int_equal(digest_parse(view_of(text), &d, &err), -1);
    if (err.code != code)
        fail_msg("'%s': %s", text, error_text(&err));
}

static void test_malformed_digests_are_invalid(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        "sha256",
        "sha256:",
        ABC256,
        "sha256:" ABC256 "0",
        "sha256:" ABC256 " ",
        " sha256:" ABC256,
        "SHA256:" ABC256,
        "sha256:../../../etc/passwd",
        "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha512:" ABC256,
        "sha256::" ABC256,
        "sha+:abc",
        "+sha:abc",
        "sha256/x:abc",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        expect_code(texts[i], ERROR_INVALID);
}

static void test_unknown_algorithms_are_unsupported(void **state)
{
    (void)state;
    expect_code("blake3:abcdef", ERROR_UNSUPPORTED);
    expect_code("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
                ERROR_UNSUPPORTED);
}

static void test_a_nul_byte_is_no_part_of_a_digest(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char text[] = "sha256:" ABC256;
    struct digest d;

    (void)state;
    text[20] = '\0';
    assert_int_equal(digest_parse((struct view){text, sizeof text - 1}, &d, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
}

static void test_comparison_orders_algorithm_then_bytes(void **state)
{
    const struct digest a = digest_of(DIGEST_SHA256, VIEW_LIT("a"));
    const struct digest b = digest_of(DIGEST_SHA256, VIEW_LIT("b"));
    const struct digest c = digest_of(DIGEST_SHA512, VIEW_LIT("a"));
    const struct digest none = {.alg = DIGEST_NONE};

    (void)state;
    assert_true(digest_eq(&a, &a));
    assert_false(digest_eq(&a, &b));
    assert_true(digest_compare(&a, &b) == -digest_compare(&b, &a) ||
                (digest_compare(&a, &b) > 0) == (digest_compare(&b, &a) < 0));
    assert_true(digest_compare(&a, &c) < 0);
    assert_false(digest_is_set(&none));
    assert_true(digest_eq(&none, &none));
}

static void test_a_hasher_can_be_used_again(void **state)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest first;
    struct digest second;

    (void)state;
    hasher_update(h, "a", 1);
    hasher_update(h, "bc", 2);
    hasher_final(h, &first);
    hasher_update(h, "abc", 3);
    hasher_final(h, &second);
    assert_string_equal(digest_hex(&first).text, ABC256);
    assert_true(digest_eq(&first, &second));
}

static void test_check_tells_right_from_wrong(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct digest d = parsed("sha256:" ABC256);

    (void)state;
    assert_int_equal(digest_check(&d, VIEW_LIT("abc"), &err), 0);
    assert_int_equal(digest_check(&d, VIEW_LIT("abd"), &err), -1);
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void *hash_much(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        const struct digest d = digest_of(DIGEST_SHA256, VIEW_LIT("abc"));
        if (strcmp(digest_hex(&d).text, ABC256) != 0)
            return arg;
    }
    return NULL;
}

static void test_threads_hash_at_once(void **state)
{
    pthread_t threads[4];
    void *wrong;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_much, threads), 0);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_hash_at_once),
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_malformed_digests_are_invalid),
        cmocka_unit_test(test_unknown_algorithms_are_unsupported),
        cmocka_unit_test(test_a_nul_byte_is_no_part_of_a_digest),
        cmocka_unit_test(test_comparison_orders_algorithm_then_bytes),
        cmocka_unit_test(test_a_hasher_can_be_used_again),
        cmocka_unit_test(test_check_tells_right_from_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
