#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A tree over layers, which it gives back with them. */
struct stack {
    struct fixture *f;
    struct cas_layer *layers[8];
    size_t count;
    struct cas_tree *tree;
};

static struct stack stack_of(struct fixture *f, struct cas_layer **layers, size_t count)
{
    struct stack s = {.f = f, .count = count};

    for (size_t i = 0; i < count; i++)
        s.layers[i] = layers[i];
    s.tree = cas_tree_new(layers, count);
    return s;
}

#define STACK(f, ...)                                                                      \
    stack_of((f), (struct cas_layer *[]){__VA_ARGS__},                                     \
             sizeof((struct cas_layer *[]){__VA_ARGS__}) / sizeof(struct cas_layer *))

static void stack_release(struct stack *s)
{
    cas_tree_free(s->tree);
    for (size_t i = 0; i < s->count; i++)
        cas_layer_unref(s->layers[i]);
}

/* "TYPE@LAYER REAL-PATH", or "- PATH" for what is not there. */
static void check_find(struct stack *s,
                       const char *path,
                       enum cas_tree_flags flags,
                       const char *want)
{
    static const char letters[] = "?fdlhcbp-";
    struct cas_tree_entry e;
    char *resolved = NULL;
    bool found = false;

    assert_ok(s->f, cas_tree_find(s->tree, view_of(path), flags, &found, &e, &resolved,
                                  &s->f->err));

    CLEANUP(base_freep)
    char *got = found ? base_format("%c@%zu %s", letters[e.entry.type], e.layer, resolved)
                      : base_format("- %s", resolved);

    assert_string_equal(got, want);
    free(resolved);
}

static int note(void *context, const struct cas_tree_entry *e, struct error *err)
{
    struct buf *text = context;

    (void)err;
    buf_printf(text, "%s%.*s@%zu", text->size ? " " : "", VIEW_ARG(e->entry.path),
               e->layer);
    if (e->entry.type == CAS_ENTRY_FILE && e->entry.target.size > 0)
        buf_printf(text, "=%.*s", VIEW_ARG(e->entry.target));
    return view_ends(e->entry.path, "skip") ? 0 : 1;
}

static void check_walk(struct stack *s, const char *path, const char *want)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(TAR_MAX);

    assert_ok(s->f, cas_tree_walk(s->tree, view_of(path), note, &text, &s->f->err));
    assert_string_equal(buf_text(&text), want);
}

static struct stack two_layers(struct fixture *f)
{
    return STACK(f,
                 LAYER(f, {.name = "a/", .type = '5', .mode = 01777},
                       {.name = "a/old", .data = "old"}, {.name = "a/gone/", .type = '5'},
                       {.name = "a/gone/in", .data = "x"},
                       {.name = "a-b", .data = "sorts before a/ as bytes"},
                       {.name = "dir/", .type = '5'}, {.name = "dir/x", .data = "x"},
                       {.name = "file", .data = "file"}, {.name = "o/", .type = '5'},
                       {.name = "o/hidden", .data = "h"}),
                 LAYER(f, {.name = "a/old", .data = "newer"}, {.name = "a/.wh.gone"},
                       {.name = "dir", .data = "now a file"},
                       {.name = "file/", .type = '5'}, {.name = "file/y", .data = "y"},
                       {.name = "o/", .type = '5', .mode = 0700},
                       {.name = "o/.wh..wh..opq"}, {.name = "o/shown", .data = "s"}));
}

