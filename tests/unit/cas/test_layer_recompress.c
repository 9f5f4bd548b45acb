/* A layer's blob compressed anew: the same tar, whoever made it. */
#include "cas/layer_recompress.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "cas/blob.h"
#include "cas/record.h"
#include "layer_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const enum cas_compression types[] = {CAS_COMPRESSION_GZIP, CAS_COMPRESSION_ZSTD,
                                             CAS_COMPRESSION_NONE};

/* A tar that cooper would have written otherwise: out of order, larger than some blocks. */
static struct cas_layer *foreign(struct fixture *f, size_t size)
{
    CLEANUP(base_freep) char *bytes = base_alloc(size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * i >> 7 ^ i / 1000);
    return LAYER(f, {.name = "z", .data = bytes, .size = size, .uid = 7},
                 {.name = "a", .data = "first"}, {.name = "a/../b", .data = "odd"});
}

static struct cas_layer *again(struct fixture *f,
                               struct cas_layer *layer,
                               enum cas_compression type,
                               struct pool *pool)
{
    const struct cas_layer_options o = {.compression = type, .epoch = -1, .pool = pool};
    struct cas_layer *made = cas_layer_recompress(layer, &o, &f->err);

    if (!made)
        fail_msg("%s", error_text(&f->err));
    return made;
}

/* From each form to each other, with any number of threads: the tar comes back. */
static void test_every_form_unpacks_to_the_same_tar(void **state)
{
    struct fixture *f = *state;

    for (unsigned threads = 1; threads <= 3; threads += 2) {
        CLEANUP(pool_freep) struct pool *pool = pool_new(threads);
        CLEANUP(cas_layer_unrefp) struct cas_layer *first = foreign(f, 7500000);

        for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
            CLEANUP(cas_layer_unrefp)
            struct cas_layer *other = again(f, first, types[i], pool);
            CLEANUP(cas_layer_unrefp)
            struct cas_layer *back = again(f, other, CAS_COMPRESSION_NONE, pool);

            assert_string_equal(cas_layer_blob(other)->media_type,
                                cas_layer_media_type(types[i]));
            assert_true(digest_eq(cas_layer_diff_id(other), cas_layer_diff_id(first)));
            assert_true(
                digest_eq(&cas_layer_blob(back)->digest, &cas_layer_blob(first)->digest));
        }
    }
}

static void test_the_bytes_do_not_depend_on_threads(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *one = pool_new(1);
    CLEANUP(pool_freep) struct pool *many = pool_new(5);
    CLEANUP(cas_layer_unrefp) struct cas_layer *layer = foreign(f, 9000000);
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *a = again(f, layer, CAS_COMPRESSION_GZIP, one);
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *b = again(f, layer, CAS_COMPRESSION_GZIP, many);

    assert_true(digest_eq(&cas_layer_blob(a)->digest, &cas_layer_blob(b)->digest));
    assert_int_equal(cas_layer_blob(a)->size, cas_layer_blob(b)->size);
}

/* Sizes around the end of a block: the tar of one file is 512 + its size, in blocks of 512,
 * and two of them at the end. */
static void test_tars_that_end_with_a_block(void **state)
{
    static const size_t sizes[] = {0, 1, (1 << 20) - 4096, (1 << 20) - 512, 1 << 20};
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);

    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        CLEANUP(cas_layer_unrefp) struct cas_layer *layer = foreign(f, sizes[i]);
        CLEANUP(cas_layer_unrefp)
        struct cas_layer *zstd = again(f, layer, CAS_COMPRESSION_ZSTD, pool);
        CLEANUP(cas_layer_unrefp)
        struct cas_layer *back = again(f, zstd, CAS_COMPRESSION_NONE, pool);

        assert_true(
            digest_eq(&cas_layer_blob(back)->digest, &cas_layer_blob(layer)->digest));
    }
}

static void test_a_layer_that_unpacks_to_something_else_is_corrupt(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);
    CLEANUP(cas_layer_unrefp) struct cas_layer *layer = foreign(f, 1000);
    const struct digest other = digest_of(DIGEST_SHA256, VIEW_LIT("another"));
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *lying =
        cas_layer_new(f->store, &other, cas_layer_blob(layer), NULL, NULL);
    const struct cas_layer_options o = {.compression = CAS_COMPRESSION_ZSTD, .pool = pool};

    assert_null(cas_layer_recompress(lying, &o, &f->err));
    assert_int_equal(f->err.code, ERROR_CORRUPT);
}

static void test_it_ends_when_it_is_told_to(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);
    CLEANUP(cas_layer_unrefp) struct cas_layer *layer = foreign(f, 1000);
    const bool cancel = true;
    const struct cas_layer_options o = {
        .compression = CAS_COMPRESSION_ZSTD, .pool = pool, .cancel = &cancel};

    assert_null(cas_layer_recompress(layer, &o, &f->err));
    assert_int_equal(f->err.code, ERROR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_every_form_unpacks_to_the_same_tar),
        fixture_test(test_the_bytes_do_not_depend_on_threads),
        fixture_test(test_tars_that_end_with_a_block),
        fixture_test(test_a_layer_that_unpacks_to_something_else_is_corrupt),
        fixture_test(test_it_ends_when_it_is_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
