#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/gzip_isal.h"
#include "cas/index.h"
#include "cas/index_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)

static struct digest diff_id_of(const char *name)
{
    return digest_of(DIGEST_SHA256, view_of(name));
}

static void add(struct fixture *f, struct cas_index_writer *w, const struct cas_entry *e)
{
    assert_ok(f, cas_index_writer_add(w, e, 0, (struct view){NULL, 0}, &f->err));
}

static void add_path(struct fixture *f,
                     struct cas_index_writer *w,
                     const char *path,
                     enum cas_entry_type type)
{
    add(f, w, &(struct cas_entry){.path = view_of(path), .type = type});
}

static void commit(struct fixture *f, struct cas_index_writer *w, const char *name)
{
    const struct digest d = diff_id_of(name);

    assert_ok(f, cas_index_writer_commit(w, f->store, &d, 4096, &f->err));
}

static struct cas_index *try_open(struct fixture *f, const char *name)
{
    const struct digest d = diff_id_of(name);
    bool found;
    struct cas_index *x = cas_index_open(f->store, &d, &found, &f->err);

    assert_int_equal(f->err.code, ERROR_NONE);
    assert_int_equal(found, x != NULL);
    return x;
}

static struct cas_index *must_open(struct fixture *f, const char *name)
{
    struct cas_index *x = try_open(f, name);

    assert_non_null(x);
    return x;
}

static struct cas_entry at(const struct cas_index *x, const char *path)
{
    struct cas_entry e = {0};
    size_t i = 0;

    assert_true(cas_index_find(x, view_of(path), &i));
    cas_index_at(x, i, &e);
    assert_true(view_eq_text(e.path, path));
    return e;
}

/* --- Entries --- */

static const struct cas_xattr some_xattrs[] = {
    {{"security.capability", 19}, {"\1\0\0\2", 4}},
    {{"user.empty", 10}, {"", 0}},
};

/* Everything that an entry can say. */
static const struct cas_entry full = {
    .path = {"usr/bin/ping", 12},
    .type = CAS_ENTRY_FILE,
    .mode = 06755,
    .uid = UINT32_MAX,
    .gid = 1u << 31,
    .size = (uint64_t)1 << 40,
    .mtime_s = -77,
    .mtime_ns = 999999999,
    .xattrs = some_xattrs,
    .xattr_count = ARRAY_COUNT(some_xattrs),
};

static void test_an_entry_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    struct cas_index_writer *w = cas_index_writer_new();
    struct cas_entry e = full;
    size_t i;

    e.content = diff_id_of("content");
    assert_ok(f, cas_index_writer_add(w, &e, 12345678901, (struct view){NULL, 0}, &f->err));
    add(f, w,
        &(struct cas_entry){.path = VIEW_LIT("dev/null"),
                            .type = CAS_ENTRY_CHAR,
                            .rdev_major = 1,
                            .rdev_minor = 3});
    add(f, w,
        &(struct cas_entry){.path = VIEW_LIT("bin"),
                            .type = CAS_ENTRY_SYMLINK,
                            .target = VIEW_LIT("usr/bin")});
    add(f, w,
        &(struct cas_entry){
            .path = VIEW_LIT("opt"), .type = CAS_ENTRY_DIR, .opaque = true});
    commit(f, w, "whole");

    struct cas_index *x = must_open(f, "whole");
    const struct cas_entry got = at(x, "usr/bin/ping");
    assert_int_equal(got.type, e.type);
    assert_int_equal(got.mode, e.mode);
    assert_int_equal(got.uid, e.uid);
    assert_int_equal(got.gid, e.gid);
    assert_int_equal(got.size, e.size);
    assert_int_equal(got.mtime_s, e.mtime_s);
    assert_int_equal(got.mtime_ns, e.mtime_ns);
    assert_true(digest_eq(&got.content, &e.content));
    assert_int_equal(got.xattr_count, 2);
    for (size_t k = 0; k < 2; k++) {
        assert_true(view_eq(got.xattrs[k].name, some_xattrs[k].name));
        assert_true(view_eq(got.xattrs[k].value, some_xattrs[k].value));
    }
    assert_true(cas_index_find(x, e.path, &i));
    assert_true(cas_index_offset(x, i) == 12345678901);
    assert_int_equal(at(x, "dev/null").rdev_major, 1);
    assert_int_equal(at(x, "dev/null").rdev_minor, 3);
    assert_true(view_eq_text(at(x, "bin").target, "usr/bin"));
    assert_true(at(x, "opt").opaque);
    assert_false(at(x, "bin").opaque);
    assert_int_equal(at(x, "bin").content.alg, DIGEST_NONE);
    assert_int_equal(cas_index_tar_size(x), 4096);
    cas_index_close(x);
}

