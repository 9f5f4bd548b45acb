#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/fsck.h"
#include "cas/index.h"
#include "cas/record.h"
#include "cas/ref.h"
#include "cas/store_priv.h"
#include "cas/unpack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cas_fsck_report check(struct fixture *f, bool repair, bool full)
{
    const struct cas_fsck_options options = {.repair = repair, .full = full};
    struct cas_fsck_report r;

    assert_ok(f, cas_fsck_run(f->store, &options, &r, &f->err));
    return r;
}

/* Exactly this one thing is wrong, or was. */
static void assert_one(const struct cas_fsck_report *r,
                       enum cas_fsck_kind kind,
                       const char *what,
                       bool repaired)
{
    for (size_t i = 0; i < r->count && r->count != 1; i++)
        print_error("%s %s: %s\n", cas_fsck_kind_name(r->problems[i].kind),
                    r->problems[i].what, r->problems[i].why);
    assert_int_equal(r->count, 1);
    assert_string_equal(cas_fsck_kind_name(r->problems[0].kind), cas_fsck_kind_name(kind));
    assert_non_null(strstr(r->problems[0].what, what));
    assert_int_equal(r->problems[0].repaired, repaired);
    assert_int_equal(r->whole, repaired);
}

static void assert_whole(struct fixture *f)
{
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, false, true);

    for (size_t i = 0; i < r.count; i++)
        print_error("%s %s: %s\n", cas_fsck_kind_name(r.problems[i].kind),
                    r.problems[i].what, r.problems[i].why);
    assert_int_equal(r.count, 0);
    assert_true(r.whole);
}

static struct descriptor image(struct fixture *f, const char *name)
{
    struct descriptor d = fixture_image(f, name);

    assert_ok(f, cas_ref_set(f->store, name, &d, "build", &f->err));
    return d;
}

static void add_image(struct fixture *f, const char *name)
{
    CLEANUP(descriptor_release) struct descriptor d = image(f, name);

    assert_int_equal(d.digest.alg, DIGEST_SHA256);
}

/* Other bytes, the same size. */
static void damage(struct fixture *f, const char *path)
{
    CLEANUP(base_freep) char *text = fixture_read(f, path);

    assert_true(text[0] != '\0');
    text[0] = (char)(text[0] ^ 1);
    fixture_write(f, path, text);
}

static void test_a_whole_store_is_whole(void **state)
{
    struct fixture *f = *state;

    add_image(f, "a");
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, false, false);

    assert_true(r.whole);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.checked[CAS_FSCK_BLOB], 4);
    assert_int_equal(r.checked[CAS_FSCK_REF], 1);
    assert_true(r.bytes > 0);
}

static void test_a_damaged_blob_is_found_and_names_the_image(void **state)
{
    struct fixture *f = *state;

    add_image(f, "a");
    CLEANUP(descriptor_release)
    struct descriptor layer = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, "a: one");
    const struct cas_blob_path path = cas_blob_path(&layer.digest);

    damage(f, path.text);
    {
        CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, false, false);
        assert_int_equal(r.count, 2);
        assert_int_equal(r.problems[0].kind, CAS_FSCK_BLOB);
        assert_string_equal(r.problems[0].what, path.text);
        assert_false(r.problems[0].repaired);
        assert_int_equal(r.problems[1].kind, CAS_FSCK_REF);
        assert_string_equal(r.problems[1].what, "a");
        assert_non_null(r.problems[1].advice);
        assert_true(fixture_exists(f, path.text));
    }
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_true(r.problems[0].repaired);
    assert_false(r.problems[1].repaired);
    assert_false(r.whole);
    assert_false(fixture_exists(f, path.text));
    /* It comes again, and all is well. */
    descriptor_release(&layer);
    layer = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, "a: one");
    assert_whole(f);
}

static void test_a_damaged_blob_that_no_image_needs_is_repaired(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER, "x");
    const struct cas_blob_path path = cas_blob_path(&d.digest);

    damage(f, path.text);
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_one(&r, CAS_FSCK_BLOB, path.text, true);
    assert_whole(f);
}

static void test_a_missing_manifest_is_told_by_the_image(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = image(f, "a");

    assert_int_equal(unlinkat(f->store->fd, cas_blob_path(&d.digest).text, 0), 0);
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_one(&r, CAS_FSCK_REF, "a", false);
    assert_non_null(strstr(r.problems[0].why, "is missing"));
}

static void test_index_json_is_written_anew(void **state)
{
    struct fixture *f = *state;

    add_image(f, "a");
    CLEANUP(base_freep) char *text = fixture_read(f, "index.json");
    char *name = strstr(text, "\"a\"");

    assert_non_null(name);
    name[1] = 'b';
    fixture_write(f, "index.json", text);
    {
        CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, false, false);
        assert_one(&r, CAS_FSCK_INDEX_JSON, "index.json", false);
    }
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_one(&r, CAS_FSCK_INDEX_JSON, "index.json", true);
    assert_whole(f);
}

