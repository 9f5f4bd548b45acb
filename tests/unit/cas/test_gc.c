#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/record.h"
#include "cas/ref.h"
#include "cas/statcache.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Blobs of an image of the fixture: manifest, config, two layers. */
#define IMAGE_BLOBS 4

static struct cas_gc_result collect(struct fixture *f, bool keep_cache)
{
    struct cas_gc_result result;

    assert_ok(f, cas_store_gc(f->store, keep_cache ? CAS_GC_KEEP_CACHE : CAS_GC_DEFAULT,
                              &result, &f->err));
    return result;
}

static size_t blobs(struct fixture *f)
{
    return fixture_count(f, "blobs/sha256");
}

static void set(struct fixture *f, const char *name, const char *seed)
{
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, seed);

    assert_ok(f, cas_ref_set(f->store, name, &d, "build", &f->err));
}

static void test_what_a_ref_needs_is_kept_and_the_rest_goes(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor stray = {0};

    set(f, "a", "one");
    stray = fixture_image(f, "two");
    const struct cas_gc_result r = collect(f, true);
    assert_int_equal(r.blobs, IMAGE_BLOBS);
    assert_true(r.bytes > 0);
    assert_int_equal(blobs(f), IMAGE_BLOBS);
    set(f, "a", "one");
    assert_int_equal(collect(f, true).blobs, 0);
}

static void test_a_deleted_image_goes_but_for_what_others_share(void **state)
{
    struct fixture *f = *state;

    set(f, "a", "one");
    set(f, "b", "one");
    set(f, "c", "two");
    assert_ok(f, cas_ref_delete(f->store, "b", "rmi", &f->err));
    assert_ok(f, cas_ref_delete(f->store, "c", "rmi", &f->err));
    assert_int_equal(collect(f, true).blobs, IMAGE_BLOBS);
    assert_int_equal(blobs(f), IMAGE_BLOBS);
}

static void test_indexes_keep_their_images(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor image = fixture_image(f, "one");
    CLEANUP(base_freep)
    char *text = base_format("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\","
                             "\"digest\":\"%s\",\"size\":%ju}]}",
                             image.media_type, digest_format(&image.digest).text,
                             (uintmax_t)image.size);
    CLEANUP(descriptor_release)
    struct descriptor index = fixture_blob(f, MEDIA_OCI_INDEX, text);

    assert_ok(f, cas_ref_set(f->store, "a", &index, "pull", &f->err));
    assert_int_equal(collect(f, false).blobs, 0);
    assert_int_equal(blobs(f), IMAGE_BLOBS + 1);
}

/* A record that names its layer by diffID, deep inside. */
static struct digest put_cached_layer(struct fixture *f, const char *text)
{
    const struct digest diff = digest_of(DIGEST_SHA256, VIEW_LIT("the tar"));
    CLEANUP(descriptor_release)
    struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, text);
    CLEANUP(doc_unrefp) struct doc *value = doc_new_object();
    struct doc *list = doc_new_array();

    assert_ok(f, cas_layer_record_put(f->store, &diff, &d, NULL, &f->err));
    doc_append_text(list, digest_format(&diff).text);
    doc_set(value, "layers", list);
    assert_ok(f, cas_cache_put(f->store, &diff, &diff, value, &f->err));
    return diff;
}

static bool has_layer(struct fixture *f, const struct digest *diff)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    bool found;

    assert_ok(f, cas_layer_record_find(f->store, diff, NULL, &found, &d, &f->err));
    return found;
}

static void test_the_build_cache_keeps_its_layers_when_it_is_kept(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = put_cached_layer(f, "cached");
    CLEANUP(doc_unrefp) struct doc *value = NULL;
    bool found;

    assert_int_equal(collect(f, true).blobs, 0);
    assert_true(has_layer(f, &diff));
    assert_int_equal(collect(f, false).blobs, 1);
    assert_false(has_layer(f, &diff));
    assert_ok(f, cas_cache_find(f->store, &diff, &found, &value, &f->err));
    assert_false(found);
}

static void test_a_layer_record_alone_keeps_nothing_and_goes_with_its_blob(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = digest_of(DIGEST_SHA256, VIEW_LIT("tar"));
    CLEANUP(descriptor_release) struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER, "x");
    struct digest back;
    bool found;

    assert_ok(f, cas_layer_record_put(f->store, &diff, &d, NULL, &f->err));
    assert_int_equal(collect(f, true).blobs, 1);
    assert_ok(f, cas_layer_record_find_blob(f->store, &d.digest, &found, &back, &f->err));
    assert_false(found);
}

