/* link: -larchive -Wl,--wrap=write */
#include "store_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/pool.h"
#include "cas/codec.h"
#include "cas/index.h"
#include "cas/layer.h"
#include "cas/record.h"
#include "cas/tar_write.h"
#include "cas/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- A disk that is full after so many bytes --- */

static atomic_long disk_left = LONG_MAX;

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (fd > 2 && atomic_fetch_sub(&disk_left, (long)size) < (long)size) {
        errno = ENOSPC;
        return -1;
    }
    return __real_write(fd, data, size);
}

/* --- A made-up tree --- */

#define NAME_SIZE 64

/* Files whose content follows from their number; given from memory or through a file. */
struct tree {
    struct cas_entry *entries;
    char (*names)[NAME_SIZE];
    size_t count;
    size_t capacity;
    bool from_fd;
    size_t bad;         /* entry that fails; SIZE_MAX: none */
    int64_t bad_growth; /* bytes that it has more than it should; 0: it cannot be opened */
    atomic_size_t opened;
    bool *cancel_after; /* set when the first content is asked for */
};

static char content_byte(size_t entry, uint64_t at)
{
    /* Repeats with a period that no block has, so that it compresses. */
    return (char)((at * at / 7 + entry * 131 + at / 4096) % 61 + ' ');
}

static char *make_content(size_t entry, uint64_t size)
{
    char *data = base_alloc((size_t)size + 1);

    for (uint64_t i = 0; i < size; i++)
        data[i] = content_byte(entry, i);
    return data;
}

static int give_content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    struct tree *t = context;
    uint64_t size = t->entries[i].size;

    atomic_fetch_add(&t->opened, 1);
    if (t->cancel_after)
        __atomic_store_n(t->cancel_after, true, __ATOMIC_RELAXED);
    if (i == t->bad && t->bad_growth == 0)
        return error_set(err, ERROR_DENIED, "may not be opened");
    if (i == t->bad)
        size = (uint64_t)((int64_t)size + t->bad_growth);

    char *data = make_content(i, size);
    out->fd = memfd_create("content", MFD_CLOEXEC);
    assert_true(out->fd >= 0);
    for (uint64_t done = 0; done < size;) {
        const ssize_t n = __real_write(out->fd, data + done, (size_t)(size - done));
        assert_true(n > 0);
        done += (uint64_t)n;
    }
    free(data);
    return 0;
}

static struct cas_entry *tree_add(struct tree *t,
                                  enum cas_entry_type type,
                                  const char *path)
{
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        t->entries = base_realloc_array(t->entries, t->capacity, sizeof *t->entries);
        t->names = base_realloc_array(t->names, t->capacity, sizeof *t->names);
        for (size_t i = 0; i < t->count; i++)
            t->entries[i].path.data = t->names[i];
    }
    char *name = t->names[t->count];
    snprintf(name, NAME_SIZE, "%s", path);
    struct cas_entry *e = &t->entries[t->count++];
    *e = (struct cas_entry){.path = view_of(name),
                            .type = type,
                            .mode = type == CAS_ENTRY_DIR ? 0755 : 0644,
                            .mtime_s = 1700000000};
    return e;
}

static void tree_file(struct tree *t, const char *path, uint64_t size)
{
    tree_add(t, CAS_ENTRY_FILE, path)->size = size;
}

static void tree_release(struct tree *t)
{
    free(t->entries);
    free(t->names);
    *t = (struct tree){0};
}

/* Small and large files, links, whiteouts: several blocks. */
static void tree_mixed(struct tree *t, size_t small)
{
    char name[NAME_SIZE];

    *t = (struct tree){.bad = SIZE_MAX};
    tree_file(t, "a-large", 2500000);
    tree_add(t, CAS_ENTRY_DIR, "dir");
    tree_add(t, CAS_ENTRY_WHITEOUT, "dir/gone");
    for (size_t i = 0; i < small; i++) {
        snprintf(name, sizeof name, "dir/small%06zu", i);
        tree_file(t, name, i * i % 9000);
    }
    tree_add(t, CAS_ENTRY_HARDLINK, "dir/to-first")->target = VIEW_LIT("a-large");
    tree_add(t, CAS_ENTRY_DIR, "etc")->opaque = true;
    tree_file(t, "etc/group", 65536);
    tree_file(t, "etc/passwd", 40000);
    tree_file(t, "etc/shadow", 100);
    tree_add(t, CAS_ENTRY_SYMLINK, "link")->target = VIEW_LIT("dir/small000001");
    tree_file(t, "n-exact", (1 << 20) - 512);
    tree_file(t, "z-large", 3333333);
}

