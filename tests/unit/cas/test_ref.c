#include "store_fixture.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "cas/layout.h"
#include "cas/ref.h"
#include "cas/ref_priv.h"
#include "cas/store_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void set(struct fixture *f, const char *name, const char *seed)
{
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, seed);

    assert_ok(f, cas_ref_set(f->store, name, &d, "build", &f->err));
}

static bool points_to(struct fixture *f, const char *name, const char *seed)
{
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, seed);
    CLEANUP(cas_ref_release) struct cas_ref r = {0};
    bool found;

    assert_ok(f, cas_ref_find(f->store, name, &found, &r, &f->err));
    return found && digest_eq(&r.target.digest, &d.digest);
}

static size_t history_size(struct fixture *f, const char *name)
{
    struct cas_ref_event *events;
    size_t count;

    assert_ok(f, cas_ref_history(f->store, name, &events, &count, &f->err));
    cas_ref_history_free(events, count);
    return count;
}

static int64_t index_generation(struct fixture *f)
{
    int64_t generation;

    assert_ok(f, cas_layout_generation(f->store->fd, &generation, &f->err));
    return generation;
}

static void test_a_ref_is_found_where_it_was_set(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_ref_release) struct cas_ref r = {0};
    bool found;

    assert_ok(f, cas_ref_find(f->store, "a", &found, &r, &f->err));
    assert_false(found);
    set(f, "a", "one");
    assert_true(points_to(f, "a", "one"));
    set(f, "a", "two");
    assert_true(points_to(f, "a", "two"));
}

static void test_refs_survive_reopening(void **state)
{
    struct fixture *f = *state;

    set(f, "docker.io/library/a:1", "one");
    fixture_close(f);
    fixture_open(f);
    assert_true(points_to(f, "docker.io/library/a:1", "one"));
}

static void test_an_incomplete_image_gets_no_ref(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "x");
    const struct digest layer = digest_of(DIGEST_SHA256, VIEW_LIT("x: two"));

    assert_int_equal(unlinkat(f->store->fd, cas_blob_path(&layer).text, 0), 0);
    assert_int_equal(cas_ref_set(f->store, "a", &d, "build", &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
    assert_int_equal(history_size(f, "a"), 0);
    fixture_write(f, cas_blob_path(&layer).text, "x: tw");
    assert_int_equal(cas_ref_set(f->store, "a", &d, "build", &f->err), -1);
    assert_code(f, ERROR_CORRUPT);
    assert_int_equal(history_size(f, "a"), 0);
}

static struct descriptor index_of(struct fixture *f, const struct descriptor *d)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(10000);

    buf_printf(
        &text,
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\","
        "\"size\":%ju}]}",
        d->media_type, digest_format(&d->digest).text, (uintmax_t)d->size);
    return fixture_blob(f, MEDIA_OCI_INDEX, buf_text(&text));
}

static void test_indexes_are_checked_to_their_leaves(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor image = fixture_image(f, "x");
    CLEANUP(descriptor_release) struct descriptor inner = index_of(f, &image);
    CLEANUP(descriptor_release) struct descriptor outer = index_of(f, &inner);
    const struct digest layer = digest_of(DIGEST_SHA256, VIEW_LIT("x: one"));

    assert_ok(f, cas_ref_set(f->store, "whole", &outer, "pull", &f->err));
    assert_int_equal(unlinkat(f->store->fd, cas_blob_path(&layer).text, 0), 0);
    assert_int_equal(cas_ref_set(f->store, "broken", &outer, "pull", &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
}

static void test_endless_nesting_is_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "x");

    for (int i = 0; i < 12; i++) {
        struct descriptor outer = index_of(f, &d);
        descriptor_release(&d);
        d = outer;
    }
    assert_int_equal(cas_ref_set(f->store, "deep", &d, "pull", &f->err), -1);
    assert_code(f, ERROR_LIMIT);
}

static void test_setting_the_same_changes_nothing(void **state)
{
    struct fixture *f = *state;

    set(f, "a", "one");
    const int64_t generation = index_generation(f);
    set(f, "a", "one");
    assert_int_equal(index_generation(f), generation);
    assert_int_equal(history_size(f, "a"), 1);
}

static void test_several_names_are_set_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"b", "a", "c"};
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};
    const int64_t generation = index_generation(f);

    assert_ok(f, cas_ref_set_many(f->store, names, 3, &d, "build", &f->err));
    assert_int_equal(index_generation(f), generation + 1);
    assert_ok(f, cas_ref_list(f->store, &list, &f->err));
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].name, "a");
    assert_string_equal(list.items[2].name, "c");
}

