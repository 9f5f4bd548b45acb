#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/ref.h"
#include "cas/repository.h"
#include "cas/store_priv.h"

#include <pthread.h>
#include <string.h>

#define REPO "app"
#define NAME "localhost:5000/app:1"

static struct digest blob(struct fixture *f, const char *text)
{
    struct digest d;

    assert_ok(f, cas_blob_put(f->store, view_of(text), &d, &f->err));
    return d;
}

static enum cas_repository_state state_of(struct fixture *f,
                                          const char *repository,
                                          const struct digest *d,
                                          bool *is_private)
{
    enum cas_repository_state state;

    assert_ok(
        f, cas_repository_find_blob(f->store, repository, d, &state, is_private, &f->err));
    return state;
}

/* An image that is a referrer of `subject`, if there is one. */
static int put(struct fixture *f,
               const struct descriptor *image,
               const struct digest *subject,
               const struct cas_ref_guard *guard,
               struct cas_ref_verdict *verdict)
{
    static const char *const names[] = {NAME};
    struct cas_repository_manifest m = {0};
    const struct cas_repository_put p = {
        .repository = REPO,
        .manifest = &m,
        .names = names,
        .guards = guard,
        .name_count = guard ? 1 : 0,
        .why = "push",
    };

    descriptor_copy(&m.target, image);
    if (subject)
        m.subject = *subject;
    const int result = cas_repository_put_manifest(f->store, &p, verdict, &f->err);
    cas_repository_manifest_release(&m);
    return result;
}

static void test_a_blob_belongs_where_it_was_added(void **state)
{
    struct fixture *f = *state;
    const struct digest d = blob(f, "content");
    bool is_private;
    bool found;

    assert_int_equal(state_of(f, REPO, &d, &is_private), CAS_REPOSITORY_UNKNOWN);
    assert_false(is_private);
    assert_ok(f, cas_repository_add_blob(f->store, REPO, &d, true, &f->err));
    assert_int_equal(state_of(f, REPO, &d, &is_private), CAS_REPOSITORY_MEMBER);
    assert_true(is_private);
    assert_int_equal(state_of(f, "other", &d, &is_private), CAS_REPOSITORY_UNKNOWN);
    assert_true(is_private);
    assert_ok(f, cas_repository_find_blob_anywhere(f->store, &d, &found, &f->err));
    assert_true(found);
    assert_ok(f, cas_repository_remove_blob(f->store, REPO, &d, &f->err));
    assert_int_equal(state_of(f, REPO, &d, &is_private), CAS_REPOSITORY_REMOVED);
    assert_true(is_private);
    assert_ok(f, cas_repository_find_blob_anywhere(f->store, &d, &found, &f->err));
    assert_false(found);
    assert_ok(f, cas_repository_add_blob(f->store, REPO, &d, false, &f->err));
    assert_int_equal(state_of(f, REPO, &d, &is_private), CAS_REPOSITORY_MEMBER);
    assert_true(is_private);
}

