/*
 * valid/NAME/input is parsed and printed as JSON: valid/NAME/expect. invalid/NAME/input
 * gives errors, one a line as LINE:COLUMN: MESSAGE: invalid/NAME/expect. A new case is a
 * new folder; with COOPER_GOLDEN_WRITE=1 in the environment what comes out is written as
 * expected.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/dockerfile.h"
#include "parser/print.h"

#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void load(const char *dir, const char *name, struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);

    if (fs_read_file_at(AT_FDCWD, path, out, &err) < 0)
        fail_msg("%s", error_text(&err));
}

static void note_error(void *context, const struct error *error)
{
    buf_printf(context, "%u:%u: %s\n", error->pos.line, error->pos.column,
               error_text(error));
}

static void compare(const char *dir, const struct buf *got)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf want = BUF_INIT(LIMIT_TEXT_SIZE);

    if (getenv("COOPER_GOLDEN_WRITE")) {
        CLEANUP(base_freep) char *path = base_format("%s/expect", dir);
        assert_int_equal(fs_replace_file_at(AT_FDCWD, path, buf_view(got), 0644, &err), 0);
    }
    load(dir, "expect", &want);
    if (!view_eq(buf_view(got), buf_view(&want)))
        fail_msg("%s: differs:\n%s", dir, buf_text(got));
}

static void check(const char *dir, bool valid)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf input = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct dockerfile_parse_options options = {.on_error = note_error,
                                                     .context = &got};

    load(dir, "input", &input);
    CLEANUP(dockerfile_freep)
    struct dockerfile *file =
        dockerfile_parse(buf_view(&input), "Dockerfile", &options, &err);
    if (valid != (file != NULL))
        fail_msg("%s: %s", dir, file ? "accepted" : error_text(&err));
    if (file)
        dockerfile_print_json(file, &got);
    compare(dir, &got);
}

static void check_all(const char *kind)
{
    CLEANUP(base_freep) char *root = base_strdup(__FILE__);
    glob_t found;

    *strrchr(root, '/') = '\0';
    CLEANUP(base_freep) char *pattern = base_format("%s/%s/*", root, kind);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 5);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check(found.gl_pathv[i], kind[0] == 'v');
    globfree(&found);
}

static void test_valid_files_give_their_tree(void **state)
{
    (void)state;
    check_all("valid");
}

static void test_invalid_files_give_their_errors(void **state)
{
    (void)state;
    check_all("invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_files_give_their_tree),
        cmocka_unit_test(test_invalid_files_give_their_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
