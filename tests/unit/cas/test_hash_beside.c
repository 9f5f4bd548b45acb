#include "cas/hash_beside.h"

#include "base/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE ((size_t)5 << 20)

static char *make_bytes(void)
{
    char *bytes = base_alloc(SIZE);
    uint32_t x = 1;

    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
    return bytes;
}

/* In parts of all sizes, from one byte to more than the ring holds. */
static void put_all(struct hash_beside *b, const char *bytes)
{
    size_t part = 1;

    for (size_t at = 0; at < SIZE; at += part, part = part * 3 + 1) {
        if (part > SIZE - at)
            part = SIZE - at;
        hash_beside_put(b, bytes + at, part);
    }
}

static void check(const char *bytes, struct pool *pool)
{
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(DIGEST_SHA256);
    const struct digest want = digest_of(DIGEST_SHA256, (struct view){bytes, SIZE});
    struct hash_beside *b = hash_beside_new(hasher, pool);
    struct digest got;

    put_all(b, bytes);
    hash_beside_free(b);
    hasher_final(hasher, &got);
    assert_true(digest_eq(&got, &want));
}

static void test_the_digest_is_that_of_all_bytes_in_order(void **state)
{
    CLEANUP(base_freep) char *bytes = make_bytes();
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        check(bytes, pool);
}

struct gate {
    pthread_mutex_t lock;
};

static void wait_at_gate(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    pthread_mutex_unlock(&g->lock);
}

/* The only worker does not come before all was put. */
static void test_without_a_worker_the_putting_thread_hashes(void **state)
{
    CLEANUP(base_freep) char *bytes = make_bytes();
    CLEANUP(pool_freep) struct pool *pool = pool_new(1);
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(DIGEST_SHA512);
    struct hash_beside *b = hash_beside_new(hasher, pool);
    const struct digest want = digest_of(DIGEST_SHA512, (struct view){bytes, SIZE});
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct digest got;

    (void)state;
    pthread_mutex_lock(&gate.lock);
    pool_submit(pool, wait_at_gate, &gate);
    put_all(b, bytes);
    pthread_mutex_unlock(&gate.lock);
    hash_beside_free(b);
    hasher_final(hasher, &got);
    assert_true(digest_eq(&got, &want));
}

struct sender {
    const char *bytes;
    struct pool *pool;
};

static void *send(void *arg)
{
    const struct sender *s = arg;

    check(s->bytes, s->pool);
    return NULL;
}

static void test_many_share_a_pool(void **state)
{
    CLEANUP(base_freep) char *bytes = make_bytes();
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);
    struct sender sender = {bytes, pool};
    pthread_t threads[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send, &sender), 0);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_digest_is_that_of_all_bytes_in_order),
        cmocka_unit_test(test_without_a_worker_the_putting_thread_hashes),
        cmocka_unit_test(test_many_share_a_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
