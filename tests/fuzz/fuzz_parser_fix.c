/* What is fixed still parses, has as many instructions of the same kinds, and is done after
 * one go. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "base/limits.h"
#include "parser/check/fix.h"
#include "parser/dockerfile.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf once = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf twice = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct dockerfile_check_options options = {.target_platform = "linux/amd64"};
    const struct view text = {(const char *)data, size};
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "F", NULL, &err);
    size_t count = 0;

    if (!file)
        return 0;
    assert(dockerfile_fix(text, "F", &options, &once, &count, &err) == 0);
    CLEANUP(dockerfile_freep)
    struct dockerfile *again = dockerfile_parse(buf_view(&once), "F", NULL, &err);
    assert(again && again->instruction_count == file->instruction_count);
    for (size_t i = 0; i < file->instruction_count; i++)
        assert(again->instructions[i].kind == file->instructions[i].kind);
    assert(dockerfile_fix(buf_view(&once), "F", &options, &twice, &count, &err) == 0);
    assert(count == 0 && view_eq(buf_view(&once), buf_view(&twice)));
    return 0;
}
