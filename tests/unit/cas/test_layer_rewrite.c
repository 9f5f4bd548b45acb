/* A layer rewritten for another compression, level or epoch is, byte for byte, the one that
 * would have been written for it. */
#include "cas/layer_rewrite.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/pool.h"
#include "cas/blob.h"
#include "cas/codec_write.h"
#include "cas/index.h"
#include "cas/record.h"
#include "layer_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES = 9 };

static const struct cas_xattr xattr = {VIEW_LIT("user.a"), VIEW_LIT("1")};

/* Times on both sides of the epochs below, one that needs a PAX header; sizes on both sides
 * of a block. */
static const struct cas_entry model[ENTRIES] = {
    {.path = VIEW_LIT("a"), .type = CAS_ENTRY_FILE, .mode = 0644, .size = 3, .mtime_s = 5},
    {.path = VIEW_LIT("big"),
     .type = CAS_ENTRY_FILE,
     .mode = 0755,
     .size = 3500000,
     .mtime_s = 1700000000},
    {.path = VIEW_LIT("d"), .type = CAS_ENTRY_DIR, .mode = 01777, .mtime_s = 2000000000},
    {.path = VIEW_LIT("d/empty"), .type = CAS_ENTRY_FILE, .mode = 0600, .mtime_s = 0},
    {.path = VIEW_LIT("d/gone"), .type = CAS_ENTRY_WHITEOUT},
    {.path = VIEW_LIT("d/late"),
     .type = CAS_ENTRY_FILE,
     .mode = 0600,
     .size = 700,
     .mtime_s = INT64_C(9000000000),
     .xattrs = &xattr,
     .xattr_count = 1},
    {.path = VIEW_LIT("d/opaque"), .type = CAS_ENTRY_DIR, .mode = 0755, .opaque = true},
    {.path = VIEW_LIT("hard"),
     .type = CAS_ENTRY_HARDLINK,
     .mode = 0644,
     .mtime_s = 5,
     .target = VIEW_LIT("a")},
    {.path = VIEW_LIT("soft"),
     .type = CAS_ENTRY_SYMLINK,
     .mode = 0777,
     .mtime_s = 1800000000,
     .target = VIEW_LIT("d/late")},
};

static int give(void *context, size_t i, struct cas_content *out, struct error *err)
{
    char *bytes = context;

    (void)err;
    out->fd = -1;
    out->memory = (struct view){bytes, (size_t)model[i].size};
    return 0;
}

static char *make_bytes(void)
{
    char *bytes = base_alloc(4000000);

    /* Neither all alike nor beyond compression. */
    for (size_t i = 0; i < 4000000; i++)
        bytes[i] = (char)(i * i >> 7 ^ i / 1000);
    return bytes;
}

static struct cas_layer *fresh(struct fixture *f, const struct cas_layer_options *o)
{
    CLEANUP(base_freep) char *bytes = make_bytes();
    struct cas_entry entries[ENTRIES];
    struct cas_layer *l;

    memcpy(entries, model, sizeof entries);
    l = cas_layer_write(f->store, entries, ENTRIES, give, bytes, o, &f->err);
    if (!l)
        fail_msg("%s", error_text(&f->err));
    return l;
}

static struct cas_layer *rewritten(struct fixture *f,
                                   struct cas_layer *source,
                                   const struct cas_layer_options *o)
{
    struct cas_layer *l = cas_layer_rewrite(source, o, &f->err);

    if (!l)
        fail_msg("%s", error_text(&f->err));
    return l;
}

static void assert_same_layer(struct cas_layer *a, struct cas_layer *b)
{
    assert_true(digest_eq(cas_layer_diff_id(a), cas_layer_diff_id(b)));
    assert_true(digest_eq(&cas_layer_blob(a)->digest, &cas_layer_blob(b)->digest));
    assert_string_equal(cas_layer_blob(a)->media_type, cas_layer_blob(b)->media_type);
    assert_int_equal(cas_layer_blob(a)->size, cas_layer_blob(b)->size);
}

static const struct {
    enum cas_compression compression;
    int level;
} encodings[] = {
    {CAS_COMPRESSION_GZIP, 0}, {CAS_COMPRESSION_GZIP, 2},  {CAS_COMPRESSION_GZIP, 6},
    {CAS_COMPRESSION_ZSTD, 0}, {CAS_COMPRESSION_ZSTD, 10}, {CAS_COMPRESSION_NONE, 0},
};
static const int64_t epochs[] = {-1, INT64_C(9500000000), 1750000000, 1000, 0};

/* Each in a store of its own would prove nothing more: what is written is found by nobody.
 */
static void test_a_rewritten_layer_is_the_one_written_so(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(3);

    for (size_t e = 0; e < ARRAY_COUNT(epochs); e++) {
        for (size_t c = 0; c < ARRAY_COUNT(encodings); c++) {
            const struct cas_layer_options to = {.epoch = epochs[e],
                                                 .compression = encodings[c].compression,
                                                 .level = encodings[c].level,
                                                 .pool = c % 2 ? pool : NULL};
            /* The source: another compression, a later epoch or none. */
            const size_t other = (c + 1 + e) % ARRAY_COUNT(encodings);
            const struct cas_layer_options from = {.epoch = e > 0 ? epochs[e - 1] : -1,
                                                   .compression =
                                                       encodings[other].compression,
                                                   .level = encodings[other].level};
            struct cas_layer *source = fresh(f, &from);
            struct cas_layer *made = rewritten(f, source, &to);
            struct cas_layer *want = fresh(f, &to);

            assert_same_layer(made, want);
            cas_layer_unref(source);
            cas_layer_unref(made);
            cas_layer_unref(want);
        }
    }
}