static void test_entries_are_sorted_and_the_last_of_equals_counts(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"b", "a/c", "a.d", "a", "", "a/b"};
    static const char *const sorted[] = {"", "a", "a/b", "a/c", "a.d", "b"};
    struct cas_index_writer *w = cas_index_writer_new();

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        add_path(f, w, paths[i], CAS_ENTRY_DIR);
    add_path(f, w, "a/b", CAS_ENTRY_FIFO);
    add_path(f, w, "a/b", CAS_ENTRY_WHITEOUT);
    commit(f, w, "sorted");

    struct cas_index *x = must_open(f, "sorted");
    assert_int_equal(cas_index_count(x), ARRAY_COUNT(sorted));
    for (size_t i = 0; i < ARRAY_COUNT(sorted); i++) {
        struct cas_entry e;
        cas_index_at(x, i, &e);
        assert_true(view_eq_text(e.path, sorted[i]));
    }
    assert_int_equal(at(x, "a/b").type, CAS_ENTRY_WHITEOUT);
    cas_index_close(x);
}

static void test_what_is_absent_is_told_where_it_would_be(void **state)
{
    struct fixture *f = *state;
    struct cas_index_writer *w = cas_index_writer_new();
    size_t i;

    add_path(f, w, "b", CAS_ENTRY_DIR);
    add_path(f, w, "d", CAS_ENTRY_DIR);
    commit(f, w, "gaps");
    struct cas_index *x = must_open(f, "gaps");
    assert_false(cas_index_find(x, VIEW_LIT("a"), &i));
    assert_int_equal(i, 0);
    assert_false(cas_index_find(x, VIEW_LIT("b/x"), &i));
    assert_int_equal(i, 1);
    assert_false(cas_index_find(x, VIEW_LIT("e"), &i));
    assert_int_equal(i, 2);
    cas_index_close(x);
}

static void test_small_files_are_kept_inline(void **state)
{
    struct fixture *f = *state;
    struct cas_index_writer *w = cas_index_writer_new();
    const struct cas_entry e = {.path = VIEW_LIT("etc/passwd"), .type = CAS_ENTRY_FILE};
    struct view bytes;
    size_t i;

    assert_ok(f, cas_index_writer_add(w, &e, 0, VIEW_LIT("root:x:0:0"), &f->err));
    add_path(f, w, "etc", CAS_ENTRY_DIR);
    commit(f, w, "inline");
    struct cas_index *x = must_open(f, "inline");
    assert_true(cas_index_find(x, e.path, &i));
    assert_true(cas_index_inline(x, i, &bytes));
    assert_true(view_eq_text(bytes, "root:x:0:0"));
    assert_false(cas_index_inline(x, 0, &bytes));
    cas_index_close(x);
}

