#include "builder/delta.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What lies below: a few entries, found by comparing. */
static const struct cas_entry lower[] = {
    {.path = VIEW_LIT(""), .type = CAS_ENTRY_DIR, .mode = 0755},
    {.path = VIEW_LIT("d"), .type = CAS_ENTRY_DIR, .mode = 01777, .uid = 5, .mtime_s = 9},
    {.path = VIEW_LIT("d/f"), .type = CAS_ENTRY_FILE, .mode = 0644, .size = 0},
    {.path = VIEW_LIT("d/sub"), .type = CAS_ENTRY_DIR, .mode = 0700},
    {.path = VIEW_LIT("l"),
     .type = CAS_ENTRY_SYMLINK,
     .mode = 0777,
     .target = VIEW_LIT("d/sub")},
    {.path = VIEW_LIT("loop"), .type = CAS_ENTRY_SYMLINK, .target = VIEW_LIT("loop")},
    {.path = VIEW_LIT("up"), .type = CAS_ENTRY_SYMLINK, .target = VIEW_LIT("../../..//d")},
};

static int find_lower(void *self,
                      struct view path,
                      bool *found,
                      struct build_tree_entry *out,
                      struct error *err)
{
    (void)self;
    (void)err;
    *found = false;
    for (size_t i = 0; i < sizeof lower / sizeof *lower; i++)
        if (view_eq(lower[i].path, path)) {
            *found = true;
            *out = (struct build_tree_entry){.entry = lower[i]};
        }
    return 0;
}

static struct build_tree below = {.find = find_lower};

static void put(struct build_delta *d, const char *path, enum cas_entry_type type)
{
    const struct cas_entry e = {
        .path = view_of(path), .type = type, .mode = 0644, .size = 3};
    const struct build_delta_content content = {.memory = VIEW_LIT("abc")};

    build_delta_put(d, &e, type == CAS_ENTRY_FILE ? &content : NULL);
}

static void resolve_is(struct build_delta *d, const char *path, const char *want)
{
    struct error err = ERROR_INIT;
    char *got = build_delta_resolve(d, view_of(path), &err);

    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}

/* Finishes; the entries as text: "d f(d) o..." with letters for the types. */
static void entries_are(struct build_delta *d, const char *want)
{
    static const char letters[] = "?fdlhcbpw";
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error err = ERROR_INIT;
    struct cas_entry *entries;
    size_t count;

    if (build_delta_finish(d, &entries, &count, &err) < 0)
        fail_msg("%s", error_text(&err));
    for (size_t i = 0; i < count; i++) {
        const struct cas_entry *e = &entries[i];

        buf_printf(&text, "%s%c%s:%.*s", i ? " " : "", letters[e->type],
                   e->opaque ? "!" : "", VIEW_ARG(e->path));
        if (e->type == CAS_ENTRY_HARDLINK)
            buf_printf(&text, ">%.*s", VIEW_ARG(e->target));
        if (e->type == CAS_ENTRY_FILE) {
            struct cas_content content;

            assert_int_equal(build_delta_content(d, i, &content, &err), 0);
            assert_true(view_eq_text(content.memory, "abc"));
        }
    }
    assert_string_equal(buf_text(&text), want);
    build_delta_free(d);
}

static int done(int status)
{
    assert_int_equal(status, 0);
    return status;
}

