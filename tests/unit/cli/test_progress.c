#include "cli/progress.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/macros.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Standard error, caught in a file while a display writes to it. */
struct caught {
    FILE *file;
    int before;
};

static void catch_begin(struct caught *c)
{
    c->file = tmpfile();
    assert_non_null(c->file);
    fflush(stderr);
    c->before = dup(STDERR_FILENO);
    dup2(fileno(c->file), STDERR_FILENO);
}

static void catch_end(struct caught *c, struct buf *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    dup2(c->before, STDERR_FILENO);
    close(c->before);
    lseek(fileno(c->file), 0, SEEK_SET);
    assert_int_equal(fs_read_all(fileno(c->file), out, &err), 0);
    fclose(c->file);
}

static void send(struct cli_progress *p, struct event event)
{
    const struct event_sink sink = cli_progress_sink(p);

    event_send(&sink, event);
}

static void output(struct cli_progress *p, uint32_t step, const char *text)
{
    send(p,
         (struct event){
             .type = EVENT_STEP_OUTPUT, .step = step, .stream = 1, .data = view_of(text)});
}

static void play(enum cli_progress_mode mode, struct buf *shown, struct buf *failures)
{
    struct cli_progress *p;
    struct caught caught;

    catch_begin(&caught);
    p = cli_progress_new(mode, "Building");
    send(p, (struct event){.type = EVENT_STEP_START, .step = 1, .name = "[1/3] FROM base"});
    send(p, (struct event){.type = EVENT_STEP_DONE, .step = 1});
    send(p, (struct event){.type = EVENT_STEP_CACHED, .step = 2, .name = "[2/3] COPY a b"});
    send(p, (struct event){.type = EVENT_STEP_START, .step = 3, .name = "[3/3] RUN make"});
    output(p, 3, "one\ntw");
    output(p, 3, "o\r\n10%\r20%\n");
    output(p, 3, "rest");
    send(p, (struct event){.type = EVENT_NOTE, .step = 3, .text = "a note"});
    send(p,
         (struct event){
             .type = EVENT_WARNING, .name = "Rule", .text = "careful", .pos = {.line = 7}});
    send(p, (struct event){.type = EVENT_STEP_FAILED, .step = 3, .text = "exit code: 2"});
    cli_progress_finish(p);
    cli_progress_failures(p, failures);
    cli_progress_free(p);
    catch_end(&caught, shown);
}

static void shown_has(const struct buf *shown, const char *part)
{
    if (strstr(buf_text(shown), part) == NULL)
        fail_msg("'%s' is not in:\n%s", part, buf_text(shown));
}

static void test_plain_numbers_every_line(void **state)
{
    CLEANUP(buf_release) struct buf shown = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf failures = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    play(CLI_PROGRESS_PLAIN, &shown, &failures);
    shown_has(&shown, "#1 [1/3] FROM base\n#1 DONE 0.0s\n\n");
    shown_has(&shown, "#2 [2/3] COPY a b\n#2 CACHED\n\n");
    shown_has(&shown, " one\n");
    shown_has(&shown, " two\n");
    shown_has(&shown, " 20%\n");
    shown_has(&shown, "#3 a note\n");
    shown_has(&shown, " rest\n#3 ERROR: exit code: 2\n");
    shown_has(
        &shown,
        " 1 warning found (use 'cooper check' to expand):\n - Rule: careful (line 7)\n");
    assert_null(strstr(buf_text(&shown), "10%"));
}

static void test_the_last_lines_of_a_failed_step_are_kept_in_every_mode(void **state)
{
    static const enum cli_progress_mode modes[] = {CLI_PROGRESS_PLAIN, CLI_PROGRESS_QUIET,
                                                   CLI_PROGRESS_RAWJSON};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        CLEANUP(buf_release) struct buf shown = BUF_INIT(LIMIT_TEXT_SIZE);
        CLEANUP(buf_release) struct buf failures = BUF_INIT(LIMIT_TEXT_SIZE);

        play(modes[i], &shown, &failures);
        shown_has(&failures, "------\n > [3/3] RUN make:\n");
        shown_has(&failures, " two\n");
        shown_has(&failures, " rest\n------\n");
        assert_null(strstr(buf_text(&failures), "COPY"));
        assert_int_equal(shown.size == 0, modes[i] == CLI_PROGRESS_QUIET);
    }
}

static void test_rawjson_writes_one_document_a_line(void **state)
{
    CLEANUP(buf_release) struct buf shown = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf failures = BUF_INIT(LIMIT_TEXT_SIZE);
    struct view rest;
    struct view line;
    size_t documents = 0;

    (void)state;
    play(CLI_PROGRESS_RAWJSON, &shown, &failures);
    rest = buf_view(&shown);
    while (rest.size > 0) {
        assert_true(view_cut(rest, '\n', &line, &rest));
        assert_true(view_starts(line, "{\"") && view_ends(line, "}"));
        documents++;
    }
    assert_int_equal(documents, 10);
    shown_has(&shown, "\"data\":\"b25lCnR3\"");
    shown_has(&shown, "\"error\":\"exit code: 2\"");
    shown_has(&shown, "\"cached\":true");
}

