/*
 * fix/NAME/input is fixed to fix/NAME/expect, means the same, and is not changed by a
 * second run. A new case is a new folder; with COOPER_GOLDEN_WRITE=1 in the environment
 * what comes out is written as expected.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/check/fix.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"

#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct dockerfile_check_options defaults = {.target_platform = "linux/amd64"};

static void load(const char *dir, const char *name, struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);

    if (fs_read_file_at(AT_FDCWD, path, out, &err) < 0)
        fail_msg("%s", error_text(&err));
}

static size_t fix(struct view text, struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    size_t count;

    if (dockerfile_fix(text, "Dockerfile", &defaults, out, &count, &err) < 0)
        fail_msg("%s", error_text(&err));
    return count;
}

/* What a fix may not change: kinds, words after expansion. */
static void put_word(struct buf *out,
                     const struct dockerfile *file,
                     struct dockerfile_word word)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct dockerfile_expand how = {.escape = file->escape,
                                          .flags = DOCKERFILE_EXPAND_KEEP_UNSET};

    assert_int_equal(dockerfile_expand(word.text, &how, out, &err), 0);
    buf_append_char(out, '\n');
}

static void put_instruction(struct buf *out,
                            const struct dockerfile *file,
                            const struct dockerfile_instruction *instruction)
{
    buf_printf(out, "%s ", dockerfile_kind_name(instruction->kind));
    if (instruction->kind == DOCKERFILE_ENV || instruction->kind == DOCKERFILE_LABEL) {
        for (size_t i = 0; i < instruction->env->count; i++) {
            put_word(out, file, instruction->env->pairs[i].name);
            put_word(out, file, instruction->env->pairs[i].value);
        }
    } else if (instruction->kind == DOCKERFILE_FROM) {
        put_word(out, file, instruction->from->image);
        buf_append_view(out, instruction->from->stage_name);
    } else if (instruction->kind == DOCKERFILE_RUN) {
        buf_append_view(out, instruction->run->script);
    } else if (instruction->kind != DOCKERFILE_EXPOSE) {
        buf_append_view(out, view_sub(instruction->original, instruction->name.text.size,
                                      instruction->original.size));
    }
    buf_append_char(out, '\n');
}

static void meaning(struct view text, struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "Dockerfile", NULL, &err);

    if (!file)
        fail_msg("%s", error_text(&err));
    for (size_t i = 0; i < file->instruction_count; i++)
        put_instruction(out, file, &file->instructions[i]);
}

static void check(const char *dir)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf input = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf want = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf again = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf before = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf after = BUF_INIT(LIMIT_TEXT_SIZE);

    load(dir, "input", &input);
    const size_t count = fix(buf_view(&input), &got);
    if (getenv("COOPER_GOLDEN_WRITE")) {
        CLEANUP(base_freep) char *path = base_format("%s/expect", dir);
        assert_int_equal(fs_replace_file_at(AT_FDCWD, path, buf_view(&got), 0644, &err), 0);
    }
    load(dir, "expect", &want);
    if (!view_eq(buf_view(&got), buf_view(&want)))
        fail_msg("%s: differs:\n%s", dir, buf_text(&got));
    assert_int_equal(count == 0, view_eq(buf_view(&got), buf_view(&input)));
    meaning(buf_view(&input), &before);
    meaning(buf_view(&got), &after);
    if (!view_eq(buf_view(&before), buf_view(&after)))
        fail_msg("%s: meant\n%s--- and now\n%s", dir, buf_text(&before), buf_text(&after));
    assert_int_equal(fix(buf_view(&got), &again), 0);
    assert_true(view_eq(buf_view(&got), buf_view(&again)));
}

static void test_files_are_fixed_as_expected_and_once(void **state)
{
    CLEANUP(base_freep) char *root = base_strdup(__FILE__);
    glob_t found;

    (void)state;
    *strrchr(root, '/') = '\0';
    CLEANUP(base_freep) char *pattern = base_format("%s/fix/*", root);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 10);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check(found.gl_pathv[i]);
    globfree(&found);
}

static void test_what_does_not_parse_is_not_fixed(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    size_t count;

    (void)state;
    assert_int_equal(dockerfile_fix(VIEW_LIT("FROM a AS B\nRNU x\n"), "F", &defaults, &out,
                                    &count, &err),
                     -1);
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_are_fixed_as_expected_and_once),
        cmocka_unit_test(test_what_does_not_parse_is_not_fixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
