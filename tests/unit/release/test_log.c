#include "release/log.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct digest digest(const char *text)
{
    return *text ? digest_of(DIGEST_SHA256, view_of(text)) : (struct digest){0};
}

static void add(struct release_log *l,
                int64_t sequence,
                const char *version,
                const char *tag,
                const char *from,
                const char *to)
{
    const struct digest a = digest(from);
    const struct digest b = digest(to);
    struct release_record r = {.sequence = sequence,
                               .version = base_strdup(version),
                               .command = base_strdup("release"),
                               .who = base_strdup("ann@host")};

    release_record_add(&r, tag, &a, &b);
    if (version)
        release_record_add(&r, version, &(struct digest){0}, &b);
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count++] = r;
}

/* a -> b -> c, and back to b; newest first. */
static struct release_log history(void)
{
    struct release_log l = {0};

    add(&l, 4, NULL, "latest", "c", "b");
    add(&l, 3, "1.2.0", "latest", "b", "c");
    add(&l, 2, "1.1.0", "latest", "a", "b");
    add(&l, 1, "1.0.0", "latest", "", "a");
    return l;
}

static void check_states(const struct release_log *l, const char *now, const char *want)
{
    CLEANUP(release_states_release) struct release_states states = {0};
    const struct digest at = digest(now);

    release_log_states(l, "latest", &at, &states);
    assert_int_equal(states.count, strlen(want));
    for (size_t i = 0; i < states.count; i++) {
        const char name[2] = {want[i], '\0'};
        const struct digest d = digest(name);
        assert_true(digest_eq(&states.items[i].digest, &d));
    }
}

static void test_states_are_where_the_tag_pointed_newest_first(void **state)
{
    CLEANUP(release_log_release) struct release_log l = history();

    (void)state;
    check_states(&l, "b", "bcba");
    assert_int_equal(release_log_next(&l), 5);
}

static void test_what_others_did_to_the_tag_is_seen_in_between(void **state)
{
    CLEANUP(release_log_release) struct release_log l = {0};

    (void)state;
    add(&l, 3, "1.2.0", "latest", "x", "c");
    add(&l, 2, "1.1.0", "latest", "a", "b");
    check_states(&l, "y", "ycxba");
    check_states(&l, "", "cxba");
}

static void test_versions_are_known_by_their_digests(void **state)
{
    CLEANUP(release_log_release) struct release_log l = history();
    const struct digest b = digest("b");
    const struct digest z = digest("z");

    (void)state;
    assert_string_equal(release_log_version(&l, &b), "1.1.0");
    assert_null(release_log_version(&l, &z));
    assert_true(release_log_is_version(&l, "1.2.0"));
    assert_false(release_log_is_version(&l, "latest"));
}

static void test_an_entry_is_read_as_it_was_written(void **state)
{
    CLEANUP(release_record_release)
    struct release_record r = {
        .sequence = 7,
        .who = base_strdup("ann"),
        .command = base_strdup("release"),
        .version = base_strdup("1.4.2"),
        .message = base_strdup("a \"quoted\"\nreason \xc3\xa4"),
        .source = base_strdup("app@x"),
        .annotations = doc_new_object(),
    };
    CLEANUP(release_record_release) struct release_record again = {0};
    CLEANUP(buf_release) struct buf first = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf second = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct digest a = digest("a");

    (void)state;
    doc_set_text(r.annotations, "k", "v");
    release_record_stamp(&r);
    r.nanoseconds = 42;
    release_record_add(&r, "1.4.2", &(struct digest){0}, &a);
    CLEANUP(doc_unrefp) struct doc *d = release_record_doc(&r);
    doc_write(d, DOC_WRITE_COMPACT, &first);
    assert_int_equal(release_record_parse(buf_view(&first), &again, &err), 0);
    assert_int_equal(release_record_compare(&r, &again), 0);
    CLEANUP(doc_unrefp) struct doc *e = release_record_doc(&again);
    doc_write(e, DOC_WRITE_COMPACT, &second);
    assert_string_equal(buf_text(&first), buf_text(&second));
}

static void test_malformed_entries_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"sequence\":-1,\"time\":\"2026-11-23T13:00:00Z\",\"tags\":[]}",
        "{\"sequence\":1,\"time\":\"yesterday\",\"tags\":[]}",
        "{\"sequence\":1,\"time\":\"2026-11-23T13:00:00\",\"tags\":[]}",
        "{\"sequence\":1,\"time\":\"2026-11-23T13:00:00Z\"}",
        "{\"sequence\":1,\"time\":\"2026-11-23T13:00:00Z\",\"tags\":[{}]}",
        "{\"sequence\":1,\"time\":\"2026-11-23T13:00:00Z\",\"tags\":[{\"tag\":1}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(release_record_release) struct release_record r = {0};
        assert_int_equal(release_record_parse(view_of(wrong[i]), &r, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_entries_are_ordered_by_sequence_then_by_time(void **state)
{
    struct release_record a = {.sequence = 1, .seconds = 100};
    struct release_record b = {.sequence = 2, .seconds = 50}; /* by a clock that is late */
    struct release_record c = {.sequence = 2, .seconds = 50, .nanoseconds = 1};

    (void)state;
    assert_true(release_record_compare(&a, &b) < 0);
    assert_true(release_record_compare(&b, &c) < 0);
    assert_true(release_record_compare(&c, &a) > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_are_where_the_tag_pointed_newest_first),
        cmocka_unit_test(test_what_others_did_to_the_tag_is_seen_in_between),
        cmocka_unit_test(test_versions_are_known_by_their_digests),
        cmocka_unit_test(test_an_entry_is_read_as_it_was_written),
        cmocka_unit_test(test_malformed_entries_are_refused),
        cmocka_unit_test(test_entries_are_ordered_by_sequence_then_by_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
