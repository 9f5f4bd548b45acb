/* Layers that are read while their blob is on its way. */
#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/arrival.h"
#include "cas/blob.h"
#include "cas/index.h"
#include "cas/store_priv.h"
#include "cas/unpack.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So large that a thread of its own fetches it. */
#define CONTENT_SIZE ((size_t)1 << 20)

/* A fetch that the test plays. */
struct play {
    struct fixture *f;
    struct buf tar;
    struct descriptor blob;
    size_t first;        /* bytes of the first piece */
    bool waits_for_file; /* before the second: until the first file is being unpacked */
    bool waits_for_end;  /* before the second: until nobody wants it any more */
    bool starts_over;    /* after the first piece */
    bool breaks;         /* after the first piece */
    bool lies;           /* the last byte is another */
    unsigned calls;
    bool saw_file;
    uint64_t given;
};

static void play_init(struct play *p, struct fixture *f)
{
    CLEANUP(base_freep) char *data = base_alloc(CONTENT_SIZE);

    memset(data, 'x', CONTENT_SIZE);
    *p = (struct play){.f = f, .tar = BUF_INIT(TAR_MAX), .first = 300000};
    tar_add(&p->tar, &(struct tar_spec){.name = "a", .data = "hello"});
    tar_add(&p->tar, &(struct tar_spec){.name = "b", .data = data, .size = CONTENT_SIZE});
    tar_add(&p->tar, &(struct tar_spec){.name = "c", .data = "last"});
    tar_end(&p->tar);
}

static void play_release(struct play *p)
{
    buf_release(&p->tar);
    descriptor_release(&p->blob);
}

/* A file of a layer that is being unpacked, of which nothing is published yet. */
static bool is_being_unpacked(const struct fixture *f, const char *name)
{
    CLEANUP(base_freep)
    char *pattern = base_format("%s/ingest/*/fs/%s", cas_store_path(f->store), name);
    glob_t found;
    const bool there = glob(pattern, 0, NULL, &found) == 0;

    globfree(&found);
    return there;
}

/* Gives up after a minute. */
static bool wait_for_file(const struct fixture *f, const char *name)
{
    for (int i = 0; i < 6000; i++) {
        if (is_being_unpacked(f, name))
            return true;
        usleep(10000);
    }
    return false;
}

static int give(struct play *p,
                struct cas_blob_writer *w,
                struct cas_arrival *arrival,
                size_t from,
                size_t to,
                struct error *err)
{
    const struct view part = view_sub(buf_view(&p->tar), from, to - from);

    if (cas_blob_writer_write(w, part.data, part.size, err) < 0)
        return -1;
    p->given += part.size;
    return cas_arrival_grown(arrival, w, err);
}

static int fetch(void *context,
                 const struct descriptor *blob,
                 struct cas_arrival *arrival,
                 struct error *err)
{
    struct play *p = context;
    CLEANUP(cas_blob_writer_abortp)
    struct cas_blob_writer *w = cas_blob_writer_new(p->f->store, DIGEST_SHA256, err);
    size_t at = p->first;

    p->calls++;
    if (cas_arrival_begin(arrival, w, err) < 0 || give(p, w, arrival, 0, at, err) < 0)
        return -1;
    if (p->waits_for_file)
        p->saw_file = wait_for_file(p->f, "a");
    for (int i = 0; p->waits_for_end && i < 6000; i++) {
        if (cas_arrival_grown(arrival, w, err) < 0)
            return -1;
        usleep(10000);
    }
    if (p->breaks)
        return error_set(err, ERROR_NETWORK, "the cable was cut");
    if (p->starts_over) {
        cas_blob_writer_abortp(&w);
        w = cas_blob_writer_new(p->f->store, DIGEST_SHA256, err);
        if (!w || cas_arrival_begin(arrival, w, err) < 0)
            return -1;
        at = 0;
    }
    for (; at < p->tar.size; at += 4096)
        if (give(p, w, arrival, at, at + 4096 < p->tar.size ? at + 4096 : p->tar.size,
                 err) < 0)
            return -1;
    if (p->lies && cas_blob_writer_write(w, "!", 1, err) < 0)
        return -1;

    struct cas_blob_writer *full = w;

    w = NULL;
    return cas_blob_writer_commit(full, &blob->digest, blob->size, NULL, NULL, err);
}

static struct cas_layer *layer_of_play(struct play *p)
{
    const struct digest digest = digest_of(DIGEST_SHA256, buf_view(&p->tar));

    descriptor_init(&p->blob, MEDIA_OCI_LAYER, &digest, p->tar.size);
    return cas_layer_new(p->f->store, &digest, &p->blob, fetch, p);
}

static size_t count_in(const struct fixture *f, const char *dir)
{
    CLEANUP(base_freep)
    char *pattern = base_format("%s/%s", cas_store_path(f->store), dir);
    glob_t found;
    const size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;

    globfree(&found);
    return count;
}

static void expect_nothing_published(const struct fixture *f)
{
    assert_int_equal(count_in(f, "layers/*"), 0);
    assert_int_equal(count_in(f, "index/*/*"), 0);
    assert_int_equal(count_in(f, "blobs/sha256/*"), 0);
}

/* The layer cannot be unpacked, and nothing of it is visible. */
static void refuse_play(struct play *p, enum error_code code, const char *text)
{
    struct cas_layer *l = layer_of_play(p);

    assert_int_equal(cas_layer_unpacked(&l, 0, &p->f->err), -1);
    if (p->f->err.code != code || !strstr(error_text(&p->f->err), text))
        fail_msg("%s", error_text(&p->f->err));
    error_clear(&p->f->err);
    expect_nothing_published(p->f);
    cas_layer_unref(l);
}

