#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct digest put(struct fixture *f, const char *text)
{
    struct digest d;

    assert_ok(f, cas_blob_put(f->store, view_of(text), &d, &f->err));
    return d;
}

static bool is_there(struct fixture *f, const struct digest *d)
{
    bool found;

    assert_ok(f, cas_blob_find(f->store, d, &found, NULL, &f->err));
    return found;
}

static struct cas_blob_writer *writer_with(struct fixture *f,
                                           enum digest_alg alg,
                                           const char *text)
{
    struct cas_blob_writer *w = cas_blob_writer_new(f->store, alg, &f->err);

    assert_non_null(w);
    assert_ok(f, cas_blob_writer_write(w, text, strlen(text), &f->err));
    return w;
}

static void test_a_blob_is_read_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);
    const struct digest d = put(f, "hello");
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("hello"));

    assert_true(digest_eq(&d, &want));
    assert_ok(f, cas_blob_read(f->store, &d, &out, &f->err));
    assert_string_equal(buf_text(&out), "hello");
}

static void test_putting_twice_is_success(void **state)
{
    struct fixture *f = *state;

    put(f, "same");
    put(f, "same");
    assert_int_equal(fixture_count(f, "blobs/sha256"), 1);
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

static void test_a_published_blob_is_read_only(void **state)
{
    struct fixture *f = *state;
    const struct digest d = put(f, "constant");
    struct stat st;

    assert_int_equal(fstatat(cas_store_fd(f->store), cas_blob_path(&d).text, &st, 0), 0);
    assert_int_equal(st.st_mode & 0222, 0);
}

static void test_an_absent_blob_is_not_found(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);
    const struct digest d = digest_of(DIGEST_SHA256, VIEW_LIT("never stored"));

    assert_false(is_there(f, &d));
    assert_int_equal(cas_blob_open(f->store, &d, &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
    assert_int_equal(cas_blob_read(f->store, &d, &out, &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
}

static void test_a_writer_streams_into_a_blob(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_SHA256, "one, ");
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("one, two"));
    struct digest got;
    uint64_t size;

    assert_ok(f, cas_blob_writer_write(w, "two", 3, &f->err));
    assert_int_equal(cas_blob_writer_size(w), 8);
    assert_ok(f, cas_blob_writer_commit(w, &want, 8, &got, &size, &f->err));
    assert_true(digest_eq(&got, &want));
    assert_int_equal(size, 8);
    assert_true(is_there(f, &want));
}

/* Before, between and after bytes that are written as they come. */
static void test_bytes_in_any_order_become_a_blob(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_SHA256, "one, ");
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("one, two, three, four"));
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);

    const int fd = cas_blob_writer_reserve(w, 12, &f->err);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "three, ", 7, 10), 7);
    assert_int_equal(pwrite(fd, "two, ", 5, 5), 5);
    assert_int_equal(cas_blob_writer_size(w), 5);
    cas_blob_writer_took(w, "two, ", 5);
    cas_blob_writer_took(w, "three, ", 7);
    assert_ok(f, cas_blob_writer_write(w, "four", 4, &f->err));
    assert_ok(f, cas_blob_writer_commit(w, &want, 21, NULL, NULL, &f->err));
    assert_ok(f, cas_blob_read(f->store, &want, &out, &f->err));
    assert_string_equal(buf_text(&out), "one, two, three, four");
}

static void test_commit_rejects_a_wrong_digest(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_SHA256, "forged");
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("genuine"));

    assert_int_equal(cas_blob_writer_commit(w, &want, UINT64_MAX, NULL, NULL, &f->err), -1);
    assert_code(f, ERROR_CORRUPT);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

static void test_commit_rejects_a_short_and_a_long_blob(void **state)
{
    struct fixture *f = *state;
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("12345"));

    for (uint64_t size = 4; size <= 6; size += 2) {
        struct cas_blob_writer *w = writer_with(f, DIGEST_SHA256, "12345");
        assert_int_equal(cas_blob_writer_commit(w, &want, size, NULL, NULL, &f->err), -1);
        assert_code(f, ERROR_CORRUPT);
    }
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
    assert_int_equal(fixture_count(f, "ingest"), 0);
}

static void test_an_aborted_writer_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_SHA256, "thrown away");

    assert_int_equal(fixture_count(f, "ingest"), 1);
    cas_blob_writer_abort(w);
    cas_blob_writer_abort(NULL);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
}

static void test_a_writer_without_hashing_believes_its_digest(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_NONE, "hashed elsewhere");
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("hashed elsewhere"));
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);

    assert_ok(f, cas_blob_writer_commit(w, &want, UINT64_MAX, NULL, NULL, &f->err));
    assert_ok(f, cas_blob_read(f->store, &want, &out, &f->err));
}