static struct cas_layer_options options(struct pool *pool)
{
    return (struct cas_layer_options){.epoch = -1, .pool = pool};
}

static struct cas_layer *write_tree(struct fixture *f,
                                    struct tree *t,
                                    const struct cas_layer_options *o)
{
    for (size_t i = 0; i < t->count; i++)
        t->entries[i].content = (struct digest){.alg = DIGEST_NONE};
    return cas_layer_write(f->store, t->entries, t->count, give_content, t, o, &f->err);
}

static struct cas_layer *must_write(struct fixture *f,
                                    struct tree *t,
                                    const struct cas_layer_options *o)
{
    struct cas_layer *l = write_tree(f, t, o);

    if (!l)
        fail_msg("%s", error_text(&f->err));
    return l;
}

/* Nothing of a layer that failed is there. */
static void assert_nothing_left(struct fixture *f)
{
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
    assert_false(fixture_exists(f, "index/sha256"));
}

/* --- Reading it back --- */

static void read_blob(struct fixture *f, struct cas_layer *l, struct buf *out)
{
    CLEANUP(fd_closep)
    int fd = cas_blob_open(f->store, &cas_layer_blob(l)->digest, &f->err);
    CLEANUP(codec_reader_freep) struct codec_reader *r = codec_reader_new_fd(fd);
    CLEANUP(base_freep) char *piece = base_alloc(1 << 20);
    size_t got;

    assert_ok(f, fd);
    do {
        assert_ok(f, codec_reader_read(r, piece, 1 << 20, &got, &f->err));
        buf_append(out, piece, got);
    } while (got > 0);
    assert_false(out->failed);
}

static void assert_content(struct archive *a, size_t entry, uint64_t size)
{
    CLEANUP(base_freep) char *want = make_content(entry, size);
    CLEANUP(base_freep) char *got = base_alloc((size_t)size + 1);

    assert_int_equal(archive_read_data(a, got, (size_t)size + 1), size);
    assert_memory_equal(got, want, size);
}

static void assert_archive_holds(struct fixture *f,
                                 struct cas_layer *l,
                                 const struct tree *t)
{
    CLEANUP(buf_release) struct buf tar = BUF_INIT((size_t)1 << 30);
    struct archive *a = archive_read_new();
    struct archive_entry *got;

    read_blob(f, l, &tar);
    const struct digest d = digest_of(DIGEST_SHA256, buf_view(&tar));
    assert_true(digest_eq(&d, cas_layer_diff_id(l)));
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, tar.data, tar.size), ARCHIVE_OK);
    for (size_t i = 0; i < t->count; i++) {
        assert_int_equal(archive_read_next_header(a, &got), ARCHIVE_OK);
        if (t->entries[i].type == CAS_ENTRY_FILE) {
            assert_string_equal(archive_entry_pathname(got), t->entries[i].path.data);
            assert_content(a, i, t->entries[i].size);
        }
        if (t->entries[i].opaque)
            assert_int_equal(archive_read_next_header(a, &got), ARCHIVE_OK);
    }
    assert_int_equal(archive_read_next_header(a, &got), ARCHIVE_EOF);
    archive_read_free(a);
}

/* --- What must hold --- */

static void test_a_layer_reads_back_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    static const enum cas_compression all[] = {CAS_COMPRESSION_GZIP, CAS_COMPRESSION_ZSTD,
                                               CAS_COMPRESSION_NONE};
    CLEANUP(pool_freep) struct pool *pool = pool_new(3);
    CLEANUP(tree_release) struct tree t;

    tree_mixed(&t, 300);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct cas_layer_options o = options(pool);
        o.compression = all[i];
        CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
        assert_archive_holds(f, l, &t);
    }
}

static void test_the_bytes_do_not_depend_on_threads(void **state)
{
    struct fixture *f = *state;
    static const unsigned threads[] = {1, 2, 4, 8};
    CLEANUP(tree_release) struct tree t;
    const struct cas_layer_options alone = options(NULL);

    tree_mixed(&t, 2000);
    CLEANUP(cas_layer_unrefp) struct cas_layer *first = must_write(f, &t, &alone);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        CLEANUP(pool_freep) struct pool *pool = pool_new(threads[i]);
        for (unsigned again = 0; again < 3; again++) {
            const struct cas_layer_options o = options(pool);
            CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
            assert_true(digest_eq(cas_layer_diff_id(l), cas_layer_diff_id(first)));
            assert_true(
                digest_eq(&cas_layer_blob(l)->digest, &cas_layer_blob(first)->digest));
        }
    }
}

