/* What is an archive, and a context of one file. */
#include "builder/context_tar.h"

#include "base/alloc.h"
#include "cas/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_archives_are_known_by_their_beginning(void **state)
{
    char tar[512] = "name";

    (void)state;
    assert_true(context_tar_is_archive((struct view){"\x1f\x8b\x08\0", 4}));
    assert_true(context_tar_is_archive((struct view){"BZh9", 4}));
    assert_true(context_tar_is_archive((struct view){"\xfd\x37zXZ\0", 6}));
    assert_true(context_tar_is_archive((struct view){"\x28\xb5\x2f\xfd", 4}));
    assert_false(context_tar_is_archive((struct view){tar, sizeof tar}));
    memcpy(tar + 257, "ustar", 5);
    assert_true(context_tar_is_archive((struct view){tar, sizeof tar}));
    assert_false(context_tar_is_archive((struct view){tar, 260}));
    assert_false(context_tar_is_archive(VIEW_LIT("FROM scratch\n")));
    assert_false(context_tar_is_archive(VIEW_LIT("\xfd\x37zX")));
    assert_false(context_tar_is_archive(VIEW_LIT("")));
}

static void test_one_file_is_a_tree(void **state)
{
    CLEANUP(context_tar_freep)
    struct context_tar *t = context_tar_of_file("context", VIEW_LIT("FROM scratch\n"));
    const struct build_tree *tree = context_tar_tree(t);
    const struct digest want = digest_of(DIGEST_SHA256, VIEW_LIT("FROM scratch\n"));
    struct error err = ERROR_INIT;
    struct build_tree_entry e;
    struct cas_content content;
    struct digest got;
    bool found;

    (void)state;
    assert_int_equal(tree->find(tree->self, VIEW_LIT("context"), &found, &e, &err), 0);
    assert_true(found);
    assert_int_equal(e.entry.mode, 0600);
    assert_int_equal(tree->open(tree->self, &e.place, &content, &err), 0);
    assert_true(view_eq_text(content.memory, "FROM scratch\n"));
    assert_int_equal(tree->digest(tree->self, &e.place, &got, &err), 0);
    assert_true(digest_eq(&got, &want));
    assert_int_equal(tree->find(tree->self, VIEW_LIT("contex"), &found, &e, &err), 0);
    assert_false(found);
}

static void test_what_is_left_out_is_known_to_be_there(void **state)
{
    CLEANUP(context_tar_freep)
    struct context_tar *t = context_tar_of_file("a.log", VIEW_LIT(""));
    CLEANUP(dockerfile_ignore_freep) struct dockerfile_ignore *set = NULL;
    const struct build_tree *tree = context_tar_tree(t);
    struct error err = ERROR_INIT;
    struct build_tree_entry e;
    bool found = true;

    (void)state;
    set = dockerfile_ignore_parse(VIEW_LIT("*.log\n"), ".dockerignore", &err);
    assert_non_null(set);
    assert_int_equal(context_tar_ignore(t, set, &err), 0);
    assert_int_equal(tree->find(tree->self, VIEW_LIT("a.log"), &found, &e, &err), 0);
    assert_false(found);
    assert_true(context_tar_has(t, VIEW_LIT("a.log")));
    assert_false(context_tar_has(t, VIEW_LIT("b.log")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archives_are_known_by_their_beginning),
        cmocka_unit_test(test_one_file_is_a_tree),
        cmocka_unit_test(test_what_is_left_out_is_known_to_be_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
