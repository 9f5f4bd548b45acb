/* The journal of builds: IDs, finding, pruning; kept states that are damaged. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/builds.h"
#include "builder/kept.h"
#include "cas/note.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static void test_ids_sort_by_time_and_tell_it(void **state)
{
    char older[BUILD_ID_SIZE + 1], newer[BUILD_ID_SIZE + 1];
    int64_t told;

    (void)state;
    build_id_make(INT64_C(1700000000000000000), older);
    build_id_make(INT64_C(1700000000010000000), newer);
    assert_true(strcmp(older, newer) < 0);
    assert_true(build_id_time(older, &told));
    assert_true(told == INT64_C(1700000000000000000));
    assert_false(build_id_time("nothing", &told));
    assert_false(build_id_time("../../../etc", &told));
    assert_false(build_id_time("iiiiiiiiiiii", &told));
}

static void add(struct rig *r, const char *id, const char *entry)
{
    CLEANUP(base_freep) char *path = base_format("builds/%s/build.json", id);

    assert_int_equal(cas_note_write(r->store, path, view_of(entry), &r->err), 0);
}

static void test_builds_are_found_by_what_people_type(void **state)
{
    struct rig *r = *state;
    char *id;

    assert_null(build_builds_find(r->store, NULL, &r->err));
    assert_int_equal(r->err.code, ERROR_NOT_FOUND);
    error_clear(&r->err);
    add(r, "500000000aaa", "{\"version\":1,\"status\":\"done\"}");
    add(r, "500000001bbb", "{\"version\":1,\"status\":\"done\"}");
    assert_non_null(id = build_builds_find(r->store, NULL, &r->err));
    assert_string_equal(id, "500000001bbb");
    free(id);
    assert_non_null(id = build_builds_find(r->store, "^1", &r->err));
    assert_string_equal(id, "500000000aaa");
    free(id);
    assert_non_null(id = build_builds_find(r->store, "500000000", &r->err));
    assert_string_equal(id, "500000000aaa");
    free(id);
    assert_null(build_builds_find(r->store, "5000", &r->err));
    assert_int_equal(r->err.code, ERROR_INVALID);
    error_clear(&r->err);
    assert_null(build_builds_find(r->store, "^2", &r->err));
    assert_int_equal(r->err.code, ERROR_NOT_FOUND);
    error_clear(&r->err);
}

static void test_only_the_newest_builds_stay(void **state)
{
    struct rig *r = *state;
    struct build_ids ids = {0};

    for (int i = 0; i < 8; i++) {
        CLEANUP(base_freep) char *id = base_format("50000000%d000", i);
        add(r, id, "{\"version\":1}");
    }
    assert_int_equal(build_builds_prune(r->store, 3, 36500, &r->err), 0);
    assert_int_equal(build_builds_list(r->store, &ids, &r->err), 0);
    assert_int_equal(ids.count, 3);
    assert_string_equal(ids.items[0], "500000007000");
    build_ids_release(&ids);
    /* All of them are years old. */
    assert_int_equal(build_builds_prune(r->store, 3, 30, &r->err), 0);
    assert_int_equal(build_builds_list(r->store, &ids, &r->err), 0);
    assert_int_equal(ids.count, 0);
    build_ids_release(&ids);
}

static void test_a_build_that_is_held_is_not_removed(void **state)
{
    struct rig *r = *state;
    bool removed = true;
    int fd;

    add(r, "500000000000", "{\"version\":1}");
    fd = build_builds_hold(r->store, "500000000000", &r->err);
    assert_true(fd >= 0);
    assert_int_equal(build_builds_remove(r->store, "500000000000", &removed, &r->err), 0);
    assert_false(removed);
    close(fd);
    assert_int_equal(build_builds_remove(r->store, "500000000000", &removed, &r->err), 0);
    assert_true(removed);
}

static void expect_status(struct rig *r, const char *want)
{
    struct doc *d = build_builds_read(r->store, "500000000000", &r->err);

    assert_non_null(d);
    assert_string_equal(doc_text(doc_get(d, "status")), want);
    doc_unref(d);
}

static void test_a_build_that_ended_without_a_word_was_killed(void **state)
{
    struct rig *r = *state;
    int fd;

    add(r, "500000000000", "{\"version\":1,\"status\":\"running\"}");
    expect_status(r, "killed");
    fd = openat(cas_store_fd(r->store), "builds/500000000000", O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    expect_status(r, "running");
    close(fd);
}

static void test_a_damaged_entry_is_told(void **state)
{
    struct rig *r = *state;

    add(r, "500000000000", "{\"version\":1");
    assert_null(build_builds_read(r->store, "500000000000", &r->err));
    error_clear(&r->err);
    add(r, "500000000000", "{\"version\":99}");
    assert_null(build_builds_read(r->store, "500000000000", &r->err));
    assert_int_equal(r->err.code, ERROR_CORRUPT);
    error_clear(&r->err);
}

static void expect_damaged(struct rig *r, const char *state)
{
    struct build_kept kept;

    assert_int_equal(
        cas_note_write(r->store, "builds/500000000000/state.json", view_of(state), &r->err),
        0);
    assert_int_equal(build_kept_open(&(const struct build_environment){.store = r->store},
                                     "500000000000", &kept, &r->err),
                     -1);
    error_clear(&r->err);
}

#define STACKS "\"stacks\":[[]]"

static void test_a_damaged_state_is_refused(void **state)
{
    struct rig *r = *state;
    struct build_kept kept;

    assert_int_equal(build_kept_open(&(const struct build_environment){.store = r->store},
                                     "500000000000", &kept, &r->err),
                     -1);
    assert_int_equal(r->err.code, ERROR_NOT_FOUND);
    error_clear(&r->err);
    expect_damaged(r, "{}");
    expect_damaged(r, "{\"version\":1}");
    expect_damaged(r, "{\"version\":1,\"stacks\":[[{\"diff_id\":\"x\"}]]}");
    expect_damaged(r, "{\"version\":1," STACKS ",\"run\":{\"mounts\":[{\"type\":99}]}}");
    expect_damaged(r, "{\"version\":1," STACKS ",\"run\":{\"mounts\":[{\"type\":1}]}}");
    expect_damaged(r, "{\"version\":1," STACKS ",\"run\":{\"mounts\":[{\"type\":0,"
                      "\"target\":\"/t\",\"source\":\"/\",\"from\":7}]}}");
    assert_int_equal(
        cas_note_write(r->store, "builds/500000000000/state.json",
                       VIEW_LIT("{\"version\":1," STACKS ",\"run\":{\"argv\":[\"a\"]}}"),
                       &r->err),
        0);
    assert_int_equal(build_kept_open(&(const struct build_environment){.store = r->store},
                                     "500000000000", &kept, &r->err),
                     0);
    assert_int_equal(kept.graph.count, 2);
    assert_string_equal(kept.graph.nodes[1]->run.argv[0], "a");
    build_kept_release(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_sort_by_time_and_tell_it),
        rig_test(test_builds_are_found_by_what_people_type),
        rig_test(test_only_the_newest_builds_stay),
        rig_test(test_a_build_that_is_held_is_not_removed),
        rig_test(test_a_build_that_ended_without_a_word_was_killed),
        rig_test(test_a_damaged_entry_is_told),
        rig_test(test_a_damaged_state_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
