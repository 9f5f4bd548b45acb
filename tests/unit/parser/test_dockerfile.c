#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/dockerfile.h"
#include "parser/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dockerfile *parse(const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct dockerfile *file = dockerfile_parse(view_of(text), "Dockerfile", NULL, &err);

    if (!file)
        fail_msg("line %u: %s", err.pos.line, error_text(&err));
    return file;
}

static void assert_view(struct view view, const char *text)
{
    if (!view_eq_text(view, text))
        fail_msg("'%.*s', not '%s'", VIEW_ARG(view), text);
}

static void assert_place(struct source_pos pos, unsigned line, unsigned column)
{
    assert_string_equal(pos.source, "Dockerfile");
    assert_int_equal(pos.line, line);
    assert_int_equal(pos.column, column);
}

static void test_words_know_their_place(void **state)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = parse("\xef\xbb\xbf# escape=`\r\n"
                                    "  FROM  busybox AS b\r\n"
                                    "COPY --from=x `\r\n"
                                    "  # between\r\n"
                                    "\r\n"
                                    "  a `\r\n"
                                    "  b /c\r\n");
    const struct dockerfile_instruction *from = &file->instructions[0];
    const struct dockerfile_instruction *copy = &file->instructions[1];

    (void)state;
    assert_int_equal(file->escape, '`');
    assert_place(file->directives[0].value.pos, 1, 10);
    assert_place(from->pos, 2, 3);
    assert_place(from->from->image.pos, 2, 9);
    assert_place(from->from->name.pos, 2, 20);
    assert_place(copy->pos, 3, 1);
    assert_int_equal(copy->pos.line_end, 7);
    assert_int_equal(copy->empty_continuation, 5);
    assert_place(copy->copy->from.pos, 3, 13);
    assert_place(copy->copy->sources.items[0].pos, 6, 3);
    assert_place(copy->copy->sources.items[1].pos, 7, 3);
    assert_place(copy->copy->dest.pos, 7, 5);
    assert_view(copy->original, "COPY --from=x   a   b /c");
    assert_view(dockerfile_line(file, 6), "  a `");
    assert_view(dockerfile_line(file, 60), "");
}

static void test_stages_are_slices(void **state)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = parse("ARG A\nARG B=1 C\nFROM $A AS One\nRUN x\nFROM one\n");

    (void)state;
    assert_int_equal(file->global_count, 2);
    assert_int_equal(file->instructions[1].arg->count, 2);
    assert_false(dockerfile_word_given(file->instructions[1].arg->pairs[1].value));
    assert_int_equal(file->stage_count, 2);
    assert_view(file->stages[0].from->from->stage_name, "one");
    assert_int_equal(file->stages[0].count, 1);
    assert_int_equal(file->stages[0].instructions[0].kind, DOCKERFILE_RUN);
    assert_int_equal(file->stages[1].count, 0);
    assert_view(file->stages[1].from->from->stage_name, "");
}

static void test_heredocs_reach_the_shell(void **state)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = parse("FROM a\n"
                                    "RUN <<-EOF\n\techo $x\n\tEOF\n"
                                    "RUN <<E\n#!/bin/x\nE\n"
                                    "RUN <<A cat && 3<<-'B' cat\na\nA\n\tb\n\tB\n"
                                    "RUN [\"<<E\"]\n");
    const struct dockerfile_instruction *run = file->instructions + 1;

    (void)state;
    assert_int_equal(run[0].run->form, DOCKERFILE_RUN_SHELL);
    assert_true(run[0].run->only_heredoc);
    assert_view(run[0].run->script, "echo $x\n");
    assert_view(run[0].run->heredocs.items[0].content, "\techo $x\n");
    assert_int_equal(run[0].pos.line_end, 4);
    assert_int_equal(run[1].run->form, DOCKERFILE_RUN_SCRIPT);
    assert_view(run[1].run->script, "#!/bin/x\n");
    assert_view(run[1].run->script_name, "E");
    assert_view(run[2].run->script, "<<A cat && 3<<-'B' cat\na\nA\n\tb\nB");
    assert_int_equal(run[2].run->heredocs.items[1].descriptor, 3);
    assert_false(run[2].run->heredocs.items[1].expand);
    assert_place(run[2].run->heredocs.items[1].pos, 11, 1);
    assert_int_equal(run[3].run->form, DOCKERFILE_RUN_EXEC);
    assert_int_equal(run[3].run->heredocs.count, 0);
}