static void test_digests_of_files_are_given_back(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);
    CLEANUP(tree_release) struct tree t;
    const struct cas_layer_options o = options(pool);

    tree_mixed(&t, 50);
    cas_layer_unref(must_write(f, &t, &o));
    for (size_t i = 0; i < t.count; i++) {
        const struct cas_entry *e = &t.entries[i];
        if (e->type != CAS_ENTRY_FILE)
            continue;
        CLEANUP(base_freep) char *data = make_content(i, e->size);
        const struct digest want =
            digest_of(DIGEST_SHA256, (struct view){data, (size_t)e->size});
        assert_true(digest_eq(&e->content, &want));
    }
}

static void test_the_index_tells_what_the_tar_holds(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf tar = BUF_INIT((size_t)1 << 30);
    CLEANUP(tree_release) struct tree t;
    struct cas_layer_options o = options(NULL);
    struct cas_entry e;
    bool found;

    tree_mixed(&t, 50);
    o.epoch = 1600000000;
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    read_blob(f, l, &tar);
    struct cas_index *x = cas_index_open(f->store, cas_layer_diff_id(l), &found, &f->err);
    assert_non_null(x);
    assert_int_equal(cas_index_count(x), t.count);
    assert_int_equal(cas_index_tar_size(x), tar.size);
    for (size_t i = 0; i < t.count; i++) {
        cas_index_at(x, i, &e);
        assert_true(view_eq(e.path, t.entries[i].path));
        assert_int_equal(e.type, t.entries[i].type);
        assert_int_equal(e.mtime_s, e.type == CAS_ENTRY_WHITEOUT ? 0 : 1600000000);
        assert_true(digest_eq(&e.content, &t.entries[i].content));
        if (e.size > 0)
            assert_int_equal(tar.data[cas_index_offset(x, i)], content_byte(i, 0));
    }
    cas_index_close(x);
}

static void test_passwd_and_group_are_kept_in_the_index(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t;
    const struct cas_layer_options o = options(NULL);
    unsigned kept = 0;
    bool found;

    tree_mixed(&t, 250); /* 1 MiB ends within etc/passwd or near it */
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    struct cas_index *x = cas_index_open(f->store, cas_layer_diff_id(l), &found, &f->err);
    assert_non_null(x);
    for (size_t i = 0; i < cas_index_count(x); i++) {
        struct view bytes;
        if (!cas_index_inline(x, i, &bytes))
            continue;
        CLEANUP(base_freep) char *want = make_content(i, t.entries[i].size);
        assert_int_equal(bytes.size, t.entries[i].size);
        assert_memory_equal(bytes.data, want, bytes.size);
        kept++;
    }
    assert_int_equal(kept, 2);
    cas_index_close(x);
}

/* The index that is made from the blob when the first one was lost. */
static void test_the_index_is_the_same_when_made_from_the_blob(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t;
    const struct cas_layer_options o = options(NULL);
    bool found;

    tree_mixed(&t, 250);
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    struct cas_index *before =
        cas_index_open(f->store, cas_layer_diff_id(l), &found, &f->err);
    assert_non_null(before);
    assert_ok(f, fs_remove_tree_at(cas_store_fd(f->store), "index", &f->err));
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *again =
        cas_layer_new(f->store, cas_layer_diff_id(l), cas_layer_blob(l), NULL, NULL);
    const struct cas_index *after = cas_layer_index(again, &f->err);
    assert_ok(f, after ? 0 : -1);

    assert_int_equal(cas_index_count(before), cas_index_count(after));
    assert_int_equal(cas_index_tar_size(before), cas_index_tar_size(after));
    assert_int_equal(cas_index_is_self_contained(before),
                     cas_index_is_self_contained(after));
    for (size_t i = 0; i < cas_index_count(before); i++) {
        struct cas_entry a;
        struct cas_entry b;
        struct view kept_a;
        struct view kept_b;
        cas_index_at(before, i, &a);
        cas_index_at(after, i, &b);
        assert_true(view_eq(a.path, b.path));
        assert_int_equal(a.type, b.type);
        assert_int_equal(a.mode, b.mode);
        assert_int_equal(a.size, b.size);
        assert_int_equal(a.opaque, b.opaque);
        assert_int_equal(a.mtime_s, b.mtime_s);
        assert_true(view_eq(a.target, b.target));
        assert_true(digest_eq(&a.content, &b.content));
        assert_int_equal(cas_index_inline(before, i, &kept_a),
                         cas_index_inline(after, i, &kept_b));
        assert_true(view_eq(kept_a, kept_b));
        if (a.type == CAS_ENTRY_FILE && a.size > 0)
            assert_int_equal(cas_index_offset(before, i), cas_index_offset(after, i));
    }
    const struct digest keys[] = {cas_index_content_key(before),
                                  cas_index_content_key(after)};
    assert_true(digest_eq(&keys[0], &keys[1]));
    cas_index_close(before);
}