static void test_the_index_tells_of_the_new_times(void **state)
{
    struct fixture *f = *state;
    const struct cas_layer_options plain = {.epoch = -1};
    const struct cas_layer_options early = {.epoch = 1000};
    struct cas_layer *source = fresh(f, &plain);
    struct cas_layer *made = rewritten(f, source, &early);
    const struct cas_index *x = cas_layer_index(made, &f->err);
    struct digest before;
    struct digest after;

    assert_non_null(x);
    assert_int_equal(cas_index_count(x), ENTRIES);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct cas_entry e;

        cas_index_at(x, i, &e);
        assert_true(view_eq(e.path, model[i].path));
        assert_true(e.mtime_s <= 1000);
    }
    assert_ok(f, cas_layer_content_key(source, &before, &f->err));
    assert_ok(f, cas_layer_content_key(made, &after, &f->err));
    assert_true(digest_eq(&before, &after));
    cas_layer_unref(source);
    cas_layer_unref(made);
}

static void test_the_record_names_the_maker(void **state)
{
    struct fixture *f = *state;
    const struct cas_layer_options plain = {.epoch = -1};
    const struct cas_layer_options zstd = {.epoch = -1,
                                           .compression = CAS_COMPRESSION_ZSTD};
    const struct codec_maker gzip_maker = codec_maker(CAS_COMPRESSION_GZIP, 0);
    const struct codec_maker zstd_maker = codec_maker(CAS_COMPRESSION_ZSTD, 0);
    const struct codec_maker other = codec_maker(CAS_COMPRESSION_ZSTD, 19);
    struct cas_layer *source = fresh(f, &plain);
    struct cas_layer *made = rewritten(f, source, &zstd);
    CLEANUP(descriptor_release) struct descriptor a = {0};
    CLEANUP(descriptor_release) struct descriptor b = {0};
    bool found = false;

    assert_ok(f, cas_layer_record_find_made(f->store, cas_layer_diff_id(made),
                                            gzip_maker.text, &found, &a, &f->err));
    assert_true(found);
    assert_true(digest_eq(&a.digest, &cas_layer_blob(source)->digest));
    assert_ok(f, cas_layer_record_find_made(f->store, cas_layer_diff_id(made),
                                            zstd_maker.text, &found, &b, &f->err));
    assert_true(found);
    assert_true(digest_eq(&b.digest, &cas_layer_blob(made)->digest));
    assert_ok(f, cas_layer_record_find_made(f->store, cas_layer_diff_id(made), other.text,
                                            &found, &b, &f->err));
    assert_false(found);
    cas_layer_unref(source);
    cas_layer_unref(made);
}

static void test_a_layer_in_another_order_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct cas_layer_options plain = {.epoch = -1};
    struct cas_layer *foreign =
        LAYER(f, {.name = "b", .data = "1"}, {.name = "a", .data = "2"});

    assert_null(cas_layer_rewrite(foreign, &plain, &f->err));
    assert_int_equal(f->err.code, ERROR_UNSUPPORTED);
    error_clear(&f->err);
    cas_layer_unref(foreign);
}

static void test_a_layer_with_other_headers_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct cas_layer_options plain = {.epoch = -1};
    struct cas_layer *foreign =
        LAYER(f, {.name = "a", .data = "2", .pax = "comment=hello\n"});

    assert_null(cas_layer_rewrite(foreign, &plain, &f->err));
    assert_int_equal(f->err.code, ERROR_UNSUPPORTED);
    error_clear(&f->err);
    cas_layer_unref(foreign);
}

/* The index knows the content: a blob that is damaged is found out before anything is
 * published. */
static void test_a_damaged_blob_gives_no_layer(void **state)
{
    struct fixture *f = *state;
    const struct cas_layer_options plain = {.epoch = -1,
                                            .compression = CAS_COMPRESSION_NONE};
    const struct cas_layer_options gzip = {.epoch = -1};
    struct cas_layer *source = fresh(f, &plain);
    CLEANUP(base_freep)
    char *path = base_format("%s/blobs/sha256/%s", cas_store_path(f->store),
                             digest_hex(&cas_layer_blob(source)->digest).text);
    int fd;

    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "XXXX", 4, 2000000), 4);
    close(fd);
    const size_t blobs = fixture_count(f, "blobs/sha256");
    assert_null(cas_layer_rewrite(source, &gzip, &f->err));
    assert_int_equal(f->err.code, ERROR_CORRUPT);
    error_clear(&f->err);
    assert_int_equal(fixture_count(f, "blobs/sha256"), blobs);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    cas_layer_unref(source);
}

static void test_rewriting_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    const bool yes = true;
    const struct cas_layer_options plain = {.epoch = -1};
    const struct cas_layer_options stopped = {
        .epoch = -1, .compression = CAS_COMPRESSION_ZSTD, .cancel = &yes};
    struct cas_layer *source = fresh(f, &plain);

    assert_null(cas_layer_rewrite(source, &stopped, &f->err));
    assert_int_equal(f->err.code, ERROR_CANCELLED);
    error_clear(&f->err);
    cas_layer_unref(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_rewritten_layer_is_the_one_written_so),
        fixture_test(test_the_index_tells_of_the_new_times),
        fixture_test(test_the_record_names_the_maker),
        fixture_test(test_a_layer_in_another_order_is_refused),
        fixture_test(test_a_layer_with_other_headers_is_refused),
        fixture_test(test_a_damaged_blob_gives_no_layer),
        fixture_test(test_rewriting_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
