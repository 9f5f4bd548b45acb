#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/reach.h"
#include "cas/ref.h"
#include "cas/repository.h"
#include "cas/sparse.h"
#include "cas/store_priv.h"

#include <string.h>
#include <unistd.h>

#define REPO "app"
#define NAME "localhost:5000/app:1"

/* An index of images, as their descriptors say. */
static struct descriptor index_of(struct fixture *f,
                                  const struct descriptor *entries,
                                  size_t count)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();
    struct doc *list = doc_new_array();
    struct descriptor out = {0};

    for (size_t i = 0; i < count; i++)
        doc_append(list, descriptor_doc(&entries[i]));
    doc_set(d, "schemaVersion", doc_new_int(2));
    doc_set(d, "manifests", list);
    assert_ok(f, cas_blob_put_doc(f->store, d, MEDIA_OCI_INDEX, 100000, &out, &f->err));
    return out;
}

/* Pushed under NAME, without what is in `absent`. */
static int push(struct fixture *f,
                const struct descriptor *d,
                const struct digest *absent,
                size_t count)
{
    static const char *const names[] = {NAME};
    const struct cas_ref_guard guard = {0};
    struct cas_ref_verdict verdict;
    struct cas_repository_manifest m = {0};
    const struct cas_repository_put p = {
        .repository = REPO,
        .manifest = &m,
        .absent = absent,
        .absent_count = count,
        .names = names,
        .guards = &guard,
        .name_count = 1,
        .why = "push",
    };

    descriptor_copy(&m.target, d);
    const int result = cas_repository_put_manifest(f->store, &p, &verdict, &f->err);
    cas_repository_manifest_release(&m);
    return result;
}

/* As if it had never come. */
static void take_away(struct fixture *f, const struct digest *d)
{
    assert_int_equal(unlinkat(f->store->fd, cas_blob_path(d).text, 0), 0);
}

static void collect_old(struct fixture *f)
{
    static const char *const statements[] = {
        "UPDATE repository_blob SET time = time - 2 * 86400",
        "UPDATE repository_manifest SET time = time - 2 * 86400",
    };
    struct cas_gc_result result;

    {
        CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(f->store->meta);
        for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
            struct cas_stmt *q = cas_meta_stmt(m, statements[i], &f->err);
            assert_non_null(q);
            assert_ok(f, cas_stmt_run(q, &f->err));
        }
    }
    assert_ok(f, cas_store_gc(f->store, CAS_GC_DEFAULT, &result, &f->err));
}

static size_t sparse_count(struct fixture *f,
                           const char *repository,
                           const struct digest *d)
{
    CLEANUP(digest_set_release) struct digest_set set = {0};

    assert_ok(f, cas_sparse_find(f->store, repository, d, &set, &f->err));
    return set.count;
}

static void test_only_what_was_said_to_be_absent_may_be(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor here = fixture_image(f, "here");
    CLEANUP(descriptor_release) struct descriptor gone = fixture_image(f, "gone");
    const struct descriptor both[] = {here, gone};
    CLEANUP(descriptor_release) struct descriptor index = index_of(f, both, 2);

    take_away(f, &gone.digest);
    assert_int_equal(push(f, &index, NULL, 0), -1);
    assert_code(f, ERROR_NOT_FOUND);
    assert_ok(f, push(f, &index, &gone.digest, 1));
    assert_int_equal(sparse_count(f, REPO, &index.digest), 1);
    assert_int_equal(sparse_count(f, NULL, &index.digest), 1);
    assert_int_equal(sparse_count(f, "other", &index.digest), 0);
    /* So it can be named again, and be part of something else; other things may not lack.
     */
    assert_ok(f, cas_ref_set(f->store, "mine", &index, "tag", &f->err));
    CLEANUP(descriptor_release) struct descriptor outer = index_of(f, &index, 1);
    assert_ok(f, push(f, &outer, NULL, 0));
    CLEANUP(descriptor_release) struct descriptor bare = index_of(f, &gone, 1);
    assert_int_equal(cas_reach_check(f->store, &bare, &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
}

static void test_collection_keeps_what_there_is_of_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor here = fixture_image(f, "here");
    CLEANUP(descriptor_release) struct descriptor late = fixture_image(f, "late");
    const size_t all = fixture_count(f, "blobs/sha256");
    const struct descriptor both[] = {here, late};
    CLEANUP(descriptor_release) struct descriptor index = index_of(f, both, 2);

    /* It was there all the time, but not in this repository. */
    assert_ok(f, push(f, &index, &late.digest, 1));
    collect_old(f);
    assert_int_equal(fixture_count(f, "blobs/sha256"), all + 1);
    assert_int_equal(sparse_count(f, NULL, &index.digest), 1);
    assert_ok(f, cas_ref_delete(f->store, NAME, "rmi", &f->err));
    collect_old(f);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
    assert_int_equal(sparse_count(f, NULL, &index.digest), 0);
}

static void test_names_that_lie_stop_nobody(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor here = fixture_image(f, "here");
    CLEANUP(descriptor_release) struct descriptor wrong_size = fixture_image(f, "size");
    CLEANUP(descriptor_release)
    struct descriptor no_image =
        fixture_blob(f, MEDIA_OCI_MANIFEST, "neither JSON nor image");
    CLEANUP(descriptor_release)
    struct descriptor odd = fixture_blob(f, MEDIA_OCI_INDEX, "{\"manifests\": [1]}");

    wrong_size.size++;
    const struct descriptor entries[] = {here, wrong_size, no_image, odd};
    const struct digest absent[] = {wrong_size.digest, no_image.digest, odd.digest};
    CLEANUP(descriptor_release) struct descriptor index = index_of(f, entries, 4);
    assert_int_equal(push(f, &index, absent, 2), -1);
    assert_ok(f, push(f, &index, absent, 3));
    assert_ok(f, cas_reach_check(f->store, &index, &f->err));
    collect_old(f);
    assert_ok(f, cas_reach_check(f->store, &here, &f->err));
}

static void test_pushed_once_more_it_is_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor image = fixture_image(f, "one");
    CLEANUP(descriptor_release) struct descriptor index = index_of(f, &image, 1);

    assert_ok(f, push(f, &index, &image.digest, 1));
    assert_ok(f, push(f, &index, NULL, 0));
    assert_int_equal(sparse_count(f, NULL, &index.digest), 0);
    take_away(f, &image.digest);
    assert_int_equal(cas_reach_check(f->store, &index, &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_only_what_was_said_to_be_absent_may_be),
        fixture_test(test_collection_keeps_what_there_is_of_it),
        fixture_test(test_names_that_lie_stop_nobody),
        fixture_test(test_pushed_once_more_it_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
