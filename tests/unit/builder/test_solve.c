/* The solver and the cache, seen through whole builds. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect_events(struct rig *r, const char *want)
{
    rig_must_build(r);
    assert_string_equal(r->events, want);
}

static void test_unchanged_files_are_cached_whatever_their_times(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *path = rig_path(r, "f");
    const struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 12345}};

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY f /f\nCOPY f /g\n");
    expect_events(r, "DD");
    expect_events(r, "CC");
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    expect_events(r, "CC");
}

static void test_changed_content_mode_and_name_miss(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *path = rig_path(r, "d/f");
    CLEANUP(base_freep) char *other = rig_path(r, "d/g");

    rig_write(r, "d/f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY d /d\n");
    expect_events(r, "D");
    rig_write(r, "d/f", "two");
    expect_events(r, "D");
    rig_assert_file(r, "d/f", "two");
    assert_int_equal(chmod(path, 0600), 0);
    expect_events(r, "D");
    assert_int_equal(rename(path, other), 0);
    expect_events(r, "D");
    rig_write(r, "unrelated", "x");
    expect_events(r, "C");
}

static void test_copy_from_a_stage_is_known_by_what_it_takes(void **state)
{
    struct rig *r = *state;

    rig_write(r, "taken", "taken");
    rig_write(r, "left", "1");
    rig_dockerfile(r, "FROM scratch AS made\nCOPY taken left /out/\n"
                      "FROM scratch\nCOPY --from=made /out/taken /\nCOPY taken /after\n");
    r->request.parallel = 1;
    rig_must_build(r);
    rig_write(r, "left", "2");
    rig_must_build(r);
    assert_int_equal(r->result.steps_cached, 2);
    rig_write(r, "taken", "other");
    rig_must_build(r);
    assert_int_equal(r->result.steps_cached, 0);
    rig_assert_file(r, "taken", "other");
}

static void test_an_equal_outcome_keeps_what_follows_cached(void **state)
{
    struct rig *r = *state;

    /* The source's name changes, what is made of it does not. */
    rig_write(r, "a", "same");
    rig_write(r, "b", "same");
    rig_dockerfile(r, "FROM scratch AS made\nARG NAME=a\nCOPY $NAME /out\n"
                      "FROM made\nCOPY a /x\n");
    rig_must_build(r);
    const struct build_pair arg = {"NAME", "b"};
    r->request.args = &arg;
    r->request.arg_count = 1;
    rig_must_build(r);
    assert_int_equal(r->result.steps_cached, 1);
}

static void test_no_cache_makes_everything_again(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY f /f\nWORKDIR /w\n");
    expect_events(r, "DD");
    r->request.no_cache = true;
    expect_events(r, "DD");
    r->request.no_cache = false;
    expect_events(r, "CC");
}

static void test_no_cache_filter_spares_the_other_stages(void **state)
{
    struct rig *r = *state;
    const char *const filter[] = {"second"};

    rig_write(r, "f", "one");
    rig_dockerfile(r,
                   "FROM scratch AS first\nCOPY f /f\nFROM first AS second\nCOPY f /g\n");
    expect_events(r, "DD");
    r->request.no_cache_filter = filter;
    r->request.no_cache_filter_count = 1;
    expect_events(r, "CD");
}

static void test_a_missing_blob_is_a_miss(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY f /f\n");
    expect_events(r, "D");
    CLEANUP(base_freep) char *blobs = base_format("%s/store/blobs/sha256", r->dir);
    assert_int_equal(fs_remove_tree_at(AT_FDCWD, blobs, &r->err), 0);
    assert_int_equal(mkdir(blobs, 0755), 0);
    expect_events(r, "D");
    rig_assert_file(r, "f", "one");
}

/* Who asks for no cache wants the files as they are now, times and all. */
static void test_no_cache_takes_new_times(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *path = rig_path(r, "f");
    const struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 12345}};
    struct digest before, after;

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY f /f\n");
    rig_must_build(r);
    before = rig_layer(r, 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    r->request.no_cache = true;
    rig_must_build(r);
    after = rig_layer(r, 0);
    assert_false(digest_eq(&before, &after));
    r->request.no_cache = false;
    expect_events(r, "C");
    before = rig_layer(r, 0);
    assert_true(digest_eq(&before, &after));
}

static void test_stages_that_the_target_does_not_need_are_not_made(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch AS a\nCOPY missing /\nFROM scratch AS b\nCOPY f /\n"
                      "FROM scratch AS c\nCOPY f /c\n");
    r->request.target = "b";
    expect_events(r, "D");
    rig_assert_file(r, "f", "one");
}

