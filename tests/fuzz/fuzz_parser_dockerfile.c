/* Any bytes are parsed or refused; what a tree says lies in the file, in order. All checks
 * run over it. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "base/limits.h"
#include "parser/check/check.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"
#include "parser/print.h"

#include <assert.h>

static void check_pos(const struct dockerfile *file, struct source_pos pos)
{
    assert(pos.source == file->source_name);
    assert(pos.line >= 1 && pos.column >= 1 && pos.line_end >= pos.line);
    assert(pos.column <= dockerfile_line(file, pos.line).size + 1 + 3);
}

static void check_instruction(const struct dockerfile *file,
                              const struct dockerfile_instruction *instruction,
                              unsigned *line)
{
    check_pos(file, instruction->pos);
    assert(instruction->pos.line > *line);
    *line = instruction->pos.line_end;
    assert(instruction->source.data >= file->text.data &&
           instruction->source.data + instruction->source.size <=
               file->text.data + file->text.size);
    for (size_t i = 0; i < instruction->flags.count; i++)
        check_pos(file, instruction->flags.items[i].pos);
    if (instruction->kind != DOCKERFILE_RUN)
        return;
    for (size_t i = 0; i < instruction->run->mount_count; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;
        const struct dockerfile_expand how = {.escape = file->escape};
        if (dockerfile_mount_parse(instruction->run->mounts[i].value, &how, &mount, &err) <
            0)
            assert(err.pos.line >= 1);
    }
}

static void note_finding(void *context, const struct dockerfile_finding *finding)
{
    check_pos(context, finding->pos);
    assert(*finding->message);
}

static void run_checks(struct dockerfile *file)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct dockerfile_check_config all = {.experimental_all = true};
    const struct dockerfile_check_options options = {
        .on_finding = note_finding, .config = &all, .extra = true, .context = file};

    assert(dockerfile_check(file, &options, NULL, &err) == 0);
}

static void count_error(void *context, const struct error *error)
{
    assert(error->code != ERROR_NONE && *error_text(error));
    ++*(unsigned *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(error_clear) struct error trigger_err = ERROR_INIT;
    CLEANUP(buf_release) struct buf json = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct view text = {(const char *)data, size};
    unsigned errors = 0, line = 0;
    const struct dockerfile_parse_options options = {.on_error = count_error,
                                                     .context = &errors};
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "F", &options, &err);

    assert((file == NULL) == (errors > 0));
    if (file) {
        for (size_t i = 0; i < file->instruction_count; i++)
            check_instruction(file, &file->instructions[i], &line);
        dockerfile_print_json(file, &json);
        assert(!json.failed);
        run_checks(file);
    }
    const struct source_pos pos = {"F", 1, 1, 1};
    CLEANUP(dockerfile_freep)
    struct dockerfile *trigger = dockerfile_parse_trigger(text, pos, &trigger_err);
    assert(!trigger || trigger->instruction_count == 1);
    return 0;
}
