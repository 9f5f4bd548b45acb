/* YAML is read as the JSON that it stands for. */
#include "parser/yaml.h"

#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect(const char *yaml, const char *json)
{
    struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *d = yaml_doc_parse(view_of(yaml), &err);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    assert_string_equal(error_text(&err), "no error");
    doc_write(d, DOC_WRITE_COMPACT, &text);
    assert_string_equal(buf_text(&text), json);
}

static void refuse(const char *yaml, enum error_code code)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    assert_null(yaml_doc_parse(view_of(yaml), &err));
    assert_int_equal(err.code, code);
}

static void test_mappings_and_sequences(void **state)
{
    (void)state;
    expect("a: 1\nb:\n- x\n- {c: [d, 'e']}\n",
           "{\"a\":1,\"b\":[\"x\",{\"c\":[\"d\",\"e\"]}]}");
    expect("---\n- []\n- {}\n...\n", "[[],{}]");
    expect("", "null");
}

static void test_scalars_by_the_core_schema(void **state)
{
    (void)state;
    expect("[0, -7, 0x1f, 0o17, 0666, 9223372036854775807]",
           "[0,-7,31,15,438,9223372036854775807]");
    expect("[true, False, null, ~, '', yes, 1.5]",
           "[true,false,null,null,\"\",\"yes\",1.5]");
    expect("['1', \"true\", 99999999999999999999, 08, 1.2.3, 0.6.0]",
           "[\"1\",\"true\",\"99999999999999999999\",\"08\",\"1.2.3\",\"0.6.0\"]");
    expect("\"tab\\t \\\"q\\\" \\\\\"", "\"tab\\t \\\"q\\\" \\\\\"");
    expect("a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}");
    expect("1: a", "{\"1\":\"a\"}");
}

static void test_what_is_not_read_is_refused(void **state)
{
    (void)state;
    refuse("a: [", ERROR_INVALID);
    refuse("a: 1\na: 2\n", ERROR_INVALID);
    refuse("--- a\n--- b\n", ERROR_INVALID);
    refuse("a: &x 1\nb: *x\n", ERROR_UNSUPPORTED);
    refuse("a: !!binary x\n", ERROR_UNSUPPORTED);
    refuse("[a]: b\n", ERROR_UNSUPPORTED);
}

static void test_nesting_is_bounded(void **state)
{
    char deep[1000];

    (void)state;
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    refuse(deep, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappings_and_sequences),
        cmocka_unit_test(test_scalars_by_the_core_schema),
        cmocka_unit_test(test_what_is_not_read_is_refused),
        cmocka_unit_test(test_nesting_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
