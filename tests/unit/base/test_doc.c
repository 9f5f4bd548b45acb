#include "base/doc.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct doc *parsed(const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct doc *d = doc_parse(view_of(text), &err);

    if (!d)
        fail_msg("%s", error_text(&err));
    return d;
}

static char *written(const struct doc *d, enum doc_write_flags flags)
{
    struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_write(d, flags, &out);
    return buf_take(&out);
}

static void check_refused(struct view text, enum error_code code)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    assert_null(doc_parse(text, &err));
    assert_int_equal(err.code, code);
}

static void test_parse_refuses_what_is_not_one_strict_value(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "{} {}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[01]",
        "[+1]",
        "[.5]",
        "[NaN]",
        "[Infinity]",
        "nul",
        "\"\x01\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\xff\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "\xef\xbb\xbf{}",
        "[99999999999999999999]",
        "// comment\n{}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        check_refused(view_of(bad[i]), ERROR_INVALID);
    check_refused(VIEW_LIT("{}\0"), ERROR_INVALID);
}

static void test_parse_refuses_duplicate_keys(void **state)
{
    (void)state;
    check_refused(VIEW_LIT("{\"a\":1,\"b\":2,\"a\":3}"), ERROR_INVALID);
    /* The same key, spelled with an escape. */
    check_refused(VIEW_LIT("{\"a\":1,\"\\u0061\":3}"), ERROR_INVALID);
}

static char *nested(size_t depth)
{
    char *text = base_alloc(2 * depth + 1);

    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    return text;
}

static void test_parse_limits_nesting(void **state)
{
    CLEANUP(base_freep) char *allowed = nested(LIMIT_JSON_DEPTH);
    CLEANUP(base_freep) char *too_deep = nested(LIMIT_JSON_DEPTH + 1);
    CLEANUP(base_freep) char *bomb = nested(1000000);
    CLEANUP(doc_unrefp) struct doc *d = parsed(allowed);

    (void)state;
    assert_int_equal(doc_type(d), DOC_ARRAY);
    check_refused(view_of(too_deep), ERROR_LIMIT);
    check_refused(view_of(bomb), ERROR_LIMIT);
}

static void test_brackets_in_strings_are_not_nesting(void **state)
{
    struct buf text = BUF_INIT(10000);

    (void)state;
    buf_append_text(&text, "[\"\\\"");
    for (int i = 0; i < 1000; i++)
        buf_append_text(&text, "[{");
    buf_append_text(&text, "\"]");

    CLEANUP(base_freep) char *owned = buf_take(&text);
    CLEANUP(doc_unrefp) struct doc *d = parsed(owned);

    assert_int_equal(doc_view(doc_at(d, 0)).size, 2001);
}

static void test_a_scalar_is_a_document(void **state)
{
    CLEANUP(doc_unrefp) struct doc *n = parsed(" -12 ");
    CLEANUP(doc_unrefp) struct doc *t = parsed("\"x\"");
    CLEANUP(doc_unrefp) struct doc *z = parsed("null");
    int64_t v = 0;

    (void)state;
    assert_true(doc_int(n, &v) && v == -12);
    assert_string_equal(doc_text(t), "x");
    assert_int_equal(doc_type(z), DOC_NULL);
}

static void test_look_ups_chain_through_what_is_absent(void **state)
{
    CLEANUP(doc_unrefp)
    struct doc *d = parsed(
        "{\"config\":{\"digest\":\"sha256:x\",\"size\":12},\"layers\":[{\"size\":1.5}]}");
    const struct doc *config = doc_get(d, "config");
    int64_t size = 0;

    (void)state;
    assert_string_equal(doc_text(doc_get(config, "digest")), "sha256:x");
    assert_true(doc_int(doc_get(config, "size"), &size) && size == 12);
    assert_null(doc_text(doc_get(config, "size")));
    assert_int_equal(doc_type(doc_get(doc_at(doc_get(d, "layers"), 0), "size")), DOC_REAL);
    assert_null(doc_at(doc_get(d, "layers"), 1));
    assert_null(doc_get(doc_get(doc_get(d, "a"), "b"), "c"));
    assert_null(doc_text(doc_get(d, "nothing")));
    assert_null(doc_view(NULL).data);
    assert_int_equal(doc_count(NULL), 0);
    assert_int_equal(doc_type(NULL), DOC_ABSENT);
    assert_false(doc_bool(NULL));
    assert_false(doc_int(NULL, &size));
}

static void test_text_with_nul_inside_has_only_a_view(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = parsed("\"a\\u0000b\"");

    (void)state;
    assert_null(doc_text(d));
    assert_true(view_eq(doc_view(d), VIEW_LIT("a\0b")));
}

static void test_members_come_in_document_order(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = parsed("{\"z\":1,\"\":2,\"a\":3}");
    static const char *const keys[] = {"z", "", "a"};
    const struct doc *value = NULL;
    size_t count = 0;

    (void)state;
    for (const char *key = NULL; doc_next(d, &key, &value); count++) {
        const char *same = NULL;
        int64_t v = 0;

        assert_string_equal(key, keys[count]);
        assert_true(doc_int(value, &v) && v == (int64_t)count + 1);
        assert_ptr_equal(doc_member_at(d, count, &same), value);
        assert_string_equal(same, key);
    }
    assert_int_equal(count, 3);
    assert_int_equal(doc_count(d), 3);
    assert_null(doc_member_at(d, 3, &(const char *){NULL}));
}