static void test_upper_layers_cover_lower_ones(void **state)
{
    struct stack s = two_layers(*state);

    check_find(&s, "a/old", CAS_TREE_FOLLOW, "f@1 a/old");
    check_find(&s, "a", CAS_TREE_FOLLOW, "d@0 a");
    check_find(&s, "a/gone", CAS_TREE_FOLLOW, "- a/gone");
    check_find(&s, "a/gone/in", CAS_TREE_FOLLOW, "- a/gone/in");
    check_find(&s, "dir", CAS_TREE_FOLLOW, "f@1 dir");
    check_find(&s, "dir/x", CAS_TREE_FOLLOW, "- dir/x");
    check_find(&s, "file", CAS_TREE_FOLLOW, "d@1 file");
    check_find(&s, "file/y", CAS_TREE_FOLLOW, "f@1 file/y");
    check_find(&s, "o/hidden", CAS_TREE_FOLLOW, "- o/hidden");
    check_find(&s, "o/shown", CAS_TREE_FOLLOW, "f@1 o/shown");
    check_find(&s, "", CAS_TREE_FOLLOW, "d@1 ");
    check_find(&s, "/", CAS_TREE_FOLLOW, "d@1 ");
    stack_release(&s);
}

static void test_walk_merges_in_order(void **state)
{
    struct stack s = two_layers(*state);

    check_walk(&s, "", "@1 a@0 a/old@1 a-b@0 dir@1 file@1 file/y@1 o@1 o/shown@1");
    check_walk(&s, "a", "a@0 a/old@1");
    check_walk(&s, "dir", "dir@1");

    CLEANUP(buf_release) struct buf text = BUF_INIT(TAR_MAX);

    assert_int_equal(-1, cas_tree_walk(s.tree, VIEW_LIT("a/gone"), note, &text, &s.f->err));
    assert_code(s.f, ERROR_NOT_FOUND);
    stack_release(&s);
}

static void test_walk_can_skip(void **state)
{
    struct fixture *f = *state;
    struct stack s =
        STACK(f, LAYER(f, {.name = "a/skip/", .type = '5'},
                       {.name = "a/skip/in", .data = "x"}, {.name = "b", .data = "x"}));

    check_walk(&s, "", "@0 a@0 a/skip@0 b@0");
    stack_release(&s);
}

static void test_implied_directory_is_the_one_below(void **state)
{
    struct fixture *f = *state;
    struct stack s = STACK(f, LAYER(f, {.name = "tmp/", .type = '5', .mode = 01777}),
                           LAYER(f, {.name = "tmp/a/b", .data = "x"}),
                           LAYER(f, {.name = "tmp/a/c", .data = "x"}));
    struct cas_tree_entry e;
    bool found = false;

    assert_ok(f, cas_tree_find(s.tree, VIEW_LIT("tmp"), 0, &found, &e, NULL, &f->err));
    assert_int_equal(01777, e.entry.mode);
    assert_ok(f, cas_tree_find(s.tree, VIEW_LIT("tmp/a"), 0, &found, &e, NULL, &f->err));
    assert_true(found);
    assert_int_equal(0755, e.entry.mode);
    check_walk(&s, "tmp", "tmp@0 tmp/a@2 tmp/a/b@1 tmp/a/c@2");
    stack_release(&s);
}

static void test_symlinks_are_followed_inside_the_root(void **state)
{
    struct fixture *f = *state;
    struct stack s =
        STACK(f, LAYER(f, {.name = "usr/", .type = '5'}, {.name = "usr/lib/", .type = '5'},
                       {.name = "usr/lib/c", .data = "c"},
                       {.name = "lib", .type = '2', .link = "usr/lib"},
                       {.name = "abs", .type = '2', .link = "/lib"},
                       {.name = "usr/up", .type = '2', .link = "../../../../lib"},
                       {.name = "loop", .type = '2', .link = "loop"},
                       {.name = "dangling", .type = '2', .link = "usr/none/at/all"},
                       {.name = "f", .data = "file"}));
    struct cas_tree_entry e;
    bool found = false;

    check_find(&s, "lib", CAS_TREE_FOLLOW, "d@0 usr/lib");
    check_find(&s, "lib", CAS_TREE_NOFOLLOW, "l@0 lib");
    check_find(&s, "lib/c", CAS_TREE_NOFOLLOW, "f@0 usr/lib/c");
    check_find(&s, "/abs/c", CAS_TREE_FOLLOW, "f@0 usr/lib/c");
    check_find(&s, "usr/up/c", CAS_TREE_FOLLOW, "f@0 usr/lib/c");
    check_find(&s, "../../lib/../lib/c", CAS_TREE_FOLLOW, "f@0 usr/lib/c");
    check_find(&s, "abs/new/../er/file", CAS_TREE_FOLLOW, "- usr/lib/er/file");
    check_find(&s, "dangling", CAS_TREE_FOLLOW, "- usr/none/at/all");
    check_find(&s, "f/below", CAS_TREE_FOLLOW, "- f/below");
    check_find(&s, "f/", CAS_TREE_FOLLOW, "f@0 f");
    assert_int_equal(
        -1, cas_tree_find(s.tree, VIEW_LIT("loop/x"), 0, &found, &e, NULL, &f->err));
    assert_code(f, ERROR_INVALID);
    stack_release(&s);
}