/* From every restart on, the blob gives the tar from that block on. */
static void test_one_can_begin_to_read_at_any_block(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf tar = BUF_INIT((size_t)1 << 30);
    CLEANUP(buf_release) struct buf blob = BUF_INIT((size_t)1 << 30);
    CLEANUP(tree_release) struct tree t;
    struct cas_layer_options o = options(NULL);
    CLEANUP(base_freep) char *out = base_alloc(1 << 20);
    bool found;

    tree_mixed(&t, 500);
    o.compression = CAS_COMPRESSION_ZSTD;
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    read_blob(f, l, &tar);
    assert_ok(f, cas_blob_read(f->store, &cas_layer_blob(l)->digest, &blob, &f->err));
    struct cas_index *x = cas_index_open(f->store, cas_layer_diff_id(l), &found, &f->err);
    const struct cas_index_restarts r = cas_index_restarts(x);
    assert_true(digest_eq(&r.blob, &cas_layer_blob(l)->digest));
    assert_int_equal(r.count, (tar.size + r.block_size - 1) / r.block_size);
    for (uint64_t i = 0; i < r.count; i++) {
        struct cas_content rest = {.fd = memfd_create("rest", MFD_CLOEXEC)};
        const size_t at = (size_t)cas_index_restart(x, i);
        size_t got;
        assert_int_equal(pwrite(rest.fd, blob.data + at, blob.size - at, 0),
                         blob.size - at);
        CLEANUP(codec_reader_freep)
        struct codec_reader *reader = codec_reader_new_fd(rest.fd);
        assert_ok(f, codec_reader_read(reader, out, 1 << 20, &got, &f->err));
        assert_memory_equal(out, tar.data + i * r.block_size, got);
        close(rest.fd);
    }
    cas_index_close(x);
}

static void test_a_layer_record_is_written(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t;
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    const struct cas_layer_options o = options(NULL);
    bool found = false;

    tree_mixed(&t, 1);
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    assert_ok(f, cas_layer_record_find(f->store, cas_layer_diff_id(l), NULL, &found, &blob,
                                       &f->err));
    assert_true(found);
    assert_true(digest_eq(&blob.digest, &cas_layer_blob(l)->digest));
    assert_string_equal(blob.media_type, MEDIA_OCI_LAYER_GZIP);
}

static void test_an_empty_layer_is_a_layer(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t = {.bad = SIZE_MAX};
    const struct cas_layer_options o = options(NULL);
    CLEANUP(buf_release) struct buf tar = BUF_INIT(4096);

    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    read_blob(f, l, &tar);
    assert_int_equal(tar.size, TAR_END_SIZE);
}

static int give_memory(void *context, size_t i, struct cas_content *out, struct error *err)
{
    (void)i;
    (void)err;
    out->memory = *(const struct view *)context;
    return 0;
}

static void test_content_may_come_from_memory(void **state)
{
    struct fixture *f = *state;
    struct view text = VIEW_LIT("#!/bin/sh\n");
    struct cas_entry e = {
        .path = VIEW_LIT("run"), .type = CAS_ENTRY_FILE, .size = text.size};
    const struct cas_layer_options o = options(NULL);
    const struct digest want = digest_of(DIGEST_SHA256, text);

    CLEANUP(cas_layer_unrefp)
    struct cas_layer *l = cas_layer_write(f->store, &e, 1, give_memory, &text, &o, &f->err);
    assert_non_null(l);
    assert_true(digest_eq(&e.content, &want));
}