static void test_sha512_blobs_live_beside(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_SHA512, "long digest");
    struct digest got;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);

    assert_false(fixture_exists(f, "blobs/sha512"));
    assert_ok(f, cas_blob_writer_commit(w, NULL, UINT64_MAX, &got, NULL, &f->err));
    assert_int_equal(got.alg, DIGEST_SHA512);
    assert_int_equal(fixture_count(f, "blobs/sha512"), 1);
    assert_ok(f, cas_blob_read(f->store, &got, &out, &f->err));
    assert_string_equal(buf_text(&out), "long digest");
    assert_ok(f, cas_store_sync(f->store, &f->err));
}

static void test_reading_verifies_the_digest(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);
    const struct digest d = put(f, "right");

    fixture_write(f, cas_blob_path(&d).text, "wrong");
    assert_int_equal(cas_blob_read(f->store, &d, &out, &f->err), -1);
    assert_code(f, ERROR_CORRUPT);
}

static void test_a_truncated_blob_is_replaced(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(100);
    const struct digest d = put(f, "whole again");

    fixture_write(f, cas_blob_path(&d).text, "");
    put(f, "whole again");
    assert_ok(f, cas_blob_read(f->store, &d, &out, &f->err));
    assert_string_equal(buf_text(&out), "whole again");
}

static void test_reading_stops_at_the_buffers_limit(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(4);
    const struct digest d = put(f, "12345");

    assert_int_equal(cas_blob_read(f->store, &d, &out, &f->err), -1);
    assert_code(f, ERROR_LIMIT);
}

static void test_a_document_must_have_its_descriptors_size(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor d = fixture_blob(f, "application/json", "{\"a\":1}");
    CLEANUP(doc_unrefp)
    struct doc *doc = cas_blob_read_doc(f->store, &d, LIMIT_MANIFEST_SIZE, &f->err);

    assert_non_null(doc);
    d.size++;
    assert_null(cas_blob_read_doc(f->store, &d, LIMIT_MANIFEST_SIZE, &f->err));
    assert_code(f, ERROR_CORRUPT);
}

static void test_a_blob_that_is_no_document_is_invalid(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release)
    struct descriptor d = fixture_blob(f, "application/json", "{\"a\":");

    assert_null(cas_blob_read_doc(f->store, &d, LIMIT_MANIFEST_SIZE, &f->err));
    assert_code(f, ERROR_INVALID);
}

static void test_an_empty_blob_is_a_blob(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf out = BUF_INIT(4);
    const struct digest d = put(f, "");

    assert_ok(f, cas_blob_read(f->store, &d, &out, &f->err));
    assert_int_equal(out.size, 0);
}

static void die_while_writing(const char *path)
{
    struct error err = ERROR_INIT;
    struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
    struct cas_blob_writer *w = s ? cas_blob_writer_new(s, DIGEST_SHA256, &err) : NULL;

    if (!w || cas_blob_writer_write(w, "half", 4, &err) < 0)
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void test_what_a_killed_process_was_writing_is_removed_at_the_next_open(void **state)
{
    struct fixture *f = *state;
    int status;

    fixture_close(f);
    const pid_t child = fork();
    if (child == 0)
        die_while_writing(f->path);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(fixture_count(f, "ingest"), 1);
    assert_int_equal(fixture_count(f, "leases"), 1);
    fixture_open(f);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_int_equal(fixture_count(f, "leases"), 1);
}

static void test_what_a_living_process_writes_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct cas_blob_writer *w = writer_with(f, DIGEST_SHA256, "in the making");
    struct cas_store *other = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    struct digest got;
    bool found;

    assert_non_null(other);
    assert_int_equal(fixture_count(f, "ingest"), 1);
    assert_ok(f, cas_blob_writer_commit(w, NULL, UINT64_MAX, &got, NULL, &f->err));
    assert_ok(f, cas_blob_find(other, &got, &found, NULL, &f->err));
    assert_true(found);
    cas_store_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_blob_is_read_back_as_it_was_put),
        fixture_test(test_putting_twice_is_success),
        fixture_test(test_a_published_blob_is_read_only),
        fixture_test(test_an_absent_blob_is_not_found),
        fixture_test(test_a_writer_streams_into_a_blob),
        fixture_test(test_bytes_in_any_order_become_a_blob),
        fixture_test(test_commit_rejects_a_wrong_digest),
        fixture_test(test_commit_rejects_a_short_and_a_long_blob),
        fixture_test(test_an_aborted_writer_leaves_nothing),
        fixture_test(test_a_writer_without_hashing_believes_its_digest),
        fixture_test(test_sha512_blobs_live_beside),
        fixture_test(test_reading_verifies_the_digest),
        fixture_test(test_a_truncated_blob_is_replaced),
        fixture_test(test_reading_stops_at_the_buffers_limit),
        fixture_test(test_a_document_must_have_its_descriptors_size),
        fixture_test(test_a_blob_that_is_no_document_is_invalid),
        fixture_test(test_an_empty_blob_is_a_blob),
        fixture_test(test_what_a_killed_process_was_writing_is_removed_at_the_next_open),
        fixture_test(test_what_a_living_process_writes_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