static void test_nothing_to_step_through_outside_objects(void **state)
{
    CLEANUP(doc_unrefp) struct doc *array = parsed("[1]");
    CLEANUP(doc_unrefp) struct doc *object = parsed("{}");
    const struct doc *value = NULL;
    const char *key = NULL;

    (void)state;
    assert_false(doc_next(NULL, &key, &value));
    assert_false(doc_next(array, &key, &value));
    assert_false(doc_next(object, &key, &value));
}

static void test_writing_is_compact_ordered_and_unescaped(void **state)
{
    static const char text[] =
        "{\"b\":[1,-2,true,false,null,\"a/b<&>\xc3\xa9\\u0001\\n\\\"\"],\"a\":{}}";
    CLEANUP(doc_unrefp) struct doc *d = parsed(text);
    CLEANUP(base_freep) char *compact = written(d, DOC_WRITE_COMPACT);
    CLEANUP(base_freep) char *sorted = written(d, DOC_WRITE_SORTED);

    (void)state;
    assert_string_equal(compact, text);
    assert_string_equal(
        sorted, "{\"a\":{},\"b\":[1,-2,true,false,null,\"a/b<&>\xc3\xa9\\u0001\\n\\\"\"]}");
}

static void test_real_numbers_keep_their_value(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = parsed("[0.1,1e300,-2.5,5e-324]");
    CLEANUP(base_freep) char *text = written(d, DOC_WRITE_COMPACT);
    CLEANUP(doc_unrefp) struct doc *again = parsed(text);

    (void)state;
    assert_true(doc_equal(d, again));
}

static void test_writing_past_the_maximum_is_noticed(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = parsed("[\"0123456789\"]");
    CLEANUP(buf_release) struct buf out = BUF_INIT(5);

    (void)state;
    doc_write(d, DOC_WRITE_COMPACT, &out);
    assert_true(out.failed);
}

static void test_a_member_that_is_set_again_keeps_its_place(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();

    (void)state;
    doc_set_text(d, "first", "x");
    doc_set_int(d, "second", INT64_MAX);
    doc_set_bool(d, "third", true);
    doc_set(d, "fourth", doc_new_null());
    doc_set_view(d, "first", VIEW_LIT("y"));
    doc_remove(d, "third");
    doc_remove(d, "never there");

    CLEANUP(base_freep) char *text = written(d, DOC_WRITE_COMPACT);

    assert_string_equal(text,
                        "{\"first\":\"y\",\"second\":9223372036854775807,\"fourth\":null}");
}

static void test_invalid_utf8_becomes_replacement_characters(void **state)
{
    static const struct {
        const char *bytes;
        const char *text;
    } cases[] = {
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        /* Go replaces every byte of what is no character. */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff",
         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(doc_unrefp) struct doc *d = doc_new_text(view_of(cases[i].bytes));
        CLEANUP(doc_unrefp) struct doc *object = doc_new_object();
        const char *key = NULL;

        assert_string_equal(doc_text(d), cases[i].text);
        doc_set_int(object, cases[i].bytes, 1);
        assert_non_null(doc_member_at(object, 0, &key));
        assert_string_equal(key, cases[i].text);
    }
}

static void test_copies_are_deep_and_references_are_not(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = parsed("{\"a\":{\"b\":1}}");
    CLEANUP(doc_unrefp) struct doc *copy = doc_copy(d);
    CLEANUP(doc_unrefp) struct doc *same = doc_ref(d);

    (void)state;
    assert_true(doc_equal(d, copy));
    doc_set_int(d, "c", 2);
    assert_false(doc_equal(d, copy));
    assert_true(doc_equal(d, same));
    assert_int_equal(doc_count(same), 2);
    assert_null(doc_copy(NULL));
}

static void test_arrays_keep_order(void **state)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_array();

    (void)state;
    doc_append_text(d, "x");
    doc_append(d, doc_new_bool(false));
    doc_append(d, doc_new_object());

    CLEANUP(base_freep) char *text = written(d, DOC_WRITE_COMPACT);
    CLEANUP(base_freep) char *indented = written(d, DOC_WRITE_INDENT);

    assert_string_equal(text, "[\"x\",false,{}]");
    assert_string_equal(indented, "[\n  \"x\",\n  false,\n  {}\n]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_refuses_what_is_not_one_strict_value),
        cmocka_unit_test(test_parse_refuses_duplicate_keys),
        cmocka_unit_test(test_parse_limits_nesting),
        cmocka_unit_test(test_brackets_in_strings_are_not_nesting),
        cmocka_unit_test(test_a_scalar_is_a_document),
        cmocka_unit_test(test_look_ups_chain_through_what_is_absent),
        cmocka_unit_test(test_text_with_nul_inside_has_only_a_view),
        cmocka_unit_test(test_members_come_in_document_order),
        cmocka_unit_test(test_nothing_to_step_through_outside_objects),
        cmocka_unit_test(test_writing_is_compact_ordered_and_unescaped),
        cmocka_unit_test(test_real_numbers_keep_their_value),
        cmocka_unit_test(test_writing_past_the_maximum_is_noticed),
        cmocka_unit_test(test_a_member_that_is_set_again_keeps_its_place),
        cmocka_unit_test(test_invalid_utf8_becomes_replacement_characters),
        cmocka_unit_test(test_copies_are_deep_and_references_are_not),
        cmocka_unit_test(test_arrays_keep_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
