#include "fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/toml.h"

/* One line an item: "[a]", "[[a]]", "a|key=type:value". */
static int note(void *context, const struct toml_item *item, struct error *err)
{
    struct buf *out = context;

    (void)err;
    if (item->event != TOML_KEY) {
        buf_printf(out, item->event == TOML_ITEM ? "[[%s]]\n" : "[%s]\n", item->table);
        return 0;
    }
    buf_printf(out, "%s|%s=", item->table, item->key);
    switch (item->type) {
    case TOML_TEXT:
        buf_printf(out, "text:%s\n", item->text);
        break;
    case TOML_BOOL:
        buf_printf(out, "bool:%d\n", item->flag);
        break;
    case TOML_INT:
        buf_printf(out, "int:%lld\n", (long long)item->number);
        break;
    case TOML_OTHER:
        buf_printf(out, "other\n");
        break;
    }
    return 0;
}

static void check(const char *text, const char *want)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    OK(toml_parse(view_of(text), note, &out, &err), &err);
    assert_string_equal(buf_text(&out), want);
}

static void test_tables_and_arrays_of_tables_are_told_in_order(void **state)
{
    (void)state;
    check("a=1\n[t]\nb = true # yes\n[[ x . \"y z\" ]]\nc.d='v'\r\n\n[[x]]",
          "|a=int:1\n[t]\nt|b=bool:1\n[[x.y z]]\nx.y z|c.d=text:v\n[[x]]\n");
    check("", "");
    check("# nothing\n\n", "");
}

static void test_texts_of_all_four_kinds_are_read(void **state)
{
    (void)state;
    check("a = \"x\\ty\\u00e9\\U0001F600\\\\ \\\"\"",
          "|a=text:x\ty\xc3\xa9\xf0\x9f\x98\x80\\ \"\n");
    check("a = 'C:\\n'", "|a=text:C:\\n\n");
    check("a = \"\"\"\none\\\n   two\n\"three\"\"\"\"", "|a=text:onetwo\n\"three\"\n");
    check("a = '''\n'x'\n'''", "|a=text:'x'\n\n");
    check("a = ''", "|a=text:\n");
}

static void test_values_of_no_use_are_read_over(void **state)
{
    (void)state;
    check("a = [1, [\"]\", '#'], # x\n {b = 1, c.d = []},\n]\nb = 1.5\nc = 2026-11-23\n"
          "d = 0xff\ne = -1_000\nf=inf",
          "|a=other\n|b=other\n|c=other\n|d=other\n|e=int:-1000\n|f=other\n");
}

static void test_mistakes_are_told_with_their_line(void **state)
{
    static const char *const bad[] = {
        "\na = ",
        "\na",
        "\na = b",
        "\n= 1",
        "\n[a",
        "\n[[a]",
        "\n[]",
        "\na = \"x",
        "\na = \"x\ny\"",
        "\na = \"\\q\"",
        "\na = \"\\ud800\"",
        "\na = \"\\u12\"",
        "\na = [1 2]",
        "\na = [1",
        "\na = {b}",
        "\na = 1 2",
        "\na = 'x' y",
        "\n[a] b = 1",
        "\na. = 1",
        "\na = \"\\u0000\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

        assert_int_equal(toml_parse(view_of(bad[i]), note, &out, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        assert_non_null(strstr(error_text(&err), "line 2: "));
    }
}

static void test_nesting_is_bounded(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    buf_append_text(&text, "a = ");
    for (int i = 0; i < 100000; i++)
        buf_append_char(&text, '[');
    assert_int_equal(toml_parse(buf_view(&text), note, &out, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_and_arrays_of_tables_are_told_in_order),
        cmocka_unit_test(test_texts_of_all_four_kinds_are_read),
        cmocka_unit_test(test_values_of_no_use_are_read_over),
        cmocka_unit_test(test_mistakes_are_told_with_their_line),
        cmocka_unit_test(test_nesting_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