static void make_layer_dir(struct fixture *f,
                           const char *before,
                           const struct digest *d,
                           const char *behind)
{
    CLEANUP(base_freep)
    char *name = base_format("layers/%s%s%s", before, digest_hex(d).text, behind);
    CLEANUP(base_freep) char *file = base_format("%s/file", name);

    assert_int_equal(mkdirat(f->store->fd, name, 0755), 0);
    fixture_write(f, file, "content");
}

static void test_unpacked_layers_and_indexes_go_with_their_layer(void **state)
{
    struct fixture *f = *state;
    const struct digest kept = put_cached_layer(f, "cached");
    const struct digest stray = digest_of(DIGEST_SHA256, VIEW_LIT("stray"));
    CLEANUP(base_freep)
    char *kept_index = base_format("index/sha256/%s", digest_hex(&kept).text);
    CLEANUP(base_freep)
    char *stray_index = base_format("index/sha256/%s", digest_hex(&stray).text);

    assert_true(mkdirat(f->store->fd, "index/sha256", 0700) == 0 ||
                fixture_exists(f, "index/sha256"));
    fixture_write(f, kept_index, "x");
    fixture_write(f, stray_index, "x");
    make_layer_dir(f, "", &kept, "");
    make_layer_dir(f, "sha256-", &kept, ".user");
    make_layer_dir(f, "", &stray, "");
    make_layer_dir(f, "sha256-", &stray, ".user");
    assert_int_equal(collect(f, true).layers, 2);
    assert_int_equal(fixture_count(f, "layers"), 2);
    assert_true(fixture_exists(f, kept_index));
    assert_false(fixture_exists(f, stray_index));
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

/* The blob of a base may never have come, while its index did. */
static void test_a_layer_that_only_the_cache_names_keeps_its_index(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = digest_of(DIGEST_SHA256, VIEW_LIT("lazy"));
    CLEANUP(doc_unrefp)
    struct doc *value = doc_new_text(view_of(digest_format(&diff).text));

    assert_ok(f, cas_cache_put(f->store, &diff, &diff, value, &f->err));
    make_layer_dir(f, "", &diff, "");
    assert_int_equal(collect(f, true).layers, 0);
    assert_int_equal(collect(f, false).layers, 1);
}

static void set_image_with_diff_ids(struct fixture *f, const char *one, const char *two)
{
    CLEANUP(base_freep)
    char *text = base_format(
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%s\"]}}", one, two);
    CLEANUP(descriptor_release)
    struct descriptor config = fixture_blob(f, MEDIA_OCI_CONFIG, text);
    CLEANUP(base_freep)
    char *manifest = base_format("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\","
                                 "\"digest\":\"%s\",\"size\":%ju},\"layers\":[]}",
                                 MEDIA_OCI_CONFIG, digest_format(&config.digest).text,
                                 (uintmax_t)config.size);
    CLEANUP(descriptor_release)
    struct descriptor target = fixture_blob(f, MEDIA_OCI_MANIFEST, manifest);

    assert_ok(f, cas_ref_set(f->store, "a", &target, "build", &f->err));
}

static void test_layers_unpacked_under_a_chain_id_are_kept_for_their_image(void **state)
{
    struct fixture *f = *state;
    const struct digest one = digest_of(DIGEST_SHA256, VIEW_LIT("1"));
    const struct digest two = digest_of(DIGEST_SHA256, VIEW_LIT("2"));
    CLEANUP(base_freep)
    char *pair = base_format("%s %s", digest_format(&one).text, digest_format(&two).text);
    const struct digest chain = digest_of(DIGEST_SHA256, view_of(pair));

    set_image_with_diff_ids(f, digest_format(&one).text, digest_format(&two).text);
    make_layer_dir(f, "", &one, "");
    make_layer_dir(f, "chain-", &chain, "");
    assert_int_equal(collect(f, false).layers, 0);
    assert_ok(f, cas_ref_delete(f->store, "a", "rmi", &f->err));
    assert_int_equal(collect(f, false).layers, 2);
}

static void test_what_another_process_made_or_found_is_left(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor old = fixture_blob(f, MEDIA_OCI_LAYER, "old");
    CLEANUP(descriptor_release)
    struct descriptor seen = fixture_blob(f, MEDIA_OCI_LAYER, "seen");
    struct digest made;
    bool found;

    usleep(20000);
    struct cas_store *other = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    assert_non_null(other);
    assert_ok(f, cas_blob_find(other, &seen.digest, &found, NULL, &f->err));
    assert_true(found);
    assert_ok(f, cas_blob_put(other, VIEW_LIT("made"), &made, &f->err));
    assert_int_equal(collect(f, false).blobs, 1);
    assert_ok(f, cas_blob_find(f->store, &old.digest, &found, NULL, &f->err));
    assert_false(found);
    cas_store_close(other);
    assert_int_equal(collect(f, false).blobs, 2);
}

static void test_a_damaged_manifest_stops_collection_and_removes_nothing(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
    struct cas_gc_result result;
    struct digest stray;

    assert_ok(f, cas_blob_put(f->store, VIEW_LIT("stray"), &stray, &f->err));
    assert_ok(f, cas_ref_set(f->store, "a", &d, "build", &f->err));
    fixture_write(f, cas_blob_path(&d.digest).text, "{}");
    assert_int_equal(cas_store_gc(f->store, CAS_GC_DEFAULT, &result, &f->err), -1);
    assert_code(f, ERROR_CORRUPT);
    assert_int_equal(blobs(f), IMAGE_BLOBS + 1);
}

static void test_files_that_are_no_blobs_are_left_alone(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "blobs/sha256/README", "not ours");
    collect(f, false);
    assert_true(fixture_exists(f, "blobs/sha256/README"));
}