static void test_heredocs_as_sources(void **state)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = parse("FROM a\nCOPY x <<a.txt <<'b' /d\n1\na.txt\n2\nb\n");
    const struct dockerfile_copy *copy = file->instructions[1].copy;

    (void)state;
    assert_int_equal(copy->sources.count, 1);
    assert_int_equal(copy->inlines.count, 2);
    assert_view(copy->inlines.items[0].name.text, "a.txt");
    assert_view(copy->inlines.items[0].body, "1\n");
    assert_true(copy->inlines.items[0].expand);
    assert_view(copy->inlines.items[1].body, "2\n");
    assert_false(copy->inlines.items[1].expand);
}

static void test_flags_are_typed(void **state)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = parse(
        "FROM --platform=$P a\n"
        "ADD --link --keep-git-dir=false --unpack --checksum=sha256:x --chmod='u=r w' a /\n"
        "COPY --exclude=*.o --exclude=\"a b\" --parents --link=FALSE --chown= -- --a /\n"
        "RUN --mount=type=bind,from=s,target=/x --mount=type=ssh --network=host "
        "--security=insecure --device=v/c=d,required --device=name=e x\n"
        "HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD [\"x\"]\n");
    const struct dockerfile_copy *add = file->instructions[1].copy;
    const struct dockerfile_copy *copy = file->instructions[2].copy;
    const struct dockerfile_run *run = file->instructions[3].run;
    const struct dockerfile_healthcheck *check = file->instructions[4].healthcheck;

    (void)state;
    assert_view(file->instructions[0].from->platform.text, "$P");
    assert_true(add->link);
    assert_int_equal(add->keep_git_dir, DOCKERFILE_SWITCH_OFF);
    assert_int_equal(add->unpack, DOCKERFILE_SWITCH_ON);
    assert_view(add->chmod.text, "u=r w");
    assert_int_equal(copy->excludes.count, 2);
    assert_view(copy->excludes.items[1].text, "a b");
    assert_true(copy->parents);
    assert_false(copy->link);
    assert_true(dockerfile_word_given(copy->chown) && copy->chown.text.size == 0);
    assert_false(dockerfile_word_given(copy->chmod));
    assert_view(copy->sources.items[0].text, "--a");
    assert_int_equal(run->mount_count, 2);
    assert_view(run->mounts[0].from, "s");
    assert_int_equal(run->network, DOCKERFILE_NETWORK_HOST);
    assert_true(run->insecure);
    assert_view(run->devices[0].name.text, "v/c=d");
    assert_true(run->devices[0].required);
    assert_view(run->devices[1].name.text, "e");
    assert_true(check->command.exec);
    assert_true(check->interval_ns == 90 * INT64_C(1000000000));
    assert_true(check->timeout_ns == INT64_C(1500000000));
    assert_int_equal(check->retries, 3);
}

static void test_exec_form_is_valid_json_only(void **state)
{
    static const struct {
        const char *args;
        int exec; /* -1: an error */
    } cases[] = {
        {"[\"a\", \"b\"]", 1},
        {"[]", 1},
        {" [ \"\\u00e9\\/\\n\" ] ", 1},
        {"['a']", 0},
        {"[\"a\"", 0},
        {"[\"a\",]", 0},
        {"[\"a\"] b", 0},
        {"[\"\\x\"]", 0},
        {"[\"a\tb\"]", 0},
        {"[1]", -1},
        {"[\"a\", [\"b\"]]", -1},
        {"[{\"a\": [true, null, -1.5e3]}]", -1},
        {"[nul]", 0},
        {"[01]", 0},
        {"[\"a\" \"b\"]", 0},
        {"[\"\\ud800\"]", 1},
        {"[[[[]]", 0},
        {"[{\"a\"}]", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(base_freep) char *text = base_format("FROM a\nCMD %s\n", cases[i].args);
        CLEANUP(dockerfile_freep)
        struct dockerfile *file = dockerfile_parse(view_of(text), "Dockerfile", NULL, &err);
        if ((cases[i].exec < 0) != (file == NULL) ||
            (file && file->instructions[1].command->exec != (cases[i].exec > 0)))
            fail_msg("%s", cases[i].args);
    }
}

static void test_directives_stand_at_the_top_only(void **state)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = parse("# syntax = docker/dockerfile:1.26-labs\n"
                                    "#Check=skip=all\n"
                                    "# other=1\n"
                                    "# escape=`\n"
                                    "FROM a\n");

    (void)state;
    assert_int_equal(file->directive_count, 2);
    assert_view(file->directives[0].value.text, "docker/dockerfile:1.26-labs");
    assert_view(file->directives[1].value.text, "skip=all");
    assert_int_equal(file->escape, '\\');
    assert_int_equal(file->instructions[0].comments.count, 2);
}