static void assert_file(int dir, const char *path, size_t entry, uint64_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf got = BUF_INIT((size_t)16 << 20);
    CLEANUP(base_freep) char *want = make_content(entry, size);

    assert_int_equal(fs_read_file_at(dir, path, &got, &err), 0);
    assert_int_equal(got.size, size);
    if (size)
        assert_memory_equal(got.data, want, size);
}

static void assert_unpacked(struct fixture *f, struct cas_layer *l, const struct tree *t)
{
    CLEANUP(fd_closep) int dir = cas_layer_unpacked(&l, 0, &f->err);
    struct stat st;

    assert_ok(f, dir);
    for (size_t i = 0; i < t->count; i++) {
        const struct cas_entry *e = &t->entries[i];
        assert_int_equal(fstatat(dir, e->path.data, &st, AT_SYMLINK_NOFOLLOW), 0);
        if (e->type == CAS_ENTRY_FILE)
            assert_file(dir, e->path.data, i, e->size);
        if (e->type == CAS_ENTRY_FILE || e->type == CAS_ENTRY_DIR)
            assert_int_equal(st.st_mtim.tv_sec, e->mtime_s);
    }
    assert_int_equal(fstatat(dir, "a-large", &st, 0), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(fstatat(dir, "dir/gone", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
}

static void test_the_same_read_unpacks_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(3);
    CLEANUP(tree_release) struct tree t;
    struct cas_layer_options o = options(pool);

    tree_mixed(&t, 300);
    o.unpack = true;
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    assert_int_equal(fixture_count(f, "layers"), 1);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    const size_t read = atomic_load(&t.opened);
    assert_unpacked(f, l, &t);
    assert_int_equal(fixture_count(f, "layers"), 1);
    assert_int_equal(atomic_load(&t.opened), read);
}

static void test_what_needs_the_layers_below_is_not_unpacked_yet(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t = {.bad = SIZE_MAX};
    struct cas_layer_options o = options(NULL);

    tree_add(&t, CAS_ENTRY_HARDLINK, "link")->target = VIEW_LIT("bin/below");
    o.unpack = true;
    cas_layer_unref(must_write(f, &t, &o));
    assert_false(fixture_exists(f, "layers") && fixture_count(f, "layers") > 0);
}

/* --- The pool --- */

struct inside {
    struct fixture *f;
    struct tree *t;
    struct pool *pool;
    struct queue *done;
};

static void write_inside(void *arg)
{
    struct inside *in = arg;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct cas_layer_options o = options(in->pool);
    struct tree own = {.bad = SIZE_MAX, .count = in->t->count};

    own.entries = base_alloc_array(own.count, sizeof *own.entries);
    memcpy(own.entries, in->t->entries, own.count * sizeof *own.entries);
    struct cas_layer *l =
        cas_layer_write(in->f->store, own.entries, own.count, give_content, &own, &o, &err);
    free(own.entries);
    queue_push(in->done, l ? (void *)l : (void *)in);
}

/* All workers of the pool write at once: none is left to help. */
static void test_workers_of_the_pool_may_write(void **state)
{
    struct fixture *f = *state;
    CLEANUP(queue_freep) struct queue *done = queue_new();
    CLEANUP(pool_freep) struct pool *pool = pool_new(3);
    CLEANUP(tree_release) struct tree t;
    struct inside in = {f, &t, pool, done};

    tree_mixed(&t, 100);
    for (unsigned i = 0; i < 6; i++)
        pool_submit(pool, write_inside, &in);
    for (unsigned i = 0; i < 6; i++) {
        struct cas_layer *l = queue_pop(done, 60000);
        assert_non_null(l);
        assert_ptr_not_equal(l, &in);
        cas_layer_unref(l);
    }
}

static void wait_for_it(void *arg)
{
    queue_pop(arg, -1);
}

/* The pool is busy with other things all the time, and ends before it got to ours. */
static void test_a_busy_pool_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    CLEANUP(queue_freep) struct queue *hold = queue_new();
    CLEANUP(tree_release) struct tree t;
    struct pool *pool = pool_new(2);
    const struct cas_layer_options o = options(pool);

    tree_mixed(&t, 100);
    pool_submit(pool, wait_for_it, hold);
    pool_submit(pool, wait_for_it, hold);
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = must_write(f, &t, &o);
    queue_push(hold, &t);
    queue_push(hold, &t);
    pool_free(pool);
    assert_archive_holds(f, l, &t);
}

/* --- Failures --- */

static void expect_failure(struct fixture *f, struct tree *t, enum error_code code)
{
    CLEANUP(pool_freep) struct pool *pool = pool_new(3);
    struct cas_layer_options o = options(pool);

    assert_null(write_tree(f, t, &o));
    assert_code(f, code);
    assert_nothing_left(f);
    o.pool = NULL;
    assert_null(write_tree(f, t, &o));
    assert_code(f, code);
    assert_nothing_left(f);
}

static void test_a_file_that_cannot_be_opened_fails_the_layer(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t;

    tree_mixed(&t, 100);
    t.bad = 0;
    expect_failure(f, &t, ERROR_DENIED);
    t.bad = 40;
    expect_failure(f, &t, ERROR_DENIED);
    t.bad = t.count - 1;
    expect_failure(f, &t, ERROR_DENIED);
}

static void test_a_file_that_changed_fails_the_layer(void **state)
{
    struct fixture *f = *state;
    static const int64_t growth[] = {1, 100000, -1};
    CLEANUP(tree_release) struct tree t;

    tree_mixed(&t, 100);
    for (size_t i = 0; i < ARRAY_COUNT(growth); i++) {
        t.bad_growth = growth[i];
        t.bad = 0; /* a span */
        expect_failure(f, &t, ERROR_FAILED);
        t.bad = 40; /* within a block */
        expect_failure(f, &t, ERROR_FAILED);
    }
}

static void test_a_full_disk_fails_the_layer(void **state)
{
    struct fixture *f = *state;
    static const long room[] = {0, 5, 1000, 100000};
    CLEANUP(tree_release) struct tree t;

    tree_mixed(&t, 300);
    for (size_t i = 0; i < ARRAY_COUNT(room); i++) {
        CLEANUP(pool_freep) struct pool *pool = pool_new(2);
        const struct cas_layer_options o = options(pool);
        atomic_store(&disk_left, room[i]);
        struct cas_layer *l = write_tree(f, &t, &o);
        atomic_store(&disk_left, LONG_MAX);
        assert_null(l);
        assert_int_equal(f->err.sys, ENOSPC);
        assert_code(f, ERROR_SYSTEM);
        assert_nothing_left(f);
    }
}

static void test_cancelling_ends_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP(pool_freep) struct pool *pool = pool_new(2);
    CLEANUP(tree_release) struct tree t;
    struct cas_layer_options o = options(pool);
    bool cancel = false;

    tree_mixed(&t, 1000);
    t.cancel_after = &cancel;
    o.cancel = &cancel;
    assert_null(write_tree(f, &t, &o));
    assert_code(f, ERROR_CANCELLED);
    assert_true(atomic_load(&t.opened) < 900);
    assert_nothing_left(f);
}