static void test_one_failure_ends_the_build_with_its_position(void **state)
{
    struct rig *r = *state;

    rig_dockerfile(r, "FROM scratch\n\nCOPY missing /\n");
    assert_int_equal(rig_build(r), -1);
    assert_int_equal(r->err.pos.line, 3);
    rig_expect_failure(r, ERROR_NOT_FOUND, "/missing: not found");
}

static void test_a_cancelled_build_gives_no_image(void **state)
{
    struct rig *r = *state;
    const char *const tags[] = {"name:1"};
    bool cancel = true;

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY f /f\nCOPY f /g\n");
    r->request.cancel = &cancel;
    r->request.tags = tags;
    r->request.tag_count = 1;
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, ERROR_CANCELLED, "");
    /* And between two steps. */
    cancel = false;
    r->cancel_after_first = &cancel;
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, ERROR_CANCELLED, "");
}

static void test_thousands_of_stages_do_not_exhaust_the_stack(void **state)
{
    enum { STAGES = LIMIT_BUILD_STAGES };
    struct rig *r = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT((size_t)8 << 20);

    rig_write(r, "f", "one");
    buf_append_text(&text, "FROM scratch AS s0\nCOPY f /\n");
    for (int i = 1; i < STAGES; i++)
        buf_printf(&text, "FROM s%d AS s%d\n", i - 1, i);
    rig_dockerfile(r, buf_text(&text));
    rig_must_build(r);
    rig_assert_file(r, "f", "one");
}

static void test_more_layers_than_anyone_mounts_are_refused(void **state)
{
    struct rig *r = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT((size_t)1 << 20);

    rig_write(r, "f", "one");
    buf_append_text(&text, "FROM scratch\n");
    for (int i = 0; i <= LIMIT_LAYERS; i++)
        buf_append_text(&text, "COPY f /\n");
    rig_dockerfile(r, buf_text(&text));
    assert_int_equal(rig_build(r), -1);
    assert_int_equal(r->err.pos.line, LIMIT_LAYERS + 2);
    rig_expect_failure(r, ERROR_LIMIT, "layers");
}

static void test_independent_stages_made_at_once_give_what_they_give_in_turn(void **state)
{
    struct rig *r = *state;
    struct digest one_by_one;

    rig_write(r, "f", "content");
    rig_dockerfile(r, "FROM scratch AS a\nCOPY f /a\nFROM scratch AS b\nCOPY f /b\n"
                      "FROM scratch AS c\nCOPY f /c\nFROM scratch\nCOPY --from=a /a /\n"
                      "COPY --from=b /b /\nCOPY --from=c /c /\n");
    r->request.epoch = 1000000000;
    r->request.parallel = 1;
    rig_must_build(r);
    one_by_one = r->result.manifest.digest;
    r->request.no_cache = true;
    r->request.parallel = 8;
    rig_must_build(r);
    assert_true(digest_eq(&r->result.manifest.digest, &one_by_one));
}

static void test_an_absurd_epoch_is_refused(void **state)
{
    struct rig *r = *state;
    struct build_pair arg = {"SOURCE_DATE_EPOCH", "9223372036854775807"};

    rig_write(r, "f", "one");
    rig_dockerfile(r, "FROM scratch\nCOPY f /f\n");
    r->request.args = &arg;
    r->request.arg_count = 1;
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, ERROR_INVALID, "SOURCE_DATE_EPOCH");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_unchanged_files_are_cached_whatever_their_times),
        rig_test(test_changed_content_mode_and_name_miss),
        rig_test(test_copy_from_a_stage_is_known_by_what_it_takes),
        rig_test(test_an_equal_outcome_keeps_what_follows_cached),
        rig_test(test_no_cache_makes_everything_again),
        rig_test(test_no_cache_filter_spares_the_other_stages),
        rig_test(test_a_missing_blob_is_a_miss),
        rig_test(test_no_cache_takes_new_times),
        rig_test(test_stages_that_the_target_does_not_need_are_not_made),
        rig_test(test_one_failure_ends_the_build_with_its_position),
        rig_test(test_a_cancelled_build_gives_no_image),
        rig_test(test_thousands_of_stages_do_not_exhaust_the_stack),
        rig_test(test_more_layers_than_anyone_mounts_are_refused),
        rig_test(test_independent_stages_made_at_once_give_what_they_give_in_turn),
        rig_test(test_an_absurd_epoch_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
