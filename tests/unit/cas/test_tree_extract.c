#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/tree_extract.h"

#include <stdlib.h>
#include <string.h>

/* What came: "[0:bytes][1:bytes]" in the order of coming. */
struct given {
    struct buf text;
    bool open;
};

static int give(void *context, size_t which, struct view piece, struct error *err)
{
    struct given *const g = context;

    (void)err;
    if (!g->open)
        buf_printf(&g->text, "[%zu:", which);
    g->open = piece.size > 0;
    buf_append_view(&g->text, piece);
    if (piece.size == 0)
        buf_append_char(&g->text, ']');
    return 0;
}

static int extract(struct fixture *f,
                   struct cas_layer **layers,
                   size_t count,
                   const char *const *paths,
                   size_t path_count,
                   struct given *out)
{
    CLEANUP(cas_tree_freep) struct cas_tree *tree = cas_tree_new(layers, count);
    struct cas_tree_entry entries[8];
    bool found = false;

    *out = (struct given){.text = BUF_INIT(LIMIT_TEXT_SIZE)};
    for (size_t i = 0; i < path_count; i++) {
        assert_ok(f, cas_tree_find(tree, view_of(paths[i]), CAS_TREE_NOFOLLOW, &found,
                                   &entries[i], NULL, &f->err));
        assert_true(found);
    }
    return cas_tree_extract(tree, entries, path_count, give, out, &f->err);
}

static void test_files_come_by_place_whatever_the_order_asked_for(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "low", .data = "below"}, {.name = "both", .data = "old"}),
        LAYER(f, {.name = "both", .data = "new"}, {.name = "empty", .data = ""},
              {.name = "high", .data = "above"}),
    };
    struct given g;

    assert_ok(
        f, extract(f, layers, 2, (const char *[]){"high", "both", "low", "empty"}, 4, &g));
    assert_string_equal(buf_text(&g.text), "[2:below][1:new][3:][0:above]");
    buf_release(&g.text);
    cas_layer_unref(layers[0]);
    cas_layer_unref(layers[1]);
}

static void test_hard_links_give_the_bytes_of_their_file(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[] = {
        LAYER(f, {.name = "low", .data = "below"}),
        LAYER(f, {.name = "file", .data = "bytes"},
              {.name = "link", .type = '1', .link = "file"},
              {.name = "deep", .type = '1', .link = "low"}),
    };
    struct given g;

    assert_ok(f, extract(f, layers, 2, (const char *[]){"link", "deep", "file"}, 3, &g));
    /* The file and its link are at one place: which comes first says nothing. */
    assert_non_null(strstr(buf_text(&g.text), "[1:below]"));
    assert_non_null(strstr(buf_text(&g.text), "[0:bytes]"));
    assert_non_null(strstr(buf_text(&g.text), "[2:bytes]"));
    buf_release(&g.text);
    cas_layer_unref(layers[0]);
    cas_layer_unref(layers[1]);
}

static void test_large_files_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    const size_t size = (size_t)3 << 20;
    CLEANUP(base_freep) char *data = base_alloc(size);
    struct cas_layer *layer;
    struct given g;

    for (size_t i = 0; i < size; i++)
        data[i] = (char)('a' + i % 26);
    layer = LAYER(f, {.name = "before", .data = "x"},
                  {.name = "large", .data = data, .size = size});
    assert_ok(f, extract(f, &layer, 1, (const char *[]){"large"}, 1, &g));
    assert_int_equal(g.text.size, size + 4);
    assert_memory_equal(g.text.data + 3, data, size);
    buf_release(&g.text);
    cas_layer_unref(layer);
}

static void test_a_sparse_file_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer =
        LAYER(f, {.name = "holes",
                  .data = "abc",
                  .pax = "GNU.sparse.size=8192\nGNU.sparse.map=4096,3\n"
                         "GNU.sparse.name=holes\n"});
    struct given g;

    assert_int_equal(extract(f, &layer, 1, (const char *[]){"holes"}, 1, &g), -1);
    assert_int_equal(f->err.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(error_text(&f->err), "'holes': it is stored as a sparse file"));
    error_clear(&f->err);
    buf_release(&g.text);
    cas_layer_unref(layer);
}

static int refuse(void *context, size_t which, struct view piece, struct error *err)
{
    (void)context;
    (void)which;
    (void)piece;
    return error_set(err, ERROR_CANCELLED, "enough");
}

static void test_who_receives_may_end_it(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = LAYER(f, {.name = "a", .data = "x"});
    struct cas_tree *tree = cas_tree_new(&layer, 1);
    struct cas_tree_entry e;
    bool found = false;

    assert_ok(
        f, cas_tree_find(tree, view_of("a"), CAS_TREE_NOFOLLOW, &found, &e, NULL, &f->err));
    assert_int_equal(cas_tree_extract(tree, &e, 1, refuse, NULL, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_CANCELLED);
    error_clear(&f->err);
    cas_tree_free(tree);
    cas_layer_unref(layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_files_come_by_place_whatever_the_order_asked_for),
        fixture_test(test_hard_links_give_the_bytes_of_their_file),
        fixture_test(test_large_files_come_in_pieces),
        fixture_test(test_a_sparse_file_is_refused_by_name),
        fixture_test(test_who_receives_may_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
