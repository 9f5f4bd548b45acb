/* One holder at a time, among threads and processes; the dead hold nothing. */
#include "cas/claim.h"

#include "base/alloc.h"
#include "cas/lease.h"
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct digest what(const char *text)
{
    return digest_of(DIGEST_SHA256, view_of(text));
}

static struct cas_claim *claim(struct fixture *f, const char *text)
{
    const struct digest d = what(text);
    struct cas_claim *c;

    assert_ok(f, cas_claim_try(f->store, &d, &c, &f->err));
    return c;
}

static void test_one_holds_a_claim(void **state)
{
    struct fixture *f = *state;
    struct cas_claim *a = claim(f, "a");
    struct cas_claim *b = claim(f, "b");

    assert_non_null(a);
    assert_non_null(b);
    assert_null(claim(f, "a"));
    cas_claim_release(a);
    a = claim(f, "a");
    assert_non_null(a);
    assert_null(claim(f, "b"));
    cas_claim_release(a);
    cas_claim_release(b);
    cas_claim_release(NULL);
}

static void test_a_released_claim_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    const size_t before = fixture_count(f, "leases");
    struct cas_claim *a = claim(f, "a");

    assert_int_equal(fixture_count(f, "leases"), before + 1);
    cas_claim_release(a);
    assert_int_equal(fixture_count(f, "leases"), before);
}

/* Tells through `ready` that it has the claim, and waits to be killed. */
static void hold_for_ever(struct fixture *f, int ready)
{
    const struct digest d = what("a");
    struct error err = ERROR_INIT;
    struct cas_claim *c = NULL;
    char answer = 'n';

    if (cas_claim_try(f->store, &d, &c, &err) == 0 && c)
        answer = 'y';
    if (write(ready, &answer, 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void test_a_killed_holder_leaves_its_claim_to_others(void **state)
{
    struct fixture *f = *state;
    struct cas_claim *a;
    int ends[2];
    char answer = 0;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        hold_for_ever(f, ends[1]);
    assert_int_equal(read(ends[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    assert_null(claim(f, "a"));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    a = claim(f, "a");
    assert_non_null(a);
    cas_claim_release(a);
    close(ends[0]);
    close(ends[1]);
}

static void test_the_next_start_clears_what_the_dead_left(void **state)
{
    struct fixture *f = *state;
    const struct digest d = what("a");
    CLEANUP(base_freep)
    char *path = base_format("leases/" CAS_CLAIM_PREFIX "%s", digest_hex(&d).text);
    struct cas_claim *held = claim(f, "held");

    fixture_write(f, path, "");
    assert_true(fixture_exists(f, path));
    assert_ok(f, cas_lease_clean(cas_store_fd(f->store), &f->err));
    assert_false(fixture_exists(f, path));
    assert_null(claim(f, "held"));
    cas_claim_release(held);
}

static void test_a_claim_keeps_nothing_from_collection(void **state)
{
    struct fixture *f = *state;
    struct cas_gc_result result;
    struct cas_claim *held = claim(f, "held");
    struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER, "garbage");

    assert_ok(f, cas_store_gc(f->store, CAS_GC_KEEP_CACHE, &result, &f->err));
    assert_int_equal(result.blobs, 1);
    descriptor_release(&d);
    cas_claim_release(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_one_holds_a_claim),
        fixture_test(test_a_released_claim_leaves_no_file),
        fixture_test(test_a_killed_holder_leaves_its_claim_to_others),
        fixture_test(test_the_next_start_clears_what_the_dead_left),
        fixture_test(test_a_claim_keeps_nothing_from_collection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