static void test_a_layer_record_of_another_layer_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct digest diff = digest_of(DIGEST_SHA256, VIEW_LIT("something else"));
    CLEANUP(descriptor_release) struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER, "x");

    assert_ok(f, cas_layer_record_put(f->store, &diff, &d, NULL, &f->err));
    {
        /* Sizes agree: only unpacking tells. */
        CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, false, false);
        assert_true(r.whole);
    }
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, true);
    assert_one(&r, CAS_FSCK_LAYER_RECORD, digest_hex(&diff).text, true);
    assert_whole(f);
}

static void test_a_cache_record_that_is_no_document_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct digest key = digest_of(DIGEST_SHA256, VIEW_LIT("key"));
    CLEANUP(doc_unrefp) struct doc *value = doc_new_text(VIEW_LIT("no object"));
    CLEANUP(doc_unrefp) struct doc *found_value = NULL;
    bool found;

    assert_ok(f, cas_cache_put(f->store, &key, &key, value, &f->err));
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_one(&r, CAS_FSCK_CACHE_RECORD, digest_hex(&key).text, true);
    assert_ok(f, cas_cache_find(f->store, &key, &found, &found_value, &f->err));
    assert_false(found);
}

/* --- Layers --- */

static struct cas_layer *unpacked(struct fixture *f)
{
    struct cas_layer *l =
        LAYER(f, {.name = "d/", .type = '5', .mode = 0750},
              {.name = "d/file", .data = "hello", .mode = 0640},
              {.name = "d/hard", .type = '1', .link = "d/file"},
              {.name = "d/link", .type = '2', .link = "file"}, {.name = "e/", .type = '5'},
              {.name = "e/.wh..wh..opq", .data = ""}, {.name = ".wh.gone", .data = ""});
    const int fd = cas_layer_unpacked(&l, 0, &f->err);

    assert_ok(f, fd);
    close(fd);
    return l;
}

/* layers/ID/fs of the one unpacked layer. */
static int open_files(struct fixture *f)
{
    CLEANUP(base_freep) char *layers = base_format("%s/layers", f->path);
    CLEANUP(fd_closep) int fd = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(base_freep) char *names = names_text(fd, ".");
    CLEANUP(base_freep) char *path = base_format("%s/fs", names);
    const int files = openat(fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(files >= 0);
    return files;
}

static void write_file(int dir_fd, const char *name, const char *text)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void change_size(int fd)
{
    write_file(fd, "d/file", "hello, world");
}

static void change_mode(int fd)
{
    assert_int_equal(fchmodat(fd, "d", 0700, 0), 0);
}

static void change_link(int fd)
{
    assert_int_equal(unlinkat(fd, "d/link", 0), 0);
    assert_int_equal(symlinkat("elsewhere", fd, "d/link"), 0);
}

static void change_type(int fd)
{
    assert_int_equal(unlinkat(fd, "d/link", 0), 0);
    write_file(fd, "d/link", "");
}

static void add_file(int fd)
{
    write_file(fd, "d/more", "");
}

static void remove_file(int fd)
{
    assert_int_equal(unlinkat(fd, "d/link", 0), 0);
}

static void remove_whiteout(int fd)
{
    assert_int_equal(unlinkat(fd, "gone", 0), 0);
}

static void part_links(int fd)
{
    assert_int_equal(unlinkat(fd, "d/hard", 0), 0);
    write_file(fd, "d/hard", "hello");
}

static void test_an_unpacked_layer_that_was_changed_is_removed(void **state)
{
    struct fixture *f = *state;
    static void (*const changes[])(int fd) = {change_size,     change_mode, change_link,
                                              change_type,     add_file,    remove_file,
                                              remove_whiteout, part_links};

    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        cas_layer_unref(unpacked(f));
        {
            CLEANUP(fd_closep) int fd = open_files(f);
            assert_whole(f);
            changes[i](fd);
        }
        {
            CLEANUP(cas_fsck_report_release)
            struct cas_fsck_report r = check(f, false, false);
            assert_one(&r, CAS_FSCK_UNPACKED, "layers/d-", false);
        }
        CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
        assert_one(&r, CAS_FSCK_UNPACKED, "layers/d-", true);
        assert_int_equal(fixture_count(f, "layers"), 0);
        assert_int_equal(fixture_count(f, "ingest"), 0);
    }
    assert_whole(f);
}

static void test_changed_bytes_are_found_by_reading_them(void **state)
{
    struct fixture *f = *state;
    cas_layer_unref(unpacked(f));
    {
        CLEANUP(fd_closep) int fd = open_files(f);
        write_file(fd, "d/file", "HELLO");
    }
    {
        CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, false, false);
        assert_true(r.whole);
    }
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, true);
    assert_one(&r, CAS_FSCK_UNPACKED, "layers/d-", true);
    assert_non_null(strstr(r.problems[0].why, "d/file has other bytes"));
}