static void test_a_layer_is_unpacked_while_it_arrives(void **state)
{
    struct fixture *f = *state;
    struct play p;

    play_init(&p, f);
    p.waits_for_file = true;
    struct cas_layer *l = layer_of_play(&p);
    const int fd = cas_layer_unpacked(&l, 0, &f->err);

    assert_ok(f, fd);
    assert_true(p.saw_file);
    assert_int_equal(p.calls, 1);
    assert_text(file_text(fd, "a"), "hello");
    assert_text(file_text(fd, "c"), "last");
    assert_int_equal(count_in(f, "index/*/*"), 1);
    assert_int_equal(count_in(f, "blobs/sha256/*"), 1);
    close(fd);
    cas_layer_unref(l);
    play_release(&p);
}

static void test_an_index_is_made_while_the_layer_arrives(void **state)
{
    struct fixture *f = *state;
    struct play p;

    play_init(&p, f);
    struct cas_layer *l = layer_of_play(&p);
    const struct cas_index *index = cas_layer_index(l, &f->err);

    assert_non_null(index);
    assert_int_equal(cas_index_count(index), 3);
    assert_int_equal(p.calls, 1);
    cas_layer_unref(l);
    play_release(&p);
}

static void test_a_transfer_that_starts_over_is_followed(void **state)
{
    struct fixture *f = *state;
    struct play p;

    play_init(&p, f);
    p.waits_for_file = true;
    p.starts_over = true;
    struct cas_layer *l = layer_of_play(&p);
    const int fd = cas_layer_unpacked(&l, 0, &f->err);

    assert_ok(f, fd);
    assert_text(file_text(fd, "c"), "last");
    close(fd);
    cas_layer_unref(l);
    play_release(&p);
}

static void test_a_transfer_that_breaks_is_told_as_such(void **state)
{
    struct play p;

    play_init(&p, *state);
    p.waits_for_file = true;
    p.breaks = true;
    refuse_play(&p, ERROR_NETWORK, "the cable was cut");
    play_release(&p);
}

static void test_a_wrong_blob_is_told_as_such_and_nothing_is_published(void **state)
{
    struct play p;

    play_init(&p, *state);
    p.lies = true;
    refuse_play(&p, ERROR_CORRUPT, "content has");
    play_release(&p);
}

/* The digest is right, and what it is of is no layer: all of it is read, nothing kept but
 * the blob. */
static void test_a_malformed_layer_is_refused_after_it_arrived(void **state)
{
    struct fixture *f = *state;
    struct play p;

    play_init(&p, f);
    memset(p.tar.data, 'z', 512);
    struct cas_layer *l = layer_of_play(&p);

    assert_int_equal(cas_layer_unpacked(&l, 0, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_CORRUPT);
    error_clear(&f->err);
    assert_int_equal(p.given, p.tar.size);
    assert_int_equal(count_in(f, "layers/*"), 0);
    assert_int_equal(count_in(f, "index/*/*"), 0);
    cas_layer_unref(l);
    play_release(&p);
}

/* A bomb is not fetched to its end. */
static void test_a_layer_past_the_limit_ends_its_fetch(void **state)
{
    struct fixture *f = *state;
    struct play p;

    play_init(&p, f);
    p.waits_for_end = true;
    /* The size of the first file, in base 256: 3 TiB. */
    memcpy(p.tar.data + 124, "\x80\0\0\0\0\0\3\0\0\0\0\0", 12);
    tar_fix_sum(&p.tar, 0);
    refuse_play(&p, ERROR_LIMIT, "at most");
    play_release(&p);
}

static void test_a_stack_is_unpacked_at_once(void **state)
{
    enum { COUNT = 6 };
    struct fixture *f = *state;
    struct play plays[COUNT];
    struct cas_layer *layers[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        CLEANUP(base_freep) char *name = base_format("own%zu", i);

        play_init(&plays[i], f);
        plays[i].tar.size -= 1024;
        tar_add(&plays[i].tar, &(struct tar_spec){.name = name, .data = "x"});
        tar_end(&plays[i].tar);
        layers[i] = layer_of_play(&plays[i]);
    }
    assert_ok(f, cas_layers_unpack(layers, COUNT, &f->err));
    assert_int_equal(count_in(f, "layers/*"), COUNT);
    assert_ok(f, cas_layers_unpack(layers, COUNT, &f->err));
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(plays[i].calls, 1);
        cas_layer_unref(layers[i]);
        play_release(&plays[i]);
    }
}

static void test_a_stack_fails_as_its_first_failure(void **state)
{
    struct fixture *f = *state;
    struct play plays[2];
    struct cas_layer *layers[2];

    for (size_t i = 0; i < 2; i++) {
        play_init(&plays[i], f);
        plays[i].breaks = true;
        plays[i].tar.data[0] = (char)('a' + i);
        tar_fix_sum(&plays[i].tar, 0);
        layers[i] = layer_of_play(&plays[i]);
    }
    assert_int_equal(cas_layers_unpack(layers, 2, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_NETWORK);
    error_clear(&f->err);
    expect_nothing_published(f);
    for (size_t i = 0; i < 2; i++) {
        cas_layer_unref(layers[i]);
        play_release(&plays[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_layer_is_unpacked_while_it_arrives),
        fixture_test(test_an_index_is_made_while_the_layer_arrives),
        fixture_test(test_a_transfer_that_starts_over_is_followed),
        fixture_test(test_a_transfer_that_breaks_is_told_as_such),
        fixture_test(test_a_wrong_blob_is_told_as_such_and_nothing_is_published),
        fixture_test(test_a_malformed_layer_is_refused_after_it_arrived),
        fixture_test(test_a_layer_past_the_limit_ends_its_fetch),
        fixture_test(test_a_stack_is_unpacked_at_once),
        fixture_test(test_a_stack_fails_as_its_first_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
