#include "builder/config.h"

#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct build_config config_of(const char *text)
{
    struct error err = ERROR_INIT;
    struct doc *base = doc_parse(view_of(text), &err);
    struct build_config c;

    assert_non_null(base);
    build_config_init_base(&c, base);
    doc_unref(base);
    return c;
}

static void text_is(const struct build_config *c, const char *want)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);

    doc_write(doc_get(c->root, "config"), DOC_WRITE_COMPACT, &text);
    assert_string_equal(buf_text(&text), want);
}

static void test_scratch_has_a_path_and_a_working_directory(void **state)
{
    const struct registry_platform p = registry_platform_host();
    struct build_config c;
    struct view path;

    (void)state;
    build_config_init_empty(&c, &p);
    assert_string_equal(build_config_text(&c, "WorkingDir"), "/");
    assert_true(build_config_env_get(&c, VIEW_LIT("PATH"), &path));
    assert_string_equal(doc_text(doc_get(c.root, "os")), "linux");
    assert_int_equal(c.base_history_count, 0);
    build_config_release(&c);
    build_config_release(&c);
}

static void test_what_cooper_does_not_know_is_kept(void **state)
{
    struct build_config c =
        config_of("{\"config\":{\"Env\":[\"PATH=/"
                  "\"],\"NewThing\":{\"a\":1}},\"os\":\"linux\",\"x\":[2]}");

    (void)state;
    build_config_set_text(&c, "User", "bob");
    text_is(&c, "{\"Env\":[\"PATH=/\"],\"NewThing\":{\"a\":1},\"User\":\"bob\"}");
    assert_int_equal(doc_count(doc_get(c.root, "x")), 1);
    build_config_release(&c);
}

static void test_a_variable_is_replaced_in_its_place(void **state)
{
    struct build_config c =
        config_of("{\"config\":{\"Env\":[\"A=1\",\"AB=2\",\"PATH=/\",\"C\"]}}");
    struct view value;

    (void)state;
    build_config_env_set(&c, VIEW_LIT("A"), VIEW_LIT("x=y"));
    build_config_env_set(&c, VIEW_LIT("D"), VIEW_LIT(""));
    text_is(&c, "{\"Env\":[\"A=x=y\",\"AB=2\",\"PATH=/\",\"C\",\"D=\"]}");
    assert_true(build_config_env_get(&c, VIEW_LIT("A"), &value));
    assert_true(view_eq_text(value, "x=y"));
    assert_false(build_config_env_get(&c, VIEW_LIT("B"), &value));
    build_config_release(&c);
}

static void test_lists_and_keys(void **state)
{
    struct build_config c = config_of("{\"config\":{\"Env\":[\"PATH=/\"]}}");
    char one[] = "a", two[] = "b c";
    char *items[] = {one, two};

    (void)state;
    build_config_set_list(&c, "Cmd", items, 2);
    build_config_set_key(&c, "Labels", "k", "v");
    build_config_set_key(&c, "Labels", "k", "w");
    build_config_set_key(&c, "ExposedPorts", "80/tcp", NULL);
    text_is(&c, "{\"Env\":[\"PATH=/\"],\"Cmd\":[\"a\",\"b "
                "c\"],\"Labels\":{\"k\":\"w\"},\"ExposedPorts\":{\"80/tcp\":{}}}");
    build_config_set_list(&c, "Cmd", NULL, 0);
    assert_null(doc_get(doc_get(c.root, "config"), "Cmd"));
    build_config_release(&c);
}

static void test_a_copy_is_a_copy(void **state)
{
    struct build_config a =
        config_of("{\"config\":{\"User\":\"u\"},\"history\":[{\"created_by\":\"x\"}]}");
    struct build_config b;

    (void)state;
    build_config_copy(&b, &a);
    build_config_set_text(&b, "User", "v");
    build_config_history(&b, "RUN y", false);
    assert_string_equal(build_config_text(&a, "User"), "u");
    assert_int_equal(doc_count(doc_get(a.root, "history")), 1);
    assert_int_equal(doc_count(doc_get(b.root, "history")), 2);
    assert_int_equal(b.base_history_count, 1);
    build_config_release(&a);
    build_config_release(&b);
}

/* A foreign config may have anything anywhere. */
static void test_members_of_another_type_are_survived(void **state)
{
    struct build_config c = config_of(
        "{\"config\":{\"Env\":\"A=1\",\"Labels\":[1],\"User\":5},\"history\":{}}");

    (void)state;
    build_config_env_set(&c, VIEW_LIT("A"), VIEW_LIT("2"));
    build_config_set_key(&c, "Labels", "k", "v");
    assert_string_equal(build_config_text(&c, "User"), "");
    build_config_history(&c, "RUN y", false);
    build_config_release(&c);
    c = config_of("{\"config\":null}");
    build_config_set_text(&c, "User", "x");
    assert_string_equal(build_config_text(&c, "User"), "x");
    build_config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scratch_has_a_path_and_a_working_directory),
        cmocka_unit_test(test_what_cooper_does_not_know_is_kept),
        cmocka_unit_test(test_a_variable_is_replaced_in_its_place),
        cmocka_unit_test(test_lists_and_keys),
        cmocka_unit_test(test_a_copy_is_a_copy),
        cmocka_unit_test(test_members_of_another_type_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