static void test_history_tells_newest_first(void **state)
{
    struct fixture *f = *state;
    struct cas_ref_event *e;
    size_t count;

    set(f, "a", "one");
    set(f, "a", "two");
    assert_ok(f, cas_ref_delete(f->store, "a", "rmi", &f->err));
    assert_ok(f, cas_ref_history(f->store, "a", &e, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(e[0].why, "rmi");
    assert_false(digest_is_set(&e[0].to));
    assert_true(digest_eq(&e[0].from, &e[1].to));
    assert_true(digest_eq(&e[1].from, &e[2].to));
    assert_false(digest_is_set(&e[2].from));
    assert_true(e[2].time > 0);
    cas_ref_history_free(e, count);
}

static void test_deleting_what_is_not_there_is_not_found(void **state)
{
    struct fixture *f = *state;
    const int64_t generation = index_generation(f);

    assert_int_equal(cas_ref_delete(f->store, "a", "rmi", &f->err), -1);
    assert_code(f, ERROR_NOT_FOUND);
    assert_int_equal(index_generation(f), generation);
}

static void test_index_json_lists_the_refs_by_name(void **state)
{
    struct fixture *f = *state;
    static const char name[] = "docker.io/library/a:1";
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    set(f, name, "one");
    CLEANUP(base_freep) char *text = fixture_read(f, "index.json");
    CLEANUP(doc_unrefp) struct doc *index = doc_parse(view_of(text), &err);
    const struct doc *m = doc_at(doc_get(index, "manifests"), 0);
    assert_int_equal(doc_count(doc_get(index, "manifests")), 1);
    assert_string_equal(doc_text(doc_get(index, "mediaType")), MEDIA_OCI_INDEX);
    assert_string_equal(doc_text(doc_get(m, "mediaType")), MEDIA_OCI_MANIFEST);
    assert_string_equal(
        doc_text(doc_get(doc_get(m, "annotations"), "org.opencontainers.image.ref.name")),
        name);
}

static void test_a_targets_own_annotations_stay(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};

    d.annotations = doc_new_object();
    doc_set_text(d.annotations, "k", "v");
    assert_ok(f, cas_ref_set(f->store, "a", &d, "build", &f->err));
    assert_ok(f, cas_layout_read_index(f->store->fd, &list, &f->err));
    assert_int_equal(list.count, 1);
    assert_int_equal(doc_count(list.items[0].target.annotations), 1);
    assert_string_equal(doc_text(doc_get(list.items[0].target.annotations, "k")), "v");
}

static void test_a_stale_index_json_is_mended_at_open(void **state)
{
    struct fixture *f = *state;

    set(f, "a", "one");
    CLEANUP(base_freep) char *old = fixture_read(f, "index.json");
    set(f, "b", "two");
    CLEANUP(base_freep) char *new = fixture_read(f, "index.json");
    fixture_close(f);
    fixture_write(f, "index.json", old);
    fixture_open(f);
    CLEANUP(base_freep) char *mended = fixture_read(f, "index.json");
    assert_string_equal(mended, new);
}

static void reopen_and_compare_index(struct fixture *f, const char *right)
{
    fixture_open(f);
    CLEANUP(base_freep) char *mended = fixture_read(f, "index.json");
    assert_string_equal(mended, right);
    fixture_close(f);
}

static void test_a_damaged_or_missing_index_json_is_mended_at_open(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *path = base_format("%s/index.json", f->path);

    set(f, "a", "one");
    CLEANUP(base_freep) char *right = fixture_read(f, "index.json");
    fixture_close(f);
    fixture_write(f, "index.json", "");
    reopen_and_compare_index(f, right);
    fixture_write(f, "index.json", "{\"schemaVersion\":2,\"manifests\":[]}");
    reopen_and_compare_index(f, right);
    assert_int_equal(unlink(path), 0);
    reopen_and_compare_index(f, right);
}

static void test_refs_come_back_from_index_json_when_the_database_is_lost(void **state)
{
    struct fixture *f = *state;
    const struct digest layer = digest_of(DIGEST_SHA256, VIEW_LIT("two: one"));

    set(f, "a", "one");
    set(f, "b", "two");
    assert_int_equal(unlinkat(f->store->fd, cas_blob_path(&layer).text, 0), 0);
    const int64_t generation = index_generation(f);
    fixture_close(f);
    CLEANUP(base_freep) char *path = base_format("%s/meta.db", f->path);
    assert_int_equal(unlink(path), 0);
    fixture_open(f);
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};
    assert_ok(f, cas_ref_list(f->store, &list, &f->err));
    /* The incomplete one does not. */
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "a");
    assert_true(points_to(f, "a", "one"));
    assert_true(index_generation(f) > generation);
}