/* An image of these layers, so that its chains are known. */
static void name_layers(struct fixture *f, struct cas_layer *const *layers, size_t count)
{
    CLEANUP(buf_release) struct buf config = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf manifest = BUF_INIT(8192);

    buf_append_text(&config, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    for (size_t i = 0; i < count; i++)
        buf_printf(&config, "%s\"%s\"", i > 0 ? "," : "",
                   digest_format(cas_layer_diff_id(layers[i])).text);
    buf_append_text(&config, "]}}");
    CLEANUP(descriptor_release)
    struct descriptor c = fixture_blob(f, MEDIA_OCI_CONFIG, buf_text(&config));
    buf_printf(&manifest,
               "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\","
               "\"size\":%ju},\"layers\":[",
               c.media_type, digest_format(&c.digest).text, (uintmax_t)c.size);
    for (size_t i = 0; i < count; i++) {
        const struct descriptor *d = cas_layer_blob(layers[i]);
        buf_printf(&manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%ju}",
                   i > 0 ? "," : "", d->media_type, digest_format(&d->digest).text,
                   (uintmax_t)d->size);
    }
    buf_append_text(&manifest, "]}");
    CLEANUP(descriptor_release)
    struct descriptor m = fixture_blob(f, MEDIA_OCI_MANIFEST, buf_text(&manifest));
    assert_ok(f, cas_ref_set(f->store, "chain", &m, "load", &f->err));
}

static void test_layers_without_their_parents_are_checked_too(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "d/", .type = '5', .mode = 0750},
              {.name = "d/below", .data = "below"}),
        LAYER(f, {.name = "d/file", .data = "hello"},
              {.name = "e/link", .type = '1', .link = "d/below"}),
    };
    CLEANUP(fd_closep) int dir = cas_layer_unpacked(layers, 1, &f->err);

    assert_ok(f, dir);
    name_layers(f, layers, 2);
    assert_whole(f);
    write_file(dir, "d/file", "hello, world");
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_one(&r, CAS_FSCK_UNPACKED, "layers/c-", true);
    assert_whole(f);
    cas_layer_unref(layers[0]);
    cas_layer_unref(layers[1]);
}

static void test_a_damaged_index_is_removed_and_made_again(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = unpacked(f);
    CLEANUP(base_freep)
    char *path = base_format("index/sha256/%s", digest_hex(cas_layer_diff_id(l)).text);
    {
        CLEANUP(fd_closep) int fd = openat(f->store->fd, path, O_RDONLY);
        CLEANUP(base_freep) char *other = base_format("%s/damaged", f->dir);
        CLEANUP(fd_closep) int out = open(other, O_WRONLY | O_CREAT, 0600);
        char data[4096];
        const ssize_t size = read(fd, data, sizeof data);

        assert_true(size > 200);
        data[size - 10] = (char)(data[size - 10] ^ 1);
        assert_int_equal(write(out, data, (size_t)size), size);
        assert_int_equal(renameat(AT_FDCWD, other, f->store->fd, path), 0);
    }
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, false);
    assert_one(&r, CAS_FSCK_INDEX, path, true);
    assert_false(fixture_exists(f, path));
    assert_whole(f);
}

static void test_what_is_not_ours_is_named_and_left_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"notes.txt", "blobs/sha256/tmp", "layers/x",
                                        "mounts/README", "stat/x"};

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        fixture_write(f, paths[i], "mine");
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report r = check(f, true, true);
    assert_true(r.whole);
    assert_int_equal(r.count, ARRAY_COUNT(paths));
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        assert_int_equal(r.problems[i].kind, CAS_FSCK_UNKNOWN);
        assert_true(fixture_exists(f, paths[i]));
    }
}

static void test_checking_is_no_use(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = image(f, "a");
    const struct cas_blob_path path = cas_blob_path(&d.digest);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct stat before, after;

    assert_int_equal(utimensat(f->store->fd, path.text, old, 0), 0);
    assert_int_equal(fstatat(f->store->fd, path.text, &before, 0), 0);
    assert_whole(f);
    assert_int_equal(fstatat(f->store->fd, path.text, &after, 0), 0);
    assert_int_equal(after.st_atim.tv_sec, 1000);
    assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_whole_store_is_whole),
        fixture_test(test_a_damaged_blob_is_found_and_names_the_image),
        fixture_test(test_a_damaged_blob_that_no_image_needs_is_repaired),
        fixture_test(test_a_missing_manifest_is_told_by_the_image),
        fixture_test(test_index_json_is_written_anew),
        fixture_test(test_a_layer_record_of_another_layer_is_dropped),
        fixture_test(test_a_cache_record_that_is_no_document_is_dropped),
        fixture_test(test_an_unpacked_layer_that_was_changed_is_removed),
        fixture_test(test_changed_bytes_are_found_by_reading_them),
        fixture_test(test_layers_without_their_parents_are_checked_too),
        fixture_test(test_a_damaged_index_is_removed_and_made_again),
        fixture_test(test_what_is_not_ours_is_named_and_left_alone),
        fixture_test(test_checking_is_no_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