static void test_other_front_ends_are_refused_by_name(void **state)
{
    static const char *const texts[] = {
        "# syntax=tonistiigi/foo:1\nFROM a\n",
        "#!/usr/bin/env x\n# syntax=tonistiigi/foo\nFROM a\n",
        "// syntax=tonistiigi/foo a=b\n{}\n",
        "{\"syntax\": \"tonistiigi/foo\"}",
        "# syntax=docker/dockerfilex\nFROM tonistiigi/foo\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_null(dockerfile_parse(view_of(texts[i]), "Dockerfile", NULL, &err));
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_non_null(
            strstr(error_text(&err), i < 4 ? "'tonistiigi/foo" : "dockerfilex"));
    }
    assert_true(
        dockerfile_syntax_is_ours(VIEW_LIT("docker.io/docker/dockerfile@sha256:1")));
}

static void test_syntax_can_be_overridden(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct dockerfile_parse_options options = {.syntax =
                                                         VIEW_LIT("docker/dockerfile:1")};
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(VIEW_LIT("# syntax=other/thing\nFROM a\n"),
                                               "Dockerfile", &options, &err);

    (void)state;
    assert_non_null(file);
}

struct seen {
    unsigned lines[8];
    unsigned count;
};

static void note_error(void *context, const struct error *error)
{
    struct seen *seen = context;

    assert_true(seen->count < ARRAY_COUNT(seen->lines));
    seen->lines[seen->count++] = error->pos.line;
}

static void test_all_errors_are_found_in_one_go(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct seen seen = {.count = 0};
    const struct dockerfile_parse_options options = {.on_error = note_error,
                                                     .context = &seen};

    (void)state;
    assert_null(dockerfile_parse(VIEW_LIT("FROM\nRUM x\nENV a=1 b\nRUN ok\nCOPY <<E --x\n"
                                          "WORKDIR\nE\nCMD [1]\nRUN <<X\nWORKDIR\n"),
                                 "Dockerfile", &options, &err));
    assert_int_equal(seen.count, 6);
    assert_int_equal(seen.lines[0], 1);
    assert_int_equal(seen.lines[1], 2);
    assert_int_equal(seen.lines[2], 3);
    assert_int_equal(seen.lines[3], 4);
    assert_int_equal(seen.lines[4], 8);
    assert_int_equal(seen.lines[5], 9);
    assert_int_equal(err.pos.line, 1);
    assert_string_equal(err.pos.source, "Dockerfile");
}

static void test_mistakes_get_a_suggestion(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"FROM a\nCOYP b c\n", "unknown instruction: COYP (did you mean COPY?)"},
        {"FROM a\nrunn b\n", "unknown instruction: runn (did you mean run?)"},
        {"FROM a\nINSTALL b\n", "unknown instruction: INSTALL"},
        {"FROM --plattform=b a\n", "unknown flag: --plattform (did you mean platform?)"},
        {"FROM a\nRUN --network=hots x\n",
         "invalid network mode \"hots\" (did you mean host?)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_null(dockerfile_parse(view_of(cases[i].text), "Dockerfile", NULL, &err));
        assert_string_equal(error_text(&err), cases[i].message);
    }
    assert_int_equal(dockerfile_edit_distance(VIEW_LIT("kitten"), VIEW_LIT("sitting"), 9),
                     3);
    assert_int_equal(dockerfile_edit_distance(VIEW_LIT("kitten"), VIEW_LIT("sitting"), 2),
                     2);
}