static void set_many_refs(const char *path, int from)
{
    struct fixture f = {.path = base_strdup(path)};
    struct error err = ERROR_INIT;

    f.store = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &err);
    if (!f.store)
        _exit(1);
    for (int i = 0; i < 10; i++) {
        CLEANUP(base_freep) char *name = base_format("ref-%d", from + i);
        CLEANUP(descriptor_release) struct descriptor d = fixture_image(&f, name);
        if (cas_ref_set(f.store, name, &d, "build", &err) < 0)
            _exit(2);
    }
    cas_store_close(f.store);
    free(f.path);
    _exit(0);
}

static void test_processes_set_refs_at_once(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    CLEANUP(cas_ref_list_release) struct cas_ref_list index = {0};
    int status;

    for (int i = 0; i < 4; i++) {
        const pid_t child = fork();
        if (child == 0)
            set_many_refs(f->path, 10 * i);
        assert_true(child > 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    fixture_open(f);
    assert_ok(f, cas_ref_list(f->store, &refs, &f->err));
    assert_ok(f, cas_layout_read_index(f->store->fd, &index, &f->err));
    assert_int_equal(refs.count, 40);
    assert_int_equal(index.count, 40);
}

struct setter {
    struct cas_store *store;
    struct descriptor target;
    int number;
    bool failed;
};

/* Some that succeed, each followed by one that is refused. */
static void *set_by_thread(void *context)
{
    struct setter *t = context;

    for (int i = 0; i < 10 && !t->failed; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(base_freep) char *name = base_format("ref-%d-%d", t->number, i);
        const char *const names[] = {name};
        const struct cas_ref_guard fixed = {.is_absent = true};
        const struct cas_ref_change again = {.names = names,
                                             .count = 1,
                                             .guards = &fixed,
                                             .target = &t->target,
                                             .why = "test"};
        t->failed = cas_ref_set(t->store, name, &t->target, "test", &err) < 0 ||
                    cas_ref_apply(t->store, &again, NULL, &err) == 0 ||
                    !error_is(&err, ERROR_EXISTS);
    }
    return NULL;
}

static void test_index_json_shows_what_threads_set_at_once(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_ref_list_release) struct cas_ref_list index = {0};
    struct setter setters[16] = {0};
    pthread_t threads[16];

    for (int i = 0; i < 16; i++) {
        setters[i] = (struct setter){f->store, fixture_image(f, "one"), i, false};
        assert_int_equal(pthread_create(&threads[i], NULL, set_by_thread, &setters[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_false(setters[i].failed);
        descriptor_release(&setters[i].target);
    }
    assert_ok(f, cas_layout_read_index(f->store->fd, &index, &f->err));
    assert_int_equal(index.count, 160);
    const int64_t generation = index_generation(f);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(index_generation(f), generation); /* nothing had to be mended */
}

/* skopeo's rule for what follows the path and the first colon in "oci:PATH:NAME". */
static void test_skopeo_reads_the_store(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"docker.io/library/a:1",
                                        "127.0.0.1:5000/x/y_z:v1.2-rc"};
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");

    if (system("skopeo --version >/dev/null 2>&1") != 0)
        fail_msg("skopeo is needed for this test");
    assert_ok(f, cas_ref_set_many(f->store, names, 2, &d, "build", &f->err));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        CLEANUP(base_freep)
        char *command =
            base_format("skopeo inspect --raw oci:%s:%s | grep -q "
                        "'application/vnd.oci.image.config' && "
                        "skopeo --insecure-policy copy -q oci:%s:%s dir:%s/out%zu",
                        f->path, names[i], f->path, names[i], f->dir, i);
        assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_ref_is_found_where_it_was_set),
        fixture_test(test_refs_survive_reopening),
        fixture_test(test_an_incomplete_image_gets_no_ref),
        fixture_test(test_indexes_are_checked_to_their_leaves),
        fixture_test(test_endless_nesting_is_refused),
        fixture_test(test_setting_the_same_changes_nothing),
        fixture_test(test_several_names_are_set_at_once),
        fixture_test(test_history_tells_newest_first),
        fixture_test(test_deleting_what_is_not_there_is_not_found),
        fixture_test(test_index_json_lists_the_refs_by_name),
        fixture_test(test_a_targets_own_annotations_stay),
        fixture_test(test_a_stale_index_json_is_mended_at_open),
        fixture_test(test_a_damaged_or_missing_index_json_is_mended_at_open),
        fixture_test(test_refs_come_back_from_index_json_when_the_database_is_lost),
        fixture_dir_test(test_processes_set_refs_at_once),
        fixture_test(test_index_json_shows_what_threads_set_at_once),
        fixture_test(test_skopeo_reads_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