static void test_a_manifest_and_its_tag_come_together(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor image = fixture_image(f, "one");
    CLEANUP(descriptor_release) struct descriptor found_as = {0};
    CLEANUP(cas_ref_release) struct cas_ref ref = {0};
    const struct cas_ref_guard guard = {0};
    struct cas_ref_verdict verdict;
    bool found;
    char **names;
    size_t count;

    assert_ok(f, put(f, &image, NULL, &guard, &verdict));
    assert_ok(f, cas_repository_find_manifest(f->store, REPO, &image.digest, &found,
                                              &found_as, &f->err));
    assert_true(found);
    assert_string_equal(found_as.media_type, image.media_type);
    assert_ok(f, cas_ref_find(f->store, NAME, &found, &ref, &f->err));
    assert_true(found);
    assert_ok(f, cas_repository_list(f->store, "", 10, &names, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(names[0], REPO);
    free(names[0]);
    free(names);
    assert_ok(f,
              cas_repository_remove_manifest(f->store, REPO, &image.digest, NULL, &f->err));
    assert_ok(f, cas_repository_find_manifest(f->store, REPO, &image.digest, &found, NULL,
                                              &f->err));
    assert_false(found);
}

static void test_a_manifest_without_its_blobs_is_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor d = fixture_blob(
        f, MEDIA_OCI_MANIFEST,
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x/y\",\"digest\":\"sha256:"
        "0000000000000000000000000000000000000000000000000000000000000000\",\"size\":1},"
        "\"layers\":[]}");
    const struct cas_ref_guard guard = {0};
    struct cas_ref_verdict verdict;

    assert_int_equal(put(f, &d, NULL, &guard, &verdict), -1);
    assert_code(f, ERROR_NOT_FOUND);
    assert_int_equal(verdict.refusal, CAS_REF_GRANTED);
}

static void refused(struct fixture *f,
                    const struct descriptor *image,
                    struct cas_ref_guard guard,
                    enum cas_ref_refusal why)
{
    struct cas_ref_verdict verdict;
    bool found;

    assert_int_equal(put(f, image, NULL, &guard, &verdict), -1);
    assert_code(f, ERROR_EXISTS);
    assert_int_equal(verdict.refusal, why);
    /* Nothing of it has happened. */
    assert_ok(f, cas_repository_find_manifest(f->store, REPO, &image->digest, &found, NULL,
                                              &f->err));
    assert_false(found);
}

static void test_guards_hold_tags(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor one = fixture_image(f, "one");
    CLEANUP(descriptor_release) struct descriptor two = fixture_image(f, "two");
    const struct cas_ref_guard absent = {.is_absent = true};
    const struct cas_ref_guard fixed = {.is_fixed = true};
    const struct cas_ref_guard is_one = {.is = one.digest};
    struct cas_ref_verdict verdict;

    refused(f, &one, is_one, CAS_REF_UNMET);
    refused(f, &one, (struct cas_ref_guard){.is_present = true}, CAS_REF_UNMET);
    assert_ok(f, put(f, &one, NULL, &absent, &verdict));
    refused(f, &two, absent, CAS_REF_UNMET);
    refused(f, &two, fixed, CAS_REF_FIXED);
    refused(f, &two, (struct cas_ref_guard){.is = two.digest}, CAS_REF_UNMET);
    refused(f, &two, (struct cas_ref_guard){.is_not = one.digest}, CAS_REF_UNMET);
    assert_ok(f, put(f, &one, NULL, &fixed, &verdict));
    assert_ok(f, put(f, &two, NULL, &is_one, &verdict));
    /* Where the name is missing, another one can stand in. */
    assert_ok(f, cas_ref_delete(f->store, NAME, "rmi", &f->err));
    assert_ok(f,
              cas_repository_remove_manifest(f->store, REPO, &one.digest, NULL, &f->err));
    assert_ok(f, cas_ref_set(f->store, "own", &two, "tag", &f->err));
    refused(f, &one, (struct cas_ref_guard){.stand_in = "own", .is_absent = true},
            CAS_REF_UNMET);
}

struct racer {
    struct fixture fixture; /* a copy, for its own error */
    struct descriptor image;
    bool won;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    const struct cas_ref_guard absent = {.is_absent = true};
    struct cas_ref_verdict verdict;

    r->won = put(&r->fixture, &r->image, NULL, &absent, &verdict) == 0;
    error_clear(&r->fixture.err);
    return NULL;
}

static void test_of_many_who_make_a_tag_one_wins(void **state)
{
    struct fixture *f = *state;
    struct racer racers[8];
    pthread_t threads[ARRAY_COUNT(racers)];
    unsigned winners = 0;

    for (size_t i = 0; i < ARRAY_COUNT(racers); i++) {
        CLEANUP(base_freep) char *seed = base_format("seed %zu", i);
        racers[i] = (struct racer){.fixture = *f, .image = fixture_image(f, seed)};
        racers[i].fixture.err = (struct error)ERROR_INIT;
    }
    for (size_t i = 0; i < ARRAY_COUNT(racers); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(racers); i++) {
        pthread_join(threads[i], NULL);
        winners += racers[i].won;
        descriptor_release(&racers[i].image);
    }
    assert_int_equal(winners, 1);
}

static void test_referrers_are_found_by_subject_type_and_page(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor subject = fixture_image(f, "subject");
    CLEANUP(descriptor_release) struct descriptor one = fixture_image(f, "one");
    CLEANUP(descriptor_release) struct descriptor two = fixture_image(f, "two");
    CLEANUP(cas_repository_manifests_release) struct cas_repository_manifests list = {0};
    const struct digest start = {.alg = DIGEST_NONE};
    struct cas_ref_verdict verdict;

    one.artifact_type = base_strdup("a/b");
    assert_ok(f, put(f, &one, &subject.digest, NULL, &verdict));
    assert_ok(f, put(f, &two, &subject.digest, NULL, &verdict));
    assert_ok(f, cas_repository_referrers(f->store, REPO, &subject.digest, "a/b", &start, 9,
                                          &list, &f->err));
    assert_int_equal(list.count, 1);
    assert_true(digest_eq(&list.items[0].target.digest, &one.digest));
    cas_repository_manifests_release(&list);
    assert_ok(f, cas_repository_referrers(f->store, REPO, &subject.digest, NULL, &start, 1,
                                          &list, &f->err));
    assert_int_equal(list.count, 1);
    const struct digest first = list.items[0].target.digest;
    cas_repository_manifests_release(&list);
    assert_ok(f, cas_repository_referrers(f->store, REPO, &subject.digest, NULL, &first, 9,
                                          &list, &f->err));
    assert_int_equal(list.count, 1);
    assert_false(digest_eq(&list.items[0].target.digest, &first));
    cas_repository_manifests_release(&list);
    assert_ok(f, cas_repository_referrers(f->store, "other", &subject.digest, NULL, &start,
                                          9, &list, &f->err));
    assert_int_equal(list.count, 0);
}

/* --- Garbage collection --- */

static void grow_old(struct fixture *f)
{
    static const char *const statements[] = {
        "UPDATE repository_blob SET time = time - 2 * 86400",
        "UPDATE repository_manifest SET time = time - 2 * 86400",
    };
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);

    for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
        struct cas_stmt *q = cas_meta_stmt(m, statements[i], &f->err);
        assert_non_null(q);
        assert_ok(f, cas_stmt_run(q, &f->err));
    }
}