static void test_hard_links_are_files(void **state)
{
    struct fixture *f = *state;
    struct stack s = STACK(
        f,
        LAYER(f, {.name = "a", .data = "A", .mode = 0755},
              {.name = "b", .type = '1', .link = "a"}, {.name = "c", .data = "C"},
              {.name = "d", .type = '1', .link = "c"}),
        LAYER(f, {.name = "c", .data = "new"}, {.name = "e", .type = '1', .link = "a"}));
    struct cas_tree_entry e;
    bool found = false;

    check_walk(&s, "", "@1 a@0 b@0=a c@1 d@0 e@1");
    assert_ok(f, cas_tree_find(s.tree, VIEW_LIT("e"), 0, &found, &e, NULL, &f->err));
    assert_int_equal(CAS_ENTRY_FILE, e.entry.type);
    assert_int_equal(0755, e.entry.mode);
    assert_int_equal(1, e.entry.size);
    stack_release(&s);
}

static void test_content_is_read(void **state)
{
    struct fixture *f = *state;
    struct stack s =
        STACK(f,
              LAYER(f, {.name = "etc/passwd", .data = "root:x:0:0\n"},
                    {.name = "etc/big", .data = "0123456789"}, {.name = "d/", .type = '5'}),
              LAYER(f, {.name = "link", .type = '2', .link = "/etc/big"}));
    struct buf out = BUF_INIT(64);
    struct buf small = BUF_INIT(4);
    bool found = false;

    assert_ok(f, cas_tree_read(s.tree, VIEW_LIT("/etc/passwd"), &out, &found, &f->err));
    assert_true(found);
    assert_string_equal("root:x:0:0\n", buf_text(&out));
    assert_int_equal(0, fixture_count(f, "layers")); /* small files need no unpacking */
    buf_clear(&out);
    assert_ok(f, cas_tree_read(s.tree, VIEW_LIT("link"), &out, &found, &f->err));
    assert_string_equal("0123456789", buf_text(&out));
    assert_int_equal(1, fixture_count(f, "layers")); /* the one that holds it */
    assert_ok(f, cas_tree_read(s.tree, VIEW_LIT("d"), &out, &found, &f->err));
    assert_false(found);
    assert_int_equal(-1, cas_tree_read(s.tree, VIEW_LIT("link"), &small, &found, &f->err));
    assert_code(f, ERROR_LIMIT);
    buf_release(&out);
    buf_release(&small);
    stack_release(&s);
}

static void test_no_layers_have_a_root(void **state)
{
    struct fixture *f = *state;
    struct stack s = stack_of(f, NULL, 0);

    check_find(&s, "/", CAS_TREE_FOLLOW, "d@0 ");
    check_find(&s, "x/../y", CAS_TREE_FOLLOW, "- y");
    check_walk(&s, "", "@0");
    stack_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_upper_layers_cover_lower_ones),
        fixture_test(test_walk_merges_in_order),
        fixture_test(test_walk_can_skip),
        fixture_test(test_implied_directory_is_the_one_below),
        fixture_test(test_symlinks_are_followed_inside_the_root),
        fixture_test(test_hard_links_are_files),
        fixture_test(test_content_is_read),
        fixture_test(test_no_layers_have_a_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