static void test_a_level_out_of_range_is_invalid(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t;
    struct cas_layer_options o = options(NULL);

    tree_mixed(&t, 1);
    o.level = 10;
    assert_null(write_tree(f, &t, &o));
    assert_code(f, ERROR_INVALID);
    assert_nothing_left(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_layer_reads_back_as_it_was_given),
        fixture_test(test_the_bytes_do_not_depend_on_threads),
        fixture_test(test_digests_of_files_are_given_back),
        fixture_test(test_the_index_tells_what_the_tar_holds),
        fixture_test(test_passwd_and_group_are_kept_in_the_index),
        fixture_test(test_the_index_is_the_same_when_made_from_the_blob),
        fixture_test(test_one_can_begin_to_read_at_any_block),
        fixture_test(test_a_layer_record_is_written),
        fixture_test(test_an_empty_layer_is_a_layer),
        fixture_test(test_content_may_come_from_memory),
        fixture_test(test_the_same_read_unpacks_it),
        fixture_test(test_what_needs_the_layers_below_is_not_unpacked_yet),
        fixture_test(test_workers_of_the_pool_may_write),
        fixture_test(test_a_busy_pool_is_not_waited_for),
        fixture_test(test_a_file_that_cannot_be_opened_fails_the_layer),
        fixture_test(test_a_file_that_changed_fails_the_layer),
        fixture_test(test_a_full_disk_fails_the_layer),
        fixture_test(test_cancelling_ends_it),
        fixture_test(test_a_level_out_of_range_is_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
