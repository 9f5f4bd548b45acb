/* Kept states of failed steps, as garbage collection treats them. */
#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/note.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD "builds/500000000000"

static void make_dir(struct fixture *f, const char *path)
{
    assert_ok(f, fs_mkdir_all_at(f->store->fd, path, 0700, &f->err));
}

/* A state on one layer; the layer's blob is `blob`. */
static void keep_state(struct fixture *f, const struct descriptor *blob)
{
    const struct digest diff = digest_of(DIGEST_SHA256, VIEW_LIT("layer"));
    CLEANUP(base_freep)
    char *text = base_format("{\"version\":1,\"stacks\":[[{\"diff_id\":\"%s\",\"blob\":{"
                             "\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%ju}}]]}",
                             digest_format(&diff).text, blob->media_type,
                             digest_format(&blob->digest).text, (uintmax_t)blob->size);

    make_dir(f, BUILD "/fs");
    assert_ok(f, cas_note_write(f->store, BUILD "/state.json", view_of(text), &f->err));
}

static void collect(struct fixture *f, enum cas_gc_flags flags)
{
    struct cas_gc_result result;

    assert_ok(f, cas_store_gc(f->store, flags, &result, &f->err));
}

static void test_what_a_state_lies_on_stays_while_it_is_kept(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor blob = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, "bytes of the layer");

    keep_state(f, &blob);
    collect(f, CAS_GC_KEEP_CACHE);
    assert_true(fixture_exists(f, cas_blob_path(&blob.digest).text));
    assert_true(fixture_exists(f, BUILD "/state.json"));
    assert_true(fixture_exists(f, BUILD "/fs"));
    assert_int_equal(unlinkat(f->store->fd, BUILD "/state.json", 0), 0);
    collect(f, CAS_GC_KEEP_CACHE);
    assert_false(fixture_exists(f, cas_blob_path(&blob.digest).text));
}

static void test_a_collection_of_the_cache_takes_states_too(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor blob = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, "bytes of the layer");

    keep_state(f, &blob);
    fixture_write(f, BUILD "/1.log", "what it printed");
    collect(f, CAS_GC_DEFAULT);
    assert_false(fixture_exists(f, BUILD "/state.json"));
    assert_false(fixture_exists(f, BUILD "/fs"));
    assert_false(fixture_exists(f, cas_blob_path(&blob.digest).text));
    assert_true(fixture_exists(f, BUILD "/1.log"));
}

static void test_a_state_that_somebody_looks_at_stays(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor blob = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, "bytes of the layer");
    CLEANUP(fd_closep) int fd = -1;

    keep_state(f, &blob);
    fd = openat(f->store->fd, BUILD, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    collect(f, CAS_GC_DEFAULT);
    assert_true(fixture_exists(f, BUILD "/state.json"));
    assert_true(fixture_exists(f, cas_blob_path(&blob.digest).text));
}

static void test_what_a_killed_build_left_half_made_goes(void **state)
{
    struct fixture *f = *state;

    make_dir(f, BUILD "/fs/etc");
    collect(f, CAS_GC_KEEP_CACHE);
    assert_false(fixture_exists(f, BUILD "/fs"));
}

static void test_a_damaged_state_keeps_nothing_and_stops_nobody(void **state)
{
    struct fixture *f = *state;

    make_dir(f, BUILD "/fs");
    fixture_write(f, BUILD "/state.json", "{\"stacks\":[[{\"diff_id\":7}],3");
    collect(f, CAS_GC_KEEP_CACHE);
    assert_true(fixture_exists(f, BUILD "/state.json"));
}

static void test_notes_are_replaced_and_the_oldest_pruned(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        CLEANUP(base_freep) char *path = base_format("steps/note-%d", i);
        const struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};

        assert_ok(f, cas_note_write(f->store, path, VIEW_LIT("old"), &f->err));
        assert_ok(f, cas_note_write(f->store, path, VIEW_LIT("new"), &f->err));
        assert_int_equal(utimensat(f->store->fd, path, times, 0), 0);
    }
    assert_ok(f, cas_note_prune(f->store, "steps", 2, &f->err));
    assert_int_equal(fixture_count(f, "steps"), 2);
    CLEANUP(base_freep) char *text = fixture_read(f, "steps/note-4");
    assert_string_equal(text, "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_what_a_state_lies_on_stays_while_it_is_kept),
        fixture_test(test_a_collection_of_the_cache_takes_states_too),
        fixture_test(test_a_state_that_somebody_looks_at_stays),
        fixture_test(test_what_a_killed_build_left_half_made_goes),
        fixture_test(test_a_damaged_state_keeps_nothing_and_stops_nobody),
        fixture_test(test_notes_are_replaced_and_the_oldest_pruned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