static void test_parents_come_with_what_they_have_below(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;
    struct cas_entry *entries;
    size_t count;

    (void)state;
    put(d, "d/new", CAS_ENTRY_FILE);
    assert_int_equal(build_delta_finish(d, &entries, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(entries[0].mode, 01777);
    assert_int_equal(entries[0].uid, 5);
    assert_int_equal(entries[0].mtime_s, 9);
    build_delta_free(d);
}

static void test_links_are_resolved_inside_the_root(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;

    (void)state;
    resolve_is(d, "/l/x", "d/sub/x");
    resolve_is(d, "l/../f", "d/f");
    resolve_is(d, "/../../l", "d/sub");
    resolve_is(d, "up/missing/more", "d/missing/more");
    resolve_is(d, "missing/../l", "d/sub");
    assert_null(build_delta_resolve(d, VIEW_LIT("loop/x"), &err));
    assert_int_equal(err.code, ERROR_INVALID);
    error_clear(&err);
    build_delta_free(d);
}

static void test_directories_are_made_where_they_miss(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;

    (void)state;
    done(build_delta_mkdir_all(d, VIEW_LIT("d/a/b"), 0755, 1, 2, &err));
    assert_int_equal(build_delta_mkdir_all(d, VIEW_LIT("d/f/x"), 0755, 1, 2, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
    error_clear(&err);
    entries_are(d, "d:d d:d/a d:d/a/b");
}

static void test_a_removal_hides_what_is_below_and_nothing_else(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;
    struct cas_entry e;
    bool found;

    (void)state;
    put(d, "d/new", CAS_ENTRY_FILE);
    done(build_delta_remove(d, VIEW_LIT("d/new"), &err));
    done(build_delta_remove(d, VIEW_LIT("d/f"), &err));
    done(build_delta_remove(d, VIEW_LIT("nothing"), &err));
    done(build_delta_find(d, VIEW_LIT("d/f"), &found, &e, &err));
    assert_false(found);
    entries_are(d, "d:d w:d/f");
}

static void test_a_directory_made_anew_is_opaque(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;
    struct cas_entry e;
    bool found;

    (void)state;
    done(build_delta_remove(d, VIEW_LIT("d"), &err));
    put(d, "d", CAS_ENTRY_DIR);
    put(d, "d/x", CAS_ENTRY_FILE);
    done(build_delta_find(d, VIEW_LIT("d/sub"), &found, &e, &err));
    assert_false(found);
    entries_are(d, "d!:d f:d/x");
}

static void test_a_file_in_a_directorys_place_hides_it(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;

    (void)state;
    done(build_delta_remove(d, VIEW_LIT("d"), &err));
    put(d, "d", CAS_ENTRY_FILE);
    entries_are(d, "f:d");
    d = build_delta_new(&below);
    put(d, "l", CAS_ENTRY_DIR);
    put(d, "l/x", CAS_ENTRY_FILE);
    entries_are(d, "d:l f:l/x");
}

static void test_the_first_name_carries_the_content(void **state)
{
    struct build_delta *d = build_delta_new(NULL);
    struct error err = ERROR_INIT;

    (void)state;
    put(d, "m", CAS_ENTRY_FILE);
    done(build_delta_link(d, VIEW_LIT("z"), VIEW_LIT("m"), &err));
    done(build_delta_link(d, VIEW_LIT("b"), VIEW_LIT("z"), &err));
    done(build_delta_link(d, VIEW_LIT("a"), VIEW_LIT("b"), &err));
    entries_are(d, "f:a h:b>a h:m>a h:z>a");
}

static void test_other_names_keep_the_content_of_a_replaced_one(void **state)
{
    struct build_delta *d = build_delta_new(NULL);
    struct error err = ERROR_INIT;

    (void)state;
    put(d, "a", CAS_ENTRY_FILE);
    done(build_delta_link(d, VIEW_LIT("b"), VIEW_LIT("a"), &err));
    done(build_delta_link(d, VIEW_LIT("c"), VIEW_LIT("a"), &err));
    put(d, "a", CAS_ENTRY_SYMLINK);
    entries_are(d, "l:a f:b h:c>b");
    d = build_delta_new(NULL);
    put(d, "a", CAS_ENTRY_FILE);
    done(build_delta_link(d, VIEW_LIT("b"), VIEW_LIT("a"), &err));
    done(build_delta_remove(d, VIEW_LIT("a"), &err));
    entries_are(d, "f:b");
}

static void test_a_link_to_nothing_is_an_error(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    struct error err = ERROR_INIT;

    (void)state;
    put(d, "x", CAS_ENTRY_DIR);
    assert_int_equal(build_delta_link(d, VIEW_LIT("y"), VIEW_LIT("missing"), &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(build_delta_link(d, VIEW_LIT("y"), VIEW_LIT("x"), &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
    error_clear(&err);
    build_delta_free(d);
}

static void test_what_is_there_already_is_no_change(void **state)
{
    struct build_delta *d = build_delta_new(&below);
    const struct cas_entry same = lower[4];

    (void)state;
    build_delta_put(d, &same, NULL);
    entries_are(d, "");
}

static void test_thousands_of_entries_stay_sorted_and_linked(void **state)
{
    enum { COUNT = 3000 };
    struct build_delta *d = build_delta_new(NULL);
    struct error err = ERROR_INIT;
    struct cas_entry *entries;
    char path[32], target[32];
    size_t count;

    (void)state;
    /* Every link sorts before the file that it was made to. */
    for (int i = 0; i < COUNT; i++) {
        snprintf(target, sizeof target, "z%d", i);
        snprintf(path, sizeof path, "a%d", i);
        put(d, target, CAS_ENTRY_FILE);
        done(build_delta_link(d, view_of(path), view_of(target), &err));
    }
    done(build_delta_finish(d, &entries, &count, &err));
    assert_int_equal(count, 2 * COUNT);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].type, i < COUNT ? CAS_ENTRY_FILE : CAS_ENTRY_HARDLINK);
        assert_true(i == 0 ||
                    cas_entry_path_compare(entries[i - 1].path, entries[i].path) < 0);
    }
    build_delta_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parents_come_with_what_they_have_below),
        cmocka_unit_test(test_links_are_resolved_inside_the_root),
        cmocka_unit_test(test_directories_are_made_where_they_miss),
        cmocka_unit_test(test_a_removal_hides_what_is_below_and_nothing_else),
        cmocka_unit_test(test_a_directory_made_anew_is_opaque),
        cmocka_unit_test(test_a_file_in_a_directorys_place_hides_it),
        cmocka_unit_test(test_the_first_name_carries_the_content),
        cmocka_unit_test(test_other_names_keep_the_content_of_a_replaced_one),
        cmocka_unit_test(test_a_link_to_nothing_is_an_error),
        cmocka_unit_test(test_what_is_there_already_is_no_change),
        cmocka_unit_test(test_thousands_of_entries_stay_sorted_and_linked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