static void test_stat_caches_go_with_the_build_cache(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "stat/0123", "x");
    collect(f, true);
    assert_int_equal(fixture_count(f, "stat"), 1);
    collect(f, false);
    assert_int_equal(fixture_count(f, "stat"), 0);
}

static void test_cache_mounts_are_never_collected(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->store->fd, "mounts/cache", 0700), 0);
    collect(f, false);
    assert_true(fixture_exists(f, "mounts/cache"));
}

/* A build on an image, or a push of it: its manifest was read, its layers are needed later,
 * and the name goes meanwhile. */
static void test_what_a_held_manifest_needs_stays_until_its_holder_ends(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);

    set(f, "a", "one");
    d = fixture_image(f, "one");
    /* All of it is older than the lease that follows. */
    fixture_close(f);
    usleep(20000);
    struct cas_store *builder = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    assert_non_null(builder);
    fixture_open(f);
    assert_ok(f, cas_blob_read(builder, &d.digest, &text, &f->err));
    assert_ok(f, cas_ref_delete(f->store, "a", "rmi", &f->err));
    assert_int_equal(collect(f, false).blobs, 0);
    assert_int_equal(blobs(f), IMAGE_BLOBS);
    cas_store_close(builder);
    assert_int_equal(collect(f, false).blobs, IMAGE_BLOBS);
}

/* A lease that seems to begin in the future: the clock was set back while it was held, and
 * what its holder made since is stamped with earlier times. */
static void test_with_the_clock_set_back_nothing_is_taken(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor stray = fixture_image(f, "stray");
    struct cas_store *other = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    struct timespec later[2];

    assert_non_null(other);
    assert_true(digest_is_set(&stray.digest));
    clock_gettime(CLOCK_REALTIME, &later[0]);
    later[0].tv_sec += 3600;
    later[1] = later[0];
    CLEANUP(base_freep) char *path = base_format("leases/%s", cas_lease_id(other->lease));
    assert_int_equal(utimensat(f->store->fd, path, later, 0), 0);
    assert_int_equal(collect(f, false).blobs, 0);
    cas_store_close(other);
    assert_int_equal(collect(f, false).blobs, IMAGE_BLOBS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_what_a_ref_needs_is_kept_and_the_rest_goes),
        fixture_test(test_a_deleted_image_goes_but_for_what_others_share),
        fixture_test(test_indexes_keep_their_images),
        fixture_test(test_the_build_cache_keeps_its_layers_when_it_is_kept),
        fixture_test(test_a_layer_record_alone_keeps_nothing_and_goes_with_its_blob),
        fixture_test(test_unpacked_layers_and_indexes_go_with_their_layer),
        fixture_test(test_a_layer_that_only_the_cache_names_keeps_its_index),
        fixture_test(test_layers_unpacked_under_a_chain_id_are_kept_for_their_image),
        fixture_test(test_what_another_process_made_or_found_is_left),
        fixture_test(test_a_damaged_manifest_stops_collection_and_removes_nothing),
        fixture_test(test_files_that_are_no_blobs_are_left_alone),
        fixture_test(test_stat_caches_go_with_the_build_cache),
        fixture_test(test_cache_mounts_are_never_collected),
        fixture_test(test_what_a_held_manifest_needs_stays_until_its_holder_ends),
        fixture_test(test_with_the_clock_set_back_nothing_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