static void test_only_the_last_lines_are_kept(void **state)
{
    CLEANUP(buf_release) struct buf failures = BUF_INIT(LIMIT_TEXT_SIZE);
    struct cli_progress *const p = cli_progress_new(CLI_PROGRESS_QUIET, "Building");

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char line[32];

        snprintf(line, sizeof line, "line-%d-\n", i);
        output(p, 1, line);
    }
    send(p, (struct event){.type = EVENT_STEP_FAILED, .step = 1});
    cli_progress_finish(p);
    cli_progress_failures(p, &failures);
    cli_progress_free(p);
    shown_has(&failures, "line-999-");
    shown_has(&failures, "line-968-");
    assert_null(strstr(buf_text(&failures), "line-967-"));
}

static void test_a_line_without_end_fills_no_memory(void **state)
{
    CLEANUP(buf_release) struct buf failures = BUF_INIT(LIMIT_TEXT_SIZE);
    struct cli_progress *const p = cli_progress_new(CLI_PROGRESS_QUIET, "Building");
    static char block[65536];

    (void)state;
    memset(block, 'x', sizeof block - 1);
    for (int i = 0; i < 100; i++)
        output(p, 1, block);
    send(p, (struct event){.type = EVENT_STEP_FAILED, .step = 1});
    cli_progress_finish(p);
    cli_progress_failures(p, &failures);
    cli_progress_free(p);
    assert_true(failures.size > 1000 && failures.size < 1000000);
}

static void *sender(void *arg)
{
    struct cli_progress *const p = arg;

    for (uint32_t i = 1; i <= 200; i++) {
        send(p,
             (struct event){.type = EVENT_STEP_START, .step = i % 7 + 1, .name = "step"});
        output(p, i % 7 + 1, "some\noutput");
        send(p, (struct event){.type = EVENT_PROGRESS,
                               .step = i % 7 + 1,
                               .name = "x",
                               .current = i,
                               .total = 200});
    }
    return NULL;
}

static void test_events_may_come_from_many_threads(void **state)
{
    CLEANUP(buf_release) struct buf shown = BUF_INIT(LIMIT_TEXT_SIZE);
    pthread_t threads[4];
    struct cli_progress *p;
    struct caught caught;

    (void)state;
    catch_begin(&caught);
    p = cli_progress_new(CLI_PROGRESS_PLAIN, "Building");
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, sender, p);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    cli_progress_free(p);
    catch_end(&caught, &shown);
    shown_has(&shown, " some\n");
}

/* Without a terminal a line stays: that a transfer has begun is not worth one. */
static void test_plain_tells_of_a_small_transfer_when_it_is_over(void **state)
{
    CLEANUP(buf_release) struct buf shown = BUF_INIT(LIMIT_TEXT_SIZE);
    struct caught caught;
    struct cli_progress *p;

    (void)state;
    catch_begin(&caught);
    p = cli_progress_new(CLI_PROGRESS_PLAIN, "Pushing");
    send(p, (struct event){.type = EVENT_PROGRESS, .name = "push a", .total = 20});
    send(p, (struct event){
                .type = EVENT_PROGRESS, .name = "push a", .current = 20, .total = 20});
    cli_progress_free(p);
    catch_end(&caught, &shown);
    assert_string_equal(buf_text(&shown), "push a 20B / 20B done\n");
}

static void test_modes_are_known_by_name(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    enum cli_progress_mode mode;

    (void)state;
    unsetenv("BUILDKIT_PROGRESS");
    assert_int_equal(cli_progress_mode_parse(NULL, &mode, &err), 0);
    assert_int_equal(mode, CLI_PROGRESS_AUTO);
    assert_int_equal(cli_progress_mode_parse("rawjson", &mode, &err), 0);
    assert_int_equal(mode, CLI_PROGRESS_RAWJSON);
    setenv("BUILDKIT_PROGRESS", "plain", 1);
    assert_int_equal(cli_progress_mode_parse(NULL, &mode, &err), 0);
    assert_int_equal(mode, CLI_PROGRESS_PLAIN);
    assert_int_equal(cli_progress_mode_parse("fancy", &mode, &err), -1);
    assert_int_equal(err.code, ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_numbers_every_line),
        cmocka_unit_test(test_the_last_lines_of_a_failed_step_are_kept_in_every_mode),
        cmocka_unit_test(test_rawjson_writes_one_document_a_line),
        cmocka_unit_test(test_only_the_last_lines_are_kept),
        cmocka_unit_test(test_a_line_without_end_fills_no_memory),
        cmocka_unit_test(test_events_may_come_from_many_threads),
        cmocka_unit_test(test_plain_tells_of_a_small_transfer_when_it_is_over),
        cmocka_unit_test(test_modes_are_known_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