static void test_restarts_come_back(void **state)
{
    struct fixture *f = *state;
    struct cas_index_writer *w = cas_index_writer_new();
    const struct digest blob = diff_id_of("blob");
    static const uint64_t points[] = {10, 500000, (uint64_t)1 << 40};

    cas_index_writer_restarts(w, &blob, 1 << 20, points, ARRAY_COUNT(points));
    commit(f, w, "restarts");
    struct cas_index *x = must_open(f, "restarts");
    const struct cas_index_restarts r = cas_index_restarts(x);
    assert_true(digest_eq(&r.blob, &blob));
    assert_int_equal(r.block_size, 1 << 20);
    assert_int_equal(r.count, ARRAY_COUNT(points));
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        assert_true(cas_index_restart(x, i) == points[i]);
    cas_index_close(x);
    commit(f, cas_index_writer_new(), "none");
    x = must_open(f, "none");
    assert_int_equal(cas_index_restarts(x).blob.alg, DIGEST_NONE);
    cas_index_close(x);
}

static void test_what_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *text = base_alloc(LIMIT_TAR_EXTENSION + 2);
    struct cas_index_writer *w = cas_index_writer_new();
    struct cas_entry e = {.path = {text, LIMIT_PATH_SIZE + 1}, .type = CAS_ENTRY_DIR};

    memset(text, 'x', LIMIT_TAR_EXTENSION + 1);
    assert_int_equal(cas_index_writer_add(w, &e, 0, VIEW_LIT(""), &f->err), -1);
    assert_code(f, ERROR_LIMIT);
    e.path.size = LIMIT_PATH_SIZE;
    e.target = (struct view){text, LIMIT_TAR_EXTENSION + 1};
    assert_int_equal(cas_index_writer_add(w, &e, 0, VIEW_LIT(""), &f->err), -1);
    assert_code(f, ERROR_LIMIT);
    e.target.size = 10;
    add(f, w, &e);
    commit(f, w, "long");
    cas_index_close(must_open(f, "long"));
}

/* --- The content key --- */

static struct digest key_with(const struct cas_entry *e)
{
    const struct cas_entry two[] = {{.path = VIEW_LIT("a"), .type = CAS_ENTRY_DIR}, *e};

    return index_content_key(two, 2);
}

static void test_the_content_key_leaves_out_times_only(void **state)
{
    const struct digest key = key_with(&full);
    struct cas_entry e = full;

    (void)state;
    e.mtime_s++;
    e.mtime_ns = 0;
    const struct digest later = key_with(&e);
    assert_true(digest_eq(&key, &later));

    struct cas_entry others[11];
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        others[i] = full;
    others[0].path = VIEW_LIT("usr/bin/pong");
    others[1].type = CAS_ENTRY_DIR;
    others[2].mode = 0755;
    others[3].uid = 0;
    others[4].gid = 0;
    others[5].size = 1;
    others[6].target = VIEW_LIT("t");
    others[7].xattr_count = 1;
    others[8].content = diff_id_of("other");
    others[9].opaque = true;
    others[10].rdev_minor = 1;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        const struct digest other = key_with(&others[i]);
        assert_false(digest_eq(&key, &other));
    }
}

/* --- Self-contained --- */

struct shape {
    const char *path;
    enum cas_entry_type type;
    const char *target;
};

static bool self_contained(struct fixture *f, const struct shape *shapes, size_t count)
{
    struct cas_index_writer *w = cas_index_writer_new();

    for (size_t i = 0; i < count; i++)
        add(f, w,
            &(struct cas_entry){.path = view_of(shapes[i].path),
                                .type = shapes[i].type,
                                .target = view_of(shapes[i].target)});
    commit(f, w, "shape");
    struct cas_index *x = must_open(f, "shape");
    const bool result = cas_index_is_self_contained(x);
    cas_index_close(x);
    return result;
}