static void collect(struct fixture *f)
{
    struct cas_gc_result result;

    assert_ok(f, cas_store_gc(f->store, CAS_GC_DEFAULT, &result, &f->err));
}

static void test_what_was_pushed_stays_for_a_day_without_a_tag(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor image = fixture_image(f, "one");
    const struct digest d = blob(f, "stray");
    struct cas_ref_verdict verdict;
    bool is_private;
    bool found;

    assert_ok(f, put(f, &image, NULL, NULL, &verdict));
    assert_ok(f, cas_repository_add_blob(f->store, REPO, &d, true, &f->err));
    collect(f);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 5);
    grow_old(f);
    collect(f);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
    /* Membership went with the content. */
    assert_int_equal(state_of(f, REPO, &d, &is_private), CAS_REPOSITORY_UNKNOWN);
    assert_false(is_private);
    assert_ok(f, cas_repository_find_manifest(f->store, REPO, &image.digest, &found, NULL,
                                              &f->err));
    assert_false(found);
}

static void test_what_refers_to_a_tagged_image_stays_with_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor image = fixture_image(f, "one");
    CLEANUP(descriptor_release) struct descriptor signature = fixture_image(f, "two");
    CLEANUP(descriptor_release) struct descriptor on_that = fixture_image(f, "three");
    const struct cas_ref_guard guard = {0};
    struct cas_ref_verdict verdict;

    /* The order of their digests is by chance: both orders are followed. */
    assert_ok(f, put(f, &image, NULL, &guard, &verdict));
    assert_ok(f, put(f, &signature, &image.digest, NULL, &verdict));
    assert_ok(f, put(f, &on_that, &signature.digest, NULL, &verdict));
    const size_t all = fixture_count(f, "blobs/sha256");
    grow_old(f);
    collect(f);
    assert_int_equal(fixture_count(f, "blobs/sha256"), all);
    assert_ok(f, cas_ref_delete(f->store, NAME, "rmi", &f->err));
    collect(f);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
}

static void test_refs_are_read_by_pages(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
    static const char *const names[] = {"a/x:1",   "a/x:2",  "a/x:3",
                                        "a/x-y:1", "a/xy:1", "b"};
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};

    assert_ok(f, cas_ref_set_many(f->store, names, ARRAY_COUNT(names), &d, "tag", &f->err));
    assert_ok(f, cas_ref_page(f->store, "a/x:", "", 2, &list, &f->err));
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].name, "a/x:2");
    cas_ref_list_release(&list);
    assert_ok(f, cas_ref_page(f->store, "a/x:", "2", 9, &list, &f->err));
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "a/x:3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_blob_belongs_where_it_was_added),
        fixture_test(test_a_manifest_and_its_tag_come_together),
        fixture_test(test_a_manifest_without_its_blobs_is_refused),
        fixture_test(test_guards_hold_tags),
        fixture_test(test_of_many_who_make_a_tag_one_wins),
        fixture_test(test_referrers_are_found_by_subject_type_and_page),
        fixture_test(test_what_was_pushed_stays_for_a_day_without_a_tag),
        fixture_test(test_what_refers_to_a_tagged_image_stays_with_it),
        fixture_test(test_refs_are_read_by_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