static void test_triggers_are_stored_and_parsed_later(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file =
        parse("FROM a\nonbuild   RUN <<E\nx\nE\nONBUILD NOPE y \\\n z\n");
    const struct source_pos pos = {"Child", 7, 1, 7};

    (void)state;
    assert_view(file->instructions[1].onbuild->expression, "RUN <<E\nx\nE");
    assert_view(file->instructions[2].onbuild->expression, "NOPE y  z");
    CLEANUP(dockerfile_freep)
    struct dockerfile *trigger =
        dockerfile_parse_trigger(file->instructions[1].onbuild->expression, pos, &err);
    assert_non_null(trigger);
    assert_view(trigger->instructions[0].run->script, "x\n");
    assert_int_equal(trigger->instructions[0].pos.line, 7);
    assert_int_equal(trigger->instructions[0].run->heredocs.items[0].pos.line, 7);
    assert_null(
        dockerfile_parse_trigger(file->instructions[2].onbuild->expression, pos, &err));
    assert_int_equal(err.pos.line, 7);
    assert_string_equal(err.pos.source, "Child");
    assert_null(dockerfile_parse_trigger(VIEW_LIT("FROM x"), pos, &err));
    assert_null(dockerfile_parse_trigger(VIEW_LIT("RUN x\nRUN y"), pos, &err));
    assert_null(dockerfile_parse_trigger(VIEW_LIT(""), pos, &err));
}

static void repeat(struct buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_text(out, text);
}

static void test_large_files_are_read(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    (void)state;
    buf_append_text(&text, "FROM a\n");
    repeat(&text, "ENV A=1 \\\n  B=2\n", 50000);
    repeat(&text, "RUN echo $A\n", 50000);
    buf_append_text(&text, "LABEL ");
    repeat(&text, "k=v \\\n", 100000);
    buf_append_text(&text, "last=1\nRUN x");
    repeat(&text, "yyyyyyyyyyyyyyy", 100000);
    CLEANUP(dockerfile_freep) struct dockerfile *file = parse(buf_text(&text));
    assert_int_equal(file->instruction_count, 100003);
    assert_int_equal(file->instructions[100001].env->count, 100001);
    assert_int_equal(file->instructions[100001].env->pairs[100000].name.pos.line, 250002);
}

static void test_an_endless_heredoc_is_an_error(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    (void)state;
    buf_append_text(&text, "FROM a\nRUN <<A <<B\n");
    repeat(&text, "line of no end\n", 100000);
    assert_null(dockerfile_parse(buf_view(&text), "Dockerfile", NULL, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(err.pos.line, 2);
    assert_int_equal(err.pos.line_end, 100002);
}

static void test_more_heredocs_than_anyone_needs_are_refused(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    (void)state;
    buf_append_text(&text, "FROM a\nCOPY");
    repeat(&text, " <<A", LIMIT_DOCKERFILE_HEREDOCS + 1);
    buf_append_text(&text, " /x\n");
    repeat(&text, "A\n", LIMIT_DOCKERFILE_HEREDOCS + 1);
    assert_null(dockerfile_parse(buf_view(&text), "Dockerfile", NULL, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(err.pos.line, 2);
}

static void test_a_file_past_the_limit_is_refused(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct view text = {"", LIMIT_DOCKERFILE_SIZE + 1};

    (void)state;
    assert_null(dockerfile_parse(text, "Dockerfile", NULL, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_know_their_place),
        cmocka_unit_test(test_stages_are_slices),
        cmocka_unit_test(test_heredocs_reach_the_shell),
        cmocka_unit_test(test_heredocs_as_sources),
        cmocka_unit_test(test_flags_are_typed),
        cmocka_unit_test(test_exec_form_is_valid_json_only),
        cmocka_unit_test(test_directives_stand_at_the_top_only),
        cmocka_unit_test(test_other_front_ends_are_refused_by_name),
        cmocka_unit_test(test_syntax_can_be_overridden),
        cmocka_unit_test(test_all_errors_are_found_in_one_go),
        cmocka_unit_test(test_mistakes_get_a_suggestion),
        cmocka_unit_test(test_triggers_are_stored_and_parsed_later),
        cmocka_unit_test(test_large_files_are_read),
        cmocka_unit_test(test_an_endless_heredoc_is_an_error),
        cmocka_unit_test(test_more_heredocs_than_anyone_needs_are_refused),
        cmocka_unit_test(test_a_file_past_the_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