static void test_parents_and_link_targets_must_be_in_the_layer(void **state)
{
    struct fixture *f = *state;
    static const struct shape whole[] = {{"a", CAS_ENTRY_DIR, NULL},
                                         {"a/b", CAS_ENTRY_DIR, NULL},
                                         {"a/b/c", CAS_ENTRY_FILE, NULL},
                                         {"a/l", CAS_ENTRY_HARDLINK, "a/b/c"},
                                         {"top", CAS_ENTRY_FILE, NULL}};
    static const struct shape no_parent[] = {{"a/b/c", CAS_ENTRY_FILE, NULL},
                                             {"a", CAS_ENTRY_DIR, NULL}};
    static const struct shape file_parent[] = {{"a", CAS_ENTRY_FILE, NULL},
                                               {"a/b", CAS_ENTRY_FILE, NULL}};
    static const struct shape link_below[] = {{"l", CAS_ENTRY_HARDLINK, "bin/sh"}};
    static const struct shape late_parent[] = {{"a.x", CAS_ENTRY_DIR, NULL},
                                               {"a", CAS_ENTRY_DIR, NULL},
                                               {"a/x", CAS_ENTRY_WHITEOUT, NULL}};

    assert_true(self_contained(f, whole, ARRAY_COUNT(whole)));
    assert_false(self_contained(f, no_parent, ARRAY_COUNT(no_parent)));
    assert_false(self_contained(f, file_parent, ARRAY_COUNT(file_parent)));
    assert_false(self_contained(f, link_below, ARRAY_COUNT(link_below)));
    assert_true(self_contained(f, late_parent, ARRAY_COUNT(late_parent)));
    assert_true(self_contained(f, NULL, 0));
}

/* --- Damage --- */

static void sample(struct fixture *f, const char *name)
{
    struct cas_index_writer *w = cas_index_writer_new();
    const struct digest blob = diff_id_of("blob");
    static const uint64_t points[] = {1, 2};
    const struct cas_entry passwd = {.path = VIEW_LIT("etc/passwd"),
                                     .type = CAS_ENTRY_FILE};

    add(f, w, &full);
    add_path(f, w, "etc", CAS_ENTRY_DIR);
    add(f, w,
        &(struct cas_entry){.path = VIEW_LIT("bin"),
                            .type = CAS_ENTRY_SYMLINK,
                            .target = VIEW_LIT("usr/bin")});
    assert_ok(f, cas_index_writer_add(w, &passwd, 0, VIEW_LIT("root"), &f->err));
    cas_index_writer_restarts(w, &blob, 1 << 20, points, ARRAY_COUNT(points));
    commit(f, w, name);
}

static void read_file(struct fixture *f, const char *name, struct buf *out)
{
    const struct digest d = diff_id_of(name);

    assert_ok(f,
              fs_read_file_at(cas_store_fd(f->store), index_path(&d).text, out, &f->err));
}

