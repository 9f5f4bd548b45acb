/* docs/checks: every rule has a page, every page a rule, and the examples of each are true.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/check/check.h"
#include "parser/check/fix.h"
#include "parser/dockerfile.h"
#include "parser/ignore.h"

#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *docs_path(const char *name)
{
    CLEANUP(base_freep) char *here = base_strdup(__FILE__);

    *strrchr(here, '/') = '\0';
    return base_format("%s/../../../docs/checks/%s", here, name);
}

static void load_page(enum dockerfile_rule rule, struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *name = base_format("%s.md", dockerfile_rule_info(rule)->name);
    CLEANUP(base_freep) char *path = docs_path(name);

    if (fs_read_file_at(AT_FDCWD, path, out, &err) < 0)
        fail_msg("%s", error_text(&err));
}

/* The fenced block of a language after a heading; empty without. */
static struct view find_block(const struct buf *page,
                              const char *heading,
                              const char *language)
{
    CLEANUP(base_freep) char *fence = base_format("```%s\n", language);
    const char *at = strstr(buf_text(page), heading);

    at = at ? strstr(at, fence) : NULL;
    if (!at)
        return VIEW_LIT("");
    at += strlen(fence);
    return (struct view){at, (size_t)(strstr(at, "```") - at)};
}

/* --- What the examples assume -----------------------------------------------------------
 */

static bool base_mismatch(void *context,
                          const struct dockerfile_base *base,
                          struct view *expected,
                          struct view *actual)
{
    (void)context;
    *expected = VIEW_LIT("linux/amd64");
    *actual = VIEW_LIT("linux/arm64");
    return view_starts(base->image, "arm64v8/");
}

static void context_list(void *context,
                         struct view directory,
                         void (*add)(void *add_context, struct view name),
                         void *add_context)
{
    (void)context;
    if (directory.size == 0)
        add(add_context, VIEW_LIT(".env"));
}

struct seen {
    bool rules[DOCKERFILE_RULE_COUNT];
};

static void note(void *context, const struct dockerfile_finding *finding)
{
    struct seen *seen = context;

    seen->rules[finding->rule] = true;
}

static bool fires(struct view text, struct view patterns, enum dockerfile_rule rule)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "Dockerfile", NULL, &err);
    CLEANUP(dockerfile_ignore_freep)
    struct dockerfile_ignore *ignore =
        dockerfile_ignore_parse(patterns, ".dockerignore", &err);
    struct seen seen = {.rules = {false}};

    if (!file)
        fail_msg("%s: %.*s: %s", dockerfile_rule_info(rule)->name, VIEW_ARG(text),
                 error_text(&err));
    const struct dockerfile_check_options options = {.on_finding = note,
                                                     .context = &seen,
                                                     .base_mismatch = base_mismatch,
                                                     .context_list = context_list,
                                                     .ignore = ignore,
                                                     .extra = true};
    assert_int_equal(dockerfile_check(file, &options, NULL, &err), 0);
    return seen.rules[rule];
}

/* --- Tests ------------------------------------------------------------------------------
 */

static void test_the_examples_of_each_page_are_true(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++) {
        const enum dockerfile_rule rule = (enum dockerfile_rule)i;
        const char *name = dockerfile_rule_info(rule)->name;
        CLEANUP(buf_release) struct buf page = BUF_INIT(LIMIT_TEXT_SIZE);
        load_page(rule, &page);
        const struct view patterns = find_block(&page, "## Bad", "dockerignore");
        const struct view bad = find_block(&page, "## Bad", "dockerfile");
        const struct view good = find_block(&page, "## Good", "dockerfile");
        if (bad.size == 0 || good.size == 0)
            fail_msg("%s has no examples", name);
        if (!fires(bad, patterns, rule))
            fail_msg("%s does not fire on its bad example", name);
        if (fires(good, patterns, rule))
            fail_msg("%s fires on its good example", name);
    }
}

static void test_pages_say_what_can_be_fixed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++) {
        const enum dockerfile_rule rule = (enum dockerfile_rule)i;
        CLEANUP(buf_release) struct buf page = BUF_INIT(LIMIT_TEXT_SIZE);
        load_page(rule, &page);
        const bool said = strstr(buf_text(&page), "`cooper check --fix` mends it") != NULL;
        if (said != dockerfile_rule_is_fixable(rule))
            fail_msg("%s", dockerfile_rule_info(rule)->name);
    }
}

static void test_every_page_is_of_a_rule(void **state)
{
    CLEANUP(base_freep) char *pattern = docs_path("*.md");
    enum dockerfile_rule rule;
    glob_t found;

    (void)state;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, DOCKERFILE_RULE_COUNT + 1); /* and README.md */
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct view name = path_base(view_of(found.gl_pathv[i]));
        name = view_sub(name, 0, name.size - 3);
        if (!view_eq_text(name, "README") && !dockerfile_rule_find(name, &rule))
            fail_msg("%s is of no rule", found.gl_pathv[i]);
    }
    globfree(&found);
}

static void test_the_overview_names_every_rule(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf page = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *path = docs_path("README.md");

    (void)state;
    assert_int_equal(fs_read_file_at(AT_FDCWD, path, &page, &err), 0);
    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++) {
        const char *name = dockerfile_rule_info((enum dockerfile_rule)i)->name;
        CLEANUP(base_freep) char *link = base_format("- [%s](%s.md)\n", name, name);
        if (!strstr(buf_text(&page), link))
            fail_msg("%s", name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_of_each_page_are_true),
        cmocka_unit_test(test_pages_say_what_can_be_fixed),
        cmocka_unit_test(test_every_page_is_of_a_rule),
        cmocka_unit_test(test_the_overview_names_every_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