static void write_file(struct fixture *f, const char *name, struct view data)
{
    const struct digest d = diff_id_of(name);
    const char *path = index_path(&d).text;
    const int dir = cas_store_fd(f->store);

    unlinkat(dir, path, 0);
    CLEANUP(fd_closep) int fd = openat(dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_ok(f, fd);
    assert_ok(f, fs_write_all(fd, data.data, data.size, &f->err));
}

static void test_a_damaged_index_is_none(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf good = BUF_INIT(FILE_MAX);

    sample(f, "damage");
    read_file(f, "damage", &good);
    for (size_t i = 0; i < good.size; i++) {
        good.data[i] = (char)(good.data[i] ^ 1);
        write_file(f, "damage", buf_view(&good));
        assert_null(try_open(f, "damage"));
        good.data[i] = (char)(good.data[i] ^ 1);
    }
    for (size_t size = 0; size < good.size; size += 5) {
        write_file(f, "damage", (struct view){good.data, size});
        assert_null(try_open(f, "damage"));
    }
    write_file(f, "damage", buf_view(&good));
    cas_index_close(must_open(f, "damage"));
}

static void test_the_index_of_another_layer_is_none(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf good = BUF_INIT(FILE_MAX);

    sample(f, "mine");
    read_file(f, "mine", &good);
    write_file(f, "yours", buf_view(&good));
    assert_null(try_open(f, "yours"));
}

static void test_a_damaged_index_is_replaced(void **state)
{
    struct fixture *f = *state;

    sample(f, "again");
    write_file(f, "again", VIEW_LIT("nothing of use"));
    assert_null(try_open(f, "again"));
    sample(f, "again");
    cas_index_close(must_open(f, "again"));
}

/* Everything that can be asked, so that a sanitizer sees what is out of bounds. */
static size_t ask_everything(const struct cas_index *x)
{
    size_t sum = (size_t)cas_index_tar_size(x) + cas_index_is_self_contained(x);
    const struct cas_index_restarts r = cas_index_restarts(x);

    for (size_t i = 0; i < cas_index_count(x); i++) {
        struct cas_entry e;
        struct view bytes;
        size_t found;
        cas_index_at(x, i, &e);
        for (size_t k = 0; k < e.path.size; k++)
            sum += (unsigned char)e.path.data[k];
        for (size_t k = 0; k < e.target.size; k++)
            sum += (unsigned char)e.target.data[k];
        for (size_t k = 0; k < e.xattr_count; k++)
            sum += e.xattrs[k].name.size ? (unsigned char)e.xattrs[k].name.data[0] : 0u;
        if (cas_index_inline(x, i, &bytes))
            sum += (unsigned char)bytes.data[bytes.size - 1];
        sum += cas_index_find(x, e.path, &found) + cas_index_offset(x, i) % 2;
    }
    for (uint64_t i = 0; i < r.count; i++)
        sum += (size_t)cas_index_restart(x, i);
    return sum;
}

/* A hostile file has a right check sum. */
static void test_a_hostile_index_does_no_harm(void **state)
{
    struct fixture *f = *state;
    static const uint64_t values[] = {0, 1, 7, 255, 65535, UINT32_MAX, UINT64_MAX};
    CLEANUP(buf_release) struct buf bad = BUF_INIT(FILE_MAX);
    const size_t from = INDEX_HEADER_SUM + 4;
    size_t opened = 0;

    sample(f, "hostile");
    read_file(f, "hostile", &bad);
    for (size_t i = from; i + 8 <= bad.size; i += 2) {
        char saved[8];
        memcpy(saved, bad.data + i, sizeof saved);
        for (size_t k = 0; k < 2 * ARRAY_COUNT(values); k++) {
            index_put(bad.data + i, k % 2 ? 8 : 4, values[k / 2]);
            index_put(bad.data + INDEX_HEADER_SUM, 4,
                      gzip_crc32(0, bad.data + from, bad.size - from));
            write_file(f, "hostile", buf_view(&bad));
            struct cas_index *x = try_open(f, "hostile");
            if (x) {
                opened += ask_everything(x) != SIZE_MAX;
                cas_index_close(x);
            }
            memcpy(bad.data + i, saved, sizeof saved);
        }
    }
    assert_true(opened > 0);
}

static void test_an_absent_index_is_none(void **state)
{
    assert_null(try_open(*state, "never made"));
}

static void test_an_abandoned_writer_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct cas_index_writer *w = cas_index_writer_new();

    add(f, w, &full);
    cas_index_writer_abort(w);
    cas_index_writer_abort(NULL);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_null(try_open(f, "anything"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_an_entry_comes_back_whole),
        fixture_test(test_entries_are_sorted_and_the_last_of_equals_counts),
        fixture_test(test_what_is_absent_is_told_where_it_would_be),
        fixture_test(test_small_files_are_kept_inline),
        fixture_test(test_restarts_come_back),
        fixture_test(test_what_is_too_long_is_refused),
        fixture_test(test_the_content_key_leaves_out_times_only),
        fixture_test(test_parents_and_link_targets_must_be_in_the_layer),
        fixture_test(test_a_damaged_index_is_none),
        fixture_test(test_the_index_of_another_layer_is_none),
        fixture_test(test_a_damaged_index_is_replaced),
        fixture_test(test_a_hostile_index_does_no_harm),
        fixture_test(test_an_absent_index_is_none),
        fixture_test(test_an_abandoned_writer_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
